// SPDX-License-Identifier: GPL-2.0-only

import { assert, assertEquals } from "@std/assert";
import { it } from "@std/testing/bdd";
import fc from "fast-check";
import type { TestDomain } from "../../../iommu/testing/test_driver.ts";
import { SMALL } from "../../../iommu/testing/test_driver.ts";
import { DmaBuf } from "../../../kernel/files/dma_buf.ts";
import type { MemoryObject } from "../../../kernel/interfaces/memory_object.ts";
import type { Process } from "../../../kernel/simulated/process.ts";
import type { Pfn } from "../../../lib/brands.ts";
import { errnoName } from "../../../uapi/errno.ts";
import * as uapi from "../../../uapi/iommufd.ts";
import { CAP_IPC_LOCK, O_RDWR } from "../../../uapi/mman.ts";
import { Bench } from "../../testing/bench.ts";

/** Pages of the file and of each buffer. */
const PAGES = 8;
/** Where the IOVA begins, and how many pages of it are used. */
const BASE = 0x100_0000;
const SPAN = 24;
/** Steps of a call that may be made to fail; half of the calls have none. */
const STEPS = 20;
/** What a call comes to that failed because a step did. */
const INJECTED = "injected";
const FLAGS = uapi.IOMMU_IOAS_MAP_FIXED_IOVA | uapi.IOMMU_IOAS_MAP_READABLE |
  uapi.IOMMU_IOAS_MAP_WRITEABLE;

/** What one map made, shared by its copies. */
interface NaivePages {
  /** The buffer, or -1 for the file. */
  readonly buffer: number;
  /** Its first page. */
  readonly first: number;
  /** False once the buffer was taken back. */
  alive: boolean;
}

/** An area: page `i` of it is page `index + i` of the pages. */
interface NaiveArea {
  readonly at: number;
  readonly count: number;
  readonly pages: NaivePages;
  readonly index: number;
}

interface NaiveIoas {
  readonly id: number;
  areas: NaiveArea[];
  readonly domains: { readonly hwptId: number; readonly domain: TestDomain }[];
}

