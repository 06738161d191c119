// SPDX-License-Identifier: GPL-2.0-only

/**
 * Constants of the memory and file system calls on x86-64 Linux.
 *
 * @module
 */

/** Bytes of a CPU page. */
export const PAGE_SIZE: number = 4096;
/** log2 of {@link PAGE_SIZE}. */
export const PAGE_SHIFT: number = 12;
/** Bytes of a huge page. */
export const HPAGE_SIZE: number = 2 * 1024 * 1024;
/** First address that a process cannot have: user addresses have 47 bits, less a guard page. */
export const TASK_SIZE: number = 2 ** 47 - PAGE_SIZE;

/** mmap protection: none. */
export const PROT_NONE: number = 0;
/** mmap protection: readable. */
export const PROT_READ: number = 1;
/** mmap protection: writable. */
export const PROT_WRITE: number = 2;
/** mmap protection: executable. */
export const PROT_EXEC: number = 4;

/** mmap: changes are seen by everyone who maps the same memory. */
export const MAP_SHARED: number = 0x01;
/** mmap: changes are private to this mapping. */
export const MAP_PRIVATE: number = 0x02;
/** mmap: exactly at the given address, over whatever is there. */
export const MAP_FIXED: number = 0x10;
/** mmap: memory without a file. */
export const MAP_ANONYMOUS: number = 0x20;
/** mmap: do not reserve swap space (no effect here). */
export const MAP_NORESERVE: number = 0x4000;
/** mmap: fault all pages in at once. */
export const MAP_POPULATE: number = 0x8000;
/** mmap: huge pages of 2 MiB. */
export const MAP_HUGETLB: number = 0x40000;
/** mmap: exactly at the given address, EEXIST if something is there. */
export const MAP_FIXED_NOREPLACE: number = 0x100000;

/** mremap: elsewhere if need be. */
export const MREMAP_MAYMOVE: number = 1;
/** mremap: exactly at the given address, over whatever is there. */
export const MREMAP_FIXED: number = 2;

/** open: read only. */
export const O_RDONLY: number = 0;
/** open: write only. */
export const O_WRONLY: number = 1;
/** open: read and write. */
export const O_RDWR: number = 2;
/** open: the bits that are one of the three. */
export const O_ACCMODE: number = 3;
/** open: make the file if it is not there. */
export const O_CREAT: number = 0x40;
/** open: EEXIST if it is there. */
export const O_EXCL: number = 0x80;
/** open: cut it to length 0. */
export const O_TRUNC: number = 0x200;
/** open: only a directory. */
export const O_DIRECTORY: number = 0x10000;
/** open: a new file without a name, in the directory of the path. */
export const O_TMPFILE: number = 0x410000;
/** open: do not block. */
export const O_NONBLOCK: number = 0x800;
/** open: close at exec. */
export const O_CLOEXEC: number = 0x80000;

/** memfd_create: close at exec. */
export const MFD_CLOEXEC: number = 1;
/** memfd_create: seals may be added. */
export const MFD_ALLOW_SEALING: number = 2;
/** memfd_create: huge pages of 2 MiB. */
export const MFD_HUGETLB: number = 4;
/** memfd_create: not executable, and sealed so. */
export const MFD_NOEXEC_SEAL: number = 8;
/** memfd_create: executable. */
export const MFD_EXEC: number = 16;

/** fcntl: the flags of a descriptor. */
export const F_GETFD: number = 1;
/** fcntl: set them. */
export const F_SETFD: number = 2;
/** Flag of a descriptor: closed at exec. */
export const FD_CLOEXEC: number = 1;
/** fcntl: add seals. */
export const F_ADD_SEALS: number = 1033;
/** fcntl: the seals. */
export const F_GET_SEALS: number = 1034;
/** Seal: no more seals. */
export const F_SEAL_SEAL: number = 0x01;
/** Seal: not shorter. */
export const F_SEAL_SHRINK: number = 0x02;
/** Seal: not longer. */
export const F_SEAL_GROW: number = 0x04;
/** Seal: not written. */
export const F_SEAL_WRITE: number = 0x08;
/** Seal: not written any more, but by mappings that there are. */
export const F_SEAL_FUTURE_WRITE: number = 0x10;
/** Seal: whether it is executable does not change. */
export const F_SEAL_EXEC: number = 0x20;

/** fallocate: the file gets no longer. */
export const FALLOC_FL_KEEP_SIZE: number = 0x01;
/** fallocate: drop pages instead. */
export const FALLOC_FL_PUNCH_HOLE: number = 0x02;

/** lseek: from the beginning. */
export const SEEK_SET: number = 0;
/** lseek: from the position. */
export const SEEK_CUR: number = 1;
/** lseek: from the end. */
export const SEEK_END: number = 2;

/** poll: data to read. */
export const POLLIN: number = 0x001;
/** poll: can be written. */
export const POLLOUT: number = 0x004;
/** poll: an error. */
export const POLLERR: number = 0x008;
/** poll: the other end is gone. */
export const POLLHUP: number = 0x010;
/** poll: not an open descriptor. */
export const POLLNVAL: number = 0x020;
/** poll: normal data to read. */
export const POLLRDNORM: number = 0x040;
/** poll: normal data can be written. */
export const POLLWRNORM: number = 0x100;

/** Resource limit: the highest real-time priority. */
export const RLIMIT_RTPRIO: number = 14;
/** setrlimit: bytes that may be locked in memory. */
export const RLIMIT_MEMLOCK: number = 8;
/** setrlimit: number of open files. */
export const RLIMIT_NOFILE: number = 7;
/** setrlimit: no limit. */
export const RLIM_INFINITY: bigint = 2n ** 64n - 1n;

/** Capability: may open files whose mode forbids it. */
export const CAP_DAC_OVERRIDE: number = 1;
/** Capability: may do what a file's owner may. */
export const CAP_FOWNER: number = 3;
/** Capability: may lock any amount of memory. */
export const CAP_IPC_LOCK: number = 14;
/** Capability: may do raw I/O, here: no-IOMMU mode. */
export const CAP_SYS_RAWIO: number = 17;
/** Capability: may override resource limits. */
export const CAP_SYS_RESOURCE: number = 24;

/** madvise: read like anything else. */
export const MADV_NORMAL: number = 0;
/** madvise: read here and there. */
export const MADV_RANDOM: number = 1;
/** madvise: read in order. */
export const MADV_SEQUENTIAL: number = 2;
/** madvise: drop the private pages; they read as untouched afterwards. */
export const MADV_DONTNEED: number = 4;
/** madvise: the contents of private anonymous memory are not needed any more, and are dropped when memory is short. */
export const MADV_FREE: number = 8;
/** madvise: drop the pages of what is mapped shared; a hole is left. */
export const MADV_REMOVE: number = 9;
/** madvise: do not copy to the child at fork. */
export const MADV_DONTFORK: number = 10;
/** madvise: copy to the child again. */
export const MADV_DOFORK: number = 11;
/** madvise: fault in for reading. */
export const MADV_POPULATE_READ: number = 22;
/** madvise: fault in for writing. */
export const MADV_POPULATE_WRITE: number = 23;
