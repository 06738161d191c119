# SPDX-License-Identifier: GPL-2.0-only

"""What a program may do with memory that is pinned: its argument says which.
It ends with an exception if a device does not see what it must."""

import ctypes
import os
import signal
import sys
import threading
from iommu import *

EPERM, EFAULT, EBUSY, EINVAL = 1, 14, 16, 22


def new_page(at, value, flags=PRIVATE):
    """Maps another page where nothing is."""
    equal(mmap(1, flags | MAP_FIXED, at=at), at)
    poke(at, 0, value)


def unmapped(flags):
    iommu = Iommu()
    at = mmap(3, flags)
    number(at, 3)
    iova = iommu.map(at, 3)
    munmap(at + PAGE, 1)
    equal(iommu.sees(iova, 3), [1, 2, 3])
    new_page(at + PAGE, 9)
    equal(iommu.sees(iova, 3), [1, 2, 3])
    for page in range(3):
        iommu.dma_write(iova, page, 10 + page)
    equal([peek(at, page) for page in range(3)], [10, 9, 12])
    again = iommu.map(at, 3)
    equal(iommu.sees(again, 3), [10, 9, 12])


def private_unmapped():
    unmapped(PRIVATE)


def shared_unmapped():
    unmapped(SHARED)


def replaced():
    iommu = Iommu()
    at = mmap(2)
    number(at, 2)
    iova = iommu.map(at, 2)
    new_page(at, 7)
    iommu.dma_write(iova, 0, 4)
    equal([iommu.sees(iova, 2), peek(at)], [[4, 2], 7])


def dropped():
    iommu = Iommu()
    at = mmap(2)
    number(at, 2)
    iova = iommu.map(at, 2)
    madvise(at, 1, MADV_DONTNEED)
    equal([iommu.sees(iova, 2), peek(at)], [[1, 2], 0])
    poke(at, 0, 5)
    equal(iommu.sees(iova, 2), [1, 2])


def freed():
    iommu = Iommu()
    at = mmap(2)
    number(at, 2)
    iova = iommu.map(at, 2)
    madvise(at, 2, MADV_FREE)
    iommu.dma_write(iova, 1, 8)
    equal([iommu.sees(iova, 2), peek(at, 1)], [[1, 8], 8])


def removed():
    iommu = Iommu()
    at = mmap(3, SHARED)
    number(at, 3)
    iova = iommu.map(at, 3)
    madvise(at + PAGE, 1, MADV_REMOVE)
    equal(iommu.sees(iova, 3), [1, 2, 3])
    equal([peek(at, page) for page in range(3)], [1, 0, 3])
    iommu.dma_write(iova, 1, 9)
    equal(peek(at, 1), 0)


def heap_shrunk():
    iommu = Iommu()
    libc.sbrk(-libc.sbrk(0) % PAGE)
    at = libc.sbrk(2 * PAGE)
    number(at, 2)
    iova = iommu.map(at, 2)
    libc.sbrk(-PAGE)
    equal(iommu.sees(iova, 2), [1, 2])
    equal(libc.sbrk(PAGE), at + PAGE)
    equal([peek(at, 1), iommu.sees(iova, 2)], [0, [1, 2]])
    iommu.dma_write(iova, 0, 6)
    equal(peek(at), 6)


def moved(flags):
    iommu = Iommu()
    # With something behind it, so that it cannot grow where it is.
    at = mmap(5)
    mmap(4, flags | MAP_FIXED, at=at)
    number(at, 4)
    iova = iommu.map(at, 4)
    if flags == PRIVATE:
        to = mremap(at, 4, 8)
    else:
        place = mmap(4)
        to = mremap(at, 4, 4, MREMAP_MAYMOVE | MREMAP_FIXED, place)
        equal(to, place)
    if to == at:
        raise AssertionError("It did not move")
    for page in range(4):
        iommu.dma_write(iova, page, 20 + page)
    equal([peek(to, page) for page in range(4)], [20, 21, 22, 23])
    poke(to, 3, 99)
    equal(iommu.sees(iova, 4), [20, 21, 22, 99])
    again = iommu.map(to, 4)
    iommu.dma_write(again, 0, 1)
    equal(iommu.dma_read(iova), 1)


