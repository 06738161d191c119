// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `kit_fault`: fault queues, what their descriptors read, write and
 * poll, and what becomes of faults whose device goes elsewhere.
 *
 * A group of faults has one record here: the test operation makes no larger
 * ones.
 *
 * @module
 */

import {
  EBUSY,
  EFAULT,
  EINVAL,
  EMFILE,
  ENOENT,
  EOPNOTSUPP,
  ESPIPE,
} from "../../impl/uapi/errno.ts";
import {
  IOMMU_FAULT_QUEUE_ALLOC,
  IOMMU_HWPT_ALLOC_NEST_PARENT,
  IOMMU_HWPT_FAULT_ID_VALID,
  IOMMU_PGFAULT_FLAGS_LAST_PAGE,
  IOMMU_PGFAULT_FLAGS_PASID_VALID,
  IOMMU_PGFAULT_PERM_EXEC,
  IOMMU_PGFAULT_PERM_WRITE,
  IommuFaultAlloc,
} from "../../impl/uapi/iommufd.ts";
import {
  POLLIN,
  POLLOUT,
  POLLRDNORM,
  RLIMIT_NOFILE,
} from "../../impl/uapi/mman.ts";
import {
  answer,
  ANSWER_SIZE,
  answerFails,
  expectFaults,
  expectReadable,
  FAULT_SIZE,
  readFails,
  readFaults,
  trigger,
} from "../ioctls/fault_ioctls.ts";
import {
  assertEq,
  type Context,
  type Fixture,
  fixture,
  type Test,
} from "../harness/harness.ts";
import {
  faultQueueAlloc,
  hwptAlloc,
  nestedAlloc,
} from "../ioctls/hwpt_ioctls.ts";
import { Iommufd } from "../ioctls/ioctls.ts";
import { registerFaultEnds } from "./kit_fault_end.ts";

/** A mock device. */
export interface FaultDevice {
  /** Its selftest object. */
  readonly stdevId: number;
  /** The bound device. */
  readonly idevId: number;
}

/** What the tests share. */
export interface FaultSelf {
  /** The open iommufd. */
  readonly io: Iommufd;
  /** An IOAS. */
  readonly ioasId: number;
  /** A device that is attached to {@link FaultSelf.hwptId}. */
  readonly device: FaultDevice;
  /** A HWPT that others can be nested in. */
  readonly parent: number;
  /** A nested HWPT with the fault queue. */
  readonly hwptId: number;
  /** The fault queue. */
  readonly faultId: number;
  /** Its descriptor; the teardown closes it. */
  readonly fd: number;
}

/** The fixture as the files of its tests see it. */
export type FaultFixture = Fixture<undefined, FaultSelf>;

/** Adds the fixture's tests to `registry`. */
export function registerKitFault(registry: Test[]): void {
  const f: FaultFixture = fixture(registry, "kit_fault", {
    since: "6.11",
    upstream: false,
    needs: () => ["hwpt", "faults"],
    setup,
    teardown: async ({ io, fd }) => {
      assertEq(await io.process.close(fd), 0, "close the fault queue");
      await io.teardown();
    },
  });
  registerAlloc(f);
  registerRead(f);
  registerWrite(f);
  registerReports(f);
  registerFaultEnds(f);
}

async function setup(context: Context): Promise<FaultSelf> {
  const io = await Iommufd.open(context);
  const ioasId = await io.ioasAlloc();
  const device = await io.mock.domain(ioasId);
  const parent = await hwptAlloc(io, {
    devId: device.idevId,
    ptId: ioasId,
    flags: IOMMU_HWPT_ALLOC_NEST_PARENT,
  });
  const { faultId, faultFd: fd } = await faultQueueAlloc(io);
  const flags = IOMMU_HWPT_FAULT_ID_VALID;
  const values = { flags, faultId };
  const hwptId = await nestedAlloc(io, device.idevId, parent, values);
  await io.mock.replaceDomain(device.stdevId, hwptId);
  return { io, ioasId, device, parent, hwptId, faultId, fd };
}

/** A nested HWPT with a fault queue. */
export function faultingHwpt(
  { io, device, parent, faultId: own }: FaultSelf,
  faultId: number = own,
): Promise<number> {
  const flags = IOMMU_HWPT_FAULT_ID_VALID;
  return nestedAlloc(io, device.idevId, parent, { flags, faultId });
}

