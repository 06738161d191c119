// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `kit_seals`: what a memory file may be sealed against, when, and what
 * that forbids.
 *
 * @module
 */

import {
  EACCES,
  EBADF,
  EBUSY,
  EINVAL,
  ENODEV,
  EPERM,
  type Errno,
} from "../../impl/uapi/errno.ts";
import {
  F_GET_SEALS,
  F_SEAL_EXEC,
  F_SEAL_FUTURE_WRITE,
  F_SEAL_GROW,
  F_SEAL_SEAL,
  F_SEAL_SHRINK,
  F_SEAL_WRITE,
  FALLOC_FL_KEEP_SIZE,
  MAP_PRIVATE,
  MAP_SHARED,
  MFD_ALLOW_SEALING,
  MFD_EXEC,
  MFD_HUGETLB,
  MFD_NOEXEC_SEAL,
  O_RDONLY,
  O_RDWR,
  PROT_READ,
} from "../../impl/uapi/mman.ts";
import {
  assertBytes,
  assertEq,
  assertErrno,
  assertOk,
  type Context,
  type Fixture,
  fixture,
  type TargetProcess,
  type Test,
} from "../harness/harness.ts";

import {
  assertSeals,
  mapFile,
  memfd,
  PUNCH,
  reopen,
  RW,
  seal,
} from "./memory_files.ts";
import { registerSealWriters } from "./kit_seals_writers.ts";

/** The fixture as the files of its tests see it. */
export type SealsFixture = Fixture<undefined, Context>;

/** What becomes of a file that is executable and sealed so. */
const EXEC_SEALS = F_SEAL_EXEC | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE |
  F_SEAL_FUTURE_WRITE;

/** Adds the fixture's tests to `registry`. */
export function registerKitSeals(registry: Test[]): void {
  const f: SealsFixture = fixture(registry, "kit_seals", {
    upstream: false,
    needs: () => ["files"],
    setup: (context) => Promise.resolve(context),
  });
  registerFirst(f);
  registerAdding(f);
  registerForbidden(f);
  registerSealWriters(f);
}

/** The seals of a file that is new. */
function registerFirst(f: SealsFixture): void {
  f.table("first", {
    description: "A memory file can be sealed if it was made for that",
    rules: ["U2.1"],
  }, (t) => {
    const rows: [string, number, number][] = [
      ["no flags", 0, F_SEAL_SEAL],
      ["MFD_EXEC", MFD_EXEC, F_SEAL_SEAL],
      ["MFD_ALLOW_SEALING", MFD_ALLOW_SEALING, 0],
      ["MFD_NOEXEC_SEAL", MFD_NOEXEC_SEAL, F_SEAL_EXEC],
      ["both", MFD_NOEXEC_SEAL | MFD_ALLOW_SEALING, F_SEAL_EXEC],
    ];
    for (const [what, flags, seals] of rows) {
      t.case(what, async ({ process }) => {
        await assertSeals(process, await memfd(process, 0, flags), seals);
      });
    }
    t.case("no memory file", async ({ process }) => {
      const { writeFd } = await process.pipe();
      for (const fd of [await process.open("/dev/null"), writeFd]) {
        assertErrno(await process.fcntl(fd, F_GET_SEALS), EINVAL, "seals");
        await seal(process, fd, F_SEAL_GROW, EINVAL);
      }
    });
    t.case("no command", async ({ process }) => {
      const fd = await memfd(process, 0);
      assertErrno(await process.fcntl(fd, 9999), EINVAL, "fcntl");
    });
    t.case("no file", async ({ process }) => {
      assertErrno(await process.fcntl(999, F_GET_SEALS), EBADF, "seals");
      await seal(process, 999, F_SEAL_GROW, EBADF);
    });
  });

  f.test("first_huge", {
    description: "A memory file of huge pages can be sealed as any other",
    rules: ["U2.1"],
    needs: () => ["hugetlb"],
  }, async ({ process, hugePageSize }) => {
    const flags = MFD_HUGETLB | MFD_ALLOW_SEALING;
    const fd = await memfd(process, hugePageSize, flags);
    await assertSeals(process, fd, 0);
    await seal(process, fd, F_SEAL_SHRINK);
    const odd = await process.ftruncate(fd, 1);
    assertErrno(odd, EINVAL, "a length that is no multiple comes first");
    assertErrno(await process.ftruncate(fd, 0), EPERM, "ftruncate to 0");
  });
}