def private_moved():
    moved(PRIVATE)


def shared_moved():
    moved(SHARED)


def shrunk():
    iommu = Iommu()
    at = mmap(4)
    number(at, 4)
    iova = iommu.map(at, 4)
    equal(mremap(at, 4, 2), at)
    new_page(at + 2 * PAGE, 9)
    iommu.dma_write(iova, 0, 5)
    equal([iommu.sees(iova, 4), peek(at)], [[5, 2, 3, 4], 5])


def moved_leaving_nothing():
    iommu = Iommu()
    at = mmap(2)
    number(at, 2)
    iova = iommu.map(at, 2)
    to = mremap(at, 2, 2, MREMAP_MAYMOVE | MREMAP_DONTUNMAP)
    poke(at, 0, 7)
    poke(to, 1, 8)
    equal(iommu.sees(iova, 2), [1, 8])


def file_cut():
    iommu = Iommu()
    fd = os.memfd_create("test")
    os.ftruncate(fd, 4 * PAGE)
    at = mmap(4, MAP_SHARED, fd=fd)
    number(at, 4)
    iova = iommu.map(at, 4)
    os.ftruncate(fd, 2 * PAGE)
    equal(iommu.sees(iova, 4), [1, 2, 3, 4])
    os.ftruncate(fd, 4 * PAGE)
    check(libc.fallocate(fd, 3, 0, PAGE))
    iommu.dma_write(iova, 2, 9)
    iommu.dma_write(iova, 1, 8)
    equal([peek(at, page) for page in range(4)], [0, 8, 0, 0])
    equal(iommu.sees(iova, 4), [1, 8, 9, 4])
    name = f"/proc/self/fd/{fd}"
    os.close(os.open(name, os.O_RDWR | os.O_TRUNC))
    iommu.dma_write(iova, 1, 5)
    os.truncate(name, 4 * PAGE)
    equal([peek(at, 1), iommu.sees(iova, 4)], [0, [1, 5, 9, 4]])


def beyond_end():
    iommu = Iommu()
    fd = os.memfd_create("test")
    os.ftruncate(fd, PAGE)
    at = mmap(2, MAP_SHARED, fd=fd)
    iommu.map(at, 1)
    fails(EFAULT, lambda: iommu.map(at, 2))
    munmap(at, 2)
    fails(EFAULT, lambda: iommu.map(at, 1))
    # One that nobody can open any more.
    fd = os.memfd_create("test")
    os.ftruncate(fd, PAGE)
    at = mmap(2, MAP_SHARED, fd=fd)
    os.close(fd)
    poke(at, 0, 3)
    iova = iommu.map(at, 1)
    iommu.dma_write(iova, 0, iommu.dma_read(iova) + 1)
    equal(peek(at), 4)
    fails(EFAULT, lambda: iommu.map(at, 2))
    readable = mmap(1, prot=PROT_READ)
    fails(EFAULT, lambda: iommu.map(readable, 1))
    fails(EFAULT, lambda: iommu.map(2**47, 1))


def fails(code, call):
    try:
        call()
    except OSError as error:
        return equal(error.errno, code)
    raise AssertionError(f"It did not fail with {code}")


def sealed():
    iommu = Iommu()
    fd = os.memfd_create("test", os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, PAGE)
    at = mmap(1, MAP_SHARED, fd=fd)
    iova = iommu.map(at, 1)
    iommu.dma_write(iova, 0, 1)
    munmap(at, 1)
    import fcntl
    write, execute, every = 8, 32, 63
    for seals in write, execute, write | 2:
        fails(EBUSY, lambda: fcntl.fcntl(fd, 1033, seals))
    # The host refuses for another reason, and what is no seal against writes it does.
    fails(EINVAL, lambda: fcntl.fcntl(fd, 1033, every + 1 + write))
    reader = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY)
    fails(EPERM, lambda: fcntl.fcntl(reader, 1033, write))
    fcntl.fcntl(fd, 1033, 2)
    fcntl.fcntl(fd, 1033, 1)
    fails(EPERM, lambda: fcntl.fcntl(fd, 1033, write))
    iommu.unmap(iova, 1)
    fd = os.memfd_create("test", os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, PAGE)
    iova = iommu.map_file(fd, 0, 1)
    fails(EBUSY, lambda: fcntl.fcntl(fd, 1033, execute))
    os.fchmod(fd, 0o600)
    fcntl.fcntl(fd, 1033, execute)
    iommu.unmap(iova, 1)
    fcntl.fcntl(fd, 1033, 8)


