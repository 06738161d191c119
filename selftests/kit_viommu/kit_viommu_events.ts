// SPDX-License-Identifier: GPL-2.0-only

/**
 * Tests of the fixture `kit_viommu`: queues of events, what is read from them,
 * and what their descriptors hold.
 *
 * @module
 */

import {
  EBUSY,
  EEXIST,
  EINVAL,
  EMFILE,
  ENODEV,
  ENOENT,
  EOPNOTSUPP,
  type Errno,
  ESPIPE,
} from "../../impl/uapi/errno.ts";
import {
  MAP_SHARED,
  POLLIN,
  POLLOUT,
  POLLRDNORM,
  PROT_READ,
  RLIMIT_NOFILE,
} from "../../impl/uapi/mman.ts";
import { assertEq, assertErrno } from "../harness/harness.ts";
import { addSteps } from "../harness/table.ts";
import { nestedAlloc } from "../ioctls/hwpt_ioctls.ts";
import {
  expectVevents,
  IOMMU_VEVENTQ_TYPE_SELFTEST,
  type IommuVeventqAlloc,
  triggerVevents,
  VEVENT_SIZE,
  VEVENTQ_MAX_DEPTH,
  veventqAlloc,
} from "../ioctls/vevent_ioctls.ts";
import { vdeviceAlloc } from "../ioctls/viommu_ioctls.ts";
import type { ViommuFixture, ViommuSelf } from "./kit_viommu.ts";

/** The number of the device that reports events. */
const NUMBER = 0x99;
/** Bytes of a header. */
const HEADER = 8;

/** A queue, and a device that reports to it. */
interface QueueState extends ViommuSelf {
  /** The device's vDEVICE. */
  readonly vdevice: number;
  /** What the device is attached to. */
  readonly nested: number;
  /** The queue. */
  readonly id: number;
  /** Its descriptor. */
  readonly fd: number;
}

/** Attaches the device to a nested HWPT of the virtual IOMMU, which gets a queue. */
async function withQueue(self: ViommuSelf, depth: number): Promise<QueueState> {
  const { io, device, viommuId } = self;
  const { stdevId, idevId } = device;
  const vdevice = await vdeviceAlloc(io, viommuId, idevId, NUMBER);
  const nested = await nestedAlloc(io, idevId, viommuId);
  await io.mock.replaceDomain(stdevId, nested);
  const { veventqId, veventqFd } = await veventqAlloc(io, viommuId, depth);
  return { ...self, vdevice, nested, id: veventqId, fd: veventqFd };
}

/** Lets the device report events. */
function report({ io, device }: ViommuSelf, count = 1): Promise<void> {
  return triggerVevents(io, device.idevId, count);
}

/** Asserts what is read: numbers of events, and of the header that tells of lost ones behind them. */
function expect(
  { io, fd }: QueueState,
  events: readonly number[],
  lost?: number,
): Promise<void> {
  const all: (readonly [number, number?])[] = events.map((sequence) => [
    sequence,
    NUMBER,
  ]);
  if (lost !== undefined) all.push([lost]);
  return expectVevents(io, fd, all);
}

/** Reads with room for some bytes; asserts how many came, or which errno. */
async function readBytes(
  { io, fd }: QueueState,
  room: number,
  expected: number | Errno,
): Promise<void> {
  const got = await io.process.read(fd, new Uint8Array(room));
  const what = `read with room for ${room} bytes`;
  if (typeof expected === "number") assertEq(got, expected, what);
  else assertErrno(got, expected, what);
}

/** Asserts what poll answers. */
async function expectPoll({ io, fd }: QueueState, events: number) {
  const all = POLLIN | POLLRDNORM | POLLOUT;
  assertEq(await io.process.poll(fd, all), events, "poll");
}

async function close({ io, fd }: QueueState): Promise<void> {
  assertEq(await io.process.close(fd), 0, "close the queue");
}

/** Adds the tests. */
export function registerVevents(f: ViommuFixture): void {
  registerAlloc(f);
  registerOrder(f);
  registerReads(f);
  registerHolds(f);
}