/** F_ADD_SEALS. */
function registerAdding(f: SealsFixture): void {
  f.table("add", {
    description:
      "Seals are added by who may write the file, until it is sealed against seals",
    rules: ["U2.2"],
  }, (t) => {
    t.case("for reading only, an unknown seal", async ({ process }) => {
      const fd = await reopen(process, await memfd(process, 0), O_RDONLY);
      await seal(process, fd, 0x40, EPERM);
      await assertSeals(process, fd, 0);
    });
    t.case("an unknown seal, of a sealed file", async ({ process }) => {
      await seal(process, await memfd(process, 0, 0), 0x40, EINVAL);
    });
    t.case("of a sealed file", async ({ process }) => {
      const fd = await memfd(process, 0, 0);
      await seal(process, fd, F_SEAL_GROW, EPERM);
      await seal(process, fd, 0, EPERM);
    });
    t.case("one after the other", async ({ process }) => {
      const fd = await memfd(process, 0);
      await seal(process, fd, 0);
      await seal(process, fd, F_SEAL_GROW);
      await seal(process, fd, F_SEAL_SHRINK | F_SEAL_GROW);
      await assertSeals(process, await reopen(process, fd), 6);
      await seal(process, fd, F_SEAL_SEAL | F_SEAL_WRITE);
      await assertSeals(process, fd, 15);
      await seal(process, fd, F_SEAL_FUTURE_WRITE, EPERM);
    });
    t.case("F_SEAL_EXEC of an executable", async ({ process }) => {
      const fd = await memfd(process, 0);
      await seal(process, fd, F_SEAL_EXEC);
      await assertSeals(process, fd, EXEC_SEALS);
    });
    t.case("F_SEAL_EXEC of no executable", async ({ process }) => {
      const fd = await memfd(process, 0, MFD_NOEXEC_SEAL);
      await seal(process, fd, F_SEAL_EXEC);
      await assertSeals(process, fd, F_SEAL_EXEC);
    });
  });
}

/** What is done to a file of two pages. */
type Deed = (
  process: TargetProcess,
  fd: number,
  page: number,
) => Promise<number>;

/** The deeds that a seal may forbid, by what they are. */
const DEEDS: Readonly<Record<string, Deed>> = {
  "ftruncate to less": (process, fd, page) => process.ftruncate(fd, page),
  "ftruncate to the same": (process, fd, page) =>
    process.ftruncate(fd, 2 * page),
  "ftruncate to more": (process, fd, page) => process.ftruncate(fd, 3 * page),
  "fallocate within": (process, fd, page) => process.fallocate(fd, 0, 0, page),
  "fallocate beyond": (process, fd, page) =>
    process.fallocate(fd, 0, 0, 2 * page + 1),
  "fallocate beyond, the length kept": (process, fd, page) =>
    process.fallocate(fd, FALLOC_FL_KEEP_SIZE, 2 * page, page),
  "a hole": (process, fd, page) => process.fallocate(fd, PUNCH, 0, page),
  "write within": (process, fd, page) =>
    process.pwrite(fd, new Uint8Array(8), page),
  "write beyond": (process, fd, page) =>
    process.pwrite(fd, new Uint8Array(8), 2 * page),
  "shared mapping to write": (process, fd, page) =>
    process.mmap(0, page, RW, MAP_SHARED, fd),
  "shared mapping to read": (process, fd, page) =>
    process.mmap(0, page, PROT_READ, MAP_SHARED, fd),
  "private mapping to write": (process, fd, page) =>
    process.mmap(0, page, RW, MAP_PRIVATE, fd),
  "open to write": (process, fd) => process.open(`/proc/self/fd/${fd}`, O_RDWR),
};