/** FAULT_QUEUE_ALLOC, and which HWPTs take a queue. */
function registerAlloc(f: FaultFixture): void {
  f.test("alloc", {
    description: "A queue gets the lowest free id and the lowest free number",
    rules: ["C0.20"],
  }, async ({ io, faultId }) => {
    const [id, fd] = [await io.nextId(), await io.nextFd()];
    const first = await faultQueueAlloc(io);
    assertEq(first.faultId, id, "id");
    assertEq(first.faultFd, fd, "descriptor");
    const second = await faultQueueAlloc(io);
    await io.destroy(first.faultId, EBUSY);
    assertEq(await io.process.close(first.faultFd), 0, "close");
    await io.destroy(first.faultId);
    const third = await faultQueueAlloc(io);
    assertEq(third.faultId, first.faultId, "id that is free again");
    assertEq(third.faultFd, first.faultFd, "descriptor that is free again");
    for (const { faultFd } of [second, third]) {
      assertEq(await io.process.close(faultFd), 0, "close");
    }
    await io.destroy(faultId, EBUSY);
  });

  f.test("alloc_efault", {
    description: "A queue that cannot be told of does not exist: EFAULT",
    rules: ["C0.20"],
  }, async ({ io }) => {
    const [id, fd] = [await io.nextId(), await io.nextFd()];
    const cmd = IOMMU_FAULT_QUEUE_ALLOC;
    const bytes = IommuFaultAlloc.encode();
    await io.ioctlReadOnly(cmd, bytes, EFAULT, "FAULT_QUEUE_ALLOC");
    const after = await faultQueueAlloc(io);
    assertEq(after.faultId, id, "id");
    assertEq(after.faultFd, fd, "descriptor");
    assertEq(await io.process.close(after.faultFd), 0, "close");
  });

  f.test("alloc_emfile", {
    description: "Without a free descriptor there is no queue: EMFILE",
    rules: ["C0.20"],
    needs: () => ["setrlimit"],
  }, async ({ io }) => {
    const id = await io.nextId();
    const limit = BigInt(await io.nextFd());
    assertEq(await io.process.setrlimit(RLIMIT_NOFILE, limit), 0, "setrlimit");
    const cmd = IOMMU_FAULT_QUEUE_ALLOC;
    await io.call(IommuFaultAlloc, cmd, { flags: 1 }, EOPNOTSUPP);
    for (let i = 0; i < 3; i++) {
      const reply = await io.call(IommuFaultAlloc, cmd, {}, EMFILE);
      assertEq(reply.outFaultId, 0, "id after the failure");
    }
    assertEq(await io.process.setrlimit(RLIMIT_NOFILE, 256n), 0, "setrlimit");
    const { faultId, faultFd } = await faultQueueAlloc(io);
    assertEq(faultId, id, "id");
    assertEq(await io.process.close(faultFd), 0, "close");
  });

  f.table("hwpt_with_queue", {
    description:
      "A HWPT takes a fault queue that there is, if it is nested or, later, no parent",
    rules: ["C0.29"],
    prepare: async (self) => ({ ...self, next: await self.io.nextId() }),
    async finish(state) {
      // The half-built ones held neither the parent nor an id.
      const hwpt = await faultingHwpt(state);
      assertEq(hwpt, state.next, "id");
      await state.io.destroy(hwpt);
    },
  }, (t, _, { hwpt: { pagingTakesFaultQueue } }) => {
    const flags = IOMMU_HWPT_FAULT_ID_VALID;
    for (const more of [0, IOMMU_HWPT_ALLOC_NEST_PARENT]) {
      const what = more ? "a parent" : "a HWPT of an IOAS";
      const errno = pagingTakesFaultQueue && !more ? undefined : EOPNOTSUPP;
      t.case(what, async ({ io, ioasId, device, faultId }) => {
        const { idevId: devId } = device;
        const values = { devId, ptId: ioasId, flags: flags | more, faultId };
        const id = await hwptAlloc(io, values, errno);
        if (!errno) await io.destroy(id);
      });
    }
    const ids: [string, (self: FaultSelf) => number][] = [
      ["id 0", () => 0],
      ["an id of nothing", () => 999],
      ["the highest id", () => 0xffffffff],
      ["an IOAS", ({ ioasId }) => ioasId],
      ["a device", ({ device }) => device.idevId],
      ["a HWPT", ({ hwptId }) => hwptId],
    ];
    for (const [what, idOf] of ids) {
      t.case(`${what} as queue`, (self) => {
        const { io, device, parent } = self;
        const values = { flags, faultId: idOf(self) };
        return nestedAlloc(io, device.idevId, parent, values, ENOENT);
      });
    }
  });
}

