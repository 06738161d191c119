// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { Architecture } from "../../sys/machine_code.ts";
import { AT_FDCWD, O_CLOEXEC, OPEN_FLAGS } from "../../sys/structs.ts";
import { must, Sys } from "../../sys/sys.ts";
import {
  type Dirent,
  direntsSize,
  encodeDirents,
  mergeDirents,
} from "./dirents.ts";
import {
  type Attributes,
  encodeDevice,
  encodeStat,
  encodeStatx,
  inodeOf,
} from "./stat.ts";

const sys = Sys.shared;

const ATTRIBUTES: Attributes = {
  on: { major: 0, minor: 6 },
  ino: 2 ** 31 + 5,
  mode: 0o020666,
  nlink: 3,
  uid: 1000,
  gid: 1001,
  number: { major: 10, minor: 260 },
  size: 4096,
  time: 1_800_000_000,
};

type Field = [name: string, bytes: number, value: number];

/** The fields of struct stat in their order, as C would lay them out: that of x86, and the generic one. */
const FIELDS: Readonly<Record<Architecture, readonly Field[]>> = {
  x86_64: [
    ["dev", 8, 6],
    ["ino", 8, ATTRIBUTES.ino],
    ["nlink", 8, 3],
    ["mode", 4, 0o020666],
    ["uid", 4, 1000],
    ["gid", 4, 1001],
    ["pad", 4, 0],
    ["rdev", 8, 0x100a04],
    ["size", 8, 4096],
    ["blksize", 8, 4096],
    ["blocks", 8, 0],
    ...times(),
    ["unused", 24, 0],
  ],
  aarch64: [
    ["dev", 8, 6],
    ["ino", 8, ATTRIBUTES.ino],
    ["mode", 4, 0o020666],
    ["nlink", 4, 3],
    ["uid", 4, 1000],
    ["gid", 4, 1001],
    ["rdev", 8, 0x100a04],
    ["pad", 8, 0],
    ["size", 8, 4096],
    ["blksize", 4, 4096],
    ["pad", 4, 0],
    ["blocks", 8, 0],
    ...times(),
    ["unused", 8, 0],
  ],
};

function times(): Field[] {
  return ["atime", "mtime", "ctime"].flatMap((name): Field[] => [
    [name, 8, ATTRIBUTES.time],
    [`${name}_nsec`, 8, 0],
  ]);
}

function layOut(fields: readonly Field[]): Uint8Array {
  const bytes: number[] = [];
  for (const [, size, value] of fields) {
    for (let i = 0; i < size; i++) {
      bytes.push(Math.floor(value / 2 ** (8 * i)) % 256);
    }
  }
  return Uint8Array.from(bytes);
}

describe("struct stat", () => {
  for (const architecture of ["x86_64", "aarch64"] as const) {
    it(`has its fields where C has them on ${architecture}`, () => {
      const bytes = encodeStat(architecture, ATTRIBUTES);
      assertEquals(bytes, layOut(FIELDS[architecture]));
    });
  }

  it("and struct statx are what the kernel writes for a device of its own", () => {
    const stat = sys.alloc(256);
    const path = () => sys.text("/dev/null");
    const { newfstatat, statx } = sys.nr;
    must(sys.call(statx, AT_FDCWD, path(), 0, 0x7ff, stat.address), "statx");
    const { view } = stat;
    const number = (at: number) => ({
      major: view.getUint32(at, true),
      minor: view.getUint32(at + 4, true),
    });
    const attributes: Attributes = {
      on: number(0x88),
      ino: view.getUint32(0x20, true),
      mode: view.getUint16(0x1c, true),
      nlink: view.getUint32(0x10, true),
      uid: view.getUint32(0x14, true),
      gid: view.getUint32(0x18, true),
      number: number(0x80),
      size: 0,
      time: 0,
    };
    assertEquals(attributes.number, { major: 1, minor: 3 });
    const written = new Uint8Array(stat.bytes);
    // What is not told, or differs from one file to another: attributes, times, the mount.
    written.fill(0, 0x08, 0x10).fill(0, 0x38, 0x80).fill(0, 0x90);
    const ours = encodeStatx(attributes);
    // The kernel tells of the birth, unless it is asked for what stat has.
    assertEquals(written.subarray(4), ours.subarray(4));
    stat.bytes.fill(0);
    must(sys.call(newfstatat, AT_FDCWD, path(), stat.address, 0), "fstatat");
    const ourStat = encodeStat(sys.architecture, attributes);
    const times = 72;
    assertEquals(
      new Uint8Array(stat.bytes.subarray(0, times)),
      ourStat.subarray(0, times),
    );
  });
});