/** What seals forbid. */
function registerForbidden(f: SealsFixture): void {
  const growing = [
    "ftruncate to more",
    "fallocate beyond",
    "fallocate beyond, the length kept",
    "write beyond",
  ];
  const writing = [
    "a hole",
    "write within",
    "write beyond",
    "shared mapping to write",
  ];
  const rows: [string, number, readonly string[]][] = [
    ["none", 0, []],
    ["F_SEAL_SEAL", F_SEAL_SEAL, []],
    ["F_SEAL_SHRINK", F_SEAL_SHRINK, ["ftruncate to less"]],
    ["F_SEAL_GROW", F_SEAL_GROW, growing],
    ["F_SEAL_WRITE", F_SEAL_WRITE, writing],
    ["F_SEAL_FUTURE_WRITE", F_SEAL_FUTURE_WRITE, writing],
  ];
  for (const huge of [false, true]) {
    f.table(huge ? "forbids_huge" : "forbids", {
      description: "A seal forbids what it is about, and nothing else",
      rules: ["U2.2"],
      needs: () => huge ? ["hugetlb"] : [],
    }, (t) => {
      for (const [name, seals, forbidden] of rows) {
        for (const [what, deed] of Object.entries(DEEDS)) {
          // Files of huge pages have no write.
          if (huge && what.startsWith("write")) continue;
          t.case(`${name}: ${what}`, async (context) => {
            const { process } = context;
            const page = huge ? context.hugePageSize : context.pageSize;
            const flags = MFD_ALLOW_SEALING | (huge ? MFD_HUGETLB : 0);
            const fd = await memfd(process, 2 * page, flags);
            await seal(process, fd, seals);
            const ret = await deed(process, fd, page);
            if (forbidden.includes(what)) assertErrno(ret, EPERM, what);
            else assertOk(ret, what);
          });
        }
      }
    });
  }

  f.test("write_up_to_the_end", {
    description:
      "Of a write that would make a file longer that cannot grow nothing is written",
    rules: ["U2.2"],
  }, async ({ process, pageSize }) => {
    const length = pageSize + 100;
    const fd = await memfd(process, length);
    await seal(process, fd, F_SEAL_GROW);
    const bytes = new Uint8Array(length + 1).fill(1);
    assertErrno(await process.pwrite(fd, bytes, 0), EPERM, "write");
    const seen = new Uint8Array(length);
    assertEq(await process.pread(fd, seen, 0), length, "read");
    assertBytes(seen, new Uint8Array(length), "bytes");
    const whole = bytes.subarray(0, length);
    assertEq(await process.pwrite(fd, whole, 0), length, "write to the end");
    await seal(process, fd, F_SEAL_WRITE);
    assertErrno(await process.pwrite(fd, whole, 0), EPERM, "write");
    const nothing = await process.pwrite(fd, new Uint8Array(0), 0);
    assertEq(nothing, 0, "write of nothing");
  });

  f.table("memfd", {
    description: "memfd_create checks its flags, then the name, then the size",
    rules: ["U2.1"],
  }, (t) => {
    const name = "n".repeat(249);
    const gigabyte = 30 * 2 ** 26;
    const rows: [string, string, number, Errno | undefined][] = [
      ["a long name", name, 0, undefined],
      ["a longer name", `${name}n`, 0, EINVAL],
      ["an unknown flag", "kit", 0x20, EINVAL],
      ["executable and not", "kit", MFD_EXEC | MFD_NOEXEC_SEAL, EINVAL],
      ["a size without huge pages", "kit", gigabyte, EINVAL],
      ["a size that is none", "kit", MFD_HUGETLB | 3 * 2 ** 26, ENODEV],
      ["that, a longer name", `${name}n`, MFD_HUGETLB | 3 * 2 ** 26, EINVAL],
    ];
    for (const [what, text, flags, errno] of rows) {
      t.case(what, async ({ process }) => {
        const ret = await process.memfdCreate(text, flags);
        if (errno !== undefined) assertErrno(ret, errno, "memfd_create");
        else assertOk(ret, "memfd_create");
      });
    }
  });

  f.test("mprotect", {
    description:
      "What was mapped to read when the file was sealed against writes stays so",
    rules: ["U2.4"],
  }, async ({ process, pageSize }) => {
    for (const seals of [F_SEAL_WRITE, F_SEAL_FUTURE_WRITE]) {
      const fd = await memfd(process, pageSize);
      await seal(process, fd, seals);
      const shared = await mapFile(
        process,
        fd,
        pageSize,
        MAP_SHARED,
        PROT_READ,
      );
      const ret = await process.mprotect(shared, pageSize, RW);
      assertErrno(ret, EACCES, "mprotect of a shared mapping");
      const own = await mapFile(process, fd, pageSize, MAP_PRIVATE, PROT_READ);
      const other = await process.mprotect(own, pageSize, RW);
      assertEq(other, 0, "mprotect of a private mapping");
    }
  });

  f.test("future_write", {
    description:
      "A mapping that may write goes on to do so after F_SEAL_FUTURE_WRITE, whatever becomes of it",
    rules: ["U2.4"],
  }, async ({ process, pageSize }) => {
    const fd = await memfd(process, pageSize);
    const early = await mapFile(process, fd, pageSize, MAP_SHARED);
    await seal(process, fd, F_SEAL_FUTURE_WRITE);
    await process.poke(early, new Uint8Array([7]));
    const seen = new Uint8Array(1);
    assertEq(await process.pread(fd, seen, 0), 1, "read");
    assertEq(seen[0]!, 7, "byte of the file");
    assertEq(await process.mprotect(early, pageSize, PROT_READ), 0, "mprotect");
    assertEq(await process.mprotect(early, pageSize, RW), 0, "mprotect back");
    await seal(process, fd, F_SEAL_WRITE, EBUSY);
  });
}
