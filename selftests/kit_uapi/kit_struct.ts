// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `kit_struct`: what every ioctl makes of its struct's size, address,
 * reserved fields and flags. A variant for each ioctl.
 *
 * A test takes a call that is right, changes one thing about it, and makes the
 * right call in the end: a refusal may not leave a trace.
 *
 * @module
 */

import { E2BIG, EFAULT, EOPNOTSUPP } from "../../impl/uapi/errno.ts";
import { MAP_PRIVATE, PROT_READ } from "../../impl/uapi/mman.ts";
import type { Revision } from "../../impl/uapi/revision.ts";
import { existsIn } from "../../impl/uapi/revision/versions.ts";
import type { Field } from "../../impl/uapi/layout/struct.ts";
import {
  assertBytes,
  assertEq,
  type Fixture,
  fixture,
  type Test,
} from "../harness/harness.ts";
import { Iommufd } from "../ioctls/ioctls.ts";
import {
  ALL_BITS,
  type Bits,
  type Prepared,
  type StructRow,
  type StructSelf,
} from "../ioctls/struct_row.ts";
import { STRUCT_ROWS, structSelf } from "../ioctls/struct_table.ts";

type StructFixture = Fixture<StructRow, StructSelf>;

/** Adds the fixture's tests to `registry`. */
export function registerKitStruct(registry: Test[]): void {
  for (const row of STRUCT_ROWS) {
    const f = structFixture(registry, row, () => true);
    registerSizes(f);
    registerAddresses(f);
    registerUnknown(
      structFixture(registry, row, (revision) =>
        row.choices.length > 0 ||
        row.bits.some((bits) => !isIgnored(bits, revision))),
    );
    registerIgnored(
      structFixture(
        registry,
        row,
        (revision) => row.bits.some((bits) => isIgnored(bits, revision)),
      ),
    );
  }
}

/** True for a field that nobody looks at. */
function isIgnored({ known }: Bits, revision: Revision): boolean {
  return known(revision) === ALL_BITS;
}

/** The fixture with one ioctl as its variant, in the revisions that have it and that `concerns` is true of. */
function structFixture(
  registry: Test[],
  row: StructRow,
  concerns: (revision: Revision) => boolean,
): StructFixture {
  return fixture(registry, "kit_struct", {
    variants: { [row.name]: row },
    only: (revision) => existsIn(revision.name, row) && concerns(revision),
    upstream: false,
    needs: ({ needs }) => needs,
    setup: async (context) => structSelf(await Iommufd.open(context), row),
    teardown: ({ io }) => io.teardown(),
  });
}

/** Makes a call that must succeed, and checks its answer. */
async function succeed(
  { io }: StructSelf,
  { cmd, name }: StructRow,
  prepared: Prepared,
  bytes: Uint8Array = prepared.bytes,
): Promise<void> {
  await io.ioctl(cmd, bytes, undefined, `${name} of ${bytes.length} bytes`);
  await prepared.done(bytesOf(bytes, prepared.bytes.length));
}

/** The first `length` bytes, with zeros for those that are not there. */
function bytesOf(bytes: Uint8Array, length: number): Uint8Array<ArrayBuffer> {
  const copy = new Uint8Array(length);
  copy.set(bytes.subarray(0, length));
  return copy;
}

/** The struct cut, or padded with zeros, to the number of bytes that it then says it has. */
function resized(bytes: Uint8Array, size: number): Uint8Array<ArrayBuffer> {
  const copy = bytesOf(bytes, size);
  saySize(copy, size);
  return copy;
}

/** Sets the number of bytes that a struct says it has. */
function saySize(bytes: Uint8Array, size: number): void {
  new DataView(bytes.buffer, bytes.byteOffset).setUint32(0, size, true);
}

/** What the cases of a table share: a call that is right. */
interface CallState extends StructSelf {
  readonly row: StructRow;
  readonly prepared: Prepared;
  /** Bytes of the struct, and of its first version. */
  readonly size: number;
  readonly min: number;
}

