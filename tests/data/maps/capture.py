#!/usr/bin/python3
"""Capture what Linux says of emulated machines, as inputs for the tests of the memory-map laboratory.

Boots a Debian kernel (package linux-image-6.1.0-*-cloud-amd64-unsigned, the file boot/vmlinuz-* in it) in QEMU 7.2 and
writes into tests/data/maps/NAME/: `dmesg`, the log up to the kernel's own zones; `iomem`, /proc/iomem as root reads it;
`SRAT.hex`, `SLIT.hex`, the tables as the monitor saves them. Device trees come from QEMU alone: `dtb.hex`.
Usage: tests/data/maps/capture.py VMLINUZ [NAME...]; without names, all of them. Needs qemu-system-x86,
qemu-system-misc, ovmf, gcc, cpio, device-tree-compiler.
"""
import os
import re
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
WORK = tempfile.mkdtemp(prefix="maps-")
INIT = """
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>
int main(void)
{
    static char bytes[65536];
    mkdir("/proc", 0755);
    mount("proc", "/proc", "proc", 0, 0);
    int in = open("/proc/iomem", O_RDONLY), out = 1;
    write(out, "IOMEM BEGINS\\n", 13);
    for (long n; (n = read(in, bytes, sizeof(bytes))) > 0;)
        write(out, bytes, n);
    write(out, "IOMEM ENDS\\n", 11);
    for (;;)
        pause();
}
"""


def initrd():
    root = os.path.join(WORK, "root")
    os.makedirs(os.path.join(root, "dev"), exist_ok=True)
    with open(os.path.join(WORK, "init.c"), "w") as f:
        f.write(INIT)
    subprocess.run(["gcc", "-static", "-O1", "-w", "-o", os.path.join(root, "init"), os.path.join(WORK, "init.c")],
                   check=True)
    path = os.path.join(WORK, "initrd")
    if not os.path.exists(os.path.join(root, "dev", "console")):
        subprocess.run(["mknod", os.path.join(root, "dev", "console"), "c", "5", "1"], check=True)
    subprocess.run("find . | cpio -o -H newc --quiet >%s" % path, shell=True, cwd=root, check=True)
    return path


def hex_text(data):
    return "".join(data[i:i + 32].hex() + "\n" for i in range(0, len(data), 32))


def store(name, file, text):
    os.makedirs(os.path.join(HERE, name), exist_ok=True)
    with open(os.path.join(HERE, name, file), "w") as f:
        f.write(text)


class Monitor:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.answer()

    def answer(self):
        text = b""
        while not text.endswith(b"(qemu) "):
            part = self.socket.recv(65536)
            if not part:
                break
            text += part
        return text

    def read(self, address, count):
        path = os.path.join(WORK, "memory")
        self.socket.sendall(b"pmemsave %d %d \"%s\"\n" % (address, count, path.encode()))
        self.answer()
        with open(path, "rb") as f:
            return f.read()


def wait_for(path, mark, process, seconds=90):
    for _ in range(seconds * 4):
        with open(path, "rb") as f:
            text = f.read().decode(errors="replace").replace("\r", "")
        if mark in text or process.poll() is not None:
            return text
        time.sleep(0.25)
    return text


def linux(name, arguments, iomem=False, tables=False, words=""):
    log, monitor = os.path.join(WORK, name + ".log"), os.path.join(WORK, "monitor")
    if os.path.exists(monitor):
        os.unlink(monitor)
    open(log, "w").close()
    process = subprocess.Popen(
        ["timeout", "120", "qemu-system-x86_64", "-display", "none", "-no-reboot", "-net", "none", "-cpu", "max,phys-bits=42",
         "-kernel", VMLINUZ, "-initrd", initrd(), "-append",
         "console=ttyS0 earlyprintk=ttyS0 efi=debug panic=0 " + words, "-serial", "file:" + log,
         "-monitor", "unix:%s,server=on,wait=off" % monitor, *arguments])
    text = wait_for(log, "IOMEM ENDS" if iomem else "Zone ranges", process)
    lines = text.split("\n")
    last = next(i for i, line in enumerate(lines) if "Zone ranges" in line)
    first = next(i for i, line in enumerate(lines) if "Linux version" in line)
    again = [i for i, line in enumerate(lines[:last]) if "Linux version" in line][-1]
    del first
    store(name, "dmesg", "\n".join(lines[again:last]) + "\n")
    if iomem:
        inside = re.search(r"IOMEM BEGINS\n(.*)IOMEM ENDS", text, re.S).group(1)
        store(name, "iomem", "".join(line + "\n" for line in inside.split("\n")
                                     if re.match(r" *[0-9a-f]+-[0-9a-f]+ : ", line)))
    if tables:
        m = Monitor(monitor)
        for signature, address, size in re.findall(r"ACPI: (SRAT|SLIT) 0x([0-9A-F]+) ([0-9A-F]+) ", text):
            store(name, signature + ".hex", hex_text(m.read(int(address, 16), int(size, 16))))
    process.terminate()
    process.wait()