function registerAlloc(f: ViommuFixture): void {
  f.table("veventq_order", {
    description:
      "VEVENTQ_ALLOC checks its arguments in Linux's order, and then nothing was made",
    rules: ["V2.1"],
    async prepare(self) {
      const { io, viommuId } = self;
      const { veventqFd } = await veventqAlloc(io, viommuId, 1);
      const [next, nextFd] = [await io.nextId(), await io.nextFd()];
      return { ...self, veventqFd, next, nextFd };
    },
    async finish({ io, viommuId, veventqFd, next, nextFd }) {
      const made = await veventqAlloc(io, viommuId, 1, undefined, { type: 1 });
      assertEq(made.veventqId, next, "id after failed calls");
      assertEq(made.veventqFd, nextFd, "descriptor after failed calls");
      for (const fd of [veventqFd, made.veventqFd]) {
        assertEq(await io.process.close(fd), 0, "close a queue");
      }
    },
  }, (t) => {
    const wrong = {
      flags: 1,
      reserved: 1,
      type: 0,
      veventqDepth: 0,
      viommuId: 999,
    };
    addSteps<ViommuSelf, Partial<IommuVeventqAlloc>>(t, wrong, [
      ["a flag", EOPNOTSUPP, () => ({ flags: 0 })],
      ["a reserved field", EOPNOTSUPP, () => ({ reserved: 0 })],
      ["no type", EOPNOTSUPP, () => ({ type: IOMMU_VEVENTQ_TYPE_SELFTEST })],
      ["no room", EINVAL, () => ({ veventqDepth: VEVENTQ_MAX_DEPTH + 1 })],
      ["too much room", EINVAL, () => ({ veventqDepth: VEVENTQ_MAX_DEPTH })],
      ["no vIOMMU", ENOENT, ({ device }) => ({ viommuId: device.idevId })],
      ["a device as the vIOMMU", ENOENT, ({ viommuId }) => ({ viommuId })],
      ["a type that has a queue", EEXIST, () => ({ type: 1 })],
    ], ({ io }, values, errno) => veventqAlloc(io, 0, 0, errno, values));
  });

  f.test("veventq_emfile", {
    description: "Without a free descriptor there is no queue: EMFILE",
    rules: ["V2.1"],
    needs: () => ["setrlimit"],
  }, async ({ io, viommuId }) => {
    const id = await io.nextId();
    const limit = BigInt(await io.nextFd());
    assertEq(await io.process.setrlimit(RLIMIT_NOFILE, limit), 0, "setrlimit");
    await veventqAlloc(io, viommuId, 1, EMFILE);
    await veventqAlloc(io, viommuId, 1, EMFILE);
    assertEq(await io.process.setrlimit(RLIMIT_NOFILE, 256n), 0, "setrlimit");
    const { veventqId, veventqFd } = await veventqAlloc(io, viommuId, 1);
    assertEq(veventqId, id, "id");
    assertEq(await io.process.close(veventqFd), 0, "close the queue");
  });

  f.test("veventq_types", {
    description:
      "There may be a queue for any type of events; each gets its own only",
    rules: ["V2.2"],
  }, async (self) => {
    const { io, device, viommuId } = self;
    const { stdevId, idevId } = device;
    await vdeviceAlloc(io, viommuId, idevId, NUMBER);
    await triggerVevents(io, idevId, 1, ENOENT);
    const nested = await nestedAlloc(io, idevId, viommuId);
    await io.mock.replaceDomain(stdevId, nested);
    await triggerVevents(io, idevId, 1, EOPNOTSUPP);
    const other = await veventqAlloc(io, viommuId, 1, undefined, {
      type: 0xffffffff,
    });
    await triggerVevents(io, idevId, 1, EOPNOTSUPP);
    const own = await veventqAlloc(io, viommuId, 1);
    await triggerVevents(io, idevId);
    await expectVevents(io, other.veventqFd, []);
    await expectVevents(io, own.veventqFd, [[0, NUMBER]]);
    await triggerVevents(io, 999, 1, ENOENT);
    await triggerVevents(io, nested, 1, ENOENT);
    for (const { veventqFd } of [other, own]) {
      assertEq(await io.process.close(veventqFd), 0, "close a queue");
    }
  });
}

