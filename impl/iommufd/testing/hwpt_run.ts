// SPDX-License-Identifier: GPL-2.0-only

/**
 * One random run of the ioctls about HWPTs, nesting, dirty tracking and page
 * faults: the kernel and the naive model, side by side.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import type { PageRequest } from "../../iommu/page_fault.ts";
import type { MockDevice } from "../../mock/mock_device.ts";
import { Errno, errnoName } from "../../uapi/errno.ts";
import * as uapi from "../../uapi/mod.ts";
import { decodeFaults, encodeAnswers, FAULT_SIZE } from "./fault_bench.ts";
import { type Answer, FIXED_RW, Machine, PAGE } from "./machine.ts";
import {
  DATA_LENGTH,
  DATA_TYPE,
  LOW_SLOT,
  type NaiveAlloc,
  NaiveContext,
  type NaiveQueue,
  SLOT_GRANULES,
  SLOTS,
} from "./naive_hwpt.ts";
import {
  FIRST_IOVA,
  SLOT_LENGTH,
  slotIova,
  stateOfKernel,
  stateOfModel,
} from "./hwpt_state.ts";

const BUFFER_PAGES = 8;
const GRANULE = 2048n;
const { size: REQUEST } = uapi.HwptInvalidateSelftest;

/** What is destroyed, and how often. */
const DESTROYED = [
  "nested",
  "nested",
  "nested",
  "paging",
  "paging",
  "queue",
  "device",
  "bound",
  "ioas",
] as const;

/** One operation: a kind, and numbers that it makes arguments of. */
export interface HwptStep {
  /** Which operation. */
  readonly kind: number;
  /** What it is about. */
  readonly a: number;
  /** See `a`. */
  readonly b: number;
  /** See `a`. */
  readonly c: number;
  /** See `a`. */
  readonly d: number;
  /** The step of the kernel that fails; 0 for none. */
  readonly nth: number;
}

/** What an operation returned: 0 and a value, or the errno's name. */
interface Result {
  readonly ret: string | number;
  readonly value?: unknown;
}

/** What the model says. */
function predict(model: () => unknown): Result {
  try {
    return { ret: 0, value: model() };
  } catch (error) {
    if (!(error instanceof Errno)) throw error;
    return { ret: error.name };
  }
}

/** What an ioctl returned, with the part of its answer that counts. */
function resultOf<T>(
  answer: Answer<T>,
  value: (answer: T) => unknown = () => undefined,
): Result {
  const { ret } = answer;
  return ret === 0 ? { ret, value: value(answer) } : { ret };
}

/** What read or write returned. */
function transferred(got: number, value: () => unknown): Result {
  return got < 0 ? { ret: errnoName(got) } : { ret: 0, value: value() };
}

/** Numbers of the bits that are set. */
function bitsOf(bytes: Uint8Array): number[] {
  return [...bytes].flatMap((byte, i) =>
    [0, 1, 2, 3, 4, 5, 6, 7].filter((bit) => byte >> bit & 1).map((bit) =>
      8 * i + bit
    )
  );
}

