// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { errnoName } from "../../../uapi/errno.ts";
import {
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  HPAGE_SIZE,
  MADV_DOFORK,
  MADV_DONTFORK,
  MADV_DONTNEED,
  MADV_FREE,
  MADV_NORMAL,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MADV_REMOVE,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_HUGETLB,
  MAP_NORESERVE,
  MAP_POPULATE,
  MAP_PRIVATE,
  MAP_SHARED,
  MFD_HUGETLB,
  O_RDONLY,
  O_RDWR,
  O_WRONLY,
  PAGE_SIZE,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
  TASK_SIZE,
} from "../../../uapi/mman.ts";
import { MAX_MAP_COUNT, MMAP_BASE } from "./address_space.ts";
import { KernelCore } from "../../core.ts";
import { HPAGE_FRAMES } from "../pages/frames.ts";
import type { Process } from "../process.ts";

const RW = PROT_READ | PROT_WRITE;
const ANON = MAP_PRIVATE | MAP_ANONYMOUS;
const BASE = 0x1000_0000;
const MADV_HUGEPAGE = 14;

function spawn(): Process {
  return new KernelCore({ memory: 2 ** 26 }).spawn();
}

/** True if a page can be read. */
function readable(process: Process, addr: number): boolean {
  try {
    process.peek(addr, 1);
    return true;
  } catch {
    return false;
  }
}