/** Reading and polling. */
function registerRead(f: FaultFixture): void {
  f.table("read_empty", {
    description: "Reading never waits: 0 bytes when there is no fault",
    rules: ["C0.22"],
  }, (t) => {
    for (const room of [0, 1, 3, 100]) {
      t.case(
        `room for ${room} faults`,
        ({ io, fd }) => expectFaults(io, fd, [], room),
      );
    }
  });

  f.table("read_errno", {
    description: "A buffer that is not one of whole faults is refused",
    rules: ["C0.22"],
    async prepare(self) {
      await trigger(self.io, self.device.idevId, { addr: 10n });
      return self;
    },
    finish: ({ io, fd }) => expectFaults(io, fd, [[1, 10n]]),
  }, (t) => {
    for (const bytes of [1, 8, FAULT_SIZE - 1, FAULT_SIZE + 1, 100]) {
      t.case(
        `${bytes} bytes`,
        ({ io, fd }) => readFails(io, fd, bytes, ESPIPE),
      );
    }
    t.case("no bytes", ({ io, fd }) => readFails(io, fd, 0, EINVAL));
  });

  f.test("read_record", {
    description: "A fault has its device, its request and its cookie",
    rules: ["C0.5", "C0.6", "C0.33"],
  }, async ({ io, fd, device: { idevId } }) => {
    const perm = IOMMU_PGFAULT_PERM_WRITE | IOMMU_PGFAULT_PERM_EXEC;
    const addr = 0xfedcba9876543210n;
    await trigger(io, idevId, { grpid: 0x89abcdef, perm, addr });
    await trigger(io, idevId, { pasid: 5, grpid: 1, perm: 0 });
    const faults = await readFaults(io, fd);
    assertEq(faults.length, 2, "faults read");
    const [plain, withPasid] = faults;
    const fields = [
      ["flags", plain!.flags, IOMMU_PGFAULT_FLAGS_LAST_PAGE],
      ["dev_id", plain!.devId, idevId],
      ["pasid", plain!.pasid, 0],
      ["grpid", plain!.grpid, 0x89abcdef],
      ["perm", plain!.perm, perm],
      ["__reserved", plain!.reserved, 0],
      ["addr", plain!.addr, addr],
      ["length", plain!.length, 0],
      ["cookie", plain!.cookie, 1],
      ["pasid, with one", withPasid!.pasid, 5],
      ["grpid, with a PASID", withPasid!.grpid, 1],
      ["perm, with a PASID", withPasid!.perm, 0],
      ["cookie, with a PASID", withPasid!.cookie, 2],
    ] as const;
    for (const [what, actual, expected] of fields) {
      assertEq<number | bigint>(actual, expected, what);
    }
    const both = IOMMU_PGFAULT_FLAGS_LAST_PAGE |
      IOMMU_PGFAULT_FLAGS_PASID_VALID;
    assertEq(withPasid!.flags, both, "flags, with a PASID");
  });

  f.test("read_room", {
    description: "The oldest faults come first, as many as there is room for",
    rules: ["C0.22"],
  }, async ({ io, fd, device: { idevId } }) => {
    for (const addr of [10n, 20n, 30n, 40n]) {
      await trigger(io, idevId, { addr });
    }
    await expectFaults(io, fd, [[1, 10n]], 1);
    await expectFaults(io, fd, [[2, 20n], [3, 30n]], 2);
    await expectFaults(io, fd, [[4, 40n]], 3);
    await expectFaults(io, fd, []);
  });

  f.test("poll", {
    description:
      "A queue is always writable, and readable while there are unread faults",
    rules: ["C0.26"],
  }, async ({ io, fd, device: { idevId } }) => {
    const all = POLLIN | POLLOUT | POLLRDNORM;
    assertEq(await io.process.poll(fd, all), POLLOUT, "poll without faults");
    await trigger(io, idevId);
    await trigger(io, idevId);
    assertEq(await io.process.poll(fd, all), all, "poll with faults");
    assertEq(await io.process.poll(fd, POLLOUT), POLLOUT, "poll for POLLOUT");
    await expectFaults(io, fd, [[1, 0n]], 1);
    await expectReadable(io, fd, true);
    await expectFaults(io, fd, [[2, 0n]], 1);
    // Unanswered ones do not count.
    assertEq(await io.process.poll(fd, all), POLLOUT, "poll after reading");
  });
}

