// SPDX-License-Identifier: GPL-2.0-only

/**
 * Linux error numbers.
 *
 * Inside the model an operation that fails throws one of these values, often
 * with the reason ({@link Errno.because}). It becomes a negative number only
 * where a system call returns to its caller.
 *
 * @module
 */

/** Why an errno was thrown; a function where finding out costs more than the call that fails. */
export type Reason = string | (() => string);

/** One Linux error number, and perhaps why it was thrown. */
export class Errno {
  /** Positive error number, as in `errno.h` on x86-64. */
  readonly code: number;
  /** The C name, for instance `EINVAL`. */
  readonly name: string;
  /** What it means in general. */
  readonly message: string;
  readonly #reason: Reason | undefined;

  /** Other code takes the exported constants. */
  constructor(code: number, name: string, message: string, reason?: Reason) {
    this.code = code;
    this.name = name;
    this.message = message;
    this.#reason = reason;
  }

  /** What was wrong this time, or else what it means in general: the end of a sentence. */
  why(): string {
    const reason = this.#reason ?? this.message;
    return typeof reason === "string" ? reason : reason();
  }

  /** The same errno with a reason. */
  because(reason: Reason): Errno {
    return new Errno(this.code, this.name, this.message, reason);
  }

  /** Whether what was thrown is this errno, whatever the reason. */
  is(error: unknown): boolean {
    return error instanceof Errno && error.code === this.code;
  }

  /** The C name. */
  toString(): string {
    return this.name;
  }

  /** What Deno and Node show of one that nobody caught. */
  [Symbol.for("Deno.customInspect")](): string {
    return `${this.name}: ${this.why()}`;
  }
}

/** The errno that was caught. Anything else is a bug, which nobody handles: it is thrown on. */
export function asErrno(error: unknown): Errno {
  if (error instanceof Errno) return error;
  throw error;
}

/** The errno that something throws, if it does. */
export function errnoOf(action: () => void): Errno | undefined {
  try {
    action();
    return undefined;
  } catch (error) {
    return asErrno(error);
  }
}

const byCode = new Map<number, Errno>();

function define(code: number, name: string, message: string): Errno {
  const errno = new Errno(code, name, message);
  Object.freeze(errno);
  byCode.set(code, errno);
  return errno;
}

/** Operation not permitted. */
export const EPERM: Errno = define(1, "EPERM", "operation not permitted");
/** No such object, or nothing there. */
export const ENOENT: Errno = define(2, "ENOENT", "nothing there");
/** No such process. */
export const ESRCH: Errno = define(3, "ESRCH", "no such process");
/** Input/output error. */
export const EIO: Errno = define(5, "EIO", "input/output error");
/** No such device or address. */
export const ENXIO: Errno = define(6, "ENXIO", "no such device or address");
/** Argument too long: a struct's unknown tail is not zero. */
export const E2BIG: Errno = define(7, "E2BIG", "argument too long");
/** Bad file descriptor. */
export const EBADF: Errno = define(9, "EBADF", "bad file descriptor");
/** Try again: a non-blocking call would block. */
export const EAGAIN: Errno = define(11, "EAGAIN", "try again");
/** Out of memory, or over a resource limit. */
export const ENOMEM: Errno = define(12, "ENOMEM", "out of memory");
/** Permission denied. */
export const EACCES: Errno = define(13, "EACCES", "permission denied");
/** Bad address. */
export const EFAULT: Errno = define(14, "EFAULT", "bad address");
/** Device or object busy. */
export const EBUSY: Errno = define(16, "EBUSY", "busy");
/** Already exists. */
export const EEXIST: Errno = define(17, "EEXIST", "already exists");
/** No such device. */
export const ENODEV: Errno = define(19, "ENODEV", "no such device");
/** Not a directory. */
export const ENOTDIR: Errno = define(20, "ENOTDIR", "not a directory");
/** Is a directory. */
export const EISDIR: Errno = define(21, "EISDIR", "is a directory");
/** Invalid argument. */
export const EINVAL: Errno = define(22, "EINVAL", "invalid argument");
/** The system has as many open files as it may. */
export const ENFILE: Errno = define(
  23,
  "ENFILE",
  "too many open files in the system",
);
/** Too many open files in this process. */
export const EMFILE: Errno = define(24, "EMFILE", "too many open files");
/** Not an ioctl of this file. Linux's ENOIOCTLCMD reaches user space as this. */
export const ENOTTY: Errno = define(25, "ENOTTY", "not an ioctl of this file");
/** A file that is being run cannot be written. */
export const ETXTBSY: Errno = define(26, "ETXTBSY", "text file busy");
/** File too large. */
export const EFBIG: Errno = define(27, "EFBIG", "file too large");
/** No space left: no free IOVA. */
export const ENOSPC: Errno = define(28, "ENOSPC", "no space left");
/** Illegal seek. */
export const ESPIPE: Errno = define(29, "ESPIPE", "illegal seek");
/** Broken pipe. */
export const EPIPE: Errno = define(32, "EPIPE", "broken pipe");
/** Result not representable. */
export const ERANGE: Errno = define(34, "ERANGE", "out of range");
/** Resource deadlock would occur (Linux spells it EDEADLOCK here). */
export const EDEADLOCK: Errno = define(35, "EDEADLOCK", "deadlock");
/** Function not implemented. */
export const ENOSYS: Errno = define(38, "ENOSYS", "not implemented");
/** Nothing to read yet, though there may be later. */
export const ENOMSG: Errno = define(42, "ENOMSG", "no message yet");
/** Too many symbolic links. */
export const ELOOP: Errno = define(40, "ELOOP", "too many symbolic links");
/** Invalid exchange: the mock found other pages than expected. */
export const EBADE: Errno = define(52, "EBADE", "invalid exchange");
/** Value too large: an IOVA, a length or their sum overflows. */
export const EOVERFLOW: Errno = define(75, "EOVERFLOW", "value too large");
/** File descriptor in bad state: not the kind of file that is needed. */
export const EBADFD: Errno = define(77, "EBADFD", "wrong kind of descriptor");
/** Message too long: the array for the answer is too short. */
export const EMSGSIZE: Errno = define(90, "EMSGSIZE", "message too long");
/** Operation, flag or reserved field not supported. */
export const EOPNOTSUPP: Errno = define(95, "EOPNOTSUPP", "not supported");
/** Address in use: an IOVA range is in the way. */
export const EADDRINUSE: Errno = define(98, "EADDRINUSE", "address in use");

/**
 * The name of a system call result for a person: `"EINVAL"` for -22, the plain
 * number for anything that is not a known negative errno.
 */
export function errnoName(result: number): string {
  return byCode.get(-result)?.name ?? String(result);
}

/** The errno of a positive error number, if Linux's name for it is known here. */
export function errnoFromCode(code: number): Errno | undefined {
  return byCode.get(code);
}
