// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `kit_vfio_config`: configuration space as a user sees it.
 *
 * @module
 */

import { EFAULT } from "../../impl/uapi/errno.ts";
import {
  assertEq,
  assertErrno,
  type Table,
  type Test,
} from "../harness/harness.ts";
import { IRQ, REGION, SET, VFIO, VfioFile } from "./vfio_ioctls.ts";
import { vfioFixture, type VfioSelf } from "./kit_vfio_device.ts";

/** A register of an 82576 that a reset clears: bytes of the ring that receives. */
const RDLEN = 0x2808;

/** Adds the fixture's tests to `registry`. */
export function registerKitVfioConfig(registry: Test[]): void {
  const f = vfioFixture(registry, "kit_vfio_config");

  f.table("length", {
    description: "Reads end with configuration space, or fail",
    rules: ["X2.6"],
  }, (t) => {
    const rows: [string, number, number, number][] = [
      ["all of it", 0, 4096, 4096],
      ["across dwords", 1, 3, 3],
      ["nothing", 0, 0, 0],
    ];
    for (const [what, at, count, ret] of rows) {
      t.case(what, async ({ device }) => {
        const bytes = new Uint8Array(count);
        assertEq(await device.pread(REGION.CONFIG, at, bytes), ret, "pread");
      });
    }
    for (const [at, count] of [[0, 8192], [4094, 4], [4096, 4]] as const) {
      t.case(`${count} at ${at}`, async ({ device }) => {
        const bytes = new Uint8Array(count);
        const ret = await device.pread(REGION.CONFIG, at, bytes);
        assertErrno(ret, EFAULT, "pread");
      });
    }
  });

  f.table("header", {
    description: "What a user may write of the header",
    rules: ["X2.5"],
  }, header);

  f.table("bars", {
    description: "BARs are the user's own, and tell their size",
    rules: ["X2.5"],
  }, (t) => {
    const rows: [string, number, number, number][] = [
      ["memory", 0, 0xfffe0000, 0x12340000],
      ["more memory", 1, 0xfffe0000, 0x12340000],
      ["ports", 2, 0xffffffe1, 0x12345661],
      ["the lower half", 3, 0xffffc004, 0x12344004],
      ["the upper half", 4, 0xffffffff, 0x12345678],
      ["none", 5, 0, 0],
      ["no ROM", 8, 0, 0],
    ];
    for (const [what, index, ones, value] of rows) {
      t.case(what, async ({ device }) => {
        const at = 0x10 + 4 * index;
        const old = await device.config(at, 4);
        await device.setConfig(at, 4, 0xffffffff);
        assertEq(await device.config(at, 4), ones, "all ones");
        await device.setConfig(at, 4, 0x12345678);
        assertEq(await device.config(at, 4), value, "0x12345678");
        await device.setConfig(at, 4, old);
        assertEq(await device.config(at, 4), old, "as before");
      });
    }
  });

  f.test("capabilities", {
    description: "The capabilities that a user sees",
    rules: ["X2.5"],
  }, async ({ device }) => {
    const caps: number[] = [];
    for (let at = await device.config(0x34, 1); at !== 0;) {
      caps.push(await device.config(at, 1));
      at = await device.config(at + 1, 1);
    }
    assertEq(caps.join(), "1,5,17,16", "PM, MSI, MSI-X, PCI Express");
    assertEq(await device.config(0x100, 2), 1, "AER is the first extended one");
  });

  f.table("messages", {
    description: "MSI and MSI-X are switched on by an ioctl alone",
    rules: ["X2.5"],
  }, (t) => {
    t.case("MSI-X is read-only", async ({ device }) => {
      const at = await device.capability(0x11);
      await device.setConfig(at + 2, 2, 0xc000);
      assertEq(await device.config(at + 2, 2), 9, "as it was");
    });
    t.case("MSI", async ({ device }) => {
      const at = await device.capability(5);
      assertEq(await device.config(at + 2, 2), 0x180, "64 bits, masks");
      await device.setConfig(at + 2, 2, 1);
      assertEq(await device.config(at + 2, 2), 0x100, "not on");
      await device.setConfig(at + 2, 2, 0x70);
      assertEq(await device.config(at + 2, 2), 0x100, "one message");
      await device.setConfig(at + 4, 4, 0xfee01234);
      assertEq(await device.config(at + 4, 4), 0xfee01234, "the address");
      await device.setConfig(at + 12, 2, 0x4321);
      assertEq(await device.config(at + 12, 2), 0x4321, "the data");
    });
    t.case("MSI while it is on", async ({ device }) => {
      const at = await device.capability(5);
      const values = { flags: SET.EVENTFD | SET.TRIGGER, index: IRQ.MSI };
      await device.setIrqs({ ...values, count: 1 }, [-1]);
      await device.setConfig(at + 2, 2, 1);
      assertEq(await device.config(at + 2, 2), 0x101, "on");
      await device.setIrqs({ flags: SET.NONE | SET.TRIGGER, index: IRQ.MSI });
      await device.setConfig(at + 2, 2, 1);
      assertEq(await device.config(at + 2, 2), 0x100, "off");
    });
  });

  f.test("reset_keeps", {
    description: "A reset leaves what the user wrote",
    rules: ["X2.7"],
  }, async ({ io, device }) => {
    await device.setConfig(4, 2, 7);
    await device.setConfig(0x10, 4, 0x12340000);
    const ret = await io.process.ioctlArg(device.fd, VFIO.RESET, 0);
    assertEq(ret, 0, "RESET");
    assertEq(await device.config(4, 2), 7, "the command");
    assertEq(await device.config(0x10, 4), 0x12340000, "BAR 0");
  });

  f.test("master_is_off_at_open", {
    description: "Each user begins without bus mastering",
    rules: ["X2.7"],
  }, async ({ io, device, devId }) => {
    assertEq(await device.config(4, 2) & 4, 0, "off");
    await device.setConfig(4, 2, 7);
    assertEq(await device.config(4, 2) & 4, 4, "on");
    await device.close();
    const again = await VfioFile.open(io.process);
    assertEq(await again.bind(io.fd), devId, "the same id");
    assertEq(await again.config(4, 2) & 4, 0, "off again");
  });

  f.table("function_reset", {
    description: "The bit that resets a function reads 0",
    rules: ["X2.5"],
  }, (t) => {
    t.case("flr", async ({ device }) => {
      const at = await device.capability(0x10) + 8;
      const old = await device.config(at, 2);
      await device.store(REGION.BAR0, RDLEN, 4, 0x1000);
      await device.setConfig(at, 2, old | 0x8000);
      assertEq(await device.config(at, 2), old, "as before");
      assertEq(await device.load(REGION.BAR0, RDLEN, 4), 0, "it was reset");
    });
    t.case("the size of packets is the user's", async ({ device }) => {
      const at = await device.capability(0x10) + 8;
      const old = await device.config(at, 2);
      await device.setConfig(at, 2, old ^ 0x7020);
      assertEq(await device.config(at, 2), old ^ 0x7020, "kept");
      await device.setConfig(at, 2, old);
    });
  });
}

function header(t: Table<VfioSelf>): void {
  t.case("ids are read-only", async ({ device }) => {
    const id = await device.config(0, 4);
    await device.setConfig(0, 4, 0xffffffff);
    assertEq(await device.config(0, 4), id, "ids");
  });
  t.case("command", async ({ device }) => {
    await device.setConfig(4, 4, 0xffffffff);
    assertEq(await device.config(4, 2), 0x507, "what an 82576 has");
    await device.setConfig(4, 2, 3);
    assertEq(await device.config(4, 2), 3, "cleared");
  });
  t.case("interrupt line", async ({ device }) => {
    await device.setConfig(0x3c, 2, 0x0277);
    assertEq(await device.config(0x3c, 2), 0x0177, "the pin stays");
  });
  t.case("latency", async ({ device }) => {
    await device.setConfig(0x0d, 1, 0x40);
    assertEq(await device.config(0x0d, 1), 0, "none in PCI Express");
  });
  t.case("what no capability has", async ({ device }) => {
    await device.setConfig(0xf0, 1, 0x55);
    assertEq(await device.config(0xf0, 1), 0x55, "memory of the device");
    await device.setConfig(0xf0, 1, 0);
  });
}