describe("mmap", () => {
  it("places mappings from the top down, huge ones aligned", () => {
    const process = spawn();
    const first = process.mmap(0, 1, RW, ANON);
    assertEquals(first, MMAP_BASE - PAGE_SIZE);
    const second = process.mmap(0, 3 * PAGE_SIZE, RW, ANON);
    assertEquals(second, first - 3 * PAGE_SIZE);
    assertEquals(process.munmap(first, PAGE_SIZE), 0);
    assertEquals(process.mmap(0, PAGE_SIZE, RW, ANON), first, "the hole first");
    for (const flags of [ANON | MAP_HUGETLB, ANON]) {
      const huge = process.mmap(0, HPAGE_SIZE, RW, flags);
      assertEquals(huge % HPAGE_SIZE, 0);
    }
  });

  it("aligns large private memory to huge pages, shared memory not", () => {
    for (const type of [MAP_PRIVATE, MAP_SHARED]) {
      const process = spawn();
      const addr = process.mmap(0, HPAGE_SIZE, RW, type | MAP_ANONYMOUS);
      assertEquals(addr % HPAGE_SIZE === 0, type === MAP_PRIVATE);
    }
  });

  it("takes a hint if it is free and rounds it", () => {
    const process = spawn();
    assertEquals(process.mmap(BASE + 5, PAGE_SIZE, RW, ANON), BASE);
    assertEquals(
      process.mmap(BASE, PAGE_SIZE, RW, ANON),
      MMAP_BASE - PAGE_SIZE,
      "taken",
    );
    assertEquals(process.mmap(PAGE_SIZE, 1, RW, ANON), 65536, "too low");
    const huge = process.mmap(
      BASE + HPAGE_SIZE + PAGE_SIZE,
      1,
      RW,
      ANON | MAP_HUGETLB,
    );
    assertEquals(huge, BASE + 2 * HPAGE_SIZE);
  });

  it("takes an address within the first page for no hint", () => {
    const process = spawn();
    const addr = process.mmap(PAGE_SIZE - 1, 1, RW, ANON);
    assertEquals(addr, MMAP_BASE - PAGE_SIZE);
  });

  it("places mappings above the others where there is no room below, and nowhere else", () => {
    const process = spawn();
    const low = 65536;
    const flags = ANON | MAP_NORESERVE;
    assertEquals(process.mmap(0, MMAP_BASE - low, RW, flags), low);
    assertEquals(process.mmap(0, PAGE_SIZE, RW, flags), MMAP_BASE);
    const rest = TASK_SIZE - MMAP_BASE - PAGE_SIZE;
    assertEquals(
      errnoName(process.mmap(0, rest + PAGE_SIZE, RW, flags)),
      "ENOMEM",
    );
    assertEquals(process.mmap(0, rest, RW, flags), MMAP_BASE + PAGE_SIZE);
    assertEquals(errnoName(process.mmap(0, 1, RW, flags)), "ENOMEM");
  });

  it("replaces what is there with MAP_FIXED, not with MAP_FIXED_NOREPLACE", () => {
    const process = spawn();
    process.mmap(BASE, 3 * PAGE_SIZE, RW, ANON | MAP_FIXED);
    process.poke(BASE, new Uint8Array(3 * PAGE_SIZE).fill(1));
    const at = BASE + PAGE_SIZE;
    const noReplace = () =>
      errnoName(process.mmap(at, PAGE_SIZE, RW, ANON | MAP_FIXED_NOREPLACE));
    assertEquals(noReplace(), "EEXIST");
    assertEquals(process.mmap(at, PAGE_SIZE, RW, ANON | MAP_FIXED), at);
    assertEquals(
      [...Array(3).keys()].map((i) => process.peek(BASE + i * PAGE_SIZE, 1)[0]),
      [1, 0, 1],
    );
    process.munmap(at, PAGE_SIZE);
    assertEquals(noReplace(), String(at), "control: nothing there");
  });

  it("fails as Linux does", () => {
    const process = spawn();
    const user = process.kernel.spawn({ uid: 1000 });
    const memfd = process.memfdCreate("m", 0);
    const hugefd = process.memfdCreate("h", MFD_HUGETLB);
    const exe = process.open("/proc/self/exe", O_RDONLY);
    const [readEnd, writeEnd] = [process.pipe()].flatMap((p) => [
      p.readFd,
      p.writeFd,
    ]);
    const FIXED = ANON | MAP_FIXED;
    const rows: [string, string, Parameters<Process["mmap"]>][] = [
      ["no length", "EINVAL", [0, 0, RW, ANON]],
      ["no number", "EINVAL", [0, NaN, RW, ANON]],
      ["fraction", "EINVAL", [0, 0.5, RW, ANON]],
      ["neither shared nor private", "EINVAL", [0, 1, RW, MAP_ANONYMOUS]],
      ["anonymous MAP_SHARED_VALIDATE", "EINVAL", [0, 1, RW, 0x23]],
      ["unaligned offset", "EINVAL", [0, 1, RW, MAP_PRIVATE, memfd, 1]],
      ["bad descriptor", "EBADF", [0, 1, RW, MAP_PRIVATE, 99]],
      ["no descriptor", "EBADF", [0, 1, RW, MAP_PRIVATE]],
      ["file without memory", "ENODEV", [0, 1, RW, MAP_PRIVATE, 0]],
      ["write end of a pipe", "EACCES", [0, 1, RW, MAP_PRIVATE, writeEnd]],
      ["read end, shared", "EACCES", [0, 1, RW, MAP_SHARED, readEnd]],
      ["writing a read only file", "EACCES", [0, 1, RW, MAP_SHARED, exe]],
      ["too long", "ENOMEM", [0, 2 ** 47, RW, ANON]],
      ["negative length", "ENOMEM", [0, -1, RW, ANON]],
      ["more than there is", "ENOMEM", [0, 2 ** 27, RW, ANON]],
      ["fixed beyond the end", "ENOMEM", [TASK_SIZE, 1, RW, FIXED]],
      ["fixed and unaligned", "EINVAL", [BASE + 1, 1, RW, FIXED]],
      ["huge, fixed, unaligned", "EINVAL", [
        BASE + PAGE_SIZE,
        1,
        RW,
        FIXED | MAP_HUGETLB,
      ]],
      ["huge pages of an ordinary file", "EINVAL", [
        0,
        1,
        RW,
        MAP_PRIVATE | MAP_HUGETLB,
        memfd,
      ]],
      ["huge pages of 512 MiB", "EINVAL", [
        0,
        1,
        RW,
        ANON | MAP_HUGETLB | (29 << 26),
      ]],
      ["huge file, small offset", "EINVAL", [
        0,
        1,
        RW,
        MAP_SHARED,
        hugefd,
        PAGE_SIZE,
      ]],
      ["unknown flag of MAP_SHARED_VALIDATE", "EOPNOTSUPP", [
        0,
        1,
        RW,
        3 | 0x80000,
        memfd,
      ]],
      ["neither, of a file", "EINVAL", [0, 1, RW, 0, memfd]],
      ["protection that is no int", "EINVAL", [0, 1, 2 ** 32, ANON]],
      ["flags that are no int", "EINVAL", [0, 1, RW, 0.5]],
      ["file offset too far", "EOVERFLOW", [
        0,
        PAGE_SIZE,
        RW,
        MAP_SHARED,
        memfd,
        2 ** 63,
      ]],
    ];
    for (const [name, expected, args] of rows) {
      assertEquals(errnoName(process.mmap(...args)), expected, name);
    }
    const low: Parameters<Process["mmap"]> = [PAGE_SIZE, 1, RW, FIXED];
    assertEquals(errnoName(user.mmap(...low)), "EPERM");
    assertEquals(process.mmap(...low), PAGE_SIZE, "root may");
  });

  it("works where a small change makes it fail", () => {
    const process = spawn();
    const memfd = process.memfdCreate("m", 0);
    const exe = process.open("/proc/self/exe", O_RDONLY);
    const rows: Parameters<Process["mmap"]>[] = [
      [0, 1, RW, MAP_PRIVATE, exe],
      [0, 1, PROT_READ, MAP_SHARED, exe],
      [0, 1, RW, MAP_SHARED, memfd, PAGE_SIZE],
      [0, 1, RW, 3, memfd],
      [0, 2 ** 27, RW, ANON | MAP_NORESERVE],
      [0, 2 ** 27, PROT_READ, ANON],
      [0, 1, RW, ANON | MAP_HUGETLB | (21 << 26)],
      [0, 1, PROT_NONE, ANON],
      [0, 2 ** 46, PROT_NONE, ANON],
    ];
    for (const args of rows) {
      assertEquals(process.mmap(...args) > 0, true, args.join(" "));
    }
    process.exit();
    assertEquals(process.kernel.audit(), []);
  });

  it("needs a file that was opened for reading, whatever it is for", () => {
    const process = spawn();
    const opened = (flags: number) => process.open("/dev/null", flags);
    const map = (fd: number) => process.mmap(0, 1, RW, MAP_SHARED, fd);
    assertEquals(errnoName(map(opened(O_WRONLY))), "EACCES");
    assertEquals(errnoName(map(opened(O_RDWR))), "ENODEV");
  });

  it("faults everything in at once with MAP_POPULATE", () => {
    const process = spawn();
    const { frames } = process.kernel;
    process.mmap(0, 4 * PAGE_SIZE, RW, ANON);
    assertEquals(frames.used, 0);
    process.mmap(0, 4 * PAGE_SIZE, RW, ANON | MAP_POPULATE);
    assertEquals(frames.used, 4);
    process.mmap(0, 1, RW, ANON | MAP_POPULATE | MAP_HUGETLB);
    assertEquals(frames.used, 4 + HPAGE_FRAMES);
    process.mmap(0, 2 ** 27, RW, ANON | MAP_POPULATE | MAP_NORESERVE);
    process.exit();
    assertEquals(frames.used, 0, "running out of memory is no error there");
  });

  it("maps pages of 1 GiB as a whole, where there is so much memory", () => {
    const gib = 2 ** 30;
    const flags = ANON | MAP_HUGETLB | (30 << 26);
    const small = new KernelCore({ memory: gib / 2 }).spawn();
    assertEquals(errnoName(small.mmap(0, 1, RW, flags)), "ENOMEM");
    const process = new KernelCore({ memory: 2 * gib }).spawn();
    const addr = process.mmap(0, 1, RW, flags);
    assertEquals(addr % gib, 0);
    process.poke(addr + gib - 1, Uint8Array.of(1));
    assertEquals(process.peek(addr + gib - 1, 1)[0], 1);
    assertEquals(errnoName(process.munmap(addr, HPAGE_SIZE)), "EINVAL");
    assertEquals(
      errnoName(process.mprotect(addr, HPAGE_SIZE, PROT_READ)),
      "EINVAL",
    );
    assertEquals(process.munmap(addr, gib), 0);
    process.exit();
    assertEquals(process.kernel.frames.used, 0);
  });

  it("maps a memfd with pages of 1 GiB by whole ones", () => {
    const gib = 2 ** 30;
    const process = new KernelCore({ memory: 2 * gib }).spawn();
    const fd = process.memfdCreate("h", MFD_HUGETLB | (30 << 26));
    assertEquals(errnoName(process.ftruncate(fd, HPAGE_SIZE)), "EINVAL");
    const map = (offset: number) =>
      process.mmap(0, 1, RW, MAP_SHARED, fd, offset);
    assertEquals(errnoName(map(HPAGE_SIZE)), "EINVAL");
    const addr = map(0);
    assertEquals(addr % gib, 0);
    assertEquals(process.lseek(fd, 0, 2), gib, "as long as its mapping");
    process.poke(addr, Uint8Array.of(1));
    process.poke(addr + HPAGE_SIZE, Uint8Array.of(2));
    const { frames } = process.kernel;
    const { used } = frames;
    // A part of a page: made zero where it is.
    const hole = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    assertEquals(process.fallocate(fd, hole, HPAGE_SIZE, HPAGE_SIZE), 0);
    assertEquals(process.peek(addr, 1)[0], 1);
    assertEquals(process.peek(addr + HPAGE_SIZE, 1)[0], 0);
    assertEquals(frames.used, used);
    assertEquals(errnoName(process.munmap(addr, HPAGE_SIZE)), "EINVAL");
    assertEquals(process.fallocate(fd, hole, 0, gib), 0);
    assertEquals(frames.used, 0);
    process.exit();
  });

  it("makes a huge memfd as long as its writable mapping", () => {
    const process = spawn();
    const fd = process.memfdCreate("h", MFD_HUGETLB);
    const reader = process.mmap(0, 1, PROT_READ, MAP_SHARED, fd);
    assertEquals(readable(process, reader), false);
    const addr = process.mmap(0, 1, RW, MAP_SHARED, fd);
    assertEquals(readable(process, reader), true);
    assertEquals(addr % HPAGE_SIZE, 0);
    process.poke(addr + HPAGE_SIZE - 1, Uint8Array.of(1));
    assertEquals(process.peek(reader + HPAGE_SIZE - 1, 1)[0], 1);
  });
});