/** Random maps of one file and two buffers into two IOAS, with naive books of them. */
class Run extends Bench {
  readonly #device = this.bind(this.a);
  readonly #ioases: NaiveIoas[] = [1, 2].map(() => ({
    id: this.machine.ioas(),
    areas: [],
    domains: [],
  }));
  readonly #file = this.#memfd();
  readonly #memory: MemoryObject = this.machine.process.files.get(this.#file)!
    .pinnable!;
  readonly #buffers = [0, 1].map((n) => this.#buffer(n));
  readonly #processes: Process[];
  /** The step of the next call that fails. */
  #nth = 0;
  readonly #owners = new Map<NaivePages, number>();
  /** What was done, for a message. */
  readonly seen = new Set<string>();

  constructor() {
    super();
    const { process } = this.machine;
    process.dropCapability(CAP_IPC_LOCK);
    this.#processes = [process, process.fork()];
  }

  #memfd(): number {
    const fd = this.machine.process.memfdCreate("", 0);
    assertEq(this.machine.process.ftruncate(fd, PAGES * SMALL));
    return fd;
  }

  #buffer(n: number): { fd: number; file: DmaBuf } {
    const size = PAGES * SMALL;
    const file = new DmaBuf({
      size,
      physicalRange: () => ({ paddr: paddrOf(n, 0), length: size }),
      release() {},
    }, O_RDWR);
    return { fd: this.machine.process.files.install(file, 1024n), file };
  }

  step([kind, a, b, c, d, nth]: readonly number[]): void {
    this.#nth = nth! < 2 * STEPS ? Math.max(nth! - STEPS, 0) : 0;
    const ioas = this.#ioases[a! % 2]!;
    const steps = [
      () => this.#map(ioas, b!, c!, d!),
      () => this.#map(ioas, b!, c!, d!),
      () => this.#unmap(ioas, b!),
      () => this.#copy(ioas, this.#ioases[b! % 2]!, c!, d!),
      () => this.#addDomain(ioas),
      () => this.#removeDomain(ioas, b!),
      () => this.#revoke(b! % 2),
      () => this.#changeOwner(b! % 2),
    ];
    steps[kind! % steps.length]!();
    this.#check();
  }

  /** An ioctl in which a step may fail: then nothing happened, unless it was the answer. */
  #call(process: Process, cmd: number, bytes: Uint8Array): string {
    process.setFailNth(this.#nth);
    const ret = process.ioctlStruct(this.machine.fd, cmd, bytes);
    const isHit = this.#nth > 0 && process.faults.nth === 0;
    process.setFailNth(0);
    if (ret >= 0) return "";
    const why = this.machine.kernel.lastErrno!.why();
    // It tells of a parent that is not found by an errno of its own.
    if (isHit && cmd === uapi.IOMMU_HWPT_ALLOC) return INJECTED;
    if (!why.startsWith("fail_nth")) return errnoName(ret);
    this.seen.add(why);
    return why.includes("user.copyTo") ? "" : INJECTED;
  }

  #isFree({ areas }: NaiveIoas, at: number, count: number): boolean {
    return areas.every((area) =>
      area.at + area.count <= at || at + count <= area.at
    );
  }

  #map(ioas: NaiveIoas, b: number, c: number, d: number): void {
    const buffer = b % 3 - 1;
    const first = c % PAGES;
    const count = 1 + d % (PAGES - first);
    const at = (b * 7 + d) % (SPAN - count);
    const ret = this.#call(
      this.machine.process,
      uapi.IOMMU_IOAS_MAP_FILE,
      uapi.IommuIoasMapFile.encode({
        flags: FLAGS,
        ioasId: ioas.id,
        fd: buffer < 0 ? this.#file : this.#buffers[buffer]!.fd,
        start: BigInt(first * SMALL),
        length: BigInt(count * SMALL),
        iova: BigInt(BASE + at * SMALL),
      }),
    );
    const free = this.#isFree(ioas, at, count);
    if (!this.#expect("map", ret, free ? "" : "EEXIST") || !free) return;
    const pages = { buffer, first, alive: true };
    ioas.areas.push({ at, count, pages, index: 0 });
    this.#owners.set(pages, 0);
  }

  #unmap(ioas: NaiveIoas, b: number): void {
    const area = ioas.areas[b % (ioas.areas.length || 1)];
    if (area === undefined) return;
    const ret = this.#call(
      this.machine.process,
      uapi.IOMMU_IOAS_UNMAP,
      uapi.IommuIoasUnmap.encode({
        ioasId: ioas.id,
        iova: BigInt(BASE + area.at * SMALL),
        length: BigInt(area.count * SMALL),
      }),
    );
    if (!this.#expect("unmap", ret, "")) return;
    ioas.areas = ioas.areas.filter((other) => other !== area);
  }

  #copy(from: NaiveIoas, to: NaiveIoas, c: number, d: number): void {
    const area = from.areas[c % (from.areas.length || 1)];
    if (area === undefined) return;
    const skip = d % area.count;
    const count = area.count - skip;
    const at = (c * 5 + d) % (SPAN - count);
    const ret = this.#call(
      this.machine.process,
      uapi.IOMMU_IOAS_COPY,
      uapi.IommuIoasCopy.encode({
        flags: FLAGS,
        srcIoasId: from.id,
        dstIoasId: to.id,
        srcIova: BigInt(BASE + (area.at + skip) * SMALL),
        length: BigInt(count * SMALL),
        dstIova: BigInt(BASE + at * SMALL),
      }),
    );
    const free = this.#isFree(to, at, count);
    if (!this.#expect("copy", ret, free ? "" : "EEXIST") || !free) return;
    const index = area.index + skip;
    to.areas.push({ at, count, pages: area.pages, index });
  }

  #addDomain({ id, domains }: NaiveIoas): void {
    if (domains.length === 3) return;
    const bytes = uapi.IommuHwptAlloc.encode({
      devId: this.#device.id,
      ptId: id,
    });
    const { process } = this.machine;
    const ret = this.#call(process, uapi.IOMMU_HWPT_ALLOC, bytes);
    if (!this.#expect("domain", ret, "")) return;
    const hwptId = uapi.IommuHwptAlloc.decode(bytes).outHwptId;
    domains.push({ hwptId, domain: this.ops.domains.at(-1)! });
  }

  #removeDomain({ domains }: NaiveIoas, b: number): void {
    const [gone] = domains.splice(b % (domains.length || 1), 1);
    if (gone) {
      this.#expect("destroy", this.machine.destroy(gone.hwptId) || "", "");
    }
  }

  #revoke(n: number): void {
    this.seen.add("revoke");
    this.#buffers[n]!.file.invalidate();
    for (const { areas } of this.#ioases) {
      for (const { pages } of areas) {
        if (pages.buffer === n) pages.alive = false;
      }
    }
  }

  #changeOwner(n: number): void {
    const ret = this.#call(
      this.#processes[n]!,
      uapi.IOMMU_IOAS_CHANGE_PROCESS,
      uapi.IommuIoasChangeProcess.encode(),
    );
    const areas = this.#ioases.flatMap(({ areas }) => areas);
    const allFiles = areas.every(({ pages }) => pages.buffer < 0);
    if (!this.#expect("owner", ret, allFiles ? "" : "EINVAL")) return;
    if (!allFiles) return;
    for (const { pages } of areas) this.#owners.set(pages, n);
  }

  /** Checks what a call came to; false if a step was made to fail. */
  #expect(what: string, actual: string | number, expected: string): boolean {
    if (actual === INJECTED) return false;
    this.seen.add(`${what} ${expected}`.trim());
    assertEquals(actual, expected, what);
    return true;
  }

  #check(): void {
    const pins = new Map<number, number>();
    const charged = [0, 0];
    const held = new Map<NaivePages, Set<number>>();
    for (const { areas, domains } of this.#ioases) {
      const expected = new Map<number, number>();
      for (const { at, count, pages, index } of areas) {
        for (let i = 0; i < count; i++) {
          if (!pages.alive || domains.length === 0) continue;
          const page = index + i;
          if (pages.buffer < 0) add(held, pages, page);
          expected.set(BASE + (at + i) * SMALL, this.#paddr(pages, page));
        }
      }
      for (const { domain } of domains) {
        const actual = [...domain.pages].map(([iova, { paddr }]) =>
          [iova, paddr] as const
        );
        assertEquals(new Map(actual), expected, "what a domain maps");
      }
    }
    for (const [pages, indexes] of held) {
      charged[this.#owners.get(pages)!]! += indexes.size;
      for (const index of indexes) {
        const pfn = this.#paddr(pages, index) / SMALL;
        pins.set(pfn, (pins.get(pfn) ?? 0) + 1);
      }
    }
    const { frames } = this.machine.kernel;
    for (const [pfn, count] of pins) {
      assertEquals(frames.pins(pfn as Pfn), count, `pins of frame ${pfn}`);
    }
    assertEquals(frames.countPinned(), pins.size, "pinned frames");
    for (const [n, { mm }] of this.#processes.entries()) {
      assertEquals(mm.pinnedVm, charged[n], `pinned by process ${n}`);
    }
  }

  #paddr({ buffer, first }: NaivePages, index: number): number {
    return buffer < 0
      ? this.#memory.present(first + index) * SMALL
      : paddrOf(buffer, first + index);
  }

  finish(): void {
    const [, child] = this.#processes;
    child!.exit();
    this.#device.unbind();
    this.end();
  }
}