describe("numbers", () => {
  it("of devices keep the low byte of the minor number in its place", () => {
    assertEquals(encodeDevice({ major: 10, minor: 196 }), 0xac4);
    assertEquals(encodeDevice({ major: 0x123, minor: 0x45678 }), 0x45612378);
  });

  it("of inodes are the path's, and never 0", () => {
    assertEquals(inodeOf("/dev/iommu"), inodeOf("/dev/iommu"));
    assertEquals(inodeOf("/dev/iommu") === inodeOf("/dev/vfio"), false);
    assertEquals(inodeOf("") > 0, true);
  });
});

const ENTRIES: readonly Dirent[] = [
  { name: "iommu", ino: 5, type: 2 },
  { name: "vfio", ino: 6, type: 4 },
  { name: "ein längerer Name", ino: 7, type: 8 },
];

/** The entries in what getdents64 wrote. */
function decode(bytes: Uint8Array) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const entries: { name: string; seekTo: number; ino: number; type: number }[] =
    [];
  for (let at = 0; at < bytes.length; at += view.getUint16(at + 16, true)) {
    const name = bytes.subarray(at + 19, bytes.indexOf(0, at + 19));
    entries.push({
      name: new TextDecoder().decode(name),
      seekTo: Number(view.getBigInt64(at + 8, true)),
      ino: Number(view.getBigUint64(at, true)),
      type: view.getUint8(at + 18),
    });
  }
  return entries;
}

describe("entries of a directory", () => {
  it("are written as far as there is room, each with where the next is", () => {
    const all = encodeDirents(ENTRIES, 0, 1000);
    assertEquals(all.next, 3);
    assertEquals(all.bytes.length, direntsSize(ENTRIES));
    assertEquals(decode(all.bytes), [
      { name: "iommu", seekTo: 1, ino: 5, type: 2 },
      { name: "vfio", seekTo: 2, ino: 6, type: 4 },
      { name: "ein längerer Name", seekTo: 3, ino: 7, type: 8 },
    ]);
    const one = encodeDirents(ENTRIES, 1, 32);
    assertEquals([one.next, decode(one.bytes)[0]!.name], [2, "vfio"]);
    assertThrows(() => encodeDirents(ENTRIES, 0, 16));
    assertEquals(encodeDirents(ENTRIES, 3, 16).bytes.length, 0);
  });

  it("are put behind the host's, in place of those of the same name", () => {
    const host = encodeDirents(
      [
        { name: ".", ino: 1, type: 4 },
        { name: "vfio", ino: 2, type: 4 },
        { name: "null", ino: 3, type: 2 },
      ],
      0,
      1000,
    ).bytes;
    const names = new Set(ENTRIES.map(({ name }) => name));
    const merged = mergeDirents(host, (name) => names.has(name), ENTRIES);
    assertEquals(decode(merged).map(({ name, seekTo }) => [name, seekTo]), [
      [".", 1],
      ["null", 3],
      ["iommu", 3],
      ["vfio", 3],
      ["ein längerer Name", 3],
    ]);
  });

  it("are those that the kernel writes too", () => {
    const { O_DIRECTORY } = OPEN_FLAGS[sys.architecture];
    const fd = sys.openat(
      AT_FDCWD,
      "/proc/self/fdinfo",
      O_DIRECTORY | O_CLOEXEC,
    );
    const block = sys.alloc(4096);
    const { getdents64 } = sys.nr;
    const length = must(
      sys.call(getdents64, fd, block.address, 4096),
      "getdents64",
    );
    sys.close(fd);
    const written = new Uint8Array(block.bytes.subarray(0, length));
    const entries = decode(written);
    assertEquals(entries.slice(0, 3).map(({ name }) => name), [".", "..", "0"]);
    // Without the places to seek to, which are the file system's own.
    const again = encodeDirents(entries, 0, length).bytes;
    const bare = (bytes: Uint8Array) =>
      decode(bytes).map(({ name, ino, type }) => ({ name, ino, type }));
    assertEquals(bare(again), bare(written));
    assertEquals(again.length, written.length);
  });
});
