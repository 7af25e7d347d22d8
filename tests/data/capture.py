#!/usr/bin/python3
"""Capture what firmware and loaders hand over, as C headers for the tests of the parsers.

Runs QEMU with a kernel that only halts, reads the registers and the guest's memory through the monitor, and writes
tests/data/*.h. Needs qemu-system-x86, qemu-system-misc, grub-pc-bin, grub-efi-amd64-bin, xorriso, mtools, ovmf, gcc,
gcc-riscv64-linux-gnu. Usage: tests/data/capture.py [name...]; without a name, all of them.
"""
import os
import re
import socket
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
WORK = tempfile.mkdtemp(prefix="capture-")

PROBE_X86 = """
.code32
.section .note.pvh, "a", @note
.long 4, 4, 18
.asciz "Xen"
.long _start
.section .mb2, "a"
.align 8
head: .long 0xe85250d6, 0, tail - head, -(0xe85250d6 + (tail - head))
.short 0, 0
.long 8
tail:
.text
.globl _start
_start: cli
1: hlt
jmp 1b
"""
LAYOUT_X86 = """
ENTRY(_start)
PHDRS { load PT_LOAD; note PT_NOTE; }
SECTIONS {
  . = 0x100000;
  .mb2 : { *(.mb2) } :load
  .text : { *(.text) } :load
  .note.pvh : { *(.note.pvh) } :load :note
  /DISCARD/ : { *(.note.gnu*) }
}
"""
PROBE_RISCV = ".globl _start\n_start: wfi\nj _start\n"


