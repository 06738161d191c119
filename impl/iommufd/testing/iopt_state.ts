// SPDX-License-Identifier: GPL-2.0-only

/**
 * A kernel and the naive model, side by side: every call must end in both alike,
 * and leave the same areas, the same IOPTEs in every domain, the same pins on
 * every frame.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import type { Iova, Pfn } from "../../lib/brands.ts";
import { Kernel } from "../../kernel.ts";
import type { Process } from "../../kernel/simulated/process.ts";
import { MockDomain } from "../../mock/mock_domain.ts";
import { Errno, errnoName } from "../../uapi/errno.ts";
import * as uapi from "../../uapi/mod.ts";
import { HwptPaging } from "../hwpt/hw_pagetable.ts";
import { Ioas } from "../ioas/ioas.ts";
import type { IommufdCtx } from "../main.ts";
import type { IommufdObject, ObjectClass } from "../objects/object.ts";
import {
  byEnds,
  type NaiveAccess,
  NaiveIoas,
  type NaiveItem,
  NaiveWorld,
  PENDING,
  type Range,
} from "./naive_iopt.ts";

const PAGE = 4096;
/** Pages of memory that is mapped. */
export const BUFFER_PAGES = 16;

/** How a run is set up, beside its operations. */
export interface Setting {
  readonly revision: uapi.RevisionName;
  /** Bytes of one batch: small ones take every path in many steps. */
  readonly memoryLimit: number;
  /** Bytes that addresses and lengths are multiples of. */
  readonly unit: number;
  readonly scattered: boolean;
  readonly privateMemory: boolean;
  /** Pages that may be pinned; none: CAP_IPC_LOCK. */
  readonly lockLimit: number | undefined;
}

/** The one that others differ from. */
export function baseSetting(revision: uapi.RevisionName): Setting {
  return {
    revision,
    memoryLimit: 65536,
    unit: 2048,
    scattered: false,
    privateMemory: false,
    lockLimit: undefined,
  };
}

/** A mock device, or a mock domain where there are no devices. */
export interface LiveDomain {
  readonly ioas: number;
  /** Object to destroy first; destroying `hwptId` follows where the revision needs it. */
  readonly stdevId: number;
  readonly hwptId: number;
  /** Stands for the domain in the model; the same for all devices that share it. */
  readonly token: object;
}

/** An IOAS in the kernel and in the model. */
export interface LiveIoas {
  readonly id: number;
  readonly naive: NaiveIoas;
}

/** A call to the kernel, and what the model does with it. */
export interface ModelCall<T> {
  /** The call's name. */
  readonly what: string;
  /** Makes it; returns its result. */
  issue(): number;
  /** Does the same in the model, after it was made. Throws the errno that it must fail with. */
  predict(): T;
  /** The kernel answers after it did the work: if just that fails, with EFAULT, the work stays. */
  readonly answersLast?: boolean;
  /** Notes what stays without an answer. `value` is what the model returned. */
  lost?(value: T): void;
}

/** What a call came to. */
export interface ModelResult<T> {
  readonly ret: number;
  /** What the model returned; undefined if the call failed. */
  readonly value: T | undefined;
}

/** The kernel and the model. */
export class IoptState {
  readonly kernel: Kernel;
  readonly process: Process;
  readonly fd: number;
  readonly buffer: number;
  readonly mappedPages: boolean[] = new Array(BUFFER_PAGES).fill(true);
  readonly world: NaiveWorld;
  readonly ioases: LiveIoas[] = [];
  readonly mmapFlags: number;
  domains: LiveDomain[] = [];
  accesses: { fd: number; naive: NaiveAccess }[] = [];
  items: { accessFd: number; id: number; naive: NaiveItem }[] = [];
  /** Every frame that was ever pinned. */
  readonly frames = new Set<number>();
  /** HWPTs that are still to be destroyed after their device. */
  loneHwpts = 0;

