// SPDX-License-Identifier: GPL-2.0-only

/**
 * System calls of programs as strace writes them.
 *
 * @module
 */

import {
  ioctlName,
  ioctlNameWith,
  rowOf,
  structRow,
} from "../../conformance/traces/describe_ioctl.ts";
import * as mman from "../../impl/uapi/mman.ts";
import { type Errno, errnoFromCode } from "../../impl/uapi/errno.ts";
import { formatNumber } from "../../impl/uapi/layout/format.ts";
import type { WatchedCall } from "../calls/watcher.ts";
import type { Ioctl, IoctlStruct } from "../../impl/uapi/ioctl.ts";
import { followingText, ioctlsOf, plainArgument } from "./ioctl_rows.ts";
import { memoryAt, passedStruct, StructText } from "./format_struct.ts";

/** What an argument is. */
type Kind =
  /** A descriptor, which the path of the call belongs to. */
  | "fd"
  /** Where a path begins. */
  | "directory"
  /** The path of the call. */
  | "path"
  /** An address, or an offset. */
  | "address"
  /** Memory that the call reads, or that it wrote; as long as the next argument says. */
  | "bytes"
  | "into"
  | "number"
  | "open"
  | "prot"
  | "map";

/** The arguments of the calls that the model answers. Others are shown as numbers. */
const CALLS: Readonly<Record<string, readonly Kind[]>> = {
  open: ["path", "open"],
  openat: ["directory", "path", "open"],
  openat2: ["directory", "path", "address", "number"],
  close: ["fd"],
  read: ["fd", "into", "number"],
  pread64: ["fd", "into", "number", "address"],
  readv: ["fd", "address", "number"],
  write: ["fd", "bytes", "number"],
  pwrite64: ["fd", "bytes", "number", "address"],
  writev: ["fd", "address", "number"],
  mmap: ["address", "address", "prot", "map", "fd", "address"],
  munmap: ["address", "address"],
  mremap: ["address", "address", "address", "number", "address"],
  madvise: ["address", "address", "number"],
};

/** Linux: AT_FDCWD. */
const AT_FDCWD = -100;
/** Bytes of a buffer that are shown. */
const MAX_BYTES = 32;

/** Names of the bits of arguments. */
const BITS = {
  open: namesOf("O_", [
    "CREAT",
    "EXCL",
    "TRUNC",
    "NONBLOCK",
    "CLOEXEC",
    "DIRECTORY",
  ]),
  prot: namesOf("PROT_", ["READ", "WRITE", "EXEC"]),
  map: namesOf("MAP_", [
    "SHARED",
    "PRIVATE",
    "FIXED",
    "ANONYMOUS",
    "NORESERVE",
    "POPULATE",
    "HUGETLB",
    "FIXED_NOREPLACE",
  ]),
} as const;

/** How a file is opened. */
const ACCESS = ["O_RDONLY", "O_WRONLY", "O_RDWR"];

/** Constants of mman.ts by their names. */
function namesOf(prefix: string, names: readonly string[]): [string, number][] {
  const constants = mman as Readonly<Record<string, unknown>>;
  return names.map((
    name,
  ) => [prefix + name, constants[prefix + name] as number]);
}

/** A call that is being made. */
export class CallText {
  readonly #call: WatchedCall;
  readonly #table: readonly Ioctl[] = [];
  readonly #row: IoctlStruct<object> | undefined;
  readonly #bytes: Uint8Array | undefined;
  readonly #struct: StructText | undefined;

  /** Looks at what the program passes, before the model does. */
  constructor(call: WatchedCall) {
    this.#call = call;
    if (call.name !== "ioctl") return;
    const { process } = call;
    const [fd, cmd, arg] = ioctlOf(call);
    this.#table = ioctlsOf(process.files.get(fd));
    this.#row = structRow(cmd, this.#table);
    this.#bytes = passedStruct(this.#row, process, arg);
    if (this.#row && this.#bytes) {
      this.#struct = new StructText(this.#row, this.#bytes, process);
    }
  }