describe("munmap", () => {
  it("cuts a mapping and frees exactly what it cut out", () => {
    const process = spawn();
    const addr = process.mmap(BASE, 5 * PAGE_SIZE, RW, ANON);
    process.poke(addr, new Uint8Array(5 * PAGE_SIZE));
    assertEquals(process.munmap(addr + PAGE_SIZE, 2 * PAGE_SIZE - 1), 0);
    assertEquals(
      [...Array(5).keys()].map((i) => readable(process, addr + i * PAGE_SIZE)),
      [true, false, false, true, true],
    );
    assertEquals(process.kernel.frames.used, 3);
    assertEquals(process.munmap(addr, 5 * PAGE_SIZE), 0, "holes are fine");
    assertEquals(process.kernel.frames.used, 0);
  });

  it("refuses bad ranges and parts of huge pages", () => {
    const process = spawn();
    const huge = process.mmap(0, 2 * HPAGE_SIZE, RW, ANON | MAP_HUGETLB);
    const rows: [number, number][] = [
      [BASE + 1, PAGE_SIZE],
      [BASE, 0],
      [BASE, -1],
      [NaN, PAGE_SIZE],
      [TASK_SIZE, PAGE_SIZE],
      [-PAGE_SIZE, PAGE_SIZE],
      [huge, PAGE_SIZE],
      [huge + PAGE_SIZE, 2 * HPAGE_SIZE],
    ];
    for (const [addr, length] of rows) {
      assertEquals(errnoName(process.munmap(addr, length)), "EINVAL");
    }
    assertEquals(process.munmap(huge + HPAGE_SIZE, HPAGE_SIZE), 0);
    assertEquals(readable(process, huge), true);
  });

  it("of everything costs no time per page", () => {
    const process = spawn();
    const addr = process.mmap(0, 2 ** 46, PROT_READ, ANON | MAP_NORESERVE);
    assertEquals(process.munmap(addr, 2 ** 46), 0);
  });
});