  constructor(readonly setting: Setting) {
    this.kernel = new Kernel({
      revision: setting.revision,
      memory: 16 << 20,
      frameOrder: setting.scattered ? { scattered: 7 } : "ordered",
    });
    this.process = this.kernel.spawn();
    const { process } = this;
    this.mmapFlags = uapi.MAP_ANONYMOUS |
      (setting.privateMemory ? uapi.MAP_PRIVATE : uapi.MAP_SHARED);
    this.buffer = process.mmap(
      0,
      BUFFER_PAGES * PAGE,
      uapi.PROT_READ | uapi.PROT_WRITE,
      this.mmapFlags,
      -1,
      0,
    );
    this.world = new NaiveWorld(this.kernel.revision, {
      isMapped: (uaddr) => {
        const page = Math.floor((Number(uaddr) - this.buffer) / PAGE);
        return this.mappedPages[page] ?? false;
      },
    });
    if (setting.lockLimit !== undefined) {
      process.dropCapability(uapi.CAP_IPC_LOCK);
      process.setrlimit(
        uapi.RLIMIT_MEMLOCK,
        BigInt(setting.lockLimit * PAGE),
      );
      this.world.lockLimit = setting.lockLimit;
    }
    this.fd = process.open("/dev/iommu", uapi.O_RDWR);
    this.#setMemoryLimit(setting.memoryLimit);
    for (let i = 0; i < 2; i++) {
      const cmd = uapi.IommuIoasAlloc.encode();
      assertEquals(this.ioctl(uapi.IOMMU_IOAS_ALLOC, cmd), 0);
      const id = uapi.IommuIoasAlloc.at(cmd).outIoasId;
      this.ioases.push({ id, naive: new NaiveIoas(this.world) });
    }
  }

  /** The context behind the descriptor. */
  get ctx(): IommufdCtx {
    return this.process.files.lookup(this.fd) as IommufdCtx;
  }

  /** An ioctl on the descriptor. */
  protected ioctl(cmd: number, bytes: Uint8Array): number {
    return this.process.ioctlStruct(this.fd, cmd, bytes);
  }

  /** A test ioctl in the revision's layout; returns the struct after the call, 72 bytes. */
  protected test(
    op: number,
    bytes: Uint8Array,
  ): { ret: number; reply: Uint8Array } {
    const { name, selftest } = this.kernel.revision;
    const size = uapi.TestCmd.sizeIn(name);
    const cmd = bytes.slice(0, size);
    const header = uapi.TestCmd.at(bytes);
    new DataView(cmd.buffer).setUint32(0, size, true);
    new DataView(cmd.buffer).setUint32(4, op - 1 + selftest.firstOp, true);
    new DataView(cmd.buffer).setUint32(8, header.id, true);
    const ret = this.ioctl(uapi.IOMMU_TEST_CMD, cmd);
    const reply = new Uint8Array(72);
    reply.set(cmd);
    return { ret, reply };
  }

