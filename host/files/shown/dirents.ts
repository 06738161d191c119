// SPDX-License-Identifier: GPL-2.0-only

/**
 * Directories as getdents64 writes them (Linux: struct linux_dirent64): number
 * of the inode, where to seek to for what follows, bytes of the entry, kind,
 * name.
 *
 * @module
 */

import { EINVAL } from "../../../impl/uapi/errno.ts";

/** One name of a directory. */
export interface Dirent {
  readonly name: string;
  readonly ino: number;
  /** `DT_*`. */
  readonly type: number;
}

/** Bytes before the name. */
const NAME_AT = 19;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Bytes of the entry of a name, in UTF-8. */
function recordSize(name: Uint8Array): number {
  return (NAME_AT + name.length + 1 + 7) & ~7;
}

/** Bytes that entries take. */
export function direntsSize(entries: readonly Dirent[]): number {
  let size = 0;
  for (const { name } of entries) size += recordSize(encoder.encode(name));
  return size;
}

/**
 * As many entries from the index `first` on as there is room for, each of
 * which seeks to the index of the next, or to `seekTo`. Throws EINVAL if there
 * is none that has room.
 */
export function encodeDirents(
  entries: readonly Dirent[],
  first: number,
  room: number,
  seekTo?: bigint,
): { bytes: Uint8Array; next: number } {
  const records: Uint8Array[] = [];
  let size = 0;
  let next = first;
  for (; next < entries.length; next++) {
    const record = encode(entries[next]!, seekTo ?? BigInt(next + 1));
    if (size + record.length > room) break;
    records.push(record);
    size += record.length;
  }
  if (next === first && first < entries.length) throw EINVAL;
  return { bytes: joined(records, size), next };
}

function encode({ name, ino, type }: Dirent, seekTo: bigint): Uint8Array {
  const text = encoder.encode(name);
  const record = new Uint8Array(recordSize(text));
  const view = new DataView(record.buffer);
  view.setBigUint64(0, BigInt(ino), true);
  view.setBigInt64(8, seekTo, true);
  view.setUint16(16, record.length, true);
  view.setUint8(18, type);
  record.set(text, NAME_AT);
  return record;
}

/**
 * A piece of the host's directory as the program sees it: without names that
 * are shown instead, which `shown` tells, and with `added` behind it. Seeking
 * to one of those is seeking to what follows the piece.
 */
export function mergeDirents(
  piece: Uint8Array,
  shown: (name: string) => boolean,
  added: readonly Dirent[],
): Uint8Array {
  const records: Uint8Array[] = [];
  let size = 0;
  let seekTo = 0n;
  for (const record of recordsOf(piece)) {
    seekTo = new DataView(record.buffer, record.byteOffset).getBigInt64(
      8,
      true,
    );
    if (shown(nameOf(record))) continue;
    records.push(record);
    size += record.length;
  }
  const { bytes } = encodeDirents(added, 0, Infinity, seekTo);
  return joined([...records, bytes], size + bytes.length);
}

function* recordsOf(bytes: Uint8Array): Iterable<Uint8Array> {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  for (let at = 0; at < bytes.length;) {
    const length = view.getUint16(at + 16, true);
    yield bytes.subarray(at, at + length);
    at += length;
  }
}

function nameOf(record: Uint8Array): string {
  const name = record.subarray(NAME_AT);
  return decoder.decode(name.subarray(0, name.indexOf(0)));
}

function joined(parts: readonly Uint8Array[], size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