def sh(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def write(name, text):
    path = os.path.join(WORK, name)
    with open(path, "w") as f:
        f.write(text)
    return path


def build_x86():
    source, layout = write("probe.S", PROBE_X86), write("probe.ld", LAYOUT_X86)
    obj, elf32, elf = (os.path.join(WORK, n) for n in ("probe.o", "probe32.elf", "probe.elf"))
    sh("gcc", "-m32", "-c", source, "-o", obj)
    sh("ld", "-m", "elf_i386", "-T", layout, obj, "-o", elf32)
    sh("objcopy", "-O", "elf64-x86-64", elf32, elf)
    return elf


def build_riscv():
    elf = os.path.join(WORK, "probe-rv.elf")
    sh("riscv64-linux-gnu-gcc", "-nostdlib", "-static", "-Wl,-Ttext=0x80200000", "-Wl,--build-id=none",
       write("probe-rv.S", PROBE_RISCV), "-o", elf)
    return elf


def build_iso(elf):
    boot = os.path.join(WORK, "iso", "boot", "grub")
    os.makedirs(boot, exist_ok=True)
    sh("cp", elf, os.path.join(WORK, "iso", "boot", "probe.elf"))
    with open(os.path.join(WORK, "iso", "boot", "module"), "w") as f:
        f.write("module\n" * 100)
    with open(os.path.join(boot, "grub.cfg"), "w") as f:
        f.write("set timeout=0\nmenuentry probe {\nmultiboot2 /boot/probe.elf first second=2\n"
                "module2 /boot/module archive\nboot\n}\n")
    iso = os.path.join(WORK, "probe.iso")
    sh("grub-mkrescue", "-o", iso, os.path.join(WORK, "iso"))
    return iso


class Machine:
    """A QEMU that runs for some seconds and is then stopped and looked at."""

    def __init__(self, arch, arguments, seconds):
        self.path = os.path.join(WORK, "monitor")
        if os.path.exists(self.path):
            os.unlink(self.path)
        self.process = subprocess.Popen(
            ["timeout", "60", "qemu-system-" + arch, "-display", "none", "-serial", "null", "-net", "none",
             "-monitor", "unix:%s,server=on,wait=off" % self.path, *arguments])
        time.sleep(seconds)
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(self.path)
        self.answer()
        self.ask("stop")

    def answer(self):
        text = b""
        while not text.endswith(b"(qemu) "):
            part = self.socket.recv(65536)
            if not part:
                break
            text += part
        return text.decode(errors="replace")

    def ask(self, command):
        self.socket.sendall(command.encode() + b"\n")
        return self.answer()

    def register(self, name):
        return int(re.search(r"\b%s[ =]+([0-9a-f]+)" % name, self.ask("info registers")).group(1), 16)

    def read(self, address, count):
        path = os.path.join(WORK, "memory")
        if os.path.exists(path):
            os.unlink(path)
        said = self.ask("pmemsave %#x %d \"%s\"" % (address, count, path))
        for _ in range(50):
            if os.path.exists(path) and os.path.getsize(path) == count:
                break
            time.sleep(0.1)
        else:
            raise RuntimeError(said)
        with open(path, "rb") as f:
            return f.read()

    def string(self, address):
        data = self.read(address, 4096)
        return data[:data.index(0) + 1]

    def close(self):
        self.socket.sendall(b"quit\n")
        self.process.wait()


def store(name, how, fragments):
    with open(os.path.join(HERE, name + ".h"), "w") as f:
        f.write("/* Captured by tests/data/capture.py with QEMU 7.2: %s */\n" % how)
        f.write("/* clang-format off */\n#include \"../unit/memory.h\"\n\n")
        for i, (_, data) in enumerate(fragments):
            f.write("static const uint8_t %s_%d[%d] = {\n" % (name, i, len(data)))
            for at in range(0, len(data), 32):
                f.write(",".join(str(b) for b in data[at:at + 32]) + ",\n")
            f.write("};\n")
        f.write("\nstatic const struct fragment %s[] = {\n" % name)
        for i, (address, _) in enumerate(fragments):
            f.write("    {%#xull, %s_%d, sizeof(%s_%d)},\n" % (address, name, i, name, i))
        f.write("};\n/* clang-format on */\n")


def pvh(name, how, arguments):
    m = Machine("x86_64", ["-kernel", build_x86(), *arguments], 3)
    at = m.register("EBX")
    info = m.read(at, 56)
    _, version, _, modules, module_list, command_line, rsdp, memory_map, ranges, _ = struct.unpack(
        "<IIIIQQQQII", info)
    fragments = [(at, info)]
    if command_line:
        fragments.append((command_line, m.string(command_line)))
    if modules:
        fragments.append((module_list, m.read(module_list, 32 * modules)))
    fragments.append((memory_map, m.read(memory_map, 24 * ranges)))
    store(name, how, fragments)
    acpi(m, name.replace("pvh", "acpi"), how, rsdp)
    m.close()


def acpi(m, name, how, rsdp):
    fragments = [(rsdp, m.read(rsdp, 36))]
    rsdt = struct.unpack("<I", fragments[0][1][16:20])[0]

    def table(address):
        size = struct.unpack("<I", m.read(address, 8)[4:])[0]
        fragments.append((address, m.read(address, size)))
        return fragments[-1][1]

    for (address,) in struct.iter_unpack("<I", table(rsdt)[36:]):
        data = table(address)
        if data[:4] == b"FACP":
            table(struct.unpack("<I", data[40:44])[0])
    store(name, how, fragments)


def multiboot2(name, how, arguments, seconds):
    m = Machine("x86_64", ["-cdrom", build_iso(build_x86()), *arguments], seconds)
    at = m.register("EBX")
    store(name, how, [(at, m.read(at, struct.unpack("<I", m.read(at, 4))[0]))])
    m.close()


def fdt(name, how, arguments):
    m = Machine("riscv64", ["-kernel", build_riscv(), *arguments], 3)
    at = m.register("x11/a1")
    store(name, how, [(at, m.read(at, struct.unpack(">I", m.read(at, 8)[4:])[0]))])
    m.close()


def numa(count, mib, distances=()):
    out = []
    for i in range(count):
        out += ["-object", "memory-backend-ram,id=m%d,size=%dM" % (i, mib),
                "-numa", "node,nodeid=%d,cpus=%d,memdev=m%d" % (i, i, i)]
    for a, b, d in distances:
        out += ["-numa", "dist,src=%d,dst=%d,val=%d" % (a, b, d)]
    return out


def capture(name):
    module = write("module", "module\n" * 100)
    distances = [(0, 1, 12), (0, 2, 20), (0, 3, 25), (1, 2, 14), (1, 3, 21), (2, 3, 15)]
    ovmf = os.path.join(WORK, "vars.fd")
    sh("cp", "/usr/share/OVMF/OVMF_VARS_4M.fd", ovmf)
    makers = {
        "pvh_plain": lambda: pvh(name, "x86-64, -M q35 -m 128M -smp 1, PVH", ["-M", "q35", "-m", "128M"]),
        "pvh_numa": lambda: pvh(
            name, "x86-64, -M q35 -m 4G,maxmem=8G,slots=2 -smp 4, four nodes with distances, PVH, "
            "with a command line and an archive",
            ["-M", "q35", "-m", "4G,slots=2,maxmem=8G", "-smp", "4", *numa(4, 1024, distances),
             "-append", "console=ttyS0 quiet", "-initrd", module]),
        "multiboot2_bios": lambda: multiboot2(
            name, "x86-64, -M q35 -m 2G, GRUB 2.06 on SeaBIOS", ["-M", "q35", "-m", "2G"], 6),
        "multiboot2_uefi": lambda: multiboot2(
            name, "x86-64, -M q35 -m 2G, GRUB 2.06 on OVMF",
            ["-M", "q35", "-m", "2G",
             "-drive", "if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd",
             "-drive", "if=pflash,format=raw,file=" + ovmf], 20),
        "fdt_plain": lambda: fdt(name, "riscv64, -M virt -m 128M -smp 1, as OpenSBI 1.1 passes it on",
                                 ["-M", "virt", "-m", "128M"]),
        "fdt_numa": lambda: fdt(
            name, "riscv64, -M virt,aia=aplic -m 2G -smp 4, four nodes with distances, with a command line "
            "and an archive, as OpenSBI 1.1 passes it on",
            ["-M", "virt,aia=aplic", "-m", "2G", "-smp", "4", *numa(4, 512, distances),
             "-append", "console=ttyS0 quiet", "-initrd", module]),
    }
    if not name:
        return list(makers)
    makers[name]()
    return []


for wanted in sys.argv[1:] or capture(None):
    print(wanted, flush=True)
    capture(wanted)
