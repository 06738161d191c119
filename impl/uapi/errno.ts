// SPDX-License-Identifier: GPL-2.0-only

/**
 * Linux error numbers as singletons.
 *
 * Inside the model an operation that fails throws one of these values; they
 * are compared by identity and become a negative number only where a system
 * call returns to its caller.
 *
 * @module
 */

/** One Linux error number. Every instance lives in this file, frozen. */
export class Errno {
  /** Positive error number, as in `errno.h` on x86-64. */
  readonly code: number;
  /** The C name, for instance `EINVAL`. */
  readonly name: string;

  /** Used by this file only: other code compares the exported singletons. */
  constructor(code: number, name: string) {
    this.code = code;
    this.name = name;
    Object.freeze(this);
  }

  /** The C name. */
  toString(): string {
    return this.name;
  }
}

const byCode = new Map<number, Errno>();

function define(code: number, name: string): Errno {
  const errno = new Errno(code, name);
  byCode.set(code, errno);
  return errno;
}

/** Operation not permitted. */
export const EPERM: Errno = define(1, "EPERM");
/** No such object, or nothing there. */
export const ENOENT: Errno = define(2, "ENOENT");
/** No such process. */
export const ESRCH: Errno = define(3, "ESRCH");
/** Input/output error. */
export const EIO: Errno = define(5, "EIO");
/** Argument too long: a struct's unknown tail is not zero. */
export const E2BIG: Errno = define(7, "E2BIG");
/** Bad file descriptor. */
export const EBADF: Errno = define(9, "EBADF");
/** Try again: a non-blocking call would block. */
export const EAGAIN: Errno = define(11, "EAGAIN");
/** Out of memory, or over a resource limit. */
export const ENOMEM: Errno = define(12, "ENOMEM");
/** Permission denied. */
export const EACCES: Errno = define(13, "EACCES");
/** Bad address. */
export const EFAULT: Errno = define(14, "EFAULT");
/** Device or object busy. */
export const EBUSY: Errno = define(16, "EBUSY");
/** Already exists. */
export const EEXIST: Errno = define(17, "EEXIST");
/** No such device. */
export const ENODEV: Errno = define(19, "ENODEV");
/** Invalid argument. */
export const EINVAL: Errno = define(22, "EINVAL");
/** Too many open files in this process. */
export const EMFILE: Errno = define(24, "EMFILE");
/** Not an ioctl of this file. Linux's ENOIOCTLCMD reaches user space as this. */
export const ENOTTY: Errno = define(25, "ENOTTY");
/** No space left: no free IOVA. */
export const ENOSPC: Errno = define(28, "ENOSPC");
/** Illegal seek. */
export const ESPIPE: Errno = define(29, "ESPIPE");
/** Broken pipe. */
export const EPIPE: Errno = define(32, "EPIPE");
/** Result not representable. */
export const ERANGE: Errno = define(34, "ERANGE");
/** Resource deadlock would occur (Linux spells it EDEADLOCK here). */
export const EDEADLOCK: Errno = define(35, "EDEADLOCK");
/** Function not implemented. */
export const ENOSYS: Errno = define(38, "ENOSYS");
/** Invalid exchange: the mock found other pages than expected. */
export const EBADE: Errno = define(52, "EBADE");
/** Value too large: an IOVA, a length or their sum overflows. */
export const EOVERFLOW: Errno = define(75, "EOVERFLOW");
/** File descriptor in bad state: not the kind of file that is needed. */
export const EBADFD: Errno = define(77, "EBADFD");
/** Message too long: the array for the answer is too short. */
export const EMSGSIZE: Errno = define(90, "EMSGSIZE");
/** Operation, flag or reserved field not supported. */
export const EOPNOTSUPP: Errno = define(95, "EOPNOTSUPP");
/** Address in use: an IOVA range is in the way. */
export const EADDRINUSE: Errno = define(98, "EADDRINUSE");

/**
 * The name of a system call result for a person: `"EINVAL"` for -22, the plain
 * number for anything that is not a known negative errno.
 */
export function errnoName(result: number): string {
  return byCode.get(-result)?.name ?? String(result);
}

/** The singleton for a positive error number, if Linux's name for it is known here. */
export function errnoFromCode(code: number): Errno | undefined {
  return byCode.get(code);
}

/**
 * The result of a system call for what was thrown: the negative number of an
 * errno. Anything else is thrown on.
 */
export function resultOfError(error: unknown): number {
  if (error instanceof Errno) return -error.code;
  throw error;
}
