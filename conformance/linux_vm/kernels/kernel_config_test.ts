// SPDX-License-Identifier: GPL-2.0-only

import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { kernelSources } from "../cache.ts";
import { containerConfig, CONTAINERS, KERNELS } from "./kernels.ts";
import { optionLines, refusedOptions } from "./kernel_config.ts";

const FRAGMENT = `# A comment with CONFIG_NOT_THIS=y
CONFIG_A=y

CONFIG_NAME="-x y"
`;

describe("kernel configurations", () => {
  it("are the lines that set an option", () => {
    assertEquals(optionLines(FRAGMENT), ["CONFIG_A=y", 'CONFIG_NAME="-x y"']);
  });

  it("tell what the kernel did not take", () => {
    assertEquals(
      refusedOptions(FRAGMENT, 'CONFIG_NAME="-x y"\nCONFIG_AB=y\n'),
      ["CONFIG_A=y"],
    );
    assertEquals(
      refusedOptions(FRAGMENT, "# CONFIG_A is not set\nCONFIG_NAME=y\n"),
      ["CONFIG_A=y", 'CONFIG_NAME="-x y"'],
    );
    assertEquals(
      refusedOptions(FRAGMENT, 'CONFIG_A=y\nCONFIG_NAME="-x y"\n'),
      [],
    );
  });

  const all = KERNELS.flatMap((kernel) =>
    CONTAINERS.map((container) => ({ kernel, container }))
  );
  for (const { kernel, container } of all) {
    it(`ask for each option once, and for the selftests' among them (${kernel.revision}, ${container})`, async () => {
      const sources = await kernelSources(kernel, [containerConfig(container)]);
      const fragment = Object.values(sources).join("\n");
      const options = optionLines(fragment);
      const names = options.map((line) => line.split("=", 1)[0]);
      assertEquals(names.length, new Set(names).size);
      for (const name of ["IOMMUFD_TEST", "FAILSLAB", "HUGETLBFS"]) {
        assert(options.includes(`CONFIG_${name}=y`));
      }
    });
  }
});
