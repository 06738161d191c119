# SPDX-License-Identifier: GPL-2.0-only

"""A client of iommufd in Python, with a device that does what it is told:
/dev/dma is read and written at an IOVA. What libc has beside that is called
as it is, since Python's own mmap would be in the way."""

import ctypes
import fcntl
import os
import struct

PAGE = 4096
PROT_READ, PROT_WRITE = 1, 2
RW = PROT_READ | PROT_WRITE
MAP_SHARED, MAP_PRIVATE, MAP_FIXED, MAP_ANONYMOUS = 1, 2, 0x10, 0x20
PRIVATE = MAP_PRIVATE | MAP_ANONYMOUS
SHARED = MAP_SHARED | MAP_ANONYMOUS
MREMAP_MAYMOVE, MREMAP_FIXED, MREMAP_DONTUNMAP = 1, 2, 4
MADV_DONTNEED, MADV_FREE, MADV_REMOVE = 4, 8, 9

libc = ctypes.CDLL(None, use_errno=True)
for name, result, arguments in [
    ("mmap", ctypes.c_void_p,
     [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]),
    ("munmap", ctypes.c_int, [ctypes.c_void_p, ctypes.c_size_t]),
    ("mprotect", ctypes.c_int, [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]),
    ("madvise", ctypes.c_int, [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]),
    ("mremap", ctypes.c_void_p,
     [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int, ctypes.c_void_p]),
    ("sbrk", ctypes.c_void_p, [ctypes.c_long]),
    ("fallocate", ctypes.c_int, [ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long]),
]:
    function = getattr(libc, name)
    function.restype, function.argtypes = result, arguments


def check(result):
    if result is None or result in (-1, 2**64 - 1):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def mmap(pages, flags=PRIVATE, prot=RW, fd=-1, offset=0, at=0):
    return check(libc.mmap(at, pages * PAGE, prot, flags, fd, offset))


def munmap(at, pages):
    check(libc.munmap(at, pages * PAGE))


def mprotect(at, pages, prot):
    check(libc.mprotect(at, pages * PAGE, prot))


def madvise(at, pages, advice):
    check(libc.madvise(at, pages * PAGE, advice))


def mremap(at, old, new, flags=MREMAP_MAYMOVE, to=0):
    return check(libc.mremap(at, old * PAGE, new * PAGE, flags, to))


def peek(at, page=0):
    return ctypes.c_uint8.from_address(at + page * PAGE).value


def poke(at, page, value):
    ctypes.c_uint8.from_address(at + page * PAGE).value = value


def number(at, pages):
    """The first byte of each page becomes its number, from 1 on."""
    for page in range(pages):
        poke(at, page, page + 1)


class Iommu:
    """An IOAS with a mock device attached, so that what is mapped is pinned."""

    def __init__(self):
        self.fd = os.open("/dev/iommu", os.O_RDWR)
        os.set_inheritable(self.fd, True)
        self.dma_fd = os.open("/dev/dma", os.O_RDWR)
        os.set_inheritable(self.dma_fd, True)
        self.ioas = self.ioctl(0x81, struct.pack("=III", 12, 0, 0), "=III")[2]
        made = self.test_op(2, self.ioas, "=III", 0, 0, 0)
        self.device = made[4]

    @classmethod
    def inherited(cls, fd, dma_fd, ioas):
        """What another program opened."""
        self = cls.__new__(cls)
        self.fd, self.dma_fd, self.ioas = fd, dma_fd, ioas
        return self

    def ioctl(self, nr, data, layout):
        buffer = bytearray(data)
        fcntl.ioctl(self.fd, 0x3B00 | nr, buffer)
        return struct.unpack(layout, buffer)

    def test_op(self, op, object_id, layout, *fields):
        """IOMMU_TEST_CMD: size, operation, id, and its own fields."""
        data = struct.pack("=IIII", 72, op, object_id, 0) + struct.pack(layout, *fields)
        return self.ioctl(0xA0, data.ljust(72, b"\0"), "=18I")

    def map(self, at, pages, prot=RW):
        """Returns the IOVA."""
        flags = 4 | (prot & PROT_WRITE)
        data = struct.pack("=IIIIQQQ", 40, flags, self.ioas, 0, at, pages * PAGE, 0)
        return self.ioctl(0x85, data, "=IIIIQQQ")[6]

    def map_file(self, fd, offset, pages):
        """Returns the IOVA."""
        data = struct.pack("=IIIiQQQ", 40, 6, self.ioas, fd, offset, pages * PAGE, 0)
        return self.ioctl(0x8F, data, "=IIIiQQQ")[6]

    def unmap(self, iova, pages):
        self.ioctl(0x86, struct.pack("=IIQQ", 24, self.ioas, iova, pages * PAGE), "=IIQQ")

    def dma_read(self, iova, page=0):
        """What the device sees in a page's first byte."""
        return os.pread(self.dma_fd, 1, iova + page * PAGE)[0]

    def dma_write(self, iova, page, value):
        os.pwrite(self.dma_fd, bytes([value]), iova + page * PAGE)

    def sees(self, iova, pages):
        return [self.dma_read(iova, page) for page in range(pages)]


def equal(actual, expected):
    if actual != expected:
        raise AssertionError(f"{actual} instead of {expected}")