/** Answering, and cookies. */
function registerWrite(f: FaultFixture): void {
  f.table("write_errno", {
    description:
      "An answer must be whole, have a known code and a cookie that waits for it",
    rules: ["C0.11", "C0.12", "C0.25"],
    async prepare(self) {
      const { io, fd, device } = self;
      await trigger(io, device.idevId);
      await expectFaults(io, fd, [[1, 0n]]);
      return self;
    },
    async finish({ io, fd }) {
      await answer(io, fd, [1]);
      await answerFails(io, fd, [1], EINVAL);
    },
  }, (t) => {
    for (const length of [1, 4, ANSWER_SIZE - 1, ANSWER_SIZE + 1]) {
      t.case(`${length} bytes`, async ({ io, fd }) => {
        const got = await io.process.write(fd, new Uint8Array(length));
        assertEq(got, -ESPIPE.code, `write of ${length} bytes`);
      });
    }
    t.case("no bytes", async ({ io, fd }) => {
      assertEq(await io.process.write(fd, new Uint8Array()), 0, "empty write");
    });
    for (const code of [2, 3, 0xffffffff]) {
      t.case(
        `code ${code}`,
        ({ io, fd }) => answerFails(io, fd, [1], EINVAL, code),
      );
    }
    for (const cookie of [0, 2, 0xffffffff]) {
      t.case(
        `cookie ${cookie}`,
        ({ io, fd }) => answerFails(io, fd, [cookie], EINVAL),
      );
    }
  });

  f.test("write_unread", {
    description: "A fault that was not read has no cookie yet",
    rules: ["C0.12"],
  }, async ({ io, fd, device: { idevId } }) => {
    await trigger(io, idevId);
    for (const cookie of [0, 1, 2]) {
      await answerFails(io, fd, [cookie], EINVAL);
    }
    await expectFaults(io, fd, [[1, 0n]]);
    await answer(io, fd, [1]);
  });

  f.test("write_partial", {
    description: "Answers before a bad one count, those behind it do not",
    rules: ["C0.25"],
  }, async ({ io, fd, device: { idevId } }) => {
    for (let i = 0; i < 4; i++) await trigger(io, idevId);
    assertEq((await readFaults(io, fd)).length, 4, "faults");
    await answer(io, fd, [3, 1, 9, 2], 2);
    await answerFails(io, fd, [3], EINVAL);
    await answer(io, fd, [2, 2, 4], 1);
    await answer(io, fd, [4]);
  });

  f.test("cookies", {
    description:
      "A fault gets the lowest free cookie when it is read, not when it is reported",
    rules: ["C0.13", "C0.23"],
  }, async ({ io, fd, device: { idevId } }) => {
    for (const addr of [1n, 2n, 3n, 4n]) await trigger(io, idevId, { addr });
    await expectFaults(io, fd, [[1, 1n], [2, 2n], [3, 3n]], 3);
    await answer(io, fd, [2]);
    await expectFaults(io, fd, [[2, 4n]]);
    for (const addr of [5n, 6n, 7n]) await trigger(io, idevId, { addr });
    await answer(io, fd, [3, 1]);
    await expectFaults(io, fd, [[1, 5n], [3, 6n], [4, 7n]]);
    await answer(io, fd, [1, 2, 3, 4]);
    await trigger(io, idevId, { addr: 8n });
    await expectFaults(io, fd, [[1, 8n]]);
  });

  f.test("cookie_zero", {
    description:
      "Cookie 0 is not given out, until an answer to it comes while another one waits",
    reference:
      "fault.c iommufd_fault_fops_write: xa_erase() of the entry that keeps 0 busy",
    rules: ["C0.24"],
  }, async ({ io, fd, device: { idevId } }) => {
    async function report(...addrs: bigint[]): Promise<void> {
      for (const addr of addrs) await trigger(io, idevId, { addr });
    }
    await answerFails(io, fd, [0], EINVAL);
    await report(1n);
    await expectFaults(io, fd, [[1, 1n]]);
    await answerFails(io, fd, [0], EINVAL);
    await report(2n, 3n);
    await expectFaults(io, fd, [[0, 2n], [2, 3n]]);
    await answer(io, fd, [0]);
    await report(4n);
    await expectFaults(io, fd, [[0, 4n]]);
    await answer(io, fd, [0, 1, 2]);
    await report(5n, 6n);
    await expectFaults(io, fd, [[0, 5n], [1, 6n]]);
  });

  f.test("queues_apart", {
    description: "A queue knows its own faults and cookies only",
    rules: ["C0.12"],
  }, async (self) => {
    const { io, fd, device } = self;
    const other = await faultQueueAlloc(io);
    const hwpt = await faultingHwpt(self, other.faultId);
    const second = await io.mock.domain(hwpt);
    await trigger(io, device.idevId, { addr: 1n });
    await trigger(io, second.idevId, { addr: 2n });
    await trigger(io, second.idevId, { addr: 3n });
    await expectFaults(io, fd, [[1, 1n]]);
    await expectFaults(io, other.faultFd, [[1, 2n], [2, 3n]]);
    await answerFails(io, fd, [2], EINVAL);
    await answer(io, fd, [1]);
    await answer(io, other.faultFd, [1, 2]);
    assertEq(await io.process.close(other.faultFd), 0, "close");
  });
}