/** Prepares a call before the cases, and makes it after them. */
const CALL = {
  async prepare(self: StructSelf, row: StructRow): Promise<CallState> {
    const prepared = await row.prepare(self);
    return { ...self, row, prepared, ...row.sizes(self.io.revision) };
  },
  finish: (state: CallState) => succeed(state, state.row, state.prepared),
};

/** Sizes that are too small, right, and larger than what the kernel knows. */
function registerSizes(f: StructFixture): void {
  f.table("short", {
    description:
      "Fewer bytes than the struct's first version had are refused, whatever is in them",
    rules: ["B02", "C3.10"],
    ...CALL,
  }, (t) => {
    t.case("no bytes", (state) => checkShort(state, 0, 0));
    t.case("a part of the size", (state) => checkShort(state, 1, 3));
    t.case("the size alone", (state) => checkShort(state, 4, 4));
    t.case("more", (state) => checkShort(state, 5, state.min - 2));
    t.case(
      "one byte too few",
      (state) => checkShort(state, state.min - 1, state.min - 1),
    );
  });

  f.table("exact", {
    description:
      "Each size from the first version's to the whole struct is taken, and no byte behind it touched",
    rules: ["C3.10"],
  }, (t, row, revision) => {
    const { min, size } = row.sizes(revision);
    for (let length = min; length <= size; length++) {
      t.case(`${length} bytes`, async (self) => {
        const prepared = await row.prepare(self);
        const bytes = resized(prepared.bytes, length);
        await succeed(self, row, prepared, bytes);
      });
    }
  });

  f.table("longer", {
    description: "A struct of the future is taken if what is new in it is zero",
    rules: ["C3.10"],
  }, (t, row) => {
    const lengths: [string, (page: number) => number][] = [
      ...[1, 2, 4, 8, 64].map((extra): [string, () => number] => [
        `${extra} bytes`,
        () => extra,
      ]),
      ["a page", (page) => page],
      ["three pages and a byte", (page) => 3 * page + 1],
    ];
    for (const [what, lengthOf] of lengths) {
      t.case(`${what} more`, async (self) => {
        const { size } = row.sizes(self.io.revision);
        const extra = lengthOf(self.io.context.pageSize);
        const prepared = await row.prepare(self);
        const bytes = resized(prepared.bytes, size + extra);
        await succeed(self, row, prepared, bytes);
        const zeros = new Uint8Array(extra);
        assertBytes(bytes.subarray(size), zeros, "bytes behind");
      });
    }
  });

  f.table("longer_junk", {
    description:
      "A struct of the future is refused if what is new in it is not zero; what it does not count is not looked at",
    rules: ["C3.10"],
    ...CALL,
  }, (t) => {
    for (const extra of [1, 8, 21]) {
      t.case(
        `a bit of ${extra} bytes more`,
        (state) => checkJunk(state, extra),
      );
    }
    t.case(
      "a bit of a page more",
      (state) => checkJunk(state, state.io.context.pageSize),
    );
    t.case("bytes that are not counted", async (state) => {
      const { row, size } = state;
      const prepared = await row.prepare(state);
      const uncounted = bytesOf(prepared.bytes, size + 16);
      uncounted.fill(0xff, size);
      await succeed(state, row, prepared, uncounted);
      const junk = new Uint8Array(16).fill(0xff);
      assertBytes(uncounted.subarray(size), junk, "bytes behind");
    });
  });
}

/** Structs of `from` to `to` bytes, which are too few. */
async function checkShort(
  { io, row, prepared }: CallState,
  from: number,
  to: number,
): Promise<void> {
  for (let size = from; size <= to; size++) {
    // Cut off as well where that leaves a size to read: no more may be read.
    const bytes = bytesOf(prepared.bytes, Math.max(size, 4));
    saySize(bytes, size);
    const what = `${row.name} of ${size} bytes`;
    const errno = io.revision.objects.shortStructErrno;
    await io.ioctl(row.cmd, bytes, errno, what);
  }
}

