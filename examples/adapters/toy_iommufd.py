# SPDX-License-Identifier: GPL-2.0-only
"""A toy iommufd of five ioctls, for adapter.py: it maps nothing, and knows ids and ranges.

It can be broken on purpose, to see which tests notice: BROKEN says how.
"""
import errno
import struct
from itertools import count

PAGE, HUGE_PAGE = 4096, 2**21
END = 2**64
FIXED, RIGHTS, FLAGS = 1, 6, 7  # of IOAS_MAP

BROKEN = {
    "size": "takes structs that are too short for whole ones",
    "tail": "does not look at what is behind the part of a struct that it knows",
    "fault": "takes a struct that is not there for one of zeros",
    "answer": "does not write the struct back",
    "reserved": "does not look at unknown flags and reserved fields",
    "destroy": "keeps an object that is destroyed",
    "id": "takes an unknown id for the last object",
    "range": "does not look at lengths of 0 and at ranges that wrap",
    "overlap": "maps what is mapped, and unmaps parts of it",
    "choice": "chooses an IOVA behind all others, aligned to a page and no more",
}


class Iommufd:
    """Its objects are IO address spaces: in each, lengths of ranges by their IOVA."""

    def __init__(self, memory, broken=""):
        """The memory of the process, peek() and poke(), and a key of BROKEN."""
        self.memory, self.broken, self.spaces = memory, broken, {}
        # How structs look, how many of their bytes must be there at least, and whether they are answered.
        self.ioctls = {
            0x3B80: (self.destroy, "<II", 8, False),
            0x3B81: (self.alloc, "<III", 12, True),
            0x3B84: (self.iova_ranges, "<IIIIQQ", 32, True),
            0x3B85: (self.map, "<IIIIQQQ", 40, True),
            0x3B86: (self.unmap, "<IIQQ", 24, True),
        }

    def does(self, part):
        return self.broken != part

    def ioctl(self, command, address):
        if command not in self.ioctls:
            return -errno.ENOTTY
        run, layout, known, answers = self.ioctls[command]
        first = self.memory.peek(address, 4)
        if first is None and self.does("fault"):
            return -errno.EFAULT
        size = struct.unpack("<I", first)[0] if first else known
        if size < known and self.does("size"):
            return -errno.EINVAL
        arg = self.memory.peek(address, known)
        if arg is None and self.does("fault"):
            return -errno.EFAULT
        error = self.tail_error(address + known, address + size)
        if error:
            return -error
        fields = list(struct.unpack(layout, (arg or bytes(known))[:known]))
        error = run(fields)
        if answers and error in (0, errno.EMSGSIZE) and self.does("answer"):
            if not self.memory.poke(address, struct.pack(layout, *fields)):
                if run == self.alloc:
                    del self.spaces[fields[2]]
                return -errno.EFAULT
        return -error

    def tail_error(self, address, end):
        """What is wrong with what a struct has behind the part that is known: it must be zeros."""
        while address < end and self.does("tail"):
            # What is there is told before what is not.
            page_end = min(end, address + PAGE & -PAGE)
            part = self.memory.peek(address, page_end - address)
            if part is None:
                return errno.EFAULT if self.does("fault") else 0
            if any(part):
                return errno.E2BIG
            address = page_end
        return 0

    def space(self, ioas):
        """The ranges of an address space; None if there is no such object."""
        if ioas not in self.spaces and not self.does("id"):
            ioas = max(self.spaces, default=0)
        return self.spaces.get(ioas)

    def destroy(self, fields):
        if self.space(fields[1]) is None:
            return errno.ENOENT
        if self.does("destroy"):
            self.spaces.pop(fields[1], None)
        return 0

    def alloc(self, fields):
        if fields[1] and self.does("reserved"):
            return errno.EOPNOTSUPP
        fields[2] = next(number for number in count(1) if number not in self.spaces)
        self.spaces[fields[2]] = {}
        return 0

    def iova_ranges(self, fields):
        if fields[3] and self.does("reserved"):
            return errno.EOPNOTSUPP
        if self.space(fields[1]) is None:
            return errno.ENOENT
        room, fields[2], fields[5] = fields[2], 1, 1
        if room and not self.memory.poke(fields[4], struct.pack("<QQ", 0, END - 1)):
            return errno.EFAULT
        return 0 if room else errno.EMSGSIZE

    def map(self, fields):
        _, flags, ioas, reserved, user, length, iova = fields
        if (flags & ~FLAGS or reserved) and self.does("reserved"):
            return errno.EOPNOTSUPP
        if max(iova, length) == END - 1 and self.does("range"):
            return errno.EOVERFLOW
        if not flags & RIGHTS:
            return errno.EINVAL
        ranges = self.space(ioas)
        if ranges is None:
            return errno.ENOENT
        error = self.memory_error(user, length) if self.does("range") else 0
        if error:
            return error
        if not flags & FIXED:
            if length >= END // 2 - 1:
                return errno.EOVERFLOW
            iova = fields[6] = self.choose(ranges, user, length)
        if iova + length > END and self.does("range"):
            return errno.EOVERFLOW
        if self.touched(ranges, iova, length) and self.does("overlap"):
            return errno.EEXIST
        ranges[iova] = length
        return 0

    @staticmethod
    def memory_error(user, length):
        """What is wrong with memory, which need not be there; 0 if nothing is."""
        if user + length >= END:
            return errno.EOVERFLOW
        if not length or length >= END - PAGE:
            return errno.EINVAL
        pages = -(-(user % PAGE + length) // PAGE)
        return errno.EOVERFLOW if pages * PAGE >= END else 0

    def choose(self, ranges, user, length):
        """The lowest free IOVA that is as aligned as memory and length are, up to a huge page, but not 0."""
        offset = user % PAGE
        alignment = user & -user if user and not offset else HUGE_PAGE
        step = max(PAGE, min(alignment, HUGE_PAGE, 1 << (length - 1).bit_length()))
        if not self.does("choice"):
            return max((at + size for at, size in ranges.items()), default=PAGE) + PAGE & -PAGE
        iova = step + offset
        for at, size in sorted(ranges.items()):
            if iova + length <= at:
                break
            iova = max(iova, -(-(at + size - offset) // step) * step + offset)
        return iova

    def unmap(self, fields):
        _, ioas, iova, length = fields
        ranges = self.space(ioas)
        if ranges is None:
            return errno.ENOENT
        everything = (iova, length) == (0, END - 1)
        if not everything and self.does("range"):
            if not length:
                return errno.EINVAL
            if max(iova, length) == END - 1 or iova + length > END:
                return errno.EOVERFLOW
        gone = self.touched(ranges, iova, length)
        unmapped = 0
        for at in gone:
            whole = iova <= at and at + ranges[at] <= iova + length
            if not whole and self.does("overlap"):
                return errno.ENOENT
            unmapped += ranges.pop(at)
        fields[3] = unmapped
        return 0 if gone or everything else errno.ENOENT

    @staticmethod
    def touched(ranges, iova, length):
        """Where the ranges begin that are there, in order."""
        return [at for at in sorted(ranges) if iova < at + ranges[at] and at < iova + length]
