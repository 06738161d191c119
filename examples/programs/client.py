#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Maps memory into an IO address space, with nothing but Python's own modules."""

import ctypes
import fcntl
import mmap
import os
import struct

IOMMU_IOAS_ALLOC = 0x3B81
IOMMU_IOAS_IOVA_RANGES = 0x3B84
IOMMU_IOAS_MAP = 0x3B85
IOMMU_IOAS_UNMAP = 0x3B86
READABLE_AND_WRITEABLE = 6


def call(fd, command, layout, *values):
    """Makes an ioctl with a struct whose first field is its size; returns the struct's fields as they are then."""
    data = bytearray(struct.pack("=I" + layout, struct.calcsize("=I" + layout), *values))
    fcntl.ioctl(fd, command, data)
    return struct.unpack("=I" + layout, data)[1:]


iommu = os.open("/dev/iommu", os.O_RDWR)
_, ioas = call(iommu, IOMMU_IOAS_ALLOC, "II", 0, 0)

ranges = (ctypes.c_uint64 * 2)()
_, count, _, _, alignment = call(
    iommu, IOMMU_IOAS_IOVA_RANGES, "IIIQQ", ioas, 1, 0, ctypes.addressof(ranges), 0
)
print(f"IOAS {ioas}: {count} range, {ranges[0]:#x} to {ranges[1]:#x}, aligned to {alignment}")

memory = mmap.mmap(-1, 4 * mmap.PAGESIZE)
memory.write(b"seen by a device")
address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
flags, _, _, _, length, iova = call(
    iommu, IOMMU_IOAS_MAP, "IIIQQQ", READABLE_AND_WRITEABLE, ioas, 0, address, len(memory), 0
)
print(f"{length} bytes are mapped at {iova:#x}")

_, _, unmapped = call(iommu, IOMMU_IOAS_UNMAP, "IQQ", ioas, iova, length)
print(f"{unmapped} bytes are unmapped")

try:
    call(iommu, IOMMU_IOAS_UNMAP, "IQQ", ioas, iova, length)
except OSError as error:
    print(f"once more: {error.strerror}")
os.close(iommu)
