// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { after, describe, it } from "@std/testing/bdd";
import { PciDevice } from "../../../impl/pci/device.ts";
import { hostKernel, run } from "../../mod.ts";
import { buildProgram } from "../build.ts";
import { cannotRun } from "../real_programs.ts";

const folder = Deno.makeTempDirSync();
const source = new URL("stores.c", import.meta.url);
const program = cannotRun === false
  ? buildProgram(source, folder, "-pthread")
  : undefined;
const skip = cannotRun || (program === undefined && "there is no C compiler");

/** Counts the stores to its first register. */
class Counter extends PciDevice {
  readonly #registers = this.registers(0, {
    VALUE: { at: 0x00, write: (value) => this.#count(value) },
    COUNT: { at: 0x04, readOnly: true },
    SEEN: { at: 0x08, readOnly: true },
    STATUS: {
      at: 0x0c,
      reset: 0xff,
      write: (value, old) => this.#registers.set("STATUS", old & ~value),
    },
  });

  constructor(seesStores: boolean) {
    super({
      vendor: 0x1234,
      device: 0xc0de,
      class: 0xff0000,
      bars: [{ size: 4096 }],
      seesStores,
    });
  }

  #count(value: number): void {
    this.#registers.set("COUNT", this.#registers.get("COUNT") + 1);
    this.#registers.set("SEEN", value);
  }
}

/** What the program is told, and what that shows. */
const WAYS = {
  at_once: "sees it before the next instruction, also if it changes nothing",
  bytes: "sees it whatever it is as long as",
  signals: "sees it once, whatever signals come",
  threads: "sees the last of all threads, and none twice",
  debugged: "finds it by looking where somebody debugs the program",
} as const;

describe("a store to a device that has to see each", { skip }, () => {
  after(() => Deno.removeSync(folder, { recursive: true }));

  for (const [way, rule] of Object.entries(WAYS)) {
    it(rule, async () => {
      const kernel = hostKernel();
      kernel.addPciDevice(new Counter(true));
      const { code, stderr } = await run(program!, [way], { kernel });
      assertEquals({ code, stderr }, { code: 0, stderr: "" });
      assertEquals(kernel.audit(), []);
    });
  }

  it("is not alone in that where all are to be trapped", async () => {
    const kernel = hostKernel();
    kernel.addPciDevice(new Counter(false));
    const options = { kernel, trapsStores: true };
    const { code, stderr } = await run(program!, ["at_once"], options);
    assertEquals({ code, stderr }, { code: 0, stderr: "" });
  });
});
