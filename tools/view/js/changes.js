// ---- changes: the shown snapshot beside another one ----

const changes = {from: 0};

const signed = (bytes) => ({cls: bytes > 0 ? 'grew' : 'shrank', text: (bytes > 0 ? '+' : '') + size(bytes)});

function ownerChanges(old, now) {
  const before = totals(old).owner, after = totals(now).owner, found = [];
  for (const owner of new Set([...Object.keys(before), ...Object.keys(after)]))
    for (const state of new Set([...Object.keys(before[owner] || {}), ...Object.keys(after[owner] || {})])) {
      const delta = ((after[owner] || {})[state] || 0) - ((before[owner] || {})[state] || 0);
      if (delta) found.push([delta, Number(owner), !before[owner] ? 'new' : !after[owner] ? 'gone' : '', state]);
    }
  return found.sort((a, b) => b[0] - a[0]);
}

function chainChanges(old, now) {
  const groups = (shot) => {
    const all = new Map();
    for (const a of rows(shot, 'allocation')) {
      const key = [a.untyped, a.thread, a.call, a.site, a.type].join(), group = all.get(key) || {a, bytes: 0, count: 0, made: []};
      group.bytes += a.bytes;
      group.count++;
      group.made.push(a);
      all.set(key, group);
    }
    return all;
  };
  const before = groups(old), after = groups(now), sites = rows(now, 'site'), found = [];
  const newest = Math.max(0, ...rows(old, 'allocation').map((a) => a.object));
  for (const key of new Set([...before.keys(), ...after.keys()])) {
    const had = before.get(key) || {bytes: 0, count: 0}, has = after.get(key) || {bytes: 0, count: 0, made: []}, a = (after.get(key) || before.get(key)).a;
    if (had.bytes === has.bytes && had.count === has.count) continue;
    const fresh = has.made.filter((m) => m.object > newest).map((m) => m.time), site = sites[a.site];
    const since = fresh.length ? `${Math.max(0, (now.clock - Math.min(...fresh)) / now.clock_hz).toFixed(3)} s before` : '-';
    found.push([has.bytes - had.bytes, has.count - had.count, a, site ? `${site.file}:${site.line}` : '?', since]);
  }
  return found.sort((x, y) => y[0] - x[0]);
}

function spaceChanges(old, now) {
  const sums = (shot) => new Map(spacesOf(shot).map((s) => [s.space, s])), before = sums(old), after = sums(now), found = [];
  for (const space of new Set([...before.keys(), ...after.keys()])) {
    const was = before.get(space), is = after.get(space), resident = (s) => s ? s.sums.resident || 0 : 0;
    if (resident(is) !== resident(was)) found.push([resident(is) - resident(was), space, (is || was).name || '', resident(is)]);
  }
  return found.sort((a, b) => b[0] - a[0]);
}

function paintChanges() {
  const now = current(), old = shots[Math.min(changes.from, shots.length - 1)];
  const choose = element('select', {'aria-label': 'compare with', onchange: (event) => { changes.from = Number(event.target.value); paintChanges(); }},
    ...shots.map((shot, i) => element('option', {value: i}, `${shot.snapshot}: ${shot.label}, ${seconds(shot).toFixed(2)} s`)));
  choose.value = String(changes.from);
  const card = (title, heads, body, left) => element('div', {class: 'card'}, element('h2', {}, title),
    body.length ? table(heads, body, left) : element('p', {class: 'quiet'}, 'nothing has changed'));
  const named = (owner) => ownerName(rows(now, 'process').some((p) => p.budget === owner) ? now : old, owner);
  const tracked = rows(now, 'site').length > 0;
  $('changes').replaceChildren(
    element('p', {class: 'bar'}, 'from ', choose, ` to ${now.snapshot}: ${now.label}, ${seconds(now).toFixed(2)} s`),
    card('What untypeds have', ['whose', 'as', '', 'bytes'], ownerChanges(old, now).slice(0, 300).map(([delta, owner, news, state]) => [named(owner), state, news, signed(delta)]), 3),
    card('What is there in address spaces', ['whose', 'bytes', 'now'], spaceChanges(old, now).map(([delta, space, name, has]) => [`${name} (space ${space})`, signed(delta), size(has)]), 1),
    tracked ? card('Objects of the kernel that live', ['made at', 'what', 'by the call', 'untyped', 'thread', 'since', 'objects', 'bytes'],
      chainChanges(old, now).slice(0, 300).map(([delta, count, a, place, since]) => [{cls: 'mono', text: place}, nameOf('objects', a.type), a.call ? nameOf('calls', a.call) : 'boot',
        named(a.untyped), a.thread || 'boot', since, (count > 0 ? '+' : '') + count, signed(delta)]), 3)
      : element('p', {class: 'quiet'}, 'Which call made what lives: boot with heap=track, and snapshots tell.'));
}