describe("mprotect", () => {
  it("changes a part", () => {
    const process = spawn();
    const addr = process.mmap(BASE, 3 * PAGE_SIZE, RW, ANON);
    assertEquals(process.mprotect(addr + PAGE_SIZE, 1, PROT_NONE), 0);
    assertEquals(
      [0, 1, 2].map((i) => readable(process, addr + i * PAGE_SIZE)),
      [true, false, true],
    );
    assertEquals(process.mprotect(addr, 3 * PAGE_SIZE, RW), 0);
    assertEquals(readable(process, addr + PAGE_SIZE), true);
  });

  it("stops at a hole with what lies before changed", () => {
    const process = spawn();
    process.mmap(BASE, PAGE_SIZE, RW, ANON);
    process.mmap(BASE + 2 * PAGE_SIZE, PAGE_SIZE, RW, ANON);
    const all = [BASE, 3 * PAGE_SIZE, PROT_NONE] as const;
    assertEquals(errnoName(process.mprotect(...all)), "ENOMEM");
    assertEquals(readable(process, BASE), false);
    assertEquals(readable(process, BASE + 2 * PAGE_SIZE), true);
  });

  it("refuses what cannot be", () => {
    const process = spawn();
    const exe = process.open("/proc/self/exe", O_RDONLY);
    const file = process.mmap(BASE, PAGE_SIZE, PROT_READ, MAP_SHARED, exe);
    const huge = process.mmap(0, 1, RW, ANON | MAP_HUGETLB);
    const rows: [string, number, number, number][] = [
      ["EACCES", file, PAGE_SIZE, RW],
      ["EINVAL", file + 1, PAGE_SIZE, PROT_READ],
      ["EINVAL", file, PAGE_SIZE, 0x10],
      ["EINVAL", huge, PAGE_SIZE, PROT_READ],
      ["ENOMEM", file - PAGE_SIZE, PAGE_SIZE, PROT_READ],
      ["ENOMEM", file, -1, PROT_READ],
      ["0", file + PAGE_SIZE, 0, PROT_READ],
      ["0", file, PAGE_SIZE, PROT_NONE],
      ["0", huge, HPAGE_SIZE, PROT_READ],
    ];
    for (const [expected, ...args] of rows) {
      assertEquals(errnoName(process.mprotect(...args)), expected);
    }
  });
});

