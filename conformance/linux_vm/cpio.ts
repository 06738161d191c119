// SPDX-License-Identifier: GPL-2.0-only

/**
 * Writes a cpio archive in the format "newc": what Linux unpacks as its first
 * root file system (Documentation/driver-api/early-userspace).
 *
 * @module
 */

/** Something in an archive. */
export interface CpioEntry {
  /** Path without a leading slash; directories come before what is in them. */
  readonly path: string;
  /** Kind and permissions, as `st_mode`. */
  readonly mode: number;
  /** Contents of a file. */
  readonly data?: Uint8Array;
  /** Major and minor number of a device node. */
  readonly device?: readonly [major: number, minor: number];
}

/** `st_mode` of a directory. */
export const DIRECTORY = 0o040755;
/** `st_mode` of a program. */
export const PROGRAM = 0o100755;
/** `st_mode` of a character device. */
export const CHARACTER_DEVICE = 0o020600;

const MAGIC = "070701";
/** The name that ends an archive. */
const TRAILER = "TRAILER!!!";
/** Headers and contents begin at a multiple of this. */
const ALIGNMENT = 4;

/** The archive of `entries`, all of them root's. Equal entries give equal bytes. */
export function cpioArchive(
  entries: readonly CpioEntry[],
): Uint8Array<ArrayBuffer> {
  const parts = [...entries, { path: TRAILER, mode: 0 }].flatMap(
    (entry, index) => [header(entry, index), padded(entry.data)],
  );
  const archive = new Uint8Array(
    parts.reduce((sum, { length }) => sum + length, 0),
  );
  let at = 0;
  for (const part of parts) {
    archive.set(part, at);
    at += part.length;
  }
  return archive;
}

/** The header and the name. */
function header(entry: CpioEntry, inode: number): Uint8Array {
  const name = `${entry.path}\0`;
  const [major, minor] = entry.device ?? [0, 0];
  const fields = [
    inode,
    entry.mode,
    0, // user
    0, // group
    1, // links
    0, // time
    entry.data?.length ?? 0,
    0, // device of the file system
    0,
    major,
    minor,
    name.length,
    0, // checksum, unused in this format
  ];
  const numbers = fields.map((field) => field.toString(16).padStart(8, "0"));
  return padded(new TextEncoder().encode(MAGIC + numbers.join("") + name));
}

function padded(bytes: Uint8Array = new Uint8Array(0)): Uint8Array {
  const length = Math.ceil(bytes.length / ALIGNMENT) * ALIGNMENT;
  const out = new Uint8Array(length);
  out.set(bytes);
  return out;
}
