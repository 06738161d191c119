// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `kit_vfio_sriov`: virtual functions come and go, and what their
 * users see of them.
 *
 * @module
 */

import {
  EBUSY,
  EINVAL,
  ENOENT,
  ERANGE,
  type Errno,
} from "../../impl/uapi/errno.ts";
import {
  assertEq,
  assertErrno,
  assertTrue,
  type Test,
} from "../harness/harness.ts";
import { IRQ, REGION, VfioFile } from "../kit_vfio/vfio_ioctls.ts";
import {
  bindWith,
  openFirst,
  readCount,
  sriovFixture,
  type SriovSelf,
  TOKEN_1,
  tryFirst,
  writeCount,
} from "./virtual_function.ts";

/** The power of a device that sleeps. */
const D3HOT = 3;

/** Adds the fixture's tests to `registry`. */
export function registerKitVfioSriov(registry: Test[]): void {
  const f = sriovFixture(registry, "kit_vfio_sriov");

  f.table("count", {
    description: "What is written is a number that the device can have",
    rules: ["X4.1"],
    prepare: (self) => Promise.resolve(self),
  }, (t) => {
    const rows: [what: string, text: string, errno: Errno][] = [
      ["a letter", "x", EINVAL],
      ["nothing", "", EINVAL],
      ["17 bits", "65536", EINVAL],
      ["below zero", "-1", EINVAL],
      ["two numbers", "1 2", EINVAL],
      ["too many", "65", ERANGE],
      ["16 bits", "65535", ERANGE],
    ];
    for (const [what, text, errno] of rows) {
      t.case(what, async (self) => {
        // Nothing is written of no bytes, so a newline stands for them.
        assertErrno(await writeCount(self, `${text}\n`), errno, text);
        assertEq(await readCount(self), "0\n", "there are none");
      });
    }
    t.case("hexadecimal", async (self) => {
      assertEq(await writeCount(self, "0x1\n"), 4, "0x1");
      assertEq(await readCount(self), "1\n", "there is one");
    });
  });

  f.test("all_or_none", {
    description: "The number changes from none and to none only",
    rules: ["X4.1"],
  }, async (self) => {
    assertEq(await writeCount(self, "0"), 1, "none, as it is");
    assertEq(await writeCount(self, "2"), 1, "two");
    assertEq(await writeCount(self, "2"), 1, "two, as it is");
    assertErrno(await writeCount(self, "1"), EBUSY, "one of two");
    assertEq(await readCount(self), "2\n", "there are two");
    assertEq(await writeCount(self, "0"), 1, "none");
    assertEq(await readCount(self), "0\n", "there are none");
  });

  f.test("come_and_go", {
    description: "A virtual function has a file while there is one",
    rules: ["X4.1"],
  }, async (self) => {
    assertErrno(await tryFirst(self), ENOENT, "before");
    assertEq(await writeCount(self, "1"), 1, "one");
    assertEq(await tryFirst(self), 0, "while there is one");
    assertEq(await writeCount(self, "0"), 1, "none");
    assertErrno(await tryFirst(self), ENOENT, "after");
  });

  f.test("config", {
    description:
      "A virtual function has ids, memory that answers, and no legacy interrupt",
    rules: ["X4.2"],
  }, async (self) => {
    const { pf, vf } = await both(self);
    assertEq(await vf.config(0, 2), 0x8086, "vendor");
    assertEq(await vf.config(2, 2), 0x10ca, "device");
    assertEq(await vf.config(4, 2) & 7, 2, "MEMORY is on, MASTER is off");
    await vf.setConfig(4, 2, 4);
    assertEq(await vf.config(4, 2) & 7, 4, "MASTER alone");
    const bytes = new Uint8Array(4);
    assertEq(await vf.pread(REGION.BAR0, 8, bytes), 4, "memory answers still");
    assertEq(await vf.config(0x3d, 1), 0, "interrupt pin");
    assertEq((await vf.irq(IRQ.INTX)).count, 0, "legacy interrupts");
    assertEq((await vf.irq(IRQ.MSIX)).count, 3, "messages");
    await vf.setConfig(0x10, 4, 0xffffffff);
    assertEq(await vf.config(0x10, 4), 0xffffc00c, "BAR 0");
    assertEq((await vf.region(REGION.BAR0)).length, 0x4000n, "BAR 0");
    await close(pf, vf);
  });

  f.test("capability", {
    description: "A user of the device sees the capability, and cannot use it",
    rules: ["X4.2"],
  }, async (self) => {
    const { pf, vf } = await both(self);
    let at = 0x100;
    while (at !== 0 && await pf.config(at, 2) !== 0x10) {
      at = await pf.config(at + 2, 2) >> 4;
    }
    assertTrue(at !== 0, "SR-IOV is in the list");
    assertEq(await pf.config(at + 0x10, 2), 1, "there is one");
    assertEq(await pf.config(at + 0x1a, 2), 0x10ca, "device id");
    await pf.setConfig(at + 0x10, 2, 0);
    await pf.setConfig(at + 8, 2, 0);
    assertEq(await pf.config(at + 0x10, 2), 1, "there still is one");
    assertEq(await pf.config(at + 8, 2) & 9, 9, "it answers");
    await close(pf, vf);
  });

  f.test("keeps_awake", {
    description: "A device with virtual functions does not sleep",
    rules: ["X4.2"],
  }, async (self) => {
    const pf = await VfioFile.open(self.process);
    await pf.bind(self.io.fd);
    const power = await pf.capability(1) + 4;
    const sleep = async () => {
      await pf.setConfig(power, 2, D3HOT);
      return await pf.config(power, 2) & D3HOT;
    };
    assertEq(await sleep(), D3HOT, "without one");
    assertEq(await writeCount(self, "1"), 1, "one");
    assertEq(await pf.config(power, 2) & D3HOT, 0, "it was woken");
    assertEq(await sleep(), 0, "with one");
    await pf.close();
  });

  f.test("reset", {
    description: "A virtual function is reset alone",
    rules: ["X4.2"],
  }, async (self) => {
    const { pf, vf } = await both(self);
    await vf.setConfig(4, 2, 6);
    await vf.ioctl(0x3b6f, new Uint8Array(0));
    assertEq(await vf.config(4, 2) & 6, 6, "its configuration stays");
    assertEq(await readCount(self), "1\n", "it is there");
    await pf.ioctl(0x3b6f, new Uint8Array(0));
    assertEq(await readCount(self), "1\n", "it is there after the device's");
    await close(pf, vf);
  });
}

/** The device and its first virtual function, bound. */
async function both(
  self: SriovSelf,
): Promise<{ pf: VfioFile; vf: VfioFile }> {
  const pf = await VfioFile.open(self.process);
  await bindWith(self, pf, TOKEN_1);
  assertEq(await writeCount(self, "1"), 1, "one");
  const vf = await openFirst(self);
  await bindWith(self, vf, TOKEN_1);
  return { pf, vf };
}

async function close(...devices: readonly VfioFile[]): Promise<void> {
  for (const device of devices.toReversed()) await device.close();
}