describe("madvise", () => {
  it("drops private pages with MADV_DONTNEED, shared ones stay", () => {
    const process = spawn();
    const length = 3 * PAGE_SIZE;
    const one = new Uint8Array(length).fill(1);
    for (const [type, expected] of [[MAP_PRIVATE, 0], [MAP_SHARED, 1]]) {
      const addr = process.mmap(0, length, RW, type! | MAP_ANONYMOUS);
      process.poke(addr, one);
      const at = addr + PAGE_SIZE;
      assertEquals(process.madvise(at, PAGE_SIZE, MADV_DONTNEED), 0);
      assertEquals(process.peek(at, 1)[0], expected);
      assertEquals(process.peek(addr, 1)[0], 1);
      assertEquals(process.peek(addr + 2 * PAGE_SIZE, 1)[0], 1);
    }
    assertEquals(process.kernel.frames.used, 5);
  });

  it("drops whole huge pages only", () => {
    const process = spawn();
    const addr = process.mmap(0, 2 * HPAGE_SIZE, RW, ANON | MAP_HUGETLB);
    process.poke(addr, new Uint8Array(2 * HPAGE_SIZE));
    const { frames } = process.kernel;
    const drop = (at: number, length: number) =>
      errnoName(process.madvise(at, length, MADV_DONTNEED));
    assertEquals(drop(addr + PAGE_SIZE, HPAGE_SIZE), "EINVAL");
    assertEquals(drop(addr, HPAGE_SIZE + PAGE_SIZE), "0");
    assertEquals(frames.used, HPAGE_FRAMES, "the end is rounded down");
  });

  it("keeps memory from a child with MADV_DONTFORK", () => {
    const process = spawn();
    const addr = process.mmap(BASE, 3 * PAGE_SIZE, RW, ANON);
    const at = addr + PAGE_SIZE;
    assertEquals(process.madvise(at, PAGE_SIZE, MADV_DONTFORK), 0);
    const child = process.fork();
    assertEquals(
      [0, 1, 2].map((i) => readable(child, addr + i * PAGE_SIZE)),
      [true, false, true],
    );
    assertEquals(process.madvise(at, PAGE_SIZE, MADV_DOFORK), 0);
    assertEquals(readable(process.fork(), at), true);
  });

  it("faults in with MADV_POPULATE_READ and MADV_POPULATE_WRITE", () => {
    const process = spawn();
    const addr = process.mmap(BASE, 2 * PAGE_SIZE, RW, ANON);
    const { frames } = process.kernel;
    const populate = (length: number, advice: number) =>
      errnoName(process.madvise(addr, length, advice));
    assertEquals(populate(PAGE_SIZE, MADV_POPULATE_READ), "0");
    assertEquals(frames.used, 0);
    assertEquals(populate(2 * PAGE_SIZE, MADV_POPULATE_WRITE), "0");
    assertEquals(frames.used, 2);
    assertEquals(populate(3 * PAGE_SIZE, MADV_POPULATE_WRITE), "ENOMEM");
    process.mprotect(addr, PAGE_SIZE, PROT_READ);
    assertEquals(populate(PAGE_SIZE, MADV_POPULATE_WRITE), "EINVAL");
  });

  it("punches holes with MADV_REMOVE into what is shared", () => {
    const process = spawn();
    const shared = MAP_SHARED | MAP_ANONYMOUS;
    const addr = process.mmap(0, 3 * PAGE_SIZE, RW, shared);
    process.poke(addr, new Uint8Array(3 * PAGE_SIZE).fill(1));
    const at = addr + PAGE_SIZE;
    assertEquals(process.madvise(at, PAGE_SIZE, MADV_REMOVE), 0);
    const bytes = [0, 1, 2].map((i) =>
      process.peek(addr + i * PAGE_SIZE, 1)[0]
    );
    assertEquals(bytes, [1, 0, 1]);
    const own = process.mmap(0, PAGE_SIZE, RW, ANON);
    const remove = process.madvise(own, PAGE_SIZE, MADV_REMOVE);
    assertEquals(errnoName(remove), "EINVAL");
  });

  it("keeps what MADV_FREE frees, which is private and anonymous", () => {
    const process = spawn();
    const own = process.mmap(0, PAGE_SIZE, RW, ANON);
    process.poke(own, Uint8Array.of(7));
    assertEquals(process.madvise(own, PAGE_SIZE, MADV_FREE), 0);
    assertEquals(process.peek(own, 1)[0], 7);
    const shared = process.mmap(0, PAGE_SIZE, RW, MAP_SHARED | MAP_ANONYMOUS);
    const huge = process.mmap(0, HPAGE_SIZE, RW, ANON | MAP_HUGETLB);
    for (const addr of [shared, huge]) {
      const ret = process.madvise(addr, PAGE_SIZE, MADV_FREE);
      assertEquals(errnoName(ret), "EINVAL");
    }
  });

  it("takes hints, and refuses what it does not know", () => {
    const process = spawn();
    const addr = process.mmap(BASE, PAGE_SIZE, RW, ANON);
    const rows: [string, number, number, number][] = [
      ["0", addr, PAGE_SIZE, MADV_HUGEPAGE],
      ["0", addr, 0, MADV_DONTNEED],
      ["EINVAL", addr, PAGE_SIZE, 9999],
      ["EINVAL", addr, PAGE_SIZE, NaN],
      ["EINVAL", addr + 1, PAGE_SIZE, MADV_DONTNEED],
      ["EINVAL", addr, -1, MADV_DONTNEED],
      ["ENOMEM", addr, 2 * PAGE_SIZE, MADV_DONTNEED],
    ];
    for (const [expected, ...args] of rows) {
      assertEquals(errnoName(process.madvise(...args)), expected);
    }
  });
});

