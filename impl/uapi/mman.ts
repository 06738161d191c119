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

/** open: read only. */
export const O_RDONLY: number = 0;
/** open: write only. */
export const O_WRONLY: number = 1;
/** open: read and write. */
export const O_RDWR: number = 2;
/** open: do not block. */
export const O_NONBLOCK: number = 0x800;
/** open: close at exec. */
export const O_CLOEXEC: number = 0x80000;

/** memfd_create: close at exec. */
export const MFD_CLOEXEC: number = 1;
/** memfd_create: huge pages of 2 MiB. */
export const MFD_HUGETLB: number = 4;

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

/** setrlimit: bytes that may be locked in memory. */
export const RLIMIT_MEMLOCK: number = 8;
/** setrlimit: number of open files. */
export const RLIMIT_NOFILE: number = 7;
/** setrlimit: no limit. */
export const RLIM_INFINITY: bigint = 2n ** 64n - 1n;

/** Capability: may lock any amount of memory. */
export const CAP_IPC_LOCK: number = 14;
/** Capability: may do raw I/O, here: no-IOMMU mode. */
export const CAP_SYS_RAWIO: number = 17;
/** Capability: may override resource limits. */
export const CAP_SYS_RESOURCE: number = 24;

/** madvise: drop the private pages; they read as untouched afterwards. */
export const MADV_DONTNEED: number = 4;
/** madvise: do not copy to the child at fork. */
export const MADV_DONTFORK: number = 10;
/** madvise: copy to the child again. */
export const MADV_DOFORK: number = 11;
/** madvise: fault in for reading. */
export const MADV_POPULATE_READ: number = 22;
/** madvise: fault in for writing. */
export const MADV_POPULATE_WRITE: number = 23;