  /** The call with its result; `errno` is what it failed with, if it did. */
  text(result: number, errno: Errno | undefined): string {
    const { name } = this.#call;
    const args = name === "ioctl"
      ? this.#ioctl(result)
      : this.#arguments(result);
    return `${name}(${args}) = ${this.#outcome(result, errno)}`;
  }

  #ioctl(result: number): string {
    const { path, process } = this.#call;
    const [fd, cmd, arg] = ioctlOf(this.#call);
    const where = descriptor(fd, path);
    const [row, struct, bytes] = [this.#row, this.#struct, this.#bytes];
    if (!row || !struct || !bytes) {
      const name = ioctlName(cmd, this.#table);
      const text = row
        ? undefined
        : plainArgument(rowOf(cmd, this.#table), process, arg);
      return `${where}, ${name}, ${text ?? pointer(arg)}`;
    }
    const name = ioctlNameWith(
      cmd,
      bytes,
      process.kernel.revision,
      this.#table,
    );
    const after = passedStruct(row, process, arg);
    const answer = after && struct.answered(after, result >= 0);
    const following = followingText(row, bytes, process, arg);
    return `${where}, ${name}, ${struct.passed()}${following}${answer ?? ""}`;
  }

  #arguments(result: number): string {
    const { name, args } = this.#call;
    const kinds = CALLS[name];
    if (kinds === undefined) return args.map(formatNumber).join(", ");
    return kinds.map((kind, i) => this.#argument(kind, i, result)).join(", ");
  }

  #argument(kind: Kind, index: number, result: number): string {
    const { args, path } = this.#call;
    const value = args[index] ?? 0;
    switch (kind) {
      case "fd":
        return descriptor(value, path);
      case "directory":
        return (value | 0) === AT_FDCWD ? "AT_FDCWD" : String(value | 0);
      case "path":
        return JSON.stringify(path ?? "");
      case "address":
        return pointer(value);
      case "bytes":
        return this.#buffer(value, args[index + 1] ?? 0);
      case "into":
        return this.#buffer(value, result);
      case "open":
        return flags(value & ~mman.O_ACCMODE, BITS.open, [
          ACCESS[value & mman.O_ACCMODE] ?? "O_ACCMODE",
        ]);
      case "prot":
        return value === 0 ? "PROT_NONE" : flags(value, BITS.prot);
      case "map":
        return flags(value, BITS.map);
      case "number":
        return formatNumber(value);
    }
  }

  /** The bytes of a buffer, or where it is. */
  #buffer(address: number, length: number): string {
    const shown = Math.max(0, Math.min(length, MAX_BYTES));
    const bytes = shown > 0 &&
      memoryAt(this.#call.process, address, shown);
    if (!bytes) return formatNumber(address);
    return `"${bytes.toHex()}"${length > shown ? "…" : ""}`;
  }

  #outcome(result: number, errno: Errno | undefined): string {
    const { name, path } = this.#call;
    if (result < 0) {
      const named = errno ?? errnoFromCode(-result);
      return named === undefined
        ? String(result)
        : `-1 ${named} (${named.why()})`;
    }
    if (name.startsWith("open")) return descriptor(result, path);
    return formatNumber(result);
  }
}

/** An address. */
function pointer(address: number): string {
  return address === 0 ? "0" : `0x${address.toString(16)}`;
}

/** The arguments of an ioctl, of which the first two are ints. */
export function ioctlOf({ args }: WatchedCall): [number, number, number] {
  const [fd = 0, cmd = 0, arg = 0] = args;
  return [fd | 0, cmd >>> 0, arg];
}

/** A descriptor and what it is open to, as `3</dev/iommu>`. */
function descriptor(fd: number, path: string | undefined): string {
  return path === undefined ? String(fd | 0) : `${fd | 0}<${path}>`;
}

/** The names of bits, and what is left as a number. */
function flags(
  value: number,
  bits: readonly (readonly [string, number])[],
  names: string[] = [],
): string {
  let rest = value;
  for (const [name, bit] of bits) {
    if ((rest & bit) === 0) continue;
    names.push(name);
    rest &= ~bit;
  }
  if (rest !== 0 || names.length === 0) {
    names.push(`0x${(rest >>> 0).toString(16)}`);
  }
  return names.join("|");
}