/** Who gets a report. */
function registerReports(f: FaultFixture): void {
  f.table("trigger", {
    description:
      "A report that nobody handles is no error for TRIGGER_IOPF; it needs a device",
    rules: ["C0.31", "C0.33"],
    finish: ({ io, fd }) => expectFaults(io, fd, []),
  }, (t) => {
    const tables: [string, (self: FaultSelf) => Promise<number> | number][] = [
      ["an IOAS", ({ ioasId }) => ioasId],
      ["a parent", ({ parent }) => parent],
      [
        "a nested HWPT without queue",
        ({ io, device, parent }) => nestedAlloc(io, device.idevId, parent),
      ],
    ];
    for (const [what, tableOf] of tables) {
      t.case(`a device at ${what}`, async (self) => {
        const { io } = self;
        const { idevId, stdevId } = await io.mock.domain(await tableOf(self));
        await trigger(io, idevId);
        await trigger(io, idevId, { pasid: 3 });
        await io.destroy(stdevId);
      });
    }
    const ids: [string, (self: FaultSelf) => number][] = [
      ["id 0", () => 0],
      ["an id of nothing", () => 999],
      ["a selftest object", ({ device }) => device.stdevId],
      ["an IOAS as device", ({ ioasId }) => ioasId],
      ["a HWPT", ({ hwptId }) => hwptId],
    ];
    for (const [what, idOf] of ids) {
      t.case(what, (self) => trigger(self.io, idOf(self), {}, ENOENT));
    }
  });

  f.test("shared_hwpt", {
    description: "Devices that share a HWPT share its queue, under their ids",
    rules: ["C0.6"],
  }, async ({ io, fd, hwptId, device }) => {
    const second = await io.mock.domain(hwptId);
    const ids = [second.idevId, device.idevId, second.idevId];
    for (const id of ids) await trigger(io, id, { grpid: 7 });
    const faults = await readFaults(io, fd);
    const seen = faults.map(({ devId, cookie }) => `${devId}:${cookie}`);
    assertEq(
      seen.join(" "),
      ids.map((id, i) => `${id}:${i + 1}`).join(" "),
      "devices and cookies",
    );
  });

  f.test("paging_hwpt", {
    description:
      "A HWPT of an IOAS hands out the faults of its devices, but not those of PASIDs that nothing is attached to",
    rules: ["C0.29", "C0.31"],
    since: "6.14",
  }, async ({ io, ioasId, device, faultId, fd }) => {
    const { idevId: devId, stdevId } = device;
    const flags = IOMMU_HWPT_FAULT_ID_VALID;
    const hwpt = await hwptAlloc(io, { devId, ptId: ioasId, flags, faultId });
    await io.mock.replaceDomain(stdevId, hwpt);
    await io.destroy(hwpt, EBUSY);
    await trigger(io, devId, { grpid: 3 });
    await trigger(io, devId, { grpid: 4, pasid: 5 });
    const [fault, ...more] = await readFaults(io, fd);
    assertEq(more.length, 0, "more faults");
    assertEq(fault!.grpid, 3, "group");
    // Another device has them under its own id.
    const second = await io.mock.domain(hwpt);
    await trigger(io, second.idevId, { grpid: 6 });
    const [other] = await readFaults(io, fd);
    assertEq(other!.devId, second.idevId, "device");
    await io.destroy(second.stdevId);
    // What was not answered is answered when the device moves.
    await io.mock.replaceDomain(stdevId, ioasId);
    await trigger(io, devId, { grpid: 7 });
    await expectFaults(io, fd, []);
    await io.destroy(hwpt);
  });
}
