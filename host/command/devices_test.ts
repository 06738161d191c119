// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { CopyEngine, Kernel, NvmeDrive, NvmeMemory } from "../../mod.ts";
import { DEVICE_KINDS } from "../../impl/pci/devices/kinds.ts";
import { UsageError } from "../../conformance/lib/usage_error.ts";
import { parseDevice, plugDevices } from "./devices.ts";

/** What modules export. */
const MODULES: Readonly<Record<string, unknown>> = {
  "./one.ts": new CopyEngine(),
  "./class.ts": CopyEngine,
  "./makes.ts": () => Promise.resolve(new CopyEngine()),
  "./other.ts": class Other {},
  "./nothing.ts": undefined,
};

/** Plugs devices into a machine, where "disk" is a file and modules are those above. */
async function plug(texts: readonly string[], revision?: "6.12" | "v3") {
  const kernel = new Kernel({
    vfioNoIommu: true,
    ...revision && { revision },
  });
  await plugDevices(kernel, texts.map(parseDevice), {
    load(path) {
      if (path in MODULES) return Promise.resolve(MODULES[path]);
      return Promise.reject(new Error(`There is no module ${path}`));
    },
    openStorage(path, options) {
      if (path === "disk") return Object.assign(new NvmeMemory(512), options);
      throw new Error("No such file");
    },
  });
  return [...kernel.pci.functions.values()];
}

describe("the table of devices in README.md", () => {
  it("has each kind with all its options", async () => {
    const readme = await Deno.readTextFile(
      new URL("../README.md", import.meta.url),
    );
    for (const [kind, { options }] of Object.entries(DEVICE_KINDS)) {
      const row = readme.match(new RegExp(`^\\| \`${kind}\` .*$`, "m"))?.[0];
      const named = [...row?.matchAll(/`(\w+)=/g) ?? []].map(([, name]) =>
        name
      );
      assertEquals(named, [...options]);
    }
  });
});

describe("--device", () => {
  for (const kind of Object.keys(DEVICE_KINDS)) {
    it(`makes ${kind}`, async () => {
      const [first, second, ...more] = await plug([kind, kind]);
      assertEquals(more, []);
      assertEquals([first!.name, second!.name], [
        "0000:00:04.0",
        "0000:00:05.0",
      ]);
    });
  }

  it("gives a drive its size, or a file", async () => {
    const drives = await plug([
      "nvme",
      "nvme,size=8K,namespaces=2",
      "nvme,file=disk",
      "nvme,readonly=disk",
    ]);
    const storages = drives.map(({ device }) =>
      device instanceof NvmeDrive ? device.namespaces : []
    );
    assertEquals(storages.map((all) => all.map(({ size }) => size)), [
      [2 ** 26],
      [8192, 8192],
      [512],
      [512],
    ]);
    const readOnly = storages.map(([storage]) => storage?.isReadOnly ?? false);
    assertEquals(readOnly, [false, false, false, true]);
  });

  it("puts it where it is to be", async () => {
    const [pci] = await plug(["igb,at=0000:01:00.1"]);
    assertEquals(pci!.name, "0000:01:00.1");
  });

  it("puts devices with one name into one group", async () => {
    const all = await plug(["dma,group=a", "igb", "dma,group=a", "dma"]);
    const groups = all.map(({ group }) => group!.id);
    assertEquals(groups[0], groups[2]);
    assertEquals(new Set(groups).size, 3);
  });

  for (const path of ["./one.ts", "./class.ts", "./makes.ts"]) {
    it(`takes the device of a module: ${path}`, async () => {
      const [pci] = await plug([`${path},at=0000:00:1f.7`]);
      assertEquals(pci!.name, "0000:00:1f.7");
      assertEquals(pci!.device instanceof CopyEngine, true);
    });
  }

  const unreadable: [text: string, message: string][] = [
    ["ibg", `Unknown device "ibg": it must be `],
    ["ibg", `a module that exports one. Did you mean "igb"?`],
    ["constructor", `Unknown device "constructor"`],
    ["", `Unknown device ""`],
    ["dma,size=1M", `Unknown option "size" of device dma: it must be vfs,`],
    ["nvme,vfs=1", `Unknown option "vfs" of device nvme`],
    ["nvme,sise=1M", `Did you mean "size"?`],
    ["dma,iommu=off", `Option iommu of device dma must be none, not "off".`],
    ["nvme,size", "Option size of device nvme needs a value."],
    ["nvme,size=", "Option size of device nvme needs a value."],
    ["nvme,size=1M,size=2M", "Option size of device nvme is there twice."],
    ["./one.ts,size=1M", `Unknown option "size" of device ./one.ts`],
  ];
  for (const [text, message] of unreadable) {
    it(`refuses ${text}: ${message}`, () => {
      assertThrows(() => parseDevice(text), UsageError, message);
    });
  }

  it("puts it behind no IOMMU", async () => {
    const [pci] = await plug(["dma,iommu=none"]);
    assertEquals(pci!.group, null);
  });

  const impossible: [text: string, message: string][] = [
    ["dma,pri=yes", `"yes" is not "on" or "off"`],
    ["igb,wire=x", `"x" must be loop`],
    ["igb,vfs=x", `device "igb,vfs=x": "x" is no number`],
    ["igb,vfs=5000", "1 to 4096 virtual functions, not 5000"],
    ["nvme,size=1X", `device "nvme,size=1X": "1X" is no number of bytes`],
    ["nvme,size=9007199254740992G", "is no number of bytes"],
    ["nvme,size=100", "whole blocks of 512 bytes, not 100"],
    ["nvme,namespaces=0", `"0" is no number from 1 to 256`],
    ["nvme,namespaces=257", `"257" is no number from 1 to 256`],
    ["nvme,namespaces=two", `"two" is no number`],
    ["nvme,file=disk,size=1M", "memory, or one file behind it"],
    ["nvme,file=disk,namespaces=2", "memory, or one file behind it"],
    ["nvme,file=disk,readonly=disk", "memory, or one file behind it"],
    ["nvme,file=none", `Cannot make device "nvme,file=none": No such file`],
    ["dma,at=4", `device "dma,at=4": 4 is no address of a PCI device`],
    ["./none.ts", `from "./none.ts": There is no module`],
    ["./nothing.ts", "its default export must be a PciDevice, a class"],
    ["./other.ts", `Cannot get a device from "./other.ts"`],
  ];
  for (const [text, message] of impossible) {
    it(`cannot do ${text}: ${message}`, async () => {
      await assertRejects(() => plug([text]), UsageError, message);
    });
  }

  it("refuses an address that is taken, and a revision without such files", async () => {
    const one = "dma,at=0000:00:04.0";
    await assertRejects(() => plug([one, one]), UsageError, "already");
    await assertRejects(() => plug(["dma"], "v3"), UsageError, "v3 has no");
  });
});
