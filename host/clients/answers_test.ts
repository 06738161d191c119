// SPDX-License-Identifier: GPL-2.0-only

/**
 * The questions of `probe`, put to the model by a real program, with the
 * answers of real Linux 7.3.4 beside them: QEMU's 82576 on q35 with
 * intel-iommu.
 */

import { assert, assertEquals } from "@std/assert";
import { after, describe, it } from "@std/testing/bdd";
import { Igb } from "../../impl/pci/devices/igb/igb.ts";
import { hostKernel, run } from "../mod.ts";
import { buildProgram } from "../testing/build.ts";
import { cannotRun } from "../testing/real_programs.ts";

/** Files of the probe beside its first. */
const PARTS = ["cdev", "device", "config", "irqs", "features", "group"];
const folder = Deno.makeTempDirSync();
const probe = cannotRun !== false ? undefined : buildProgram(
  new URL("probe/probe.c", import.meta.url),
  folder,
  ...["-D_GNU_SOURCE", "-Wno-unused-result", "-Wno-format"],
  ...PARTS.map((name) => new URL(`probe/${name}.c`, import.meta.url).pathname),
);
const skip = cannotRun || probe === undefined && "there is no C compiler";

/** How the answers differ from those of the machine that was asked: what it says, what the model says, and why. */
const DIFFERENCES: readonly [real: RegExp, model: RegExp, why: string][] = [
  [
    /\/dev\/vfio\/1 /,
    /\/dev\/vfio\/0 /,
    "that machine had a group before this one",
  ],
  [
    /type 1 len 24 caps 0x8$/,
    /type 1 len 24 caps 0x9$/,
    "QEMU's IOMMU cannot track dirty pages",
  ],
  [
    /command 0x3 status 0x10 line 0xa pin 0x1/,
    /command 0x3 status 0x10 line 0 pin 0x1/,
    "its firmware routed the legacy interrupt",
  ],
  [
    /BAR\d was 0x\w+;/,
    /BAR\d was 0x\w+;/,
    "its firmware chose the addresses",
  ],
  [/mnt_id:.*/, /mnt_id:.*/, "mounts are the host's"],
  [/ino:.*/, /ino:.*/, "inodes are the host's"],
  [
    /cdev HOT_RESET count 0 +-> -1 ENOTTY/,
    /cdev HOT_RESET count 0 +-> 0/,
    "its bridge cannot reset its bus",
  ],
];

/** Lines without the numbers of new descriptors, which depend on those that a program begins with. */
function linesOf(text: string): string[] {
  return text.trimEnd().split("\n").map((line) =>
    line.trimEnd().replace(
      /^((?:open|GET_DEVICE_FD|DMA_BUF).*-> )(?:[3-9]|\d\d+)$/,
      "$1a descriptor",
    )
  );
}

/** What is left of a line where a difference is known. */
function withoutDifference(line: string, real: string): string {
  for (const [ofReal, ofModel] of DIFFERENCES) {
    if (ofReal.test(real) && ofModel.test(line)) {
      return line.replace(ofModel, "…");
    }
  }
  return line;
}

/** What real Linux says, and what the model says, but for what differs as it is known. */
async function answers(
  file: string,
  vfioContainer: "type1" | "iommufd",
  address: string,
  ...args: string[]
): Promise<[real: string[], model: string[]]> {
  const kernel = hostKernel({ vfioContainer });
  kernel.addPciDevice(new Igb(), { address });
  const { code, stdout, stderr } = await run(probe!, [address, ...args], {
    kernel,
  });
  assertEquals([code, stderr], [0, ""]);
  assertEquals(kernel.audit(), []);
  const url = new URL(`answers/${file}.txt`, import.meta.url);
  const real = linesOf(await Deno.readTextFile(url));
  // Some were asked from somewhere in the middle on.
  const all = linesOf(stdout);
  const model = all.slice(
    all.indexOf(real[0]!) < 0 ? 0 : all.indexOf(real[0]!),
  );
  assertEquals(model.length, real.length);
  const differences = real.map((line, i) => {
    const told = withoutDifference(model[i]!, line);
    const [ofReal] = DIFFERENCES.find(([ofReal]) => ofReal.test(line)) ?? [];
    const known = ofReal !== undefined && told !== model[i];
    return [known ? line.replace(ofReal, "…") : line, told] as const;
  });
  return [differences.map(([a]) => a), differences.map(([, b]) => b)];
}

describe("the answers of real Linux", () => {
  after(() => Deno.removeSync(folder, { recursive: true }));

  it("are given by a device's own file", { skip }, async () => {
    const [real, model] = await answers(
      "cdev",
      "iommufd",
      "0000:00:05.0",
      ...["/dev/iommu", "cdev"],
    );
    assertEquals(model, real);
    assert(real.length > 300);
  });

  it(
    "are given by a group whose container is an iommufd",
    { skip },
    async () => {
      const [real, model] = await answers(
        "group_iommufd",
        "iommufd",
        "0000:00:05.0",
        ...["/dev/iommu", "group"],
      );
      assertEquals(model, real);
    },
  );

  it("are given by a group in a container of type1", { skip }, async () => {
    const [real, model] = await answers(
      "group_type1",
      "type1",
      "0000:00:05.0",
      ...["/dev/vfio/vfio", "group"],
    );
    assertEquals(model, real);
  });

  it("are given behind a bridge", { skip }, async () => {
    const [real, model] = await answers(
      "cdev_behind_bridge",
      "iommufd",
      "0000:01:00.0",
      ...["/dev/iommu", "cdev"],
    );
    assertEquals(model, real);
  });
});