describe("the number of mappings", () => {
  /** A process with the most mappings that cutting can give it: pages of one range, every other one readable. */
  function full(): { process: Process; at: (page: number) => number } {
    const process = spawn();
    const length = (MAX_MAP_COUNT + 100) * PAGE_SIZE;
    const start = process.mmap(0, length, PROT_NONE, ANON | MAP_NORESERVE);
    const at = (page: number) => start + page * PAGE_SIZE;
    let page = 1;
    while (process.mprotect(at(page), PAGE_SIZE, PROT_READ) === 0) page += 2;
    // A change in the middle makes two more of one; a hole makes one more.
    process.munmap(at(MAX_MAP_COUNT + 98), PAGE_SIZE);
    return { process, at };
  }

  it("keeps a mapping from being cut: ENOMEM, and EAGAIN of madvise", () => {
    const { process, at } = full();
    const page = at(MAX_MAP_COUNT);
    const answers = [
      process.mprotect(page, PAGE_SIZE, PROT_READ),
      process.madvise(page, PAGE_SIZE, MADV_DONTFORK),
      process.munmap(page, PAGE_SIZE),
    ];
    assertEquals(answers.map(errnoName), ["ENOMEM", "EAGAIN", "ENOMEM"]);
    assertEquals(readable(process, page), false, "nothing was changed");
  });

  it("lets a mapping shrink, and pages go over to a neighbour", () => {
    const { process, at } = full();
    const end = at(MAX_MAP_COUNT + 97);
    assertEquals(process.mprotect(end, PAGE_SIZE, PROT_NONE), 0, "no change");
    assertEquals(process.munmap(end, PAGE_SIZE), 0);
    assertEquals(process.mprotect(at(2), PAGE_SIZE, PROT_READ), 0);
    assertEquals(readable(process, at(2)), true);
  });

  it("may be one more by a new mapping, and no further", () => {
    const { process } = full();
    let made = 0;
    let ret = 0;
    while (made < 9) {
      ret = process.mmap(0, PAGE_SIZE, made % 2 ? PROT_READ : RW, ANON);
      if (ret < 0) break;
      made++;
    }
    assertEquals(errnoName(ret), "ENOMEM");
    assertEquals(made, 1);
    const child = process.fork();
    assertEquals(errnoName(child.mmap(0, PAGE_SIZE, RW, ANON)), "ENOMEM");
  });
});

describe("advice about several mappings", () => {
  it("is followed up to the first that cannot", () => {
    const process = spawn();
    const huge = process.mmap(0, 2 * HPAGE_SIZE, RW, ANON | MAP_HUGETLB);
    const small = huge - PAGE_SIZE;
    const flags = ANON | MAP_FIXED;
    assertEquals(process.mmap(small, PAGE_SIZE, RW, flags), small);
    const length = 2 * PAGE_SIZE;
    const ret = process.madvise(small, length, MADV_DONTFORK);
    assertEquals(errnoName(ret), "EINVAL");
    const child = process.fork();
    assertEquals(readable(child, small), false);
    assertEquals(readable(child, huge), true);
  });

  it("that changes nothing may cut a huge page", () => {
    const process = spawn();
    const huge = process.mmap(0, 2 * HPAGE_SIZE, RW, ANON | MAP_HUGETLB);
    const at = huge + PAGE_SIZE;
    assertEquals(process.mprotect(at, PAGE_SIZE, RW), 0);
    assertEquals(process.madvise(at, PAGE_SIZE, MADV_NORMAL), 0);
    assertEquals(
      errnoName(process.mprotect(at, PAGE_SIZE, PROT_READ)),
      "EINVAL",
    );
  });
});