def tree(name, arguments):
    path = os.path.join(WORK, "dtb")
    subprocess.run(["qemu-system-riscv64", "-display", "none", "-M", arguments[0] + ",dumpdtb=" + path, *arguments[1:]],
                   check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["dtc", "-q", "-I", "dtb", "-O", "dtb", "-o", path + ".small", path], check=True)
    with open(path + ".small", "rb") as f:
        store(name, "dtb.hex", hex_text(f.read()))


def numa(sizes, distances=(), cpus=True, reserve=True):
    out = []
    for i, size in enumerate(sizes):
        node = "node,nodeid=%d" % i
        if cpus:
            node += ",cpus=%d" % i
        if size:
            out += ["-object", "memory-backend-ram,id=m%d,size=%s%s" % (i, size, "" if reserve else ",reserve=off")]
            node += ",memdev=m%d" % i
        out += ["-numa", node]
    for a, b, d in distances:
        out += ["-numa", "dist,src=%d,dst=%d,val=%d" % (a, b, d)]
    return out


def ring(count):
    return [(a, b, 10 + 5 * min(b - a, count - (b - a))) for a in range(count) for b in range(a + 1, count)]


def ovmf():
    path = os.path.join(WORK, "vars.fd")
    subprocess.run(["cp", "/usr/share/OVMF/OVMF_VARS_4M.fd", path], check=True)
    return ["-drive", "if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd",
            "-drive", "if=pflash,format=raw,file=" + path]


MAKERS = {
    "bios-1-node": lambda n: linux(n, ["-M", "q35", "-m", "512M"], iomem=True),
    "i440fx-2-nodes": lambda n: linux(n, ["-M", "pc", "-m", "5G", "-smp", "2", *numa(["2G", "3G"])], tables=True),
    "hotplug-2-nodes": lambda n: linux(
        n, ["-M", "q35", "-m", "4G,slots=2,maxmem=16G", "-smp", "2", *numa(["1G", "3G"], [(0, 1, 17)])],
        tables=True, iomem=True),
    "memoryless-4-nodes": lambda n: linux(
        n, ["-M", "q35", "-m", "3G", "-smp", "4", *numa(["1G", None, "1G", "1G"], ring(4))], tables=True),
    "ring-8-nodes": lambda n: linux(
        n, ["-M", "q35", "-m", "8G", "-smp", "8", *numa(["1G"] * 8, ring(8))], tables=True),
    "sparse-128g": lambda n: linux(
        n, ["-M", "q35,memory-backend=m", "-m", "128G", "-object", "memory-backend-ram,id=m,size=128G,reserve=off"],
        words="mem=1G"),
    "sparse-1t-4-nodes": lambda n: linux(
        n, ["-M", "q35", "-m", "1T", "-smp", "4", *numa(["256G"] * 4, ring(4), reserve=False)], tables=True,
        words="mem=1G"),
    "uefi-efi-debug": lambda n: linux(n, ["-M", "q35", "-m", "2G", *ovmf()], iomem=True),
    "riscv-1-node": lambda n: tree(n, ["virt", "-m", "2G", "-smp", "2"]),
    "riscv-4-nodes": lambda n: tree(n, ["virt,aia=aplic", "-m", "4G", "-smp", "4", *numa(["1G"] * 4, ring(4))]),
    "riscv-sparse-800g": lambda n: tree(
        n, ["virt,memory-backend=m", "-m", "800G", "-object", "memory-backend-ram,id=m,size=800G,reserve=off"]),
}

VMLINUZ = sys.argv[1]
for wanted in sys.argv[2:] or MAKERS:
    print(wanted, flush=True)
    MAKERS[wanted](wanted)
