// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { makeFrameList } from "../../lib/frame_list.ts";
import { EFAULT, EINVAL, ENODEV, EPERM, errnoName } from "../../uapi/errno.ts";
import {
  MADV_DOFORK,
  MADV_DONTFORK,
  MADV_DONTNEED,
  MADV_POPULATE_READ,
  MAP_FIXED,
  MAP_PRIVATE,
  MAP_SHARED,
  O_RDONLY,
  PAGE_SIZE,
  POLLIN,
  PROT_EXEC,
  PROT_READ,
  PROT_WRITE,
} from "../../uapi/mman.ts";
import { KernelCore } from "../core.ts";
import type { MemoryObject } from "../interfaces/memory_object.ts";
import { FOLL_WRITE } from "../interfaces/mm.ts";
import { SimulatedMachine } from "../simulated/machine.ts";
import type { Process } from "../simulated/process.ts";
import { RemoteMachine } from "../testing/remote/machine.ts";
import { KernelBug } from "../warn.ts";
import { NullFile } from "./null_file.ts";
import { File, type FileMapping, type MapRequest } from "./file.ts";

const RW = PROT_READ | PROT_WRITE;
/** Bytes of the file from one region to the next, as in VFIO's device files. */
const REGION = 2 ** 40;

/** A device with regions of memory at offsets far apart. */
class RegionFile extends File {
  readonly #regions: readonly MemoryObject[];

  constructor(regions: readonly MemoryObject[]) {
    super();
    this.#regions = regions;
  }

  override mmap({ offset, length }: MapRequest): FileMapping {
    const object = this.#regions[Math.floor(offset / REGION)];
    if (object === undefined) throw ENODEV;
    if (offset % REGION + length > object.size) throw EINVAL;
    return { object, pageIndex: offset % REGION / PAGE_SIZE };
  }
}

/** A device whose owner counts the mappings of its memory. */
class CountedFile extends File {
  mappings = 0;
  readonly #object: MemoryObject;

  constructor(object: MemoryObject) {
    super();
    this.#object = object;
  }

