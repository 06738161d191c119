// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `kit_vfio_irq`: SET_IRQS, and where interrupts go.
 *
 * @module
 */

import {
  EAGAIN,
  EBADF,
  EBUSY,
  EFAULT,
  EINVAL,
  ENOTTY,
  ERANGE,
  type Errno,
} from "../../impl/uapi/errno.ts";
import {
  assertEq,
  assertErrno,
  assertOk,
  type Table,
  type TargetProcess,
  type Test,
} from "../harness/harness.ts";
import { IRQ, type IrqSet, SET, VFIO, type VfioFile } from "./vfio_ioctls.ts";
import { vfioFixture, type VfioSelf } from "./kit_vfio_device.ts";

/** What an eventfd may not do but answer at once. */
const EFD_NONBLOCK = 0x800;

/** What the cases get: four eventfds besides. */
interface IrqSelf extends VfioSelf {
  readonly eventfds: readonly number[];
}

/** Makes four eventfds. */
async function withEventfds(self: VfioSelf): Promise<IrqSelf> {
  const eventfds: number[] = [];
  for (let i = 0; i < 4; i++) {
    const fd = await self.io.process.eventfd(0, EFD_NONBLOCK);
    eventfds.push(assertOk(fd, "eventfd"));
  }
  return { ...self, eventfds };
}

/** What an eventfd counted since it was asked last. */
async function counted(process: TargetProcess, fd: number): Promise<number> {
  const bytes = new Uint8Array(8);
  const ret = await process.read(fd, bytes);
  if (ret !== 8) {
    assertErrno(ret, EAGAIN, "read of an eventfd");
    return 0;
  }
  return Number(new DataView(bytes.buffer).getBigUint64(0, true));
}

/** What all eventfds counted. */
async function assertCounted(
  { io, eventfds }: IrqSelf,
  ...counts: number[]
): Promise<void> {
  for (const [i, count] of counts.entries()) {
    const got = await counted(io.process, eventfds[i]!);
    assertEq(got, count, `eventfd ${i}`);
  }
}

const CONNECT = SET.EVENTFD | SET.TRIGGER;
const FIRE = SET.NONE | SET.TRIGGER;

/** Turns a kind of interrupts off. */
async function turnOff(device: VfioFile, index: number): Promise<void> {
  await device.setIrqs({ flags: FIRE, index });
}

/** Adds the fixture's tests to `registry`. */
export function registerKitVfioIrq(registry: Test[]): void {
  const f = vfioFixture(registry, "kit_vfio_irq");
  const prepare = withEventfds;

  f.table("errno", {
    description: "SET_IRQS checks its arguments in Linux's order",
    rules: ["X3.1"],
    prepare,
  }, errnos);

  f.table("msix", {
    description: "MSI-X: connecting, firing and disconnecting vectors",
    rules: ["X3.1"],
    prepare,
  }, (t) => {
    messages(t, IRQ.MSIX);
    msix(t);
  });

  f.table("msi", {
    description: "MSI: connecting, firing and disconnecting",
    rules: ["X3.1"],
    prepare,
  }, (t) => messages(t, IRQ.MSI));

  f.table("intx", {
    description: "The legacy interrupt: masks, and who unmasks",
    rules: ["X3.1"],
    prepare,
  }, intx);

  f.table("single", {
    description: "ERR and REQ, which the kernel fires",
    rules: ["X3.2"],
    prepare,
  }, (t) => {
    single(t, "ERR", IRQ.ERR);
    single(t, "REQ", IRQ.REQ);
  });

  f.test("reset_keeps", {
    description: "A reset turns no interrupt off",
    rules: ["X3.1"],
  }, async (self) => {
    const all = await withEventfds(self);
    const { device, eventfds } = all;
    const index = IRQ.MSIX;
    await device.setIrqs({ flags: CONNECT, index, count: 1 }, [eventfds[0]!]);
    assertEq(await self.io.process.ioctlArg(device.fd, VFIO.RESET, 0), 0, "");
    await device.setIrqs({ flags: FIRE, index, count: 1 });
    await assertCounted(all, 1);
  });

  f.test("eventfd_is_held", {
    description: "A closed descriptor of an eventfd gets interrupts still",
    rules: ["X3.1"],
  }, async (self) => {
    const all = await withEventfds(self);
    const { io, device, eventfds } = all;
    const [kept] = eventfds;
    const copy = assertOk(await io.process.dup(kept!), "dup");
    const index = IRQ.MSIX;
    await device.setIrqs({ flags: CONNECT, index, count: 1 }, [copy]);
    assertEq(await io.process.close(copy), 0, "close");
    await device.setIrqs({ flags: FIRE, index, count: 1 });
    await assertCounted(all, 1);
  });
}