/** The kernel and the model, side by side. */
export class HwptRun {
  readonly #naive = new NaiveContext();
  readonly #machine = new Machine();
  /** What the driver was told to answer: `device:group:code`. */
  readonly #answers: string[] = [];
  /** What happened, to know that the steps reach everything. */
  readonly #seen: Set<string>;
  readonly #buffer = this.#machine.memory(BUFFER_PAGES);
  readonly #frames: readonly number[];
  /** A page for what ioctls point to. */
  readonly #scratch = this.#machine.memory(1);
  readonly #operations: readonly ((step: HwptStep) => void)[] = [
    this.#map,
    this.#map,
    this.#unmap,
    this.#createDevice,
    this.#allocPaging,
    this.#allocPaging,
    this.#allocNested,
    this.#allocNested,
    this.#allocNested,
    this.#replace,
    this.#replace,
    this.#replace,
    this.#destroy,
    this.#destroy,
    this.#setTracking,
    this.#setTracking,
    this.#markDirty,
    this.#markDirty,
    this.#readDirty,
    this.#readDirty,
    this.#invalidate,
    this.#allocQueue,
    this.#closeQueue,
    this.#trigger,
    this.#trigger,
    this.#trigger,
    this.#read,
    this.#answer,
  ];

  /** A machine with three IOAS and two devices, one of which can fault. Notes in `seen` what happens. */
  constructor(seen: Set<string>) {
    this.#seen = seen;
    const { kernel, process } = this.#machine;
    this.#frames = Array.from({ length: BUFFER_PAGES }, (_, i) => {
      const address = this.#buffer + i * uapi.PAGE_SIZE;
      process.poke(address, Uint8Array.of(1));
      return process.mm.userPage(address);
    });
    kernel.mock.pageResponse = (...args: unknown[]) => {
      const [dev, , { grpid, code }] = args as [
        MockDevice,
        PageRequest,
        { grpid: number; code: number },
      ];
      this.#answers.push(`${dev.id}:${grpid}:${code}`);
    };
    for (let i = 0; i < 3; i++) {
      assertEquals(this.#machine.ioas(), this.#naive.ioasAlloc());
    }
    const first = { kind: 0, a: 0, b: 1, c: 3, d: 0, nth: 0 };
    this.#createDevice(first);
    this.#allocPaging(first);
    this.#allocQueue(first);
    this.#allocNested({ ...first, c: 1, b: 1 });
    this.#createDevice({ ...first, a: 5 });
    this.#check();
  }

  /** Runs one operation on both, and compares all that can be seen. */
  step(step: HwptStep): void {
    const { length } = this.#operations;
    this.#operations[step.kind % length]!.call(this, step);
    this.#check();
  }

  /** Ends the process; nothing may be left. */
  finish(): void {
    this.#machine.end();
  }

  /**
   * Makes a call and compares it with the model. If a step failed and the call
   * with it, it has changed nothing, and is made again; or it has done all but
   * tell the answer.
   */
  #compare(
    what: string,
    { nth }: HwptStep,
    call: () => Result,
    model: (result: Result, hit: boolean) => unknown,
  ): void {
    let { result, hit } = this.#inject(nth, call);
    if (hit && result.ret !== 0) {
      if (result.ret === "EFAULT" && !this.#isUnchanged()) {
        assertEquals(predict(() => model(result, hit)).ret, 0, what);
        this.#seen.add(`answer lost: ${what}`);
        return;
      }
      this.#check();
      result = call();
      hit = false;
    }
    const expected = predict(() => model(result, hit));
    assertEquals(result, expected, what);
    this.#seen.add(`${what}: ${result.ret}`);
  }

  /** Makes a call in which a step fails, if there are that many. */
  #inject(nth: number, call: () => Result): { result: Result; hit: boolean } {
    const { process } = this.#machine;
    process.setFailNth(nth);
    const result = call();
    const hit = nth > 0 && process.failNthLeft() === 0;
    process.setFailNth(0);
    if (hit) this.#seen.add(`a step fails: ${result.ret}`);
    return { result, hit };
  }

  /** An id of these kinds, or now and then any other number. */
  #id(n: number, ...kinds: Parameters<NaiveContext["all"]>[0][]): number {
    if (n % 12 === 11) return n % 16;
    const ids = kinds.flatMap((kind) => this.#naive.all(kind)).map(([id]) =>
      id
    );
    return ids[n % (ids.length || 1)] ?? 0;
  }

  #queue(n: number): NaiveQueue | undefined {
    const open = this.#naive.all("queue").map(([, queue]) => queue).filter((
      { isOpen },
    ) => isOpen);
    return open[n % (open.length || 1)];
  }

  #map(step: HwptStep): void {
    const ioasId = this.#id(step.a, "ioas");
    const slot = step.b % 8 === 0 ? LOW_SLOT : step.b % SLOTS;
    const page = step.c % (BUFFER_PAGES - 1);
    const userVa = BigInt(this.#buffer) + BigInt(page) * PAGE;
    this.#compare("MAP", step, () =>
      resultOf(this.#machine.map({
        flags: FIXED_RW,
        ioasId,
        userVa,
        length: SLOT_LENGTH,
        iova: slotIova(slot),
      })), () => this.#naive.map(ioasId, slot, page));
  }

  #unmap(step: HwptStep): void {
    const ioasId = this.#id(step.a, "ioas");
    const slot = step.b % (SLOTS + 1);
    const iova = slotIova(slot);
    this.#compare("UNMAP", step, () =>
      resultOf(
        this.#machine.unmap({ ioasId, iova, length: SLOT_LENGTH }),
        ({ length }) => void assertEquals(length, SLOT_LENGTH),
      ), () => this.#naive.unmap(ioasId, slot));
  }

  #createDevice(step: HwptStep): void {
    if (this.#naive.all("device").length > 3) return;
    const id = this.#id(step.a, "ioas", "paging", "nested");
    const noDirty = step.b % 4 === 0;
    const values = {
      id,
      devFlags: noDirty ? uapi.MOCK_FLAGS_DEVICE_NO_DIRTY : 0,
    };
    const op = uapi.IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS;
    this.#compare(
      "MOCK_DOMAIN",
      step,
      () =>
        resultOf(
          this.#machine.test(op, uapi.TestMockDomainFlags, values),
          (ids) => [ids.outStdevId, ids.outIdevId, ids.outHwptId],
        ),
      ({ value }, hit) => {
        const fresh = hit && this.#isFresh((value as number[])[2]);
        const device = this.#naive.deviceCreate(id, noDirty, fresh);
        const { stdevId, idevId, place } = device;
        return [stdevId, idevId, this.#naive.idOf(place)];
      },
    );
  }

  /** HWPT_ALLOC of an IOAS, with all that it may need. */
  #allocPaging(step: HwptStep): void {
    this.#hwptAlloc(step, {
      devId: this.#id(step.a, "bound"),
      ptId: this.#id(step.b, "ioas"),
      flags: step.c % 9 === 8 ? 1 << step.d % 6 : step.c % 4,
      dataType: step.d % 10 === 9 ? DATA_TYPE : 0,
      dataLen: step.d % 11 === 9 ? DATA_LENGTH.min : 0,
      dataIsThere: true,
      iotlb: 0,
      faultId: this.#id(step.d, "queue"),
    });
  }

  /** HWPT_ALLOC of another HWPT. */
  #allocNested(step: HwptStep): void {
    const { a, b, c, d } = step;
    this.#hwptAlloc(step, {
      devId: this.#id(a, "bound"),
      ptId: this.#id(b, "paging"),
      flags: c % 10 === 9 ? 1 << d % 4 : c % 3 === 0 ? 0 : 4,
      dataType: d % 13 === 12 ? 1 : DATA_TYPE,
      dataLen: d % 14 === 13 ? d % 10 : DATA_LENGTH.max,
      dataIsThere: d % 15 !== 14,
      iotlb: a + 1,
      faultId: this.#id(d, "queue"),
    });
  }

  #hwptAlloc(step: HwptStep, args: NaiveAlloc): void {
    const { dataIsThere, iotlb, ...values } = args;
    const data = uapi.HwptSelftest.encode({ iotlb });
    this.#machine.process.poke(this.#scratch, data);
    const dataUptr = dataIsThere ? BigInt(this.#scratch) : 0n;
    const cmd = uapi.IOMMU_HWPT_ALLOC;
    const what = args.dataLen ? "HWPT_ALLOC with data" : "HWPT_ALLOC";
    this.#compare(what, step, () =>
      resultOf(
        this.#machine.call(cmd, uapi.IommuHwptAlloc, { ...values, dataUptr }),
        ({ outHwptId }) => outHwptId,
      ), () => this.#naive.hwptAlloc(args));
  }

  /**
   * True for a HWPT that the model does not have. Where a step fails while a
   * device attaches to a HWPT of its IOAS, the kernel may take that for a HWPT
   * that does not fit, and make another one.
   */
  #isFresh(hwptId: unknown): boolean {
    return typeof hwptId === "number" && !this.#naive.things.has(hwptId);
  }

  #replace(step: HwptStep): void {
    const id = this.#id(step.a, "device");
    const ptId = this.#id(step.b, "ioas", "paging", "nested", "nested");
    const op = uapi.IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE;
    this.#compare(
      "REPLACE",
      step,
      () =>
        resultOf(
          this.#machine.test(op, uapi.TestMockDomainReplace, { id, ptId }),
          (answer) => answer.ptId,
        ),
      ({ value }, hit) =>
        this.#naive.replace(id, ptId, hit && this.#isFresh(value)),
    );
  }

  #destroy(step: HwptStep): void {
    const kind = DESTROYED[step.b % DESTROYED.length]!;
    const id = this.#id(step.a, kind);
    this.#compare(
      "DESTROY",
      step,
      () => resultOf({ ret: this.#machine.destroy(id) }),
      () => this.#naive.destroy(id),
    );
    // There are always three IOAS.
    if (this.#naive.all("ioas").length < 3) {
      assertEquals(this.#machine.ioas(), this.#naive.ioasAlloc());
    }
  }

  #setTracking(step: HwptStep): void {
    const hwptId = this.#id(step.a, "paging");
    const enable = step.b % 4 !== 0;
    const cmd = uapi.IOMMU_HWPT_SET_DIRTY_TRACKING;
    const values = { hwptId, flags: enable ? 1 : 0 };
    this.#compare("SET_DIRTY_TRACKING", step, () =>
      resultOf(
        this.#machine.call(cmd, uapi.IommuHwptSetDirtyTracking, values),
      ), () => this.#naive.setTracking(hwptId, enable));
  }

  #markDirty(step: HwptStep): void {
    const { b, c, d } = step;
    const id = this.#id(step.a, "paging");
    const bytes = Uint8Array.of(b, c, d);
    this.#machine.process.poke(this.#scratch, bytes);
    const op = uapi.IOMMU_TEST_OP_DIRTY;
    this.#compare("DIRTY", step, () =>
      resultOf(
        this.#machine.test(op, uapi.TestDirty, {
          id,
          iova: FIRST_IOVA,
          length: BigInt(SLOTS * SLOT_GRANULES) * GRANULE,
          pageSize: GRANULE,
          uptr: BigInt(this.#scratch),
        }),
        ({ outNrDirty }) => Number(outNrDirty),
      ), () => this.#naive.markDirty(id, bitsOf(bytes)));
  }

  #readDirty(step: HwptStep): void {
    const hwptId = this.#id(step.a, "paging");
    const first = step.b % (SLOTS * SLOT_GRANULES);
    const count = step.c % (SLOTS * SLOT_GRANULES) + 1;
    const clear = step.d % 2 === 0;
    const data = this.#scratch + step.d % 100;
    const { process } = this.#machine;
    this.#compare("GET_DIRTY_BITMAP", step, () => {
      process.poke(this.#scratch, new Uint8Array(128));
      const cmd = uapi.IOMMU_HWPT_GET_DIRTY_BITMAP;
      return resultOf(
        this.#machine.call(cmd, uapi.IommuHwptGetDirtyBitmap, {
          hwptId,
          flags: clear ? 0 : 1,
          iova: FIRST_IOVA + BigInt(first) * GRANULE,
          length: BigInt(count) * GRANULE,
          pageSize: GRANULE,
          data: BigInt(data),
        }),
        () => bitsOf(process.peek(data, 8)),
      );
    }, () => this.#naive.readDirty(hwptId, first, count, clear));
  }

  #invalidate(step: HwptStep): void {
    const hwptId = this.#id(step.a, "nested");
    const requests = [step.b, step.c, step.d].slice(0, 1 + step.d % 3).map((
      n,
    ) => ({
      flags: n % 11 === 10 ? 2 : n % 7 === 6 ? 1 : 0,
      iotlbId: n % 5 === 4 ? n % 9 : n % 4,
    }));
    requests.forEach((request, i) => {
      const bytes = uapi.HwptInvalidateSelftest.encode(request);
      this.#machine.process.poke(this.#scratch + i * REQUEST, bytes);
    });
    const call = () =>
      this.#machine.call(
        uapi.IOMMU_HWPT_INVALIDATE,
        uapi.IommuHwptInvalidate,
        {
          hwptId,
          dataUptr: BigInt(this.#scratch),
          dataType: uapi.IOMMU_HWPT_INVALIDATE_DATA_SELFTEST,
          entryLen: REQUEST,
          entryNum: requests.length,
        },
      );
    // A step that fails may leave some of them carried out: they can be repeated.
    this.#inject(step.nth, () => resultOf(call()));
    this.#compare("INVALIDATE", { ...step, nth: 0 }, () => {
      const { ret, entryNum: handled } = call();
      // An errno that comes with a count is a value.
      return handled > 0 ? { ret: 0, value: { handled, ret } } : { ret };
    }, () => this.#naive.invalidate(hwptId, requests));
  }

  #allocQueue(step: HwptStep): void {
    if (this.#naive.all("queue").length > 2) return;
    const cmd = uapi.IOMMU_FAULT_QUEUE_ALLOC;
    let fd = -1;
    this.#compare("FAULT_QUEUE_ALLOC", step, () =>
      resultOf(
        this.#machine.call(cmd, uapi.IommuFaultAlloc),
        ({ outFaultId, outFaultFd }) => {
          fd = outFaultFd;
          return outFaultId;
        },
      ), () => this.#naive.queueAlloc(fd));
  }

  #closeQueue(step: HwptStep): void {
    const queue = this.#queue(step.a);
    if (!queue || step.b % 4 !== 0) return;
    assertEquals(this.#machine.process.close(queue.fd), 0);
    queue.isOpen = false;
    this.#seen.add("close: 0");
  }

  #trigger(step: HwptStep): void {
    const devId = this.#id(step.a, "bound");
    const pasid = step.b % 3 === 0 ? step.c % 4 : 0;
    const grpid = step.d % 5;
    const op = uapi.IOMMU_TEST_OP_TRIGGER_IOPF;
    const values = { devId, pasid, grpid };
    const call = () =>
      resultOf(this.#machine.test(op, uapi.TestTriggerIopf, values));
    const { result, hit } = this.#inject(step.nth, call);
    if (hit && result.ret === 0) {
      // The kernel could not keep it, and says so to the device only.
      this.#naive.trigger(devId, values, true);
      this.#check();
    }
    const again = { ...step, nth: 0 };
    const repeat = hit ? call : () => result;
    this.#compare(
      "TRIGGER_IOPF",
      again,
      repeat,
      () => this.#naive.trigger(devId, values),
    );
  }

  #read(step: HwptStep): void {
    const queue = this.#queue(step.a);
    if (!queue) return;
    const { process } = this.#machine;
    const room = step.b % 4;
    this.#compare("read", step, () => {
      const bytes = new Uint8Array(room * FAULT_SIZE);
      const got = process.read(queue.fd, bytes);
      return transferred(
        got,
        () =>
          decodeFaults(bytes.subarray(0, got)).map((fault) =>
            [fault.cookie, fault.devId, fault.grpid, fault.pasid].join(":")
          ),
      );
    }, ({ value }, hit) => {
      // If a step failed after some groups the rest is unread.
      const came = hit && Array.isArray(value) ? value.length : room;
      return this.#naive.read(queue, came);
    });
  }

  #answer(step: HwptStep): void {
    const queue = this.#queue(step.a);
    if (!queue) return;
    const cookies = [step.b, step.c, step.d].slice(0, 1 + step.d % 3).map((n) =>
      n % 4
    );
    const code = step.c % 5 === 4 ? 2 : step.c % 2;
    const bytes = encodeAnswers(cookies.map((cookie) => ({ cookie, code })));
    this.#compare("write", step, () => {
      const got = this.#machine.process.write(queue.fd, bytes);
      return transferred(got, () => got / uapi.IommuHwptPageResponse.size);
    }, ({ value }, hit) => {
      // If a step failed after some answers the rest was not taken.
      const taken = hit ? Number(value) : cookies.length;
      return this.#naive.answer(queue, cookies.slice(0, taken), code);
    });
  }

  /** Compares all that there is. */
  #check(): void {
    assertEquals(this.#kernelState(), this.#modelState());
  }

  /** True if all is as the model has it. */
  #isUnchanged(): boolean {
    return this.#kernelState() === this.#modelState();
  }

  #kernelState(): string {
    const state = stateOfKernel(this.#machine, this.#frames);
    return `${state}\nanswers ${this.#answers}`;
  }

  #modelState(): string {
    const state = stateOfModel(this.#naive, this.#frames);
    return `${state}\nanswers ${this.#naive.answers}`;
  }
}