/** Numbers of events, and how lost ones are told of. */
function registerOrder(f: ViommuFixture): void {
  f.test("overflow", {
    description:
      "What finds the queue full is lost and numbered all the same; the last thing in the queue says so",
    rules: ["V2.3"],
  }, async (self) => {
    const queue = await withQueue(self, 2);
    await report(queue, 5);
    await expect(queue, [0, 1], 4);
    await expect(queue, []);
    await report(queue, 2);
    await expect(queue, [5, 6]);
    await report(queue, 3);
    await expect(queue, [7, 8], 9);
    await close(queue);
  });

  f.test("overflow_then_room", {
    description:
      "An event that finds room takes the place of the header that told of lost ones",
    rules: ["V2.3"],
  }, async (self) => {
    const queue = await withQueue(self, 2);
    await report(queue, 4);
    await readBytes(queue, VEVENT_SIZE, VEVENT_SIZE);
    await report(queue);
    await expect(queue, [1, 4]);
    // Read up to the header, which is then alone, and goes for the next event.
    await report(queue, 3);
    await readBytes(queue, 2 * VEVENT_SIZE, 2 * VEVENT_SIZE);
    await report(queue);
    await expect(queue, [8]);
    await close(queue);
  });

  f.test("lost_does_not_count", {
    description: "The header of lost events takes no room from events",
    rules: ["V2.3"],
  }, async (self) => {
    const queue = await withQueue(self, 1);
    await report(queue, 3);
    await readBytes(queue, VEVENT_SIZE, VEVENT_SIZE);
    await readBytes(queue, HEADER, HEADER);
    await expectPoll(queue, 0);
    await report(queue, 2);
    await expect(queue, [3], 4);
    await report(queue, 1);
    await expect(queue, [5]);
    await close(queue);
  });

  f.test("many", {
    description: "A deep queue holds as many events as it says",
    rules: ["V2.3"],
  }, async (self) => {
    const depth = 100;
    const queue = await withQueue(self, depth);
    await report(queue, depth + 3);
    const { io, fd } = queue;
    const all = Array.from(
      { length: depth },
      (_, i): [number, number?] => [i, NUMBER],
    );
    await expectVevents(io, fd, [...all, [depth + 2]], depth + 1);
    await close(queue);
  });
}

function registerReads(f: ViommuFixture): void {
  f.table("read_room", {
    description:
      "A read stores whole events only, as many as there is room for",
    rules: ["V2.4"],
  }, (t) => {
    // Two events and the header that tells of lost ones.
    const rooms: [room: number, expected: number | Errno][] = [
      [0, EINVAL],
      [HEADER - 1, EINVAL],
      [HEADER, EINVAL],
      [VEVENT_SIZE - 1, EINVAL],
      [VEVENT_SIZE, VEVENT_SIZE],
      [VEVENT_SIZE + HEADER, VEVENT_SIZE],
      [2 * VEVENT_SIZE - 1, VEVENT_SIZE],
      [2 * VEVENT_SIZE, 2 * VEVENT_SIZE],
      [2 * VEVENT_SIZE + HEADER - 1, 2 * VEVENT_SIZE],
      [2 * VEVENT_SIZE + HEADER, 2 * VEVENT_SIZE + HEADER],
      [4096, 2 * VEVENT_SIZE + HEADER],
    ];
    for (const [room, expected] of rooms) {
      t.case(`${room} bytes`, async (self) => {
        const queue = await withQueue(self, 2);
        await report(queue, 3);
        await readBytes(queue, room, expected);
        const got = typeof expected === "number" ? expected : 0;
        await readBytes(queue, 64, 2 * VEVENT_SIZE + HEADER - got);
        await readBytes(queue, 64, 0);
        await leave(queue);
      });
    }
  });

  f.test("read_empty", {
    description:
      "An empty queue gives 0 bytes and never waits; too little room for a header is refused even then",
    rules: ["V2.4"],
  }, async (self) => {
    const queue = await withQueue(self, 1);
    for (let room = 0; room < HEADER; room++) {
      await readBytes(queue, room, EINVAL);
    }
    await readBytes(queue, HEADER, 0);
    await readBytes(queue, 100, 0);
    await close(queue);
  });

  f.test("other_calls", {
    description:
      "The descriptor can be read only, in order: no offset, no write, no map",
    rules: ["V2.4"],
  }, async (self) => {
    const queue = await withQueue(self, 1);
    await report(queue);
    const { io, fd } = queue;
    const bytes = new Uint8Array(VEVENT_SIZE);
    assertErrno(await io.process.pread(fd, bytes, 0), ESPIPE, "pread");
    assertErrno(await io.process.lseek(fd, 0, 0), ESPIPE, "lseek");
    assertErrno(await io.process.write(fd, bytes), EINVAL, "write");
    const mapped = await io.process.mmap(
      0,
      io.context.pageSize,
      PROT_READ,
      MAP_SHARED,
      fd,
      0,
    );
    assertErrno(mapped, ENODEV, "mmap");
    await expect(queue, [0]);
    await close(queue);
  });

  f.test("poll", {
    description:
      "The descriptor is readable while there is an event or a header, and never writable",
    rules: ["V2.5"],
  }, async (self) => {
    const readable = POLLIN | POLLRDNORM;
    const queue = await withQueue(self, 1);
    await expectPoll(queue, 0);
    await report(queue, 2);
    await expectPoll(queue, readable);
    await readBytes(queue, VEVENT_SIZE, VEVENT_SIZE);
    await expectPoll(queue, readable);
    await readBytes(queue, HEADER, HEADER);
    await expectPoll(queue, 0);
    await close(queue);
  });
}