/** Structs with `extra` bytes more of which one is not zero. */
async function checkJunk(
  { io, row, prepared, size }: CallState,
  extra: number,
): Promise<void> {
  for (const at of new Set([0, 1, 7, 8, extra >> 1, extra - 1])) {
    if (at >= extra) continue;
    const bytes = resized(prepared.bytes, size + extra);
    bytes[size + at] = 1 << (at % 8);
    const what = `${row.name} with byte ${at} of ${extra} more set`;
    await io.ioctl(row.cmd, bytes, E2BIG, what);
  }
}

/** Where a struct is. */
function registerAddresses(f: StructFixture): void {
  f.table("bad_address", {
    description: "A struct that is nowhere, or only in part, is refused",
    rules: ["P05.3"],
    ...CALL,
  }, (t, row, revision) => {
    const nowhere: [string, number | bigint][] = [
      ["0", 0],
      ["1", 1],
      ["the last bytes below the kernel", 2n ** 47n - 8n],
      ["the end of user memory", 2n ** 47n],
      ["the kernel", 2n ** 63n],
      ["the last bytes", 2n ** 64n - 8n],
    ];
    for (const [what, address] of nowhere) {
      t.case(what, ({ io }) => io.ioctlArg(row.cmd, address, EFAULT, what));
    }
    for (const part of ["all", "but the size"]) {
      t.case(`unmapped memory, ${part}`, async ({ io }) => {
        const { pageSize } = io.context;
        const hole = await io.mmap(pageSize, MAP_PRIVATE);
        await io.munmap(hole, pageSize);
        const address = part === "all" ? hole : hole + pageSize - 4;
        await io.ioctlArg(row.cmd, address, EFAULT, "struct in a hole");
      });
    }
    const { size } = row.sizes(revision);
    // The harness places what is left so that it ends where memory does.
    for (const cut of new Set([1, size >> 1, size - 4, size - 3, size - 1])) {
      t.case(`${cut} bytes of ${size} not there`, async ({ io, prepared }) => {
        const bytes = prepared.bytes.slice(0, size - cut);
        await io.ioctl(row.cmd, bytes, EFAULT, `${row.name} without ${cut}`);
      });
    }
    t.case("more bytes that are not there", async ({ io, prepared }) => {
      const beyond = bytesOf(prepared.bytes, size);
      saySize(beyond, size + 8);
      await io.ioctl(row.cmd, beyond, EFAULT, row.name);
    });
  });

  f.test("junk_before_hole", {
    description:
      "What is new and not zero is found before the memory behind it that is not there",
    rules: ["C3.10"],
  }, async (self, row) => {
    const { io } = self;
    const { pageSize } = io.context;
    const { size } = row.sizes(io.revision);
    const pages = await io.mmap(2 * pageSize, MAP_PRIVATE);
    await io.munmap(pages + pageSize, pageSize);
    const prepared = await row.prepare(self);
    for (const extra of [8, 16]) {
      for (const at of [0, extra - 8, extra - 1]) {
        const bytes = bytesOf(prepared.bytes, size + extra);
        saySize(bytes, size + extra + pageSize);
        bytes[size + at] = 1;
        const address = pages + pageSize - bytes.length;
        await io.process.poke(address, bytes);
        const what = `${row.name} with byte ${at} of ${extra} more set`;
        await io.ioctlArg(row.cmd, address, E2BIG, what);
      }
    }
    await io.munmap(pages, pageSize);
    await succeed(self, row, prepared);
  });

  f.test("page_boundary", {
    description: "A struct may lie at any address, also across two pages",
    rules: ["P05.17"],
  }, async (self, row) => {
    const { io } = self;
    const { pageSize } = io.context;
    const { size } = row.sizes(io.revision);
    const pages = await io.mmap(2 * pageSize, MAP_PRIVATE);
    const boundary = pages + pageSize;
    for (let before = 0; before <= size; before++) {
      const prepared = await row.prepare(self);
      const address = boundary - before;
      await io.process.poke(address, prepared.bytes);
      const what = `${row.name} ${before} bytes before a page's end`;
      await io.ioctlArg(row.cmd, address, undefined, what);
      await prepared.done(await io.process.peek(address, size));
    }
    await io.munmap(pages, 2 * pageSize);
  });

  f.test("read_only", {
    description:
      "A struct in memory that cannot be written is refused only if there is an answer",
    rules: ["P05.17"],
  }, async (self, row) => {
    const { io } = self;
    const { pageSize } = io.context;
    const page = await io.mmap(pageSize, MAP_PRIVATE);
    const prepared = await row.prepare(self);
    await io.process.poke(page, prepared.bytes);
    const ret = await io.process.mprotect(page, pageSize, PROT_READ);
    assertEq(ret, 0, "mprotect");
    const errno = row.replies ? EFAULT : undefined;
    await io.ioctlArg(row.cmd, page, errno, `read-only ${row.name}`);
    await succeed(self, row, await row.prepare(self));
    await io.munmap(page, pageSize);
  });
}