def one_frame():
    """Two mappings and the file are one page; a private mapping is another."""
    iommu = Iommu()
    fd = os.memfd_create("test")
    os.ftruncate(fd, 2 * PAGE)
    a = mmap(2, MAP_SHARED, fd=fd)
    b = mmap(1, MAP_SHARED, fd=fd, offset=PAGE)
    private = mmap(1, MAP_PRIVATE, fd=fd, offset=PAGE)
    poke(b, 0, 3)
    iovas = [iommu.map(a + PAGE, 1), iommu.map(b, 1), iommu.map_file(fd, PAGE, 1)]
    own = iommu.map(private, 1)
    # MD_CHECK_REFS: how often the page is pinned.
    for at, refs in [(a + PAGE, 3), (b, 3), (private, 1)]:
        iommu.test_op(4, 0, "=QQI", PAGE, at, refs)
    iommu.dma_write(iovas[2], 0, 6)
    equal([iommu.dma_read(iova) for iova in iovas + [own]], [6, 6, 6, 3])
    equal([peek(a, 1), peek(b), peek(private)], [6, 6, 3])


def read_only():
    """Untouched memory that may only be read is not the zero page of all."""
    iommu = Iommu()
    at = mmap(2, prot=PROT_READ)
    equal(peek(at), 0)
    iova = iommu.map(at, 2, PROT_READ)
    mprotect(at, 2, RW)
    poke(at, 0, 4)
    poke(at, 1, 5)
    equal(iommu.sees(iova, 2), [4, 5])


def child(body):
    """Runs it in a fork; returns what waits for its end."""
    pid = os.fork()
    if pid == 0:
        try:
            body()
            os._exit(0)
        except BaseException as error:
            print("in the child:", repr(error), file=sys.stderr, flush=True)
            os._exit(1)
    return lambda: equal(os.waitpid(pid, 0)[1], 0)


def forked():
    iommu = Iommu()
    at, shared = mmap(3), mmap(1, SHARED)
    number(at, 3)
    iova, shared_iova = iommu.map(at, 3), iommu.map(shared, 1)
    ours, theirs = os.pipe(), os.pipe()

    def body():
        poke(at, 0, 50)
        poke(shared, 0, 60)
        os.write(ours[1], b"x")
        os.read(theirs[0], 1)
        equal([peek(at, page) for page in range(3)], [50, 2, 3])
        # What the child maps is its own.
        mine = iommu.map(at, 3)
        iommu.dma_write(mine, 2, 70)
        equal(peek(at, 2), 70)

    wait = child(body)
    os.read(ours[0], 1)
    equal(iommu.sees(iova, 3), [1, 2, 3])
    equal(iommu.dma_read(shared_iova), 60)
    poke(at, 1, 30)
    iommu.dma_write(iova, 2, 40)
    equal([peek(at, page) for page in range(3)], [1, 30, 40])
    equal(iommu.sees(iova, 3), [1, 30, 40])
    os.write(theirs[1], b"x")
    wait()
    equal([peek(at, page) for page in range(3)], [1, 30, 40])
    equal(iommu.sees(iova, 3), [1, 30, 40])