/** Takes back what {@link withQueue} made. */
async function leave(queue: QueueState): Promise<void> {
  const { io, device, ioasId, id, nested, vdevice } = queue;
  await io.mock.replaceDomain(device.stdevId, ioasId);
  await close(queue);
  for (const each of [id, nested, vdevice]) await io.destroy(each);
}

function registerHolds(f: ViommuFixture): void {
  f.test("descriptor_holds_queue", {
    description:
      "A queue cannot be destroyed while its descriptor is open, nor a virtual IOMMU that has a queue",
    rules: ["V2.6"],
  }, async (self) => {
    const { io, viommuId } = self;
    const { veventqId, veventqFd } = await veventqAlloc(io, viommuId, 1);
    await io.destroy(veventqId, EBUSY);
    const second = await io.process.dup(veventqFd);
    assertEq(await io.process.close(veventqFd), 0, "close one descriptor");
    await io.destroy(veventqId, EBUSY);
    assertEq(await io.process.close(second), 0, "close the other");
    await io.destroy(viommuId, EBUSY);
    await io.destroy(veventqId);
    const again = await veventqAlloc(io, viommuId, 1);
    assertEq(again.veventqId, veventqId, "id that is free again");
    assertEq(await io.process.close(again.veventqFd), 0, "close the queue");
  });

  f.test("descriptor_keeps_context", {
    description:
      "What was reported can be read when the iommufd is closed, and all ends with the queue's descriptor",
    rules: ["V2.6"],
  }, async (self) => {
    const queue = await withQueue(self, 2);
    await report(queue, 3);
    const { io, fd } = queue;
    assertEq(await io.process.close(io.fd), 0, "close the iommufd");
    await expectVevents(io, fd, [[0, NUMBER], [1, NUMBER], [2]]);
    await close(queue);
    // The teardown closes it.
    assertEq((await io.reopen()).fd, io.fd, "descriptor of the iommufd");
  });

  f.test("events_die_with_queue", {
    description: "A queue that is made anew is empty and counts from 0",
    rules: ["V2.6"],
  }, async (self) => {
    const queue = await withQueue(self, 1);
    await report(queue, 3);
    await close(queue);
    const { io, id, viommuId } = queue;
    await io.destroy(id);
    await triggerVevents(io, queue.device.idevId, 1, EOPNOTSUPP);
    const { veventqId, veventqFd: fd } = await veventqAlloc(io, viommuId, 1);
    const fresh = { ...queue, id: veventqId, fd };
    await expectPoll(fresh, 0);
    await report(fresh);
    await expect(fresh, [0]);
    await close(fresh);
  });
}