/** Bits and values that mean nothing. */
function registerUnknown(f: StructFixture): void {
  f.table("unknown_bits", {
    description:
      "Every bit of a reserved field and every unknown flag is refused, before any id is looked up",
    rules: ["C3.16", "B12", "B14"],
    ...CALL,
  }, (t, row, revision) => {
    const { size } = row.sizes(revision);
    for (const bits of row.bits) {
      if (isIgnored(bits, revision)) continue;
      t.case(
        bits.name,
        (state) => checkBits(state, bits, state.prepared.bytes),
      );
      if (!bits.first) continue;
      t.case(
        `${bits.name} in a struct of zeros`,
        (state) => checkBits(state, bits, resized(new Uint8Array(), size)),
      );
    }
    for (const { name, field, unknown } of row.choices) {
      t.case(`values of ${name}`, async ({ io, prepared }) => {
        for (const value of [unknown, unknown + 1, maxOf(field)]) {
          const bytes = bytesOf(prepared.bytes, size);
          setField(bytes, field, value);
          const what = `${row.name} with ${name} ${value}`;
          await io.ioctl(row.cmd, bytes, EOPNOTSUPP, what);
        }
      });
    }
  });
}

/** Fields that may hold anything. */
function registerIgnored(f: StructFixture): void {
  f.table("ignored_bits", {
    description: "Fields that Linux does not look at may hold anything",
    rules: ["C3.17", "B12", "B14"],
  }, (t, row, revision) => {
    for (const bits of row.bits) {
      if (!isIgnored(bits, revision)) continue;
      t.case(bits.name, async (self) => {
        const prepared = await row.prepare(self);
        const bytes = prepared.bytes.slice();
        setField(bytes, bits.field, maxOf(bits.field));
        await succeed(self, row, prepared, bytes);
      });
    }
  });
}

/** Sets each unknown bit of a field alone. */
async function checkBits(
  { io, row: { cmd, name } }: CallState,
  { field, name: fieldName, known }: Bits,
  right: Uint8Array,
): Promise<void> {
  const bits = maxOf(field) & ~known(io.revision);
  for (let bit = 0; bit < 32; bit++) {
    const mask = 1 << bit;
    if (!(bits & mask)) continue;
    const bytes = right.slice();
    setField(bytes, field, (fieldOf(bytes, field) | mask) >>> 0);
    const what = `${name} with bit ${bit} of ${fieldName}`;
    await io.ioctl(cmd, bytes, EOPNOTSUPP, what);
  }
}

/** Bytes of the fields that hold flags. */
const FIELD_BYTES = { u8: 1, u16: 2, u32: 4, s32: 4, u64: 8 } as const;

/** The largest value of a field. */
function maxOf({ type }: Field): number {
  return 2 ** (8 * FIELD_BYTES[type]) - 1;
}

/** Reads a field, byte by byte. */
function fieldOf(bytes: Uint8Array, { type, offset }: Field): number {
  let value = 0;
  for (let i = FIELD_BYTES[type]; i-- > 0;) {
    value = value * 256 + bytes[offset + i]!;
  }
  return value;
}

/** Writes a field, byte by byte. */
function setField(
  bytes: Uint8Array,
  { type, offset }: Field,
  value: number,
): void {
  for (let i = 0; i < FIELD_BYTES[type]; i++) {
    bytes[offset + i] = Math.floor(value / 256 ** i) % 256;
  }
}
