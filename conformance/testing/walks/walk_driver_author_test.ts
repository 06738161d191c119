// SPDX-License-Identifier: GPL-2.0-only

/**
 * The walk of who writes a driver: from the examples that README names to a
 * driver of one's own that first lacks something, and is told what.
 */

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { deno, OwnFolder, run } from "./walk.ts";

Deno.test("a driver author's walk", async (t) => {
  await using folder = await OwnFolder.make();
  const { path } = folder;

  await t.step(
    "the smallest driver works in a folder of one's own",
    async () => {
      await folder.copy("examples/drivers/driver_test.ts");
      const out = await deno(path, "test", "driver_test.ts");
      assertStringIncludes(out, "sees what an IOAS maps ... ok");
    },
  );

  await t.step(
    "so do those with everything, and a PCI device of one's own",
    async () => {
      const files = [
        "drivers/program.ts",
        "drivers/simple_iommu.ts",
        "drivers/simple_iommu_test.ts",
        "drivers/emulated_device.ts",
        "drivers/emulated_device_test.ts",
        "drivers/given_device.ts",
        "drivers/given_device_test.ts",
        "checksum_device.ts",
        "dma_client.ts",
        "dma_client_test.ts",
      ];
      for (const file of files) await folder.copy(`examples/${file}`);
      const out = await deno(path, "test");
      assertMatch(out, /ok \| 6 passed \(\d+ steps\) \| 0 failed/);
    },
  );

  await t.step("what a driver lacks, the error names", async () => {
    const driver = await Deno.readTextFile(`${path}/driver_test.ts`);
    const tries = {
      "isolated_test.ts": ["dev.hasIsolatedMsi = true;", ""],
      "maps_test.ts": ["override mapPages(", "mapPagesLater("],
      "mapped_test.ts": ["Number(iova), read", "Number(iova) + PAGE, read"],
    } as const;
    for (const [name, [from, to]] of Object.entries(tries)) {
      assertStringIncludes(driver, from);
      await folder.write(name, driver.replace(from, to));
    }
    const names = Object.keys(tries);
    const { code, out } = await run(path, Deno.execPath(), "test", ...names);
    assertEquals(code, 1);
    const told = [
      "EPERM: the device's interrupts are not isolated (Device.hasIsolatedMsi)",
      "ENODEV: the domain cannot map (Domain.mapPages)",
    ];
    for (const what of told) assertStringIncludes(out, what);
    assertMatch(out, /DmaFault: The device cannot read IOVA 0x\w+: the IOMMU/);
  });
});
