#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""An adapter to begin with: processes of this machine, with a toy for /dev/iommu.

    deno task conformance check-adapter "stdio:python3 examples/adapters/adapter.py"
    deno task conformance --target "stdio:python3 examples/adapters/adapter.py"

The protocol is conformance/protocol.md. Each process of the tests is a child that
makes the system calls itself, but for those of an iommufd: these go to
toy_iommufd.py. Put yours in its place, or open the real one.
"""
import ctypes
import errno
import os
import socket
import struct
import sys
from types import SimpleNamespace

from toy_iommufd import BROKEN, HUGE_PAGE, PAGE, Iommufd

CHANNEL = 1000  # out of the way: a test's first descriptor is 3
PROT_NONE, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS = 0, 3, 0x22
LONG = ("mmap", "read", "write", "process_vm_readv", "process_vm_writev")
libc = ctypes.CDLL(None, use_errno=True)


def system(name, *args):
    """A system call: its result, or a negative errno."""
    function = getattr(libc, name)
    function.restype = ctypes.c_long if name in LONG else ctypes.c_int
    result = function(*[ctypes.c_long(a) if isinstance(a, int) else a for a in args])
    return -ctypes.get_errno() if result == -1 else result


def touch(name, address, buffer):
    """Copies from or to memory that may not be there: False if so."""
    parts = struct.pack("@PNPN", ctypes.addressof(buffer), len(buffer), address % 2**64, len(buffer))
    here = ctypes.create_string_buffer(parts)
    there = ctypes.addressof(here) + 16
    return system(name, os.getpid(), here, 1, ctypes.c_void_p(there), 1, 0) == len(buffer)


def peek(address, length):
    """Bytes; None if this process may not read them."""
    buffer = (ctypes.c_char * length)()
    return bytes(buffer) if touch("process_vm_readv", address, buffer) else None


def poke(address, data):
    """False if this process may not write there."""
    buffer = (ctypes.c_char * len(data)).from_buffer_copy(data)
    return touch("process_vm_writev", address, buffer)


# ---- a process: requests that are system calls ----------------------------

broken = sys.argv[2] if sys.argv[1:2] == ["--broken"] else ""  # how the toy is
iommufds = {}  # by descriptor; another file holds its place
arena = 1 << 36  # where memory is mapped that may be anywhere: away from Python's own


def mmap(address, length, prot, flags, fd, offset):
    global arena
    result = system("mmap", address or arena, length, prot, flags, fd, offset)
    arena += length + (1 << 20) & -PAGE
    return result


def open_path(path, flags):
    if path != b"/dev/iommu":
        return system("open", path, flags, 0o600)
    fd = system("memfd_create", b"iommufd", 0)
    iommufds[fd] = Iommufd(SimpleNamespace(peek=peek, poke=poke), broken)
    return fd


def close(fd):
    iommufds.pop(fd, None)
    return system("close", fd)


def dup(fd):
    new = system("dup", fd)
    if fd in iommufds:
        iommufds[new] = iommufds[fd]
    return new


def ioctlarg(fd, command, address):
    if fd in iommufds:
        return iommufds[fd].ioctl(command, address)
    return system("ioctl", fd, command, address)


def ioctl(fd, command, data):
    """The byte after the struct is in a page that is not there."""
    room = -(-max(len(data), 1) // PAGE) * PAGE
    base = mmap(0, room + PAGE, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0)
    system("mprotect", base + room, PAGE, PROT_NONE)
    address = base + room - len(data)
    poke(address, data)
    result = ioctlarg(fd, command, address)
    back = peek(address, len(data))
    system("munmap", base, room + PAGE)
    return result, back


def read(fd, count):
    buffer = ctypes.create_string_buffer(count)
    result = system("read", fd, buffer, count)
    return result, buffer.raw[: max(result, 0)]


def poll(fd, events):
    one = ctypes.create_string_buffer(struct.pack("<ihh", fd, events, 0))
    return system("poll", one, 1, 0) and struct.unpack("<ihh", one.raw[:8])[2]


def pipe():
    ends = (ctypes.c_int * 2)(-1, -1)
    return system("pipe", ends), *ends


def vmstatus():
    status = dict(line.split(":", 1) for line in open("/proc/self/status", encoding="utf-8"))
    return tuple(int(status[key].split()[0]) for key in ("VmLck", "VmPin"))


def plain(name):
    return lambda *args: system(name, *args)


# How the words of a request are read (n: a number, b: bytes), and what it does.
VERBS = {
    "open": ("bn", open_path),
    "close": ("n", close),
    "dup": ("n", dup),
    "ioctl": ("nnb", ioctl),
    "ioctlarg": ("nnn", ioctlarg),
    "mmap": ("nnnnnn", mmap),
    "munmap": ("nn", plain("munmap")),
    "mprotect": ("nnn", plain("mprotect")),
    "madvise": ("nnn", plain("madvise")),
    "read": ("nn", read),
    "write": ("nb", lambda fd, data: system("write", fd, data, len(data))),
    "poll": ("nn", poll),
    "peek": ("nn", peek),
    "poke": ("nb", lambda address, data: () if poke(address, data) else None),
    "memfd": ("bn", plain("memfd_create")),
    "ftruncate": ("nn", plain("ftruncate")),
    "eventfd": ("nn", plain("eventfd")),
    "pipe": ("", pipe),
    "vmstatus": ("", vmstatus),
    "failnth": ("n", lambda _n: -errno.EOPNOTSUPP),
    "failnthleft": ("", lambda: 0),
    "exit": ("", tuple),
}
BATCHED = ("ioctl", "peek", "poke")


def number(word):
    digits = word.removeprefix("-")
    value = int(digits, 16 if digits[:2] == "0x" else 10) if digits.isalnum() else int("no")
    return -value if word[0] == "-" else value


def parse(words, names):
    """A call that is ready to be made. A word that is wrong is a ValueError."""
    name, *rest = words
    if name not in names:
        raise ValueError(f"{name} is not known here")
    kinds, run = VERBS[name]
    if len(rest) != len(kinds):
        raise ValueError(f"{name} has {len(kinds)} arguments")
    read_data = lambda word: b"" if word == "-" else bytes.fromhex(word)
    args = [number(w) if kind == "n" else read_data(w) for kind, w in zip(kinds, rest)]
    return lambda: run(*args)


def values(result):
    """The words of what a call gave."""
    if isinstance(result, tuple):
        return [word for each in result for word in values(each)]
    return [result.hex() or "-" if isinstance(result, bytes) else str(result)]


def answer(words):
    """What a process replies."""
    try:
        if words[0] == "batch":
            parts = " ".join(words[1:]).split(" ; ")
            calls = [parse(part.split(" "), BATCHED) for part in parts]
            results = [call() for call in calls]
            replies = [["fault"] if result is None else values(result) for result in results]
            # A call without values leaves nothing before or after the semicolon.
            return " ".join(word for reply in replies for word in [";", *reply]).replace(";", "ok", 1)
        result = parse(words, VERBS)()
        return "fault" if result is None else " ".join(["ok", *values(result)])
    except ValueError as error:
        return f"error {str(error).encode().hex()}"


# ---- the adapter: who gets a line -----------------------------------------


def spawn():
    """The socket of a new process."""
    ours, theirs = socket.socketpair()
    if os.fork():
        theirs.close()
        return ours.makefile("rw")
    os.dup2(theirs.fileno(), CHANNEL)
    null = os.open("/dev/null", os.O_RDWR)
    for fd in range(3):
        os.dup2(null, fd)
    os.closerange(3, CHANNEL)
    with open(CHANNEL, "r+b", buffering=0) as raw, open(CHANNEL, "r", closefd=False) as lines:
        for line in lines:
            raw.write(answer(line.split()).encode() + b"\n")
            if line == "exit\n":
                break
    os._exit(0)


class Adapter:
    def __init__(self):
        self.processes, self.next = {}, 1

    def end(self, process):
        self.processes.pop(process).close()
        os.wait()

    def adapter_request(self, words):
        match words:
            case ["hello", "1"]:
                return f"ok protocol=1 name=toy version=1 uapi=7.3 page={PAGE} hugepage={HUGE_PAGE} capabilities= testops="
            case ["spawn"]:
                self.processes[self.next], self.next = spawn(), self.next + 1
                return f"ok {self.next - 1}"
            case ["reset"]:
                for process in list(self.processes):
                    self.end(process)
                return "ok"
            case ["bye"]:
                return "ok"
        raise ValueError("that is no request to the adapter")

    def process_request(self, process, words):
        if process not in self.processes:
            raise ValueError(f"there is no process {process}")
        channel = self.processes[process]
        print(*words, file=channel, flush=True)
        reply = channel.readline().rstrip("\n")
        if words == ["exit"]:
            self.end(process)
        return reply or "died " + b"it ended".hex()

    def serve(self):
        for line in sys.stdin:
            sequence, words = 0, line.rstrip("\r\n").split(" ")
            try:
                sequence = number(words[0])
                process = number(words[1])
                if process:
                    reply = self.process_request(process, words[2:])
                else:
                    reply = self.adapter_request(words[2:])
            except (ValueError, IndexError) as error:
                reply = f"error {str(error).encode().hex()}"
            print(sequence, reply, flush=True)
            if words[1:] == ["0", "bye"]:
                break


if __name__ == "__main__":
    if broken and broken not in BROKEN:
        sys.exit(f"--broken needs one of {', '.join(BROKEN)}")
    Adapter().serve()