def owner_gone():
    """The child goes on with what its parent had pinned."""
    iommu = Iommu()
    ready = os.pipe()
    pid = os.fork()
    if pid == 0:
        at, shared = mmap(2), mmap(1, SHARED)
        number(at, 2)
        poke(shared, 0, 5)
        iovas = [iommu.map(at, 2), iommu.map(shared, 1)]
        os.write(ready[1], struct.pack("=QQ", *iovas))
        os._exit(0)
    iova, shared_iova = struct.unpack("=QQ", os.read(ready[0], 16))
    os.waitpid(pid, 0)
    equal([iommu.sees(iova, 2), iommu.dma_read(shared_iova)], [[1, 2], 5])
    iommu.dma_write(iova, 0, 9)
    equal(iommu.sees(iova, 2), [9, 2])


def run_another():
    """Another program in this process: its memory is another, what is pinned stays."""
    iommu = Iommu()
    at, shared = mmap(2), mmap(1, SHARED)
    number(at, 2)
    poke(shared, 0, 5)
    iova, shared_iova = iommu.map(at, 2), iommu.map(shared, 1)
    try:
        os.execv("/nonexistent", ["nothing"])
    except FileNotFoundError:
        pass
    poke(at, 0, 7)
    equal(iommu.dma_read(iova), 7)
    given = [iommu.fd, iommu.dma_fd, iommu.ioas, iova, shared_iova, at]
    os.execv(sys.executable, [sys.executable, __file__, "after_exec", *map(str, given)])


def after_exec():
    fd, dma_fd, ioas, iova, shared_iova, at = map(int, sys.argv[2:])
    iommu = Iommu.inherited(fd, dma_fd, ioas)
    equal([iommu.sees(iova, 2), iommu.dma_read(shared_iova)], [[7, 2], 5])
    equal(mmap(1, PRIVATE | MAP_FIXED, at=at), at)
    poke(at, 0, 1)
    equal(iommu.sees(iova, 2), [7, 2])
    again = iommu.map(at, 1)
    equal(iommu.dma_read(again), 1)


def spawned():
    """posix_spawn shares memory until exec; then the child has its own."""
    iommu = Iommu()
    at = mmap(1)
    poke(at, 0, 3)
    iova = iommu.map(at, 1)
    given = [iommu.fd, iommu.dma_fd, iommu.ioas, iova, at]
    pid = os.posix_spawn(
        sys.executable,
        [sys.executable, __file__, "after_spawn", *map(str, given)],
        os.environ)
    equal(os.waitpid(pid, 0)[1], 0)
    equal([iommu.dma_read(iova), peek(at)], [4, 4])
    iommu.dma_write(iova, 0, 5)
    equal(peek(at), 5)


def after_spawn():
    fd, dma_fd, ioas, iova, at = map(int, sys.argv[2:])
    iommu = Iommu.inherited(fd, dma_fd, ioas)
    iommu.dma_write(iova, 0, 4)
    mine = mmap(1, PRIVATE | MAP_FIXED, at=at)
    poke(mine, 0, 8)
    own = iommu.map(mine, 1)
    equal([iommu.dma_read(iova), iommu.dma_read(own)], [4, 8])


def with_threads():
    """Each thread maps, looks and unmaps in memory of its own."""
    iommu = Iommu()
    errors = []

    def body(value):
        try:
            for turn in range(20):
                at = mmap(3)
                for page in range(3):
                    poke(at, page, value)
                iova = iommu.map(at, 3)
                munmap(at, 3)
                equal(iommu.sees(iova, 3), [value] * 3)
                iommu.unmap(iova, 3)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=body, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal(errors, [])


def owner_killed():
    """What only the dead had is lost, and nothing else."""
    iommu = Iommu()
    ready = os.pipe()
    pid = os.fork()
    if pid == 0:
        at = mmap(1)
        poke(at, 0, 1)
        os.write(ready[1], struct.pack("=Q", iommu.map(at, 1)))
        signal.pause()
    iova, = struct.unpack("=Q", os.read(ready[0], 8))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    equal(iommu.dma_read(iova), 0)
    iommu.dma_write(iova, 0, 1)
    iommu.unmap(iova, 1)


if __name__ == "__main__":
    globals()[sys.argv[1]]()
