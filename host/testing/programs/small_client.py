# SPDX-License-Identifier: GPL-2.0-only
"""Does what its arguments say with /dev/iommu, one after the other."""

import fcntl
import mmap
import ctypes
import os
import signal
import struct
import sys
import time

iommu = -1
memory = mmap.mmap(-1, 16 * mmap.PAGESIZE)
address = ctypes.addressof(ctypes.c_char.from_buffer(memory))


def call(command, layout, *values):
    data = bytearray(struct.pack("=I" + layout, struct.calcsize("=I" + layout), *values))
    fcntl.ioctl(iommu, command, data)
    return struct.unpack("=I" + layout, data)


for action in sys.argv[1:]:
    try:
        if action == "open":
            iommu = os.open("/dev/iommu", os.O_RDWR)
        elif action == "close":
            os.close(iommu)
        elif action == "ioas":
            print("ioas", call(0x3B81, "II", 0, 0)[2])
        elif action == "destroy":
            call(0x3B80, "I", 1)
        elif action == "device":
            data = bytearray(struct.pack("=IIII56x", 72, 2, 1, 0))
            fcntl.ioctl(iommu, 0x3BA0, data)
            print("device", struct.unpack_from("=I", data, 24)[0])
        elif action == "map":
            print("map", hex(call(0x3B85, "IIIQQQ", 6, 1, 0, address, len(memory), 0)[6]))
        elif action == "fork":
            child = os.fork()
            if child != 0:
                os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        elif action == "echo":
            sys.stdout.write(sys.stdin.read())
        elif action == "cwd":
            print(os.getcwd())
        elif action == "env":
            print(os.environ.get("CLIENT"), os.environ.get("HOME"))
        elif action == "wait":
            print("waiting", flush=True)
            time.sleep(60)
        elif action == "signal":
            signal.signal(signal.SIGTERM, lambda *_: os._exit(9))
        elif action == "abort":
            os.abort()
        elif action.isdigit():
            os._exit(int(action))
        sys.stdout.flush()
    except OSError as error:
        print(action, error.errno)
        sys.exit(1)