  #setMemoryLimit(limit: number): void {
    const { ret } = this.test(
      uapi.IOMMU_TEST_OP_SET_TEMP_MEMORY_LIMIT,
      uapi.TestMemoryLimit.encode({ limit }),
    );
    assertEquals(ret, 0);
  }

  /** Makes a call and asserts that it ends as the model says. */
  protected perform<T>(call: ModelCall<T>): ModelResult<T> {
    return this.compare(call, call.issue());
  }

  /** Asserts that a call that was made ended as the model says. */
  protected compare<T>(call: ModelCall<T>, ret: number): ModelResult<T> {
    const { errno, value } = this.predict(call);
    assertEquals(errnoName(ret), errno?.name ?? "0", call.what);
    if (errno) assertEquals(this.kernel.lastErrno?.why(), errno.why());
    return { ret, value };
  }

  /** What the model says: its errno, if it fails, or its value. */
  protected predict<T>(
    call: ModelCall<T>,
  ): { errno: Errno | undefined; value: T | undefined } {
    try {
      return { errno: undefined, value: call.predict() };
    } catch (error) {
      if (!(error instanceof Errno)) throw error;
      return { errno: error, value: undefined };
    }
  }

  /**
   * The domain that a new device of an IOAS shares with those before it, if
   * the revision has devices: the oldest. `_hwptId` is what the device got.
   */
  protected sharedDomain(ioas: number, _hwptId: number): object | undefined {
    if (!this.kernel.revision.selftest.mockDomainBindsDevice) return undefined;
    return this.domains.find((domain) => domain.ioas === ioas)?.token;
  }

  /** Pages that the operation pinned: the frame is the one behind the address now. */
  protected settle(): void {
    for (const pages of this.world.allPages) {
      pages.pfns.forEach((pfn, i) => {
        if (pfn !== PENDING) return;
        const uaddr = Number(pages.uaddr) + i * PAGE;
        const frame = this.process.mm.userPage(uaddr);
        pages.pfns[i] = frame;
        this.frames.add(frame);
      });
    }
  }

  check(): void {
    const pins = this.world.pinsByFrame();
    for (const frame of this.frames) {
      const actual = this.kernel.frames.pins(frame as Pfn);
      const expected = pins.get(frame) ?? 0;
      if (actual === expected) continue;
      assertEquals(actual, expected, `pins of frame ${frame}`);
    }
    assertEquals(this.process.mm.pinnedVm, this.world.pinned, "pinned_vm");
    const charged = this.world.lockLimit === undefined ? 0 : this.world.pinned;
    assertEquals(this.process.user.lockedVm, charged, "locked_vm");
    for (const ioas of this.ioases) this.#checkIoas(ioas);
    const { mockDomainBindsDevice } = this.kernel.revision.selftest;
    const hwpts = new Set(this.domains.map((domain) => domain.hwptId));
    for (const hwptId of hwpts) this.#checkDomain(hwptId);
    const objects = this.ioases.length + this.accesses.length +
      this.domains.length * (mockDomainBindsDevice ? 2 : 1) + hwpts.size +
      this.loneHwpts;
    assertEquals([...this.ctx.objects].length, objects, "objects");
    // The standard ones, and the context's.
    const descriptors = 4 + this.accesses.length;
    assertEquals([...this.process.files].length, descriptors, "descriptors");
    assertEquals(this.kernel.warnings.list.length, 0, "warnings");
  }

  #checkIoas({ id, naive }: LiveIoas): void {
    const { iopt } = this.#object(id, Ioas);
    const areas = Array.from(iopt.areas, ({ iova, lastIova }) => {
      return { start: iova, last: lastIova };
    });
    assertRanges(areas, [...naive.areas].sort(byStart), "areas");
    assertRanges(
      [...iopt.reserved].sort(byEnds),
      [...naive.reserved].sort(byEnds),
      "reserved",
    );
    assertRanges(
      [...iopt.allowed],
      [...naive.allowed].sort(byStart),
      "allowed",
    );
    assertEquals(iopt.domains.length, naive.domains.length, "domains");
    assertEquals(iopt.accesses.size, naive.accesses.length, "accesses");
    assertEquals(iopt.iovaAlignment, Number(naive.alignment), "alignment");
  }

  #object<T extends IommufdObject>(id: number, type: ObjectClass<T>): T {
    const object = this.ctx.objects.get(id, type);
    object.put();
    return object;
  }

  #checkDomain(hwptId: number): void {
    const hwpt = this.#object(hwptId, HwptPaging);
    const { domain } = hwpt;
    if (!(domain instanceof MockDomain)) throw new Error("Not a mock domain");
    const { ioas } = this.domains.find((d) => d.hwptId === hwptId)!;
    const expected = this.ioases[ioas]!.naive.granules();
    assertEquals(domain.mappedBytes, expected.size * 2048, "bytes mapped");
    for (const [granule, physical] of expected) {
      const actual = domain.iovaToPhys(granule * 2048 as Iova) / 2048;
      if (actual === physical) continue;
      assertEquals(actual, physical, `IOPTE of granule ${granule}`);
    }
  }

  finish(): void {
    this.process.exit();
    assertEquals(this.kernel.audit(), [], "after exit");
  }
}

function byStart(a: Range, b: Range): number {
  return a.start < b.start ? -1 : 1;
}

/** Says what is where only when something is wrong: this runs after each step. */
function assertRanges(
  actual: readonly Range[],
  expected: readonly Range[],
  what: string,
): void {
  const same = actual.length === expected.length &&
    actual.every(({ start, last }, i) =>
      start === expected[i]!.start && last === expected[i]!.last
    );
  if (!same) assertEquals(actual.map(asText), expected.map(asText), what);
}

function asText({ start, last }: Range): string {
  return `0x${start.toString(16)}-0x${last.toString(16)}`;
}
