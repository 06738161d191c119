# SPDX-License-Identifier: GPL-2.0-only
"""A toy iommufd of five ioctls, for adapter.py: it maps nothing, and knows ids and ranges."""
import errno
import struct


class Iommufd:
    """Its objects are IO address spaces: in each, lengths of ranges by their IOVA."""

    def __init__(self, memory):
        """The memory of the process: peek() and poke()."""
        self.memory, self.spaces, self.next = memory, {}, 1
        # How structs look, and how many of their bytes must be there at least.
        self.ioctls = {
            0x3B80: (self.destroy, "<II", 8),
            0x3B81: (self.alloc, "<III", 12),
            0x3B84: (self.iova_ranges, "<IIIIQQ", 32),
            0x3B85: (self.map, "<IIIIQQQ", 40),
            0x3B86: (self.unmap, "<IIQQ", 24),
        }

    def ioctl(self, command, address):
        if command not in self.ioctls:
            return -errno.ENOTTY
        run, layout, known = self.ioctls[command]
        first = self.memory.peek(address, 4)
        if first is None:
            return -errno.EFAULT
        size = struct.unpack("<I", first)[0]
        if size < known:
            return -errno.EINVAL
        arg = self.memory.peek(address, size)
        if arg is None:
            return -errno.EFAULT
        if any(arg[known:]):
            return -errno.E2BIG
        fields = list(struct.unpack(layout, arg[:known]))
        error = run(fields)
        if error in (0, errno.EMSGSIZE) and not self.memory.poke(address, struct.pack(layout, *fields)):
            return -errno.EFAULT
        return -error

    def destroy(self, fields):
        return 0 if self.spaces.pop(fields[1], None) is not None else errno.ENOENT

    def alloc(self, fields):
        if fields[1]:
            return errno.EOPNOTSUPP
        fields[2], self.next = self.next, self.next + 1
        self.spaces[fields[2]] = {}
        return 0

    def iova_ranges(self, fields):
        if fields[3]:
            return errno.EOPNOTSUPP
        if fields[1] not in self.spaces:
            return errno.ENOENT
        room, fields[2], fields[5] = fields[2], 1, 1
        if room and not self.memory.poke(fields[4], struct.pack("<QQ", 0, 2**64 - 1)):
            return errno.EFAULT
        return 0 if room else errno.EMSGSIZE

    def map(self, fields):
        _, flags, ioas, reserved, user, length, iova = fields
        if flags & ~7 or reserved:
            return errno.EOPNOTSUPP
        if max(iova, user) + length >= 2**64:
            return errno.EOVERFLOW
        if ioas not in self.spaces:
            return errno.ENOENT
        if length == 0:
            return errno.EINVAL
        ranges = self.spaces[ioas]
        if not flags & 1:
            end = max((at + size for at, size in ranges.items()), default=PAGE)
            iova = fields[6] = -(-end // PAGE) * PAGE + user % PAGE
        if self.touched(ranges, iova, length):
            return errno.EEXIST
        ranges[iova] = length
        return 0

    def unmap(self, fields):
        _, ioas, iova, length = fields
        if ioas not in self.spaces:
            return errno.ENOENT
        ranges = self.spaces[ioas]
        everything = (iova, length) == (0, 2**64 - 1)
        if not length or iova + length >= 2**64 and not everything:
            return errno.EINVAL if not length else errno.EOVERFLOW
        gone = self.touched(ranges, iova, length)
        if any(at < iova or at + ranges[at] > iova + length for at in gone):
            return errno.ENOENT
        fields[3] = sum(ranges.pop(at) for at in gone)
        return 0 if gone or everything else errno.ENOENT

    @staticmethod
    def touched(ranges, iova, length):
        return [at for at, size in ranges.items() if iova < at + size and at < iova + length]