/** Where a page of a buffer is. */
function paddrOf(buffer: number, page: number): number {
  return 0x4000_0000 + buffer * 0x100_0000 + page * SMALL;
}

function add(
  sets: Map<NaivePages, Set<number>>,
  key: NaivePages,
  value: number,
): void {
  const set = sets.get(key);
  if (set) set.add(value);
  else sets.set(key, new Set([value]));
}

function assertEq(ret: number): void {
  assertEquals(ret, 0);
}

it("files and DMA buffers are where the naive books have them, whatever fails", () => {
  const number = fc.nat(1000);
  const step = fc.tuple(
    number,
    number,
    number,
    number,
    number,
    fc.nat(4 * STEPS),
  );
  const seen = new Set<string>();
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: "max" }), (steps) => {
      const run = new Run();
      for (const each of steps) run.step(each);
      for (const what of run.seen) seen.add(what);
      run.finish();
    }),
    { seed: 1, numRuns: 150 },
  );
  const steps = ["dmabuf.track", "dmabuf.attach", "pages.pin", "pages.charge"];
  for (const step of steps) {
    const why = `fail_nth made the step ${step} fail`;
    assert(seen.has(why), `never: ${step}, but ${[...seen]}`);
  }
  for (const what of ["map", "map EEXIST", "copy", "owner", "owner EINVAL"]) {
    assert(seen.has(what), `never: ${what}, but ${[...seen]}`);
  }
});
