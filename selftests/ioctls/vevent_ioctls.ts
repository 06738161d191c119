// SPDX-License-Identifier: GPL-2.0-only

/**
 * Queues of a vIOMMU's events as typed, asserting calls: making devices report
 * events, reading them. Linux 7.3.
 *
 * @module
 */

import type { Errno } from "../../impl/uapi/errno.ts";
import type { Struct } from "../../impl/uapi/layout/struct.ts";
import { assertEq, assertOk, assertTrue } from "../harness/harness.ts";
import { cStruct, type TestOp, testOp } from "./c_struct.ts";
import type { Iommufd } from "./ioctls.ts";

/** ioctl: allocates a queue of events. */
export const IOMMU_VEVENTQ_ALLOC: number = 0x3b93;
/** Type of the mock's events. */
export const IOMMU_VEVENTQ_TYPE_SELFTEST: number = 0xbeefbeef;
/** Events were lost. */
export const IOMMU_VEVENTQ_FLAG_LOST_EVENTS: number = 1 << 0;
/** The deepest queue. */
export const VEVENTQ_MAX_DEPTH: number = 1 << 19;
/** Test operation TRIGGER_VEVENT. */
export const IOMMU_TEST_OP_TRIGGER_VEVENT: number = 17;

/** Linux: `struct iommu_veventq_alloc`, 32 bytes. */
export interface IommuVeventqAlloc {
  /** Bytes of the struct. */
  size: number;
  /** Must be 0. */
  flags: number;
  /** The vIOMMU. */
  viommuId: number;
  /** `IOMMU_VEVENTQ_TYPE_*`. */
  type: number;
  /** Events that it can hold. */
  veventqDepth: number;
  /** Reply: the queue. */
  outVeventqId: number;
  /** Reply: descriptor to read events from. */
  outVeventqFd: number;
  /** Must be 0. */
  reserved: number;
}

/** Layout of {@link IommuVeventqAlloc}. */
export const IommuVeventqAlloc: Struct<IommuVeventqAlloc> = cStruct(
  "iommu_veventq_alloc",
  {
    size: "u32",
    flags: "u32",
    viommuId: "u32",
    type: "u32",
    veventqDepth: "u32",
    outVeventqId: "u32",
    outVeventqFd: "u32",
    reserved: "u32",
  },
);

/** What stands before each event. Linux: `struct iommufd_vevent_header`, 8 bytes. */
export interface VeventHeader {
  /** `IOMMU_VEVENTQ_FLAG_*`. */
  flags: number;
  /** Number of the event, lost ones counted, 31 bits. */
  sequence: number;
}

/** Layout of {@link VeventHeader}. */
export const VeventHeader: Struct<VeventHeader> = cStruct(
  "iommufd_vevent_header",
  { flags: "u32", sequence: "u32" },
);

/** Bytes of the mock's events. Linux: `struct iommu_viommu_event_selftest`. */
const EVENT_DATA_SIZE = 4;
/** Bytes of one event of the mock with its header. */
export const VEVENT_SIZE: number = VeventHeader.size + EVENT_DATA_SIZE;

/** What TRIGGER_VEVENT has in the union. */
export interface TestTriggerVevent extends TestOp {
  /** The bound device. */
  devId: number;
}

/** Layout of {@link TestTriggerVevent}. */
export const TestTriggerVevent: Struct<TestTriggerVevent> = testOp(
  { devId: "u32" },
);

/** IOMMU_VEVENTQ_ALLOC, by default of the mock's type; returns the queue's id and descriptor. */
export async function veventqAlloc(
  io: Iommufd,
  viommuId: number,
  veventqDepth: number,
  errno?: Errno,
  values: Partial<IommuVeventqAlloc> = {},
): Promise<{ veventqId: number; veventqFd: number }> {
  const reply = await io.call(IommuVeventqAlloc, IOMMU_VEVENTQ_ALLOC, {
    viommuId,
    type: IOMMU_VEVENTQ_TYPE_SELFTEST,
    veventqDepth,
    ...values,
  }, errno);
  return { veventqId: reply.outVeventqId, veventqFd: reply.outVeventqFd };
}

/** TRIGGER_VEVENT: a device reports an event, `count` times. */
export async function triggerVevents(
  io: Iommufd,
  devId: number,
  count = 1,
  errno?: Errno,
): Promise<void> {
  for (let i = 0; i < count; i++) {
    await io.mock.call(
      "TRIGGER_VEVENT",
      TestTriggerVevent,
      IOMMU_TEST_OP_TRIGGER_VEVENT,
      { devId },
      errno,
    );
  }
}

/** An event of the mock, or that events were lost: then it has no `virtId`. */
export interface Vevent extends VeventHeader {
  /** The device that reported it, as the guest knows it. */
  readonly virtId?: number;
}

/** The events in bytes that were read. */
function decodeVevents(bytes: Uint8Array): Vevent[] {
  const events: Vevent[] = [];
  for (let at = 0; at < bytes.length;) {
    const header = VeventHeader.decode(bytes.subarray(at));
    at += VeventHeader.size;
    if (header.flags & IOMMU_VEVENTQ_FLAG_LOST_EVENTS) {
      events.push(header);
      continue;
    }
    const data = new DataView(bytes.buffer, bytes.byteOffset + at);
    events.push({ ...header, virtId: data.getUint32(0, true) });
    at += EVENT_DATA_SIZE;
  }
  return events;
}

/** Reads with room for `room` events of the mock; returns those that came. */
async function readVevents(
  io: Iommufd,
  fd: number,
  room = 16,
): Promise<Vevent[]> {
  const bytes = new Uint8Array(room * VEVENT_SIZE);
  const got = assertOk(await io.process.read(fd, bytes), "read of events");
  return decodeVevents(bytes.slice(0, got));
}

/**
 * Reads and asserts that just these events are there, in this order: the
 * `sequence` of each and its `virtId`, or `undefined` where events were lost.
 */
export async function expectVevents(
  io: Iommufd,
  fd: number,
  expected: readonly (readonly [sequence: number, virtId?: number])[],
  room?: number,
): Promise<void> {
  function text(sequence: number, virtId: number | undefined): string {
    const what = virtId === undefined ? "lost" : `of ${virtId.toString(16)}`;
    return `${sequence} ${what}`;
  }
  const events = await readVevents(io, fd, room);
  assertTrue(events.every(({ flags }) => flags <= 1), "no unknown flags");
  assertEq(
    events.map(({ sequence, virtId }) => text(sequence, virtId)).join(", "),
    expected.map(([sequence, virtId]) => text(sequence, virtId)).join(", "),
    "events read",
  );
}
