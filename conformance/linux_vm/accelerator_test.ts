// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { chooseAccelerator } from "./accelerator.ts";
import type { Accelerator } from "./qemu.ts";

/** A machine with a KVM that boots or does not, and what was asked of it. */
class Machine {
  boots = 0;
  readonly folder: string;
  readonly #works: boolean | undefined;

  /** `works` is undefined where there is no KVM. */
  constructor(folder: string, works: boolean | undefined) {
    this.folder = `${folder}/`;
    this.#works = works;
  }

  choose(kernel: string): Promise<Accelerator> {
    return chooseAccelerator({
      folder: this.folder,
      kernel,
      hasKvm: () => Promise.resolve(this.#works !== undefined),
      bootsWithKvm: () => {
        this.boots++;
        return Promise.resolve(this.#works!);
      },
    });
  }
}

async function withFolder(
  body: (folder: string) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

describe("the accelerator", () => {
  for (const [works, expected] of [[true, "kvm"], [false, "tcg"]] as const) {
    it(`is ${expected} where KVM ${works ? "works" : "does not"}, and tried once for a kernel`, () =>
      withFolder(async (folder) => {
        const machine = new Machine(folder, works);
        assertEquals(await machine.choose("one"), expected);
        assertEquals(await machine.choose("one"), expected);
        assertEquals(machine.boots, 1);
        assertEquals(await machine.choose("two"), expected);
        assertEquals(machine.boots, 2);
      }));
  }

  it("is TCG where there is no KVM, whatever another machine remembered", () =>
    withFolder(async (folder) => {
      assertEquals(await new Machine(folder, true).choose("one"), "kvm");
      const machine = new Machine(folder, undefined);
      assertEquals(await machine.choose("one"), "tcg");
      assertEquals(machine.boots, 0);
    }));

  it("is found out anew where the answer cannot be read", () =>
    withFolder(async (folder) => {
      const machine = new Machine(folder, true);
      await Deno.writeTextFile(`${folder}/accelerator.json`, '{"accel');
      assertEquals(await machine.choose("one"), "kvm");
      assertEquals(machine.boots, 1);
    }));
});
