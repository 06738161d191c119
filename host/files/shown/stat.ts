// SPDX-License-Identifier: GPL-2.0-only

/**
 * What stat, statx and getdents64 write, as bytes.
 *
 * @module
 */

import type { Architecture } from "../../sys/machine_code.ts";
import type { DeviceNumber, Node } from "./node.ts";

/** Where the kind of a file is in its mode: the same numbers as in a directory's entries (Linux: S_DT_SHIFT). */
const S_IFMT_SHIFT = 12;
const DT_BY_KIND: Readonly<Record<Node["kind"], number>> = {
  anonymous: 0, // DT_UNKNOWN
  device: 2, // DT_CHR
  directory: 4, // DT_DIR
  served: 8, // DT_REG
  text: 8,
  bytes: 8,
  link: 10, // DT_LNK
};

/** What stat tells of a file. */
export interface Attributes {
  /** The device that it is on. */
  readonly on: DeviceNumber;
  readonly ino: number;
  /** Kind and permissions (`st_mode`). */
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  /** The device that it is (`st_rdev`). */
  readonly number: DeviceNumber;
  /** Bytes. */
  readonly size: number;
  /** When it last changed and was read, in seconds. */
  readonly time: number;
}

/** The `DT_*` of a node. */
export function direntType(node: Node): number {
  return DT_BY_KIND[node.kind];
}

/** Kind and permissions of a node, as in `st_mode`. */
export function modeOf(node: Node): number {
  const permissions = node.kind === "link" ? 0o777 : node.mode;
  return direntType(node) << S_IFMT_SHIFT | permissions;
}

/** A number for a path, the same each time: there is no inode to have one. */
export function inodeOf(path: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < path.length; i++) {
    hash = Math.imul(hash ^ path.charCodeAt(i), 0x01000193);
  }
  return (hash >>> 1) + 1;
}

/** A device number as the kernel passes it (Linux: new_encode_dev). */
export function encodeDevice({ major, minor }: DeviceNumber): number {
  return minor & 0xff | major << 8 | (minor & ~0xff) << 12;
}

/** Where the fields of struct stat are. */
interface StatLayout {
  readonly size: number;
  readonly nlink: number;
  readonly isLongNlink: boolean;
  readonly mode: number;
  readonly uid: number;
  readonly rdev: number;
  readonly length: number;
  readonly blksize: number;
  readonly blocks: number;
  readonly times: number;
}

const STAT: Readonly<Record<Architecture, StatLayout>> = {
  x86_64: {
    size: 144,
    nlink: 16,
    isLongNlink: true,
    mode: 24,
    uid: 28,
    rdev: 40,
    length: 48,
    blksize: 56,
    blocks: 64,
    times: 72,
  },
  aarch64: {
    size: 128,
    mode: 16,
    nlink: 20,
    isLongNlink: false,
    uid: 24,
    rdev: 32,
    length: 48,
    blksize: 56,
    blocks: 64,
    times: 72,
  },
};

/** Bytes that the kernel likes to read at once. */
const BLOCK_SIZE = 4096;

/** struct stat. */
export function encodeStat(
  architecture: Architecture,
  of: Attributes,
): Uint8Array {
  const at = STAT[architecture];
  const bytes = new Uint8Array(at.size);
  const view = new DataView(bytes.buffer);
  put64(view, 0, encodeDevice(of.on) >>> 0);
  put64(view, 8, of.ino);
  if (at.isLongNlink) put64(view, at.nlink, of.nlink);
  else view.setUint32(at.nlink, of.nlink, true);
  view.setUint32(at.mode, of.mode, true);
  view.setUint32(at.uid, of.uid, true);
  view.setUint32(at.uid + 4, of.gid, true);
  put64(view, at.rdev, encodeDevice(of.number) >>> 0);
  put64(view, at.length, of.size);
  view.setUint32(at.blksize, BLOCK_SIZE, true);
  for (let i = 0; i < 3; i++) put64(view, at.times + 16 * i, of.time);
  return bytes;
}

const STATX_SIZE = 256;
const STATX_BASIC_STATS = 0x7ff;
/** Where the times are: last read, last change of the inode, last change of the content. */
const STATX_TIMES = [0x40, 0x60, 0x70];

/** struct statx; the birth is not told. */
export function encodeStatx(of: Attributes): Uint8Array {
  const bytes = new Uint8Array(STATX_SIZE);
  const view = new DataView(bytes.buffer);
  view.setUint32(0x00, STATX_BASIC_STATS, true);
  view.setUint32(0x04, BLOCK_SIZE, true);
  view.setUint32(0x10, of.nlink, true);
  view.setUint32(0x14, of.uid, true);
  view.setUint32(0x18, of.gid, true);
  view.setUint16(0x1c, of.mode, true);
  put64(view, 0x20, of.ino);
  put64(view, 0x28, of.size);
  for (const at of STATX_TIMES) put64(view, at, of.time);
  view.setUint32(0x80, of.number.major, true);
  view.setUint32(0x84, of.number.minor, true);
  view.setUint32(0x88, of.on.major, true);
  view.setUint32(0x8c, of.on.minor, true);
  return bytes;
}

function put64(view: DataView, at: number, value: number): void {
  view.setUint32(at, value, true);
  view.setUint32(at + 4, value / 2 ** 32, true);
}
