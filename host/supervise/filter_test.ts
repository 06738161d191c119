// SPDX-License-Identifier: GPL-2.0-only

import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import fc from "fast-check";
import { type Condition, CONTINUE, type NotifiedCall } from "../calls/call.ts";
import { NOTIFIED_CALLS, REFUSED_CALLS } from "../calls/table.ts";
import type { Architecture } from "../sys/machine_code.ts";
import { numbersOf, type SyscallName } from "../sys/numbers.ts";
import { AUDIT_ARCH } from "../sys/structs.ts";
import { filterOf } from "./filter.ts";

const ALLOW = 0x7fff0000;
const ASK = 0x7fc00000;
const NO_SYS = 0x00050026;
/** Most instructions of a filter (Linux: BPF_MAXINSNS). */
const MAX_INSTRUCTIONS = 4096;

/** What a filter looks at. */
interface Data {
  readonly nr: number;
  readonly arch: number;
  readonly args: readonly bigint[];
}

/** Runs a filter as the kernel does, as far as the instructions go that are used. */
function runFilter(filter: Uint8Array, { nr, arch, args }: Data): number {
  const data = new DataView(new ArrayBuffer(64));
  data.setUint32(0, nr, true);
  data.setUint32(4, arch, true);
  args.forEach((value, i) => data.setBigUint64(16 + 8 * i, value, true));
  const code = new DataView(filter.buffer);
  let accumulator = 0;
  for (let pc = 0;; pc++) {
    const at = 8 * pc;
    const k = code.getUint32(at + 4, true);
    const jump = (condition: boolean) =>
      pc += code.getUint8(condition ? at + 2 : at + 3);
    switch (code.getUint16(at, true)) {
      case 0x20:
        accumulator = data.getUint32(k, true);
        break;
      case 0x54:
        accumulator = (accumulator & k) >>> 0;
        break;
      case 0x15:
        jump(accumulator === k);
        break;
      case 0x25:
        jump(accumulator > k);
        break;
      case 0x45:
        jump((accumulator & k) !== 0);
        break;
      case 0x06:
        return k;
      default:
        throw new Error("There is no such instruction");
    }
  }
}

/** What the rows say, straight on. */
function expected(
  rows: readonly NotifiedCall[],
  refused: readonly SyscallName[],
  architecture: Architecture,
  { nr, arch, args }: Data,
): number {
  if (arch !== AUDIT_ARCH[architecture]) return ASK;
  const numbers = numbersOf(architecture);
  if (architecture === "x86_64" && (nr & 0x40000000) !== 0) return NO_SYS;
  if (refused.some((name) => numbers[name] === nr)) return NO_SYS;
  const row = rows.find(({ name }) => numbers[name] === nr);
  if (row === undefined) return ALLOW;
  const holds = ({ argument, mask, test, value }: Condition) => {
    const low = Number(BigInt.asUintN(32, args[argument]!));
    const bits = (low & (mask ?? -1)) >>> 0;
    if (test === "equals") return bits === value >>> 0;
    return test === "above" ? bits > value >>> 0 : (bits & value) !== 0;
  };
  return row.when === undefined || row.when.some(holds) ? ASK : ALLOW;
}

const condition = fc.record({
  argument: fc.nat(5),
  test: fc.constantFrom("equals", "above", "anyBit"),
  value: fc.oneof(fc.nat(4), fc.constant(0x3b00), fc.constant(0x80000000)),
}).chain((without) =>
  fc.option(fc.constantFrom(0xff, 0xff00, 0xf)).map((mask): Condition =>
    mask === null ? without : { ...without, mask }
  )
);

const architectures = ["x86_64", "aarch64"] as const;
const argument = fc.oneof(
  fc.bigInt(0n, 5n),
  fc.constant(0x3b80n),
  fc.bigInt(0n, 2n ** 64n - 1n),
);

describe("The filter", () => {
  it("asks about what the table says, and nothing else", () => {
    const names = Object.keys(numbersOf("x86_64")) as SyscallName[];
    const row = fc.record({
      name: fc.constantFrom(...names),
      when: fc.option(fc.array(condition, { minLength: 1, maxLength: 4 })),
    }).map(({ name, when }): NotifiedCall => ({
      name,
      ...when === null ? {} : { when },
      handle: () => CONTINUE,
    }));
    const rows = fc.uniqueArray(row, { selector: ({ name }) => name });
    fc.assert(fc.property(
      rows,
      fc.constantFrom(...architectures),
      fc.oneof(fc.nat(450), fc.nat(450).map((nr) => nr + 0x40000000)),
      fc.boolean(),
      fc.array(argument, { minLength: 6, maxLength: 6 }),
      (rows, architecture, nr, foreign, args) => {
        const refused: readonly SyscallName[] = ["io_uring_setup"];
        const calls = rows.filter(({ name }) => name !== "io_uring_setup");
        const parts = { architecture, nr: numbersOf(architecture) };
        const filter = filterOf({ ...parts, calls, refused });
        const arch = foreign ? 0x40000003 : AUDIT_ARCH[architecture];
        const data = { nr, arch, args };
        assertEquals(
          runFilter(filter, data),
          expected(calls, refused, architecture, data),
        );
      },
    ));
  });

  for (const architecture of architectures) {
    it(`is not longer than the kernel takes, for ${architecture}`, () => {
      const nr = numbersOf(architecture);
      const filter = filterOf({
        architecture,
        nr,
        calls: NOTIFIED_CALLS,
        refused: REFUSED_CALLS,
      });
      assert(filter.length / 8 <= MAX_INSTRUCTIONS);
    });
  }
});

describe("The table of calls", () => {
  it("has each call once", () => {
    const names = NOTIFIED_CALLS.map(({ name }) => name);
    assertEquals(new Set(names).size, names.length);
  });

  it("has every way to open a file, to look at one and to run a program", () => {
    const names = new Set<string>(NOTIFIED_CALLS.map(({ name }) => name));
    for (const name of ["open", "openat", "openat2", "execve", "execveat"]) {
      assert(names.has(name), name);
    }
  });

  it("does not ask about ioctls of others", () => {
    const nr = numbersOf("x86_64");
    const parts = { architecture: "x86_64", nr } as const;
    const calls = NOTIFIED_CALLS;
    const filter = filterOf({ ...parts, calls, refused: REFUSED_CALLS });
    const arch = AUDIT_ARCH.x86_64;
    const command = (number: bigint) =>
      runFilter(filter, {
        nr: nr.ioctl,
        arch,
        args: [3n, number, 0n, 0n, 0n, 0n],
      });
    const [alloc, isatty, nonblocking] = [0x3b81n, 0x5401n, 0x5421n];
    assertEquals([command(alloc), command(isatty)], [ASK, ASK]);
    assertEquals(command(nonblocking), ALLOW);
  });
});
