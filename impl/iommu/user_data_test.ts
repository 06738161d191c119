// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { KernelCore } from "../kernel/core.ts";
import type { Process } from "../kernel/simulated/process.ts";
import { KernelBug } from "../kernel/warn.ts";
import {
  MAP_ANONYMOUS,
  MAP_PRIVATE,
  PAGE_SIZE,
  PROT_READ,
  PROT_WRITE,
} from "../uapi/mman.ts";
import { u32, u64 } from "../uapi/layout/roles.ts";
import { type Struct, struct } from "../uapi/layout/struct.ts";
import { errnoOf } from "./testing/test_driver.ts";
import {
  copyStructFromUser,
  copyStructFromUserArray,
  type UserDataArray,
} from "./user_data.ts";

interface Sample {
  first: number;
  second: number;
  added: bigint;
}

/** Its first version ended with `second`. */
const Sample: Struct<Sample> = struct("sample", {
  first: u32(),
  second: u32(),
  added: u64(),
});

const TYPE = 7;

/** A process and the last address of its memory plus one, where a guard page begins. */
function memory(): { process: Process; end: number } {
  const process = new KernelCore({ memory: 2 ** 24 }).spawn();
  const prot = PROT_READ | PROT_WRITE;
  const flags = MAP_PRIVATE | MAP_ANONYMOUS;
  const start = process.mmap(0, 2 * PAGE_SIZE, prot, flags);
  process.munmap(start + PAGE_SIZE, PAGE_SIZE);
  return { process, end: start + PAGE_SIZE };
}

describe("copyStructFromUser", () => {
  /** Copies `len` bytes that end where the memory does. */
  function copy(len: number, type = TYPE): Sample | string {
    const { process, end } = memory();
    const values = { first: 1, second: 2, added: 3n };
    process.poke(end - len, Sample.encode(values).subarray(0, len));
    const data = { mm: process.mm, type, uptr: end - len, len };
    let result: Sample | undefined;
    const errno = errnoOf(() => {
      const view = copyStructFromUser(Sample, data, TYPE, "second");
      const { first, second, added } = view;
      result = { first, second, added };
    });
    return result ?? errno!.name;
  }

  it("takes any length from the first version on; what is missing is zero", () => {
    assertEquals(copy(16), { first: 1, second: 2, added: 3n });
    assertEquals(copy(12), { first: 1, second: 2, added: 3n });
    assertEquals(copy(9), { first: 1, second: 2, added: 3n });
    assertEquals(copy(8), { first: 1, second: 2, added: 0n });
  });

  it("refuses a length that is too small: EINVAL", () => {
    assertEquals(copy(7), "EINVAL");
    assertEquals(copy(0), "EINVAL");
  });

  it("refuses a length that is too large, whatever is in the tail: EINVAL", () => {
    const { process, end } = memory();
    const data = { mm: process.mm, type: TYPE, uptr: end - 17, len: 17 };
    const call = () => void copyStructFromUser(Sample, data, TYPE, "second");
    assertEquals(errnoOf(call)?.name, "EINVAL");
  });

  it("refuses another type before it looks at the rest: EINVAL", () => {
    assertEquals(copy(16, TYPE + 1), "EINVAL");
    const { process } = memory();
    const data = { mm: process.mm, type: TYPE + 1, uptr: 0, len: 16 };
    const call = () => void copyStructFromUser(Sample, data, TYPE, "second");
    assertEquals(errnoOf(call)?.name, "EINVAL");
  });

  it("cannot read what is not there: EFAULT", () => {
    const { process, end } = memory();
    for (const uptr of [0, end, end - 15, 2 ** 64, 2 ** 47 - 8]) {
      const data = { mm: process.mm, type: TYPE, uptr, len: 16 };
      const call = () => void copyStructFromUser(Sample, data, TYPE, "second");
      assertEquals(errnoOf(call)?.name, "EFAULT");
    }
  });
});

/** An array none of whose entries was carried out. */
function arrayOf(
  mm: UserDataArray["mm"],
  options: Omit<UserDataArray, "mm" | "handled">,
): UserDataArray {
  return { mm, ...options, handled: 0 };
}

describe("copyStructFromUserArray", () => {
  it("finds entries by the length that user space gives them", () => {
    const { process, end } = memory();
    for (const entryLen of [8, 12, 16]) {
      const uptr = end - 3 * entryLen;
      for (let i = 0; i < 3; i++) {
        const bytes = Sample.encode({ first: i, second: 10 + i });
        process.poke(uptr + i * entryLen, bytes.subarray(0, entryLen));
      }
      const options = { type: TYPE, uptr, entryLen, entryNum: 3 };
      const array = arrayOf(process.mm, options);
      const found = [0, 1, 2].map((i) =>
        copyStructFromUserArray(Sample, array, TYPE, i, "second")
      );
      assertEquals(found.map(({ first }) => first), [0, 1, 2]);
      assertEquals(found.map(({ second }) => second), [10, 11, 12]);
      assertEquals(array.handled, 0);
    }
  });

  it("checks each entry as a single struct is checked", () => {
    const { process, end } = memory();
    const read = (options: object, index = 0) => {
      const array = arrayOf(process.mm, {
        type: TYPE,
        uptr: end - 16,
        entryLen: 8,
        entryNum: 3,
        ...options,
      });
      const errno = errnoOf(() =>
        void copyStructFromUserArray(Sample, array, TYPE, index, "second")
      );
      return errno?.name;
    };
    assertEquals(read({}, 1), undefined);
    assertEquals(read({}, 2), "EFAULT");
    assertEquals(read({ type: 1 }), "EINVAL");
    assertEquals(read({ entryLen: 7 }), "EINVAL");
    assertEquals(read({ entryLen: 17 }), "EINVAL");
  });

  it("is a bug of the driver to read past the end", () => {
    const { process, end } = memory();
    const options = { type: TYPE, uptr: end - 8, entryLen: 8, entryNum: 1 };
    const array = arrayOf(process.mm, options);
    assertThrows(
      () => copyStructFromUserArray(Sample, array, TYPE, 1, "second"),
      KernelBug,
      "Entry 1 of 1",
    );
  });
});