function errnos(t: Table<IrqSelf>): void {
  const index = IRQ.MSIX;
  const rows: [string, Errno, Partial<IrqSet>, number[]?][] = [
    ["short", EINVAL, { argsz: 19, flags: FIRE, index }],
    ["no such kind", EINVAL, { flags: FIRE, index: 5 }],
    ["an unknown flag", EINVAL, { flags: 0x40 | FIRE, index }],
    ["no type of data", EINVAL, { flags: SET.TRIGGER, index }],
    ["two types of data", EINVAL, {
      flags: SET.NONE | CONNECT,
      index,
      count: 1,
    }, [0]],
    ["no action", ENOTTY, { flags: SET.NONE, index }],
    ["two actions", ENOTTY, { flags: SET.MASK | FIRE, index }],
    ["a range that ends beyond 2^32", EINVAL, {
      flags: FIRE,
      index,
      start: 1,
      count: 0xffffffff,
    }],
    ["the first vector that is not there", EINVAL, {
      flags: CONNECT,
      index,
      start: 10,
      count: 1,
    }, [0]],
    ["one vector too many", EINVAL, {
      flags: CONNECT,
      index,
      start: 9,
      count: 2,
    }, [-1, -1]],
    ["less data than counted", EINVAL, {
      argsz: 20,
      flags: CONNECT,
      index,
      count: 1,
    }, [-1]],
    ["off while off", EINVAL, { flags: FIRE, index }],
    ["fired while off", EINVAL, { flags: FIRE, index, count: 1 }],
    ["on with no vector", ERANGE, { flags: CONNECT, index }],
    ["no descriptor", EBADF, { flags: CONNECT, index, count: 1 }, [9999]],
    ["mask", ENOTTY, { flags: SET.NONE | SET.MASK, index, count: 1 }],
    ["unmask", ENOTTY, { flags: SET.NONE | SET.UNMASK, index, count: 1 }],
    ["mask of INTx while off", EINVAL, {
      flags: SET.NONE | SET.MASK,
      index: IRQ.INTX,
      count: 1,
    }],
    ["INTx off while off", EINVAL, { flags: FIRE, index: IRQ.INTX }],
    ["INTx fired while off", EINVAL, {
      flags: FIRE,
      index: IRQ.INTX,
      count: 1,
    }],
    ["INTx, nobody", EBADF, { flags: CONNECT, index: IRQ.INTX, count: 1 }, [
      9999,
    ]],
  ];
  for (const [what, errno, values, data] of rows) {
    t.case(what, ({ device }) => device.setIrqs(values, data, errno));
  }
  t.case("another file", async ({ io, device }) => {
    for (const index of [IRQ.MSIX, IRQ.MSI, IRQ.INTX, IRQ.REQ]) {
      const values = { flags: CONNECT, index, count: 1 };
      await device.setIrqs(values, [io.fd], EINVAL);
    }
  });
  t.case("no memory", async ({ io, device }) => {
    const ret = await io.process.ioctlArg(device.fd, VFIO.SET_IRQS, 0);
    assertErrno(ret, EFAULT, "SET_IRQS of nothing");
  });
}