  override mmap({ shared, prot }: MapRequest): FileMapping {
    if (!shared) throw EINVAL;
    if ((prot & PROT_EXEC) !== 0) throw EPERM;
    const device = {
      open: () => void this.mappings++,
      close: () => void this.mappings--,
    };
    return { object: this.#object, pageIndex: 0, device };
  }
}

function spawn(): Process {
  return new KernelCore({ memory: 2 ** 24 }).spawn();
}

describe("a file", () => {
  it("that is released comes not back, and is not released twice", () => {
    const file = new NullFile();
    file.get().put();
    assertEquals(file.refs, 1);
    file.put();
    assertThrows(() => file.get(), KernelBug, "get a released file");
    assertThrows(() => file.put(), KernelBug, "put a released file");
    assertEquals(file.refs, 0);
  });
});

describe("mapping a file", () => {
  it("asks it what is where", () => {
    const kernel = new KernelCore({ memory: 2 ** 24 });
    const regions = [1, 2].map((byte) => {
      const object = kernel.machine.createObject();
      object.write(0, new Uint8Array(3 * PAGE_SIZE).fill(byte));
      return object;
    });
    kernel.registerDevice("/dev/regions", () => new RegionFile(regions));
    const process = kernel.spawn();
    const fd = process.open("/dev/regions");
    const map = (length: number, offset: number) =>
      process.mmap(0, length, RW, MAP_SHARED, fd, offset);
    const second = map(2 * PAGE_SIZE, REGION + PAGE_SIZE);
    assertEquals(process.peek(second, 1)[0], 2);
    process.poke(second, Uint8Array.of(9));
    const bytes = new Uint8Array(1);
    regions[1]!.read(PAGE_SIZE, bytes);
    assertEquals(bytes[0], 9);
    assertEquals(errnoName(map(3 * PAGE_SIZE, PAGE_SIZE)), "EINVAL");
    assertEquals(errnoName(map(PAGE_SIZE, 2 * REGION)), "ENODEV");
    process.exit();
    for (const region of regions) region.put();
    assertEquals(kernel.audit(), []);
  });

  it("is ENODEV for one that does not say", () => {
    const process = spawn();
    const { readFd } = process.pipe();
    const ret = process.mmap(0, PAGE_SIZE, PROT_READ, MAP_PRIVATE, readFd);
    assertEquals(errnoName(ret), "ENODEV");
  });

  it("takes away what was there also where the file refuses, unless it asks before", () => {
    class Refusing extends File {
      readonly #asks: boolean;
      constructor(asks: boolean) {
        super();
        this.#asks = asks;
      }
      override checkMap(): void {
        if (this.#asks) throw EPERM;
      }
      override mmap(): FileMapping {
        throw EINVAL;
      }
    }
    const kernel = new KernelCore({ memory: 2 ** 24 });
    const files = [true, false];
    kernel.registerDevice("/dev/refuses", () => new Refusing(files.shift()!));
    const process = kernel.spawn();
    const [asks, refuses] = [3, 4].map(() => process.open("/dev/refuses"));
    const none = process.eventfd(0, 0);
    const at = process.mmap(0, 3 * PAGE_SIZE, RW, MAP_PRIVATE | 0x20);
    const middle = at + PAGE_SIZE;
    const flags = MAP_SHARED | MAP_FIXED;
    const results = [asks!, none, refuses!].map((fd) => {
      const ret = process.mmap(middle, PAGE_SIZE, RW, flags, fd);
      const isThere = process.mprotect(middle, PAGE_SIZE, RW) === 0;
      return [errnoName(ret), isThere];
    });
    assertEquals(results, [["EPERM", true], ["ENODEV", true], [
      "EINVAL",
      false,
    ]]);
    assertEquals(process.peek(at, 1)[0], 0);
    assertEquals(process.peek(middle + PAGE_SIZE, 1)[0], 0);
  });
});

describe("mapping memory of a device", () => {
  for (
    const machine of [
      () => new SimulatedMachine({ memory: 2 ** 24 }),
      () => new RemoteMachine(),
    ]
  ) {
    const kernel = new KernelCore({ machine: machine() });
    const object = kernel.machine.createObject();
    object.truncate(4 * PAGE_SIZE);
    const file = new CountedFile(object);
    kernel.registerDevice("/dev/counted", () => file.get());
    const { name } = kernel.machine.constructor;
    const map = (process: Process, length: number) =>
      process.mmap(0, length, RW, MAP_SHARED, 3, 0);

    it(`tells its owner of every mapping (${name})`, () => {
      const process = kernel.spawn();
      process.open("/dev/counted");
      const at = map(process, 3 * PAGE_SIZE);
      const one = file.mappings;
      assertEquals(one > 0, true);
      const child = process.fork();
      assertEquals(file.mappings, 2 * one);
      process.close(3);
      process.munmap(at + PAGE_SIZE, PAGE_SIZE);
      assertEquals(file.mappings > one, true, "both ends are there");
      process.munmap(at, 3 * PAGE_SIZE);
      assertEquals(file.mappings, one);
      child.exit();
      assertEquals(file.mappings, 0);
      process.exit();
    });

    it(`is memory that cannot be pinned (${name})`, () => {
      const process = kernel.spawn();
      process.open("/dev/counted");
      const at = map(process, PAGE_SIZE);
      process.poke(at, Uint8Array.of(5));
      assertEquals([...process.peek(map(process, PAGE_SIZE), 1)], [5]);
      const { mm } = process;
      for (
        const pin of [
          () => mm.pinUserPages(at, 1, FOLL_WRITE, makeFrameList(1)),
          () => mm.userPage(at),
        ]
      ) assertEquals(EFAULT.is(assertThrows(pin)), true);
      process.exit();
      assertEquals([file.mappings, kernel.frames.countPinned()], [0, 0]);
    });
  }

  it("takes no advice about its pages, and does not merge", () => {
    const kernel = new KernelCore({ memory: 2 ** 24 });
    const object = kernel.machine.createObject();
    object.truncate(2 * PAGE_SIZE);
    const file = new CountedFile(object);
    kernel.registerDevice("/dev/counted", () => file.get());
    const process = kernel.spawn();
    process.open("/dev/counted");
    const at = process.mmap(0, PAGE_SIZE, RW, MAP_SHARED, 3);
    for (const advice of [MADV_DONTNEED, MADV_DOFORK, MADV_POPULATE_READ]) {
      const ret = process.madvise(at, PAGE_SIZE, advice);
      assertEquals(errnoName(ret), "EINVAL", String(advice));
    }
    assertEquals(process.madvise(at, PAGE_SIZE, MADV_DONTFORK), 0);
    process.mmap(0, PAGE_SIZE, RW, MAP_SHARED, 3);
    assertEquals(file.mappings, 2);
    assertEquals(process.mprotect(at, PAGE_SIZE, PROT_READ | PROT_EXEC), 0);
    process.fork();
    assertEquals(file.mappings, 3, "the first is not for the child");
    const refused = [[MAP_PRIVATE, RW], [MAP_SHARED, PROT_EXEC]] as const;
    assertEquals(
      refused.map(([flags, prot]) =>
        errnoName(process.mmap(0, PAGE_SIZE, prot, flags, 3))
      ),
      ["EINVAL", "EPERM"],
    );
    assertEquals(file.mappings, 3);
  });
});

describe("reading and writing at an offset", () => {
  it("leaves the position alone, and makes a file longer", () => {
    const process = spawn();
    const fd = process.memfdCreate("m", 0);
    const at = process.mmap(0, PAGE_SIZE, RW, MAP_PRIVATE | 0x20);
    assertEquals(process.write(fd, Uint8Array.of(1, 2, 3)), 3);
    process.poke(at, Uint8Array.of(7, 8));
    assertEquals(process.writeFrom(fd, at, 2, 5000), 2);
    assertEquals(process.readTo(fd, at + 10, 9, 4999), 3);
    assertEquals([...process.peek(at + 10, 3)], [0, 7, 8]);
    assertEquals(process.readTo(fd, at, 9, 5002), 0);
    assertEquals(process.write(fd, Uint8Array.of(4)), 1);
    assertEquals(process.readTo(fd, at, 4, 0), 4);
    assertEquals([...process.peek(at, 4)], [1, 2, 3, 4]);
  });

  it("is refused in the order of pread64", () => {
    const process = spawn();
    const { readFd, writeFd } = process.pipe();
    const exe = process.open("/proc/self/exe", O_RDONLY);
    const event = process.eventfd(1, 0);
    const rows: [string, number][] = [
      ["EINVAL", process.readTo(99, 0, 1, -1)],
      ["EINVAL", process.writeFrom(99, 0, 1, 0.5)],
      ["EBADF", process.readTo(99, 0, 1, 0)],
      ["ESPIPE", process.readTo(writeFd, 0, 1, 0)],
      ["ESPIPE", process.writeFrom(readFd, 0, 1, 0)],
      ["ESPIPE", process.readTo(event, 0, 8, 0)],
      ["EBADF", process.writeFrom(exe, 0, 1, 0)],
      ["EFAULT", process.readTo(exe, 0, 1, 0)],
    ];
    for (const [expected, ret] of rows) assertEquals(errnoName(ret), expected);
    const nowhere = process.open("/dev/null");
    assertEquals(process.readTo(nowhere, 0, 5, 3), 0);
    assertEquals(process.writeFrom(nowhere, 0, 5, 3), 5);
  });
});

describe("who waits for a file", () => {
  /** Counts the notices of a descriptor's file. */
  function watch(process: Process, fd: number): { count: number } {
    const seen = { count: 0 };
    process.files.lookup(fd).onPollChange(() => seen.count++);
    return seen;
  }

  it("is told when an eventfd's count changes", () => {
    const process = spawn();
    const fd = process.eventfd(0, 0);
    const seen = watch(process, fd);
    assertEquals(process.read(fd, new Uint8Array(8)) < 0, true);
    assertEquals(seen.count, 0);
    process.write(fd, Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0));
    assertEquals([seen.count, process.poll(fd, POLLIN)], [1, POLLIN]);
    process.read(fd, new Uint8Array(8));
    assertEquals([seen.count, process.poll(fd, POLLIN)], [2, 0]);
  });

  it("is told of both ends of a pipe, and of their closing", () => {
    const process = spawn();
    const { readFd, writeFd } = process.pipe();
    const [reader, writer] = [watch(process, readFd), watch(process, writeFd)];
    process.write(writeFd, new Uint8Array(9));
    process.read(readFd, new Uint8Array(9));
    assertEquals([reader.count, writer.count], [2, 2]);
    process.close(writeFd);
    assertEquals(reader.count, 3);
  });

  it("is not told any more once it has given up", () => {
    const process = spawn();
    const file = process.files.lookup(process.eventfd(0, 0));
    let count = 0;
    const wake = () => void count++;
    const giveUp = file.onPollChange(wake);
    file.onPollChange(wake);
    file.pollChanged();
    assertEquals(count, 2);
    giveUp();
    giveUp();
    file.pollChanged();
    assertEquals(count, 3);
  });
});
