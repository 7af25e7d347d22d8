#!/usr/bin/python3
"""
Prove C functions by bit vectors: LLVM's form of a file, in which every theorem_NAME has to be true for all arguments.

    bits.py FILE.ll        FILE.ll: clang -O2 -S -emit-llvm, after which these functions have no loops and no calls

A theorem is a function of integers that returns bool. It becomes one SMT-LIB question to z3: are there arguments for
which it returns false, or for which its value is undefined (a shift by too much, a signed overflow, a branch on such a
value)? refuted_NAME must have such arguments: these show that the prover can say no. Prints a line each; exit code 1 if
one is otherwise. What has no translation is an error, never an assumption.
"""
import re
import subprocess
import sys

INT = r'i(\d+)'


class Untranslatable(Exception):
    pass


def const(value, width):
    return f'(_ bv{value % (1 << width)} {width})'


class Module:
    """Constant tables and types of a file."""

    def __init__(self, text):
        self.types = dict(re.findall(r'^(%[\w.]+) = type (\{.*\})$', text, re.M))
        self.globals = {}
        for name, rest in re.findall(r'^(@[\w.]+) = [^\n]*?\bconstant ([^\n]*)$', text, re.M):
            self.globals[name] = rest
        self.functions = re.findall(r'^define [^\n]*?@((?:theorem|refuted)_\w+)\(([^\n]*?)\)[^\n]*\{\n(.*?)^\}', text, re.M | re.S)

    # ---- types: (size, align) and their parts ----

    def split(self, text):
        """The parts of a list at its commas, brackets closed."""
        parts, depth, start = [], 0, 0
        for i, c in enumerate(text):
            if c in '([{<':
                depth += 1
            elif c in ')]}>':
                depth -= 1
            elif c == ',' and depth == 0:
                parts.append(text[start:i].strip())
                start = i + 1
        last = text[start:].strip()
        return parts + [last] if last else parts

    def layout(self, kind):
        kind = self.types.get(kind, kind)
        if kind.endswith('*'):
            return 8, 8
        m = re.fullmatch(INT, kind)
        if m:
            size = (int(m[1]) + 7) // 8
            return size, size
        m = re.fullmatch(r'\[(\d+) x (.*)\]', kind)
        if m:
            size, align = self.layout(m[2])
            return int(m[1]) * size, align
        if kind.startswith(('{', '<{')):
            fields = self.fields(kind)
            align = max([1] + [self.layout(of)[1] for _, of in fields if not kind.startswith('<')])
            end = max([0] + [at + self.layout(of)[0] for at, of in fields])
            return -(-end // align) * align, align
        raise Untranslatable('type ' + kind)

    @staticmethod
    def inner(text):
        """What stands inside of { } or <{ }>."""
        return (text[2:-2] if text.startswith('<') else text[1:-1]).strip()

    def fields(self, kind):
        """Offset and type of each field of a struct."""
        offset, out, kind = 0, [], self.types.get(kind, kind)
        for field in self.split(self.inner(kind)):
            size, align = self.layout(field)
            offset = offset if kind.startswith('<') else -(-offset // align) * align
            out.append((offset, field))
            offset += size
        return out

    def value_type(self, text):
        """'TYPE VALUE' -> both."""
        depth = 0
        for i, c in enumerate(text):
            if c in '([{<':
                depth += 1
            elif c in ')]}>':
                depth -= 1
            elif c == ' ' and depth == 0:
                return text[:i], text[i + 1:].strip()
        raise Untranslatable('constant ' + text)

    def flatten(self, kind, value, offset, out):
        """Numbers of a constant by their offset."""
        kind = self.types.get(kind, kind)
        m = re.fullmatch(INT, kind)
        if m:
            out[offset] = (int(m[1]), {'true': 1, 'false': 0}.get(value) if value in ('true', 'false') else int(value))
        elif value == 'zeroinitializer':
            if kind.startswith(('{', '<{')):
                for at, field in self.fields(kind):
                    self.flatten(field, '0' if re.fullmatch(INT, field) else value, offset + at, out)
            elif kind.startswith('['):
                count, of = re.fullmatch(r'\[(\d+) x (.*)\]', kind).groups()
                for i in range(int(count)):
                    self.flatten(of, '0' if re.fullmatch(INT, of) else value, offset + i * self.layout(of)[0], out)
        elif kind.startswith('['):
            of = re.fullmatch(r'\[(\d+) x (.*)\]', kind)[2]
            if value.startswith('['):
                for i, part in enumerate(self.split(value[1:-1])):
                    self.flatten(of, self.value_type(part)[1], offset + i * self.layout(of)[0], out)
        elif kind.startswith(('{', '<{')):
            parts = self.split(self.inner(value))
            for (at, field), part in zip(self.fields(kind), parts):
                self.flatten(field, self.value_type(part)[1], offset + at, out)

    def table(self, name):
        kind, value = self.value_type(self.globals[name].rsplit(', align', 1)[0])
        out = {}
        self.flatten(kind, value, 0, out)
        return out


OPERATIONS = {'add': 'bvadd', 'sub': 'bvsub', 'mul': 'bvmul', 'and': 'bvand', 'or': 'bvor', 'xor': 'bvxor',
              'shl': 'bvshl', 'lshr': 'bvlshr', 'ashr': 'bvashr', 'udiv': 'bvudiv', 'urem': 'bvurem'}
COMPARISONS = {'ult': 'bvult', 'ule': 'bvule', 'ugt': 'bvugt', 'uge': 'bvuge',
               'slt': 'bvslt', 'sle': 'bvsle', 'sgt': 'bvsgt', 'sge': 'bvsge'}


class Function:
    """One function as a list of SMT definitions: each value with whether it is poison, each block with its condition."""

    def __init__(self, module, arguments, body):
        self.module, self.lines, self.width, self.pointers = module, [], {}, {}
        for argument in module.split(arguments):
            kind, name = argument.split()[0], argument.split()[-1]
            width = re.fullmatch(INT, kind)
            if not width:
                raise Untranslatable('argument ' + argument)
            self.width[name] = int(width[1])
            self.lines += [f'(declare-const |{name}| (_ BitVec {width[1]}))', f'(define-fun |{name}?| () Bool false)']
        self.results, self.undefined = [], []
        self.first = f'%{len(self.width)}'  # the entry block has the number after the arguments'
        self.translate(body)

    def of(self, text, width):
        text = text.strip()
        if text.startswith('%'):
            return f'|{text}|'
        if text in ('undef', 'poison'):
            raise Untranslatable(text)
        return const({'true': 1, 'false': 0}.get(text) if text in ('true', 'false') else int(text), width)

    def poison(self, text):
        text = text.strip()
        return f'|{text}?|' if text.startswith('%') else 'false'

    def define(self, name, width, value, poison):
        self.width[name] = width
        self.lines += [f'(define-fun |{name}| () (_ BitVec {width}) {value})', f'(define-fun |{name}?| () Bool {poison})']

    def bit(self, text):
        return f'(= {self.of(text, 1)} #b1)'

    # ---- blocks ----

    def translate(self, body):
        blocks, name = [], self.first
        for line in body.split('\n'):
            label = re.match(r'^([\w.]+):', line)
            if label:
                name = '%' + label[1]
                blocks.append((name, []))
            elif line.strip() and not line.strip().startswith(';'):
                if not blocks:
                    blocks.append((name, []))
                blocks[-1][1].append(re.sub(r'( #\d+)?(, ![\w.]+ ![\w.]+)*$', '', line.split(' ; ')[0].strip()))
        self.joined = []
        for block, lines in blocks:
            if any(line.startswith('switch') for line in lines):  # its ways stand on lines of their own
                at = next(i for i, line in enumerate(lines) if line.startswith('switch'))
                lines[at:] = [' '.join(lines[at:])]
            self.joined.append((block, lines))
        edges = {block: [] for block, _ in self.joined}  # to -> (from, condition)
        order = self.sorted(self.joined)
        first = self.joined[0][0]
        for block, lines in order:
            path = 'true' if block == first else '(or false ' + ' '.join(f'|{a}->{block}|' for a, _ in edges[block]) + ')'
            self.lines.append(f'(define-fun |{block}@| () Bool {path})')
            for line in lines:
                self.instruction(block, line, edges)

    def targets(self, line):
        return re.findall(r'label (%[\w.]+)', line)

    def sorted(self, blocks):
        by_name, out, state = dict(blocks), [], {}
        stack = [(blocks[0][0], iter(self.targets(by_name[blocks[0][0]][-1])))]
        state[blocks[0][0]] = 1
        while stack:
            name, after = stack[-1]
            target = next(after, None)
            if target is None:
                state[name] = 2
                out.append((name, by_name[name]))
                stack.pop()
            elif state.get(target) == 1:
                raise Untranslatable('a loop at ' + target)
            elif target not in state:
                state[target] = 1
                stack.append((target, iter(self.targets(by_name[target][-1]))))
        return out[::-1]

    def edge(self, block, target, condition, edges):
        name = f'|{block}->{target}|'
        if any(a == block for a, _ in edges[target]):  # a switch with several ways to one block
            raise Untranslatable('two edges to ' + target)
        edges[target].append((block, name))
        self.lines.append(f'(define-fun {name} () Bool (and |{block}@| {condition}))')

    def instruction(self, block, line, edges):
        here = f'|{block}@|'
        m = re.fullmatch(r'ret i1 (.*)', line)
        if m:
            self.results.append((here, self.bit(m[1]), self.poison(m[1])))
            return
        m = re.fullmatch(r'br label (\S+)', line)
        if m:
            self.edge(block, m[1], 'true', edges)
            return
        m = re.fullmatch(r'br i1 (\S+), label (\S+), label (\S+)', line)
        if m:
            self.undefined.append(f'(and {here} {self.poison(m[1])})')
            self.edge(block, m[2], self.bit(m[1]), edges)
            self.edge(block, m[3], f'(not {self.bit(m[1])})', edges)
            return
        m = re.fullmatch(r'switch i(\d+) (\S+), label (\S+) \[(.*)\]', line)
        if m:
            width, value = int(m[1]), self.of(m[2], int(m[1]))
            self.undefined.append(f'(and {here} {self.poison(m[2])})')
            ways = {}
            for number, target in re.findall(r'i\d+ (-?\d+), label (%[\w.]+)', m[4]):
                ways.setdefault(target, []).append(f'(= {value} {const(int(number), width)})')
            others = f'(not (or false {" ".join(sum(ways.values(), []))}))'
            ways.setdefault(m[3], []).append(others)
            for target, conditions in ways.items():
                self.edge(block, target, f'(or false {" ".join(conditions)})', edges)
            return
        if line == 'unreachable':
            self.undefined.append(here)
            return
        m = re.fullmatch(r'(%[\w.]+) = (.*)', line)
        if not m:
            raise Untranslatable(line)
        self.assign(block, m[1], m[2], edges)

    def assign(self, block, name, text, edges):
        m = re.fullmatch(r'(\w+) ((?:nuw |nsw |exact )*)i(\d+) (\S+), (\S+)', text)
        if m and m[1] in OPERATIONS:
            operation, flags, width = m[1], m[2].split(), int(m[3])
            a, b = self.of(m[4], width), self.of(m[5], width)
            bad = [self.poison(m[4]), self.poison(m[5])]
            if operation in ('shl', 'lshr', 'ashr'):
                bad.append(f'(bvuge {b} {const(width, width)})')
                if operation == 'shl' and 'nuw' in flags:
                    bad.append(f'(not (= (bvlshr (bvshl {a} {b}) {b}) {a}))')
                if operation == 'shl' and 'nsw' in flags:
                    bad.append(f'(not (= (bvashr (bvshl {a} {b}) {b}) {a}))')
                if 'exact' in flags:
                    bad.append(f'(not (= (bvshl ({OPERATIONS[operation]} {a} {b}) {b}) {a}))')
            elif operation in ('udiv', 'urem'):
                self.undefined.append(f'(and |{block}@| (= {b} {const(0, width)}))')
            elif flags:
                more = width if operation == 'mul' else 1
                for flag, extend in (('nuw', 'zero_extend'), ('nsw', 'sign_extend')):
                    if flag in flags:
                        wide = f'({OPERATIONS[operation]} ((_ {extend} {more}) {a}) ((_ {extend} {more}) {b}))'
                        bad.append(f'(not (= {wide} ((_ {extend} {more}) ({OPERATIONS[operation]} {a} {b}))))')
            self.define(name, width, f'({OPERATIONS[operation]} {a} {b})', '(or ' + ' '.join(bad) + ')')
            return
        m = re.fullmatch(r'icmp (\w+) i(\d+) (\S+), (\S+)', text)
        if m:
            a, b = self.of(m[3], int(m[2])), self.of(m[4], int(m[2]))
            test = {'eq': f'(= {a} {b})', 'ne': f'(not (= {a} {b}))'}.get(m[1]) or f'({COMPARISONS[m[1]]} {a} {b})'
            self.define(name, 1, f'(ite {test} #b1 #b0)', f'(or {self.poison(m[3])} {self.poison(m[4])})')
            return
        m = re.fullmatch(r'select i1 (\S+), i(\d+) (\S+), i\d+ (\S+)', text)
        if m:
            width = int(m[2])
            self.define(name, width, f'(ite {self.bit(m[1])} {self.of(m[3], width)} {self.of(m[4], width)})',
                        f'(or {self.poison(m[1])} (ite {self.bit(m[1])} {self.poison(m[3])} {self.poison(m[4])}))')
            return
        m = re.fullmatch(r'(zext|sext|trunc) i(\d+) (\S+) to i(\d+)', text)
        if m:
            before, after = int(m[2]), int(m[4])
            a = self.of(m[3], before)
            how = f'(_ extract {after - 1} 0)' if m[1] == 'trunc' else f'(_ {"zero" if m[1] == "zext" else "sign"}_extend {after - before})'
            self.define(name, after, f'({how} {a})', self.poison(m[3]))
            return
        m = re.fullmatch(r'freeze i(\d+) (\S+)', text)
        if m:  # of a poison value: any
            width = int(m[1])
            self.lines.append(f'(declare-const |{name}!| (_ BitVec {width}))')
            self.define(name, width, f'(ite {self.poison(m[2])} |{name}!| {self.of(m[2], width)})', 'false')
            return
        m = re.fullmatch(r'phi i(\d+) (.*)', text)
        if m:
            width, value, poison = int(m[1]), None, None
            ways = dict((source, what) for what, source in re.findall(r'\[ (\S+), (%[\w.]+) \]', m[2]))
            for source, condition in edges[block]:
                v, p = self.of(ways[source], width), self.poison(ways[source])
                value = v if value is None else f'(ite {condition} {v} {value})'
                poison = p if poison is None else f'(ite {condition} {p} {poison})'
            self.define(name, width, value, poison)
            return
        m = re.fullmatch(r'(?:tail )?call (?:\w+ )*?i(\d+) @llvm\.(\w+)\.i\d+\((.*)\)', text)
        if m:
            self.intrinsic(name, int(m[1]), m[2], self.module.split(m[3]))
            return
        m = re.fullmatch(r'getelementptr inbounds (%[\w.]+), (?:%[\w.]+\* bitcast \(.* )?(?:%[\w.]+\* )?(@[\w.]+)(?: to %[\w.]+\*\))?, (.*)', text)
        if m:
            self.pointer(name, m[1], m[2], m[3])
            return
        m = re.fullmatch(r'inttoptr i64 (\S+) to \S+', text)
        if m:
            self.define(name, 64, self.of(m[1], 64), self.poison(m[1]))
            return
        m = re.fullmatch(r'icmp (eq|ne) %[\w.]+\* (%[\w.]+), (%[\w.]+)', text)
        if m:
            same = f'(= |{m[2]}| |{m[3]}|)'
            self.define(name, 1, f'(ite {same if m[1] == "eq" else f"(not {same})"} #b1 #b0)', f'(or |{m[2]}?| |{m[3]}?|)')
            return
        m = re.fullmatch(r'load i(\d+), i\d+\* (%[\w.]+), align \d+', text)
        if m and m[2] in self.pointers:
            self.load(name, int(m[1]), m[2])
            return
        raise Untranslatable(text)

    def intrinsic(self, name, width, which, arguments):
        values = [self.of(a.split()[-1], int(re.match(INT, a)[1])) for a in arguments]
        poison = '(or ' + ' '.join(self.poison(a.split()[-1]) for a in arguments) + ' false)'
        a = values[0]
        if which in ('umin', 'umax', 'smin', 'smax'):
            test = ('bvult' if which[0] == 'u' else 'bvslt') if which.endswith('min') else ('bvugt' if which[0] == 'u' else 'bvsgt')
            value = f'(ite ({test} {a} {values[1]}) {a} {values[1]})'
        elif which in ('ctlz', 'cttz'):
            value = const(width, width)
            for i in range(width) if which == 'ctlz' else reversed(range(width)):
                value = f'(ite (= ((_ extract {i} {i}) {a}) #b1) {const(width - 1 - i if which == "ctlz" else i, width)} {value})'
            if arguments[1].endswith('true'):
                poison = f'(or {poison} (= {a} {const(0, width)}))'
        elif which == 'ctpop':
            value = const(0, width)
            for i in range(width):
                value = f'(bvadd {value} ((_ zero_extend {width - 1}) ((_ extract {i} {i}) {a})))'
        elif which in ('fshl', 'fshr') and re.fullmatch(r'\(_ bv(\d+) \d+\)', values[2]):
            by = int(re.fullmatch(r'\(_ bv(\d+) \d+\)', values[2])[1]) % width
            left = by if which == 'fshl' else width - by
            value = f'((_ extract {2 * width - 1 - left} {width - left}) (concat {a} {values[1]}))'
        else:
            raise Untranslatable('llvm.' + which)
        self.define(name, width, value, poison)

    def pointer(self, name, kind, base, indices):
        """An address in a constant table: what is fixed of its offset, and what an index adds."""
        parts, offset, moving = self.module.split(indices), 0, []
        for i, part in enumerate(parts):
            width, index = part.split()
            if i > 0:
                resolved = self.module.types.get(kind, kind)
                if resolved.startswith('{'):
                    at, kind = self.module.fields(resolved)[int(index)]
                    offset += at
                    continue
                kind = re.fullmatch(r'\[(\d+) x (.*)\]', resolved)[2]
            size = self.module.layout(kind)[0]
            if index.startswith('%'):
                moving.append((index, int(width[1:]), size))
            else:
                offset += int(index) * size
        if len(moving) > 1:
            raise Untranslatable('two indices')
        self.pointers[name] = (base, offset, moving)

    def load(self, name, width, pointer):
        base, offset, moving = self.pointers[pointer]
        table = {at: v for at, (w, v) in self.module.table(base).items() if w == width}
        if not moving:
            self.define(name, width, const(table[offset], width), 'false')
            return
        index, bits, size = moving[0]
        inside = [((at - offset) // size, v) for at, v in sorted(table.items()) if at >= offset and (at - offset) % size == 0]
        value, known = const(0, width), []
        for i, v in inside:
            test = f'(= {self.of(index, bits)} {const(i, bits)})'
            known.append(test)
            value = f'(ite {test} {const(v, width)} {value})'
        self.define(name, width, value, f'(or {self.poison(index)} (not (or false {" ".join(known)})))')

    def question(self):
        wrong = self.undefined + [f'(and {here} (or {poison} (not {value})))' for here, value, poison in self.results]
        return '\n'.join(self.lines + [f'(assert (or false {" ".join(wrong)}))', '(check-sat)'])


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    module = Module(open(sys.argv[1], encoding='utf-8').read())
    proved = failed = 0
    if not module.functions:
        sys.exit('bits.py: no theorem in ' + sys.argv[1])
    for name, arguments, body in module.functions:
        try:
            question = Function(module, arguments, body).question()
        except Untranslatable as what:
            answer = f'no translation of: {what}'
        else:
            run = subprocess.run(['z3', '-in', '-T:60', '-memory:2000'], input=question, capture_output=True, text=True, check=False)
            answer = run.stdout.split('\n')[0]
        good = answer == ('unsat' if name.startswith('theorem_') else 'sat')
        proved, failed = proved + good, failed + (not good)
        print(f'{"ok" if good else "FAIL"} {name}' + ('' if good else f': {answer}'))
    print(f'proved {proved} / {proved + failed}')
    sys.exit(failed != 0)


main()