/** What both kinds of messages do. */
function messages(t: Table<IrqSelf>, index: number): void {
  t.case("one vector", async (self) => {
    const { device, eventfds } = self;
    await device.setIrqs({ flags: CONNECT, index, count: 1 }, [eventfds[0]!]);
    await device.setIrqs({ flags: FIRE, index, count: 1 });
    await device.setIrqs({ flags: FIRE, index, count: 1 });
    await assertCounted(self, 2);
    await turnOff(device, index);
    await device.setIrqs({ flags: FIRE, index, count: 1 }, [], EINVAL);
  });
  t.case("bytes choose", async (self) => {
    const { device, eventfds } = self;
    const flags = SET.BOOL | SET.TRIGGER;
    await device.setIrqs({ flags: CONNECT, index, count: 1 }, [eventfds[0]!]);
    await device.setIrqs({ flags, index, count: 1 }, [0]);
    await assertCounted(self, 0);
    await device.setIrqs({ flags, index, count: 1 }, [1]);
    await assertCounted(self, 1);
    await turnOff(device, index);
  });
  t.case("without eventfd", async (self) => {
    const { device } = self;
    await device.setIrqs({ flags: CONNECT, index, count: 1 }, [-1]);
    await device.setIrqs({ flags: FIRE, index, count: 1 });
    await turnOff(device, index);
  });
  t.case("one kind at a time", async (self) => {
    const { device, eventfds } = self;
    await device.setIrqs({ flags: CONNECT, index, count: 1 }, [-1]);
    for (const other of [IRQ.INTX, IRQ.MSI, IRQ.MSIX]) {
      if (other === index) continue;
      const values = { flags: CONNECT, index: other, count: 1 };
      await device.setIrqs(values, [eventfds[0]!], EINVAL);
    }
    await turnOff(device, index);
  });
  t.case("off at a vector", async (self) => {
    const { device, eventfds } = self;
    await device.setIrqs({ flags: CONNECT, index, count: 1 }, [eventfds[0]!]);
    await device.setIrqs({ flags: CONNECT, index, count: 1 }, [-1]);
    await device.setIrqs({ flags: FIRE, index, count: 1 });
    await assertCounted(self, 0);
    await turnOff(device, index);
  });
  t.case("a failed switch leaves it off", async (self) => {
    const { device } = self;
    const values = { flags: CONNECT, index, count: 1 };
    await device.setIrqs(values, [9999], EBADF);
    await device.setIrqs({ flags: FIRE, index }, [], EINVAL);
  });
}

function msix(t: Table<IrqSelf>): void {
  const index = IRQ.MSIX;
  t.case("the enable bit follows", async ({ device }) => {
    const at = await device.capability(0x11);
    assertEq(await device.config(at + 2, 2), 9, "off");
    await device.setIrqs({ flags: CONNECT, index, count: 1 }, [-1]);
    assertEq(await device.config(at + 2, 2), 0x8009, "on");
    await turnOff(device, index);
    assertEq(await device.config(at + 2, 2), 9, "off again");
  });
  t.case("vectors beyond those that were switched on", async (self) => {
    const { device, eventfds } = self;
    await device.setIrqs({ flags: CONNECT, index, count: 1 }, [-1]);
    await device.setIrqs(
      { flags: CONNECT, index, start: 3, count: 1 },
      [eventfds[3]!],
    );
    await device.setIrqs({ flags: FIRE, index, count: 4 });
    await assertCounted(self, 0, 0, 0, 1);
    await turnOff(device, index);
  });
  t.case("a range is disconnected if one fails", async (self) => {
    const { device, eventfds } = self;
    const [first, second] = eventfds as [number, number];
    await device.setIrqs({ flags: CONNECT, index, count: 2 }, [first, second]);
    const values = { flags: CONNECT, index, count: 2 };
    await device.setIrqs(values, [first, 9999], EBADF);
    await device.setIrqs({ flags: FIRE, index, count: 2 });
    await assertCounted(self, 0, 0);
    await device.setIrqs({ flags: FIRE, index, start: 1 });
  });
}

