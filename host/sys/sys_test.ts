// SPDX-License-Identifier: GPL-2.0-only

import { assert, assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { sharedObject } from "./elf.ts";
import { MACHINE_CODE } from "./machine_code.ts";
import { numbersOf } from "./numbers.ts";
import { Entry } from "./script.ts";
import { AT_FDCWD } from "./structs.ts";
import { architectureOf, Sys } from "./sys.ts";

const ENOENT = 2;
const EBADF = 9;

describe("the generated object", () => {
  for (const { machine, call, run } of Object.values(MACHINE_CODE)) {
    it(`is ELF for machine ${machine} with both functions in its symbols`, () => {
      const file = sharedObject(machine, { call, run });
      const view = new DataView(file.buffer);
      assertEquals([...file.slice(0, 7)], [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
      assertEquals(view.getUint16(18, true), machine);
      const dynamic = dynamicOf(view);
      const symbols = Number(dynamic.get(6));
      const names = Number(dynamic.get(5));
      const found = [1, 2].map((i) => {
        const at = symbols + 24 * i;
        const name = names + view.getUint32(at, true);
        const place = Number(view.getBigUint64(at + 8, true));
        const size = Number(view.getBigUint64(at + 16, true));
        return [textAt(file, name), file.slice(place, place + size)];
      });
      assertEquals(found, [["call", call], ["run", run]]);
    });

    it(`asks for no executable stack and no memory that is written and run, for machine ${machine}`, () => {
      const file = sharedObject(machine, { call, run });
      const headers = programHeaders(new DataView(file.buffer));
      const stack = headers.find(({ type }) => type === 0x6474e551);
      assertEquals(stack?.flags, 6);
      assertEquals(headers.filter(({ flags }) => (flags & 3) === 3), []);
      const loads = headers.filter(({ type }) => type === 1);
      for (const { offset, address, alignment } of loads) {
        assertEquals(address % alignment, offset % alignment);
      }
    });
  }

  it("has aarch64 code of whole instructions that ends with a return", () => {
    const { call, run } = MACHINE_CODE.aarch64;
    for (const code of [call, run]) {
      assertEquals(code.length % 4, 0);
      assertEquals([...code.slice(-4)], [0xc0, 0x03, 0x5f, 0xd6]);
    }
  });

  it("branches in aarch64's run to the instructions that its comments name", () => {
    const { run } = MACHINE_CODE.aarch64;
    const view = new DataView(run.buffer);
    const target = (index: number) => {
      const word = view.getUint32(4 * index, true);
      return index + (((word >> 5) << 13) >> 13);
    };
    assertEquals([9, 11, 14].map(target), [13, 13, 1]);
  });
});

describe("the numbers of system calls", () => {
  it("are each given once by architecture, and the newer calls on both", () => {
    for (const architecture of ["x86_64", "aarch64"] as const) {
      const there = Object.values(numbersOf(architecture))
        .filter((nr) => nr >= 0);
      assertEquals(new Set(there).size, there.length, architecture);
    }
    const { open, openat, clone3 } = numbersOf("aarch64");
    assertEquals([open, openat, clone3], [-1, 56, 435]);
  });
});

describe("the architecture", () => {
  it("is named if it is not served", () => {
    assertThrows(
      () => architectureOf({ os: "darwin", arch: "aarch64" }),
      Error,
      "Linux",
    );
    assertThrows(
      () => architectureOf({ os: "linux", arch: "riscv64" }),
      Error,
      "riscv64",
    );
  });
});

const onLinux = Deno.build.os === "linux";

describe("system calls", { skip: !onLinux }, () => {
  const sys = onLinux ? Sys.shared : undefined!;

  it("return what the kernel returns, errnos as negative numbers", () => {
    assertEquals(sys.call(sys.nr.getpid), Deno.pid);
    assertEquals(sys.close(-1), -EBADF);
    assertEquals(sys.openat(AT_FDCWD, "/does/not/exist", 0), -ENOENT);
  });

  it("take six arguments, and memory by address", () => {
    const { address } = sys.map(4096);
    assert(address > 2 ** 32);
    assertEquals(sys.unmap(address, 4096), 0);
  });

  it("can be made in another thread", async () => {
    assertEquals(await sys.callLater(sys.nr.getpid), Deno.pid);
  });

  it("read files and links as text", () => {
    const status = sys.readFile(AT_FDCWD, "/proc/self/status");
    assert(typeof status === "string");
    assert(status.includes(`Pid:\t${Deno.pid}\n`));
    assertEquals(sys.readlinkat(AT_FDCWD, "/proc/self"), `${Deno.pid}`);
    assertEquals(sys.readlinkat(AT_FDCWD, "/proc/none"), -ENOENT);
  });

  it("are made by a script, by the sign of the results, with results as arguments", () => {
    // Counts down from 3 by the position of a memory file.
    const fd = sys.call(sys.nr.memfd_create, sys.text("count"), 0);
    const start = new Entry(sys, "lseek", [fd, 3, 0]);
    const down = new Entry(sys, "lseek", [fd, -1, 1]);
    const pid = new Entry(sys, "getpid");
    const bad = new Entry(sys, "close", [-1]);
    start.then({ positive: down });
    down.then({ positive: down, zero: pid });
    pid.storeIn(bad, 1);
    pid.then({ positive: bad });
    assertEquals(sys.run(start.address), -EBADF);
    assertEquals([start.result, down.result], [3, 0]);
    assertEquals([pid.result, bad.result], [Deno.pid, -EBADF]);
    sys.close(fd);
  });
});

function programHeaders(view: DataView) {
  return Array.from({ length: view.getUint16(56, true) }, (_, i) => {
    const at = 64 + 56 * i;
    const long = (offset: number) =>
      Number(view.getBigUint64(at + offset, true));
    return {
      type: view.getUint32(at, true),
      flags: view.getUint32(at + 4, true),
      offset: long(8),
      address: long(16),
      size: long(32),
      alignment: long(48),
    };
  });
}

function dynamicOf(view: DataView): Map<number, bigint> {
  const { offset, size } = programHeaders(view)
    .find(({ type }) => type === 2)!;
  const entries = new Map<number, bigint>();
  for (let at = offset; at < offset + size; at += 16) {
    entries.set(
      Number(view.getBigUint64(at, true)),
      view.getBigUint64(at + 8, true),
    );
  }
  return entries;
}

function textAt(file: Uint8Array, at: number): string {
  return new TextDecoder().decode(file.slice(at, file.indexOf(0, at)));
}