function intx(t: Table<IrqSelf>): void {
  const index = IRQ.INTX;
  const connect = async ({ device, eventfds }: IrqSelf) => {
    await device.setIrqs({ flags: CONNECT, index, count: 1 }, [eventfds[0]!]);
  };
  t.case("fired by a call", async (self) => {
    const { device } = self;
    await connect(self);
    await device.setIrqs({ flags: FIRE, index, count: 1 });
    await device.setIrqs({ flags: SET.BOOL | SET.TRIGGER, index, count: 1 }, [
      0,
    ]);
    await assertCounted(self, 1);
    await turnOff(device, index);
  });
  t.case("refused", async (self) => {
    const { device, eventfds } = self;
    await connect(self);
    const mask = SET.NONE | SET.MASK;
    await device.setIrqs({ flags: mask, index, count: 2 }, [], EINVAL);
    await device.setIrqs({ flags: mask, index }, [], EINVAL);
    await device.setIrqs({ flags: CONNECT, index }, [], EINVAL);
    const values = { flags: SET.EVENTFD | SET.MASK, index, count: 1 };
    await device.setIrqs(values, [eventfds[1]!], ENOTTY);
    await turnOff(device, index);
  });
  t.case("an eventfd that unmasks", async (self) => {
    const { device, eventfds } = self;
    const unmask = { flags: SET.EVENTFD | SET.UNMASK, index, count: 1 };
    await connect(self);
    await device.setIrqs({ flags: SET.NONE | SET.MASK, index, count: 1 });
    await device.setIrqs({ flags: SET.BOOL | SET.MASK, index, count: 1 }, [1]);
    await device.setIrqs(unmask, [eventfds[1]!]);
    await device.setIrqs(unmask, [eventfds[2]!], EBUSY);
    const one = new Uint8Array(8);
    one[0] = 1;
    assertEq(await self.io.process.write(eventfds[1]!, one), 8, "write");
    await assertCounted(self, 0, 0);
    await device.setIrqs(unmask, [-1]);
    await device.setIrqs(unmask, [eventfds[2]!]);
    await device.setIrqs({ flags: SET.NONE | SET.UNMASK, index, count: 1 });
    await device.setIrqs({ flags: SET.BOOL | SET.UNMASK, index, count: 1 }, [
      1,
    ]);
    await turnOff(device, index);
  });
  t.case("another eventfd", async (self) => {
    const { device, eventfds } = self;
    await connect(self);
    await device.setIrqs({ flags: CONNECT, index, count: 1 }, [eventfds[1]!]);
    await device.setIrqs({ flags: FIRE, index, count: 1 });
    await assertCounted(self, 0, 1);
    await device.setIrqs({ flags: CONNECT, index, count: 1 }, [-1]);
    await device.setIrqs({ flags: FIRE, index, count: 1 });
    await turnOff(device, index);
  });
}

function single(t: Table<IrqSelf>, name: string, index: number): void {
  t.case(`${name}, an eventfd and another`, async (self) => {
    const { device, eventfds } = self;
    await device.setIrqs({ flags: CONNECT, index, count: 1 }, [eventfds[0]!]);
    await device.setIrqs({ flags: CONNECT, index, count: 1 }, [eventfds[1]!]);
    await device.setIrqs({ flags: FIRE, index, count: 1 });
    await device.setIrqs({ flags: SET.BOOL | SET.TRIGGER, index, count: 1 }, [
      0,
    ]);
    await device.setIrqs({ flags: SET.BOOL | SET.TRIGGER, index, count: 1 }, [
      1,
    ]);
    await assertCounted(self, 0, 2);
    await device.setIrqs({ flags: FIRE, index });
    await device.setIrqs({ flags: SET.BOOL | SET.TRIGGER, index, count: 1 }, [
      1,
    ]);
    await assertCounted(self, 0, 0);
  });
  t.case(`${name}, refused`, async ({ device, eventfds }) => {
    await device.setIrqs({ flags: FIRE, index }, [], EINVAL);
    await device.setIrqs({ flags: FIRE, index, count: 1 }, [], EINVAL);
    await device.setIrqs({ flags: FIRE, index, count: 2 }, [], EINVAL);
    await device.setIrqs({ flags: CONNECT, index }, [], EINVAL);
    await device.setIrqs({ flags: SET.BOOL | SET.TRIGGER, index }, [], EINVAL);
    await device.setIrqs({ flags: CONNECT, index, count: 1 }, [-2], EINVAL);
    await device.setIrqs({ flags: CONNECT, index, count: 1 }, [eventfds[0]!]);
    const mask = { flags: SET.NONE | SET.MASK, index, count: 1 };
    await device.setIrqs(mask, [], ENOTTY);
    await device.setIrqs({ flags: CONNECT, index, count: 1 }, [-1]);
  });
}
