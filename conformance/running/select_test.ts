// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { Selection, type Suite, SUITES } from "./select.ts";
import { passingTest } from "../testing/fake_target.ts";

describe("Selection", () => {
  const tests = [
    passingTest("iommufd.simple_close"),
    passingTest("iommufd_ioas.mock.area"),
    passingTest("iommufd_ioas.none.area"),
    passingTest("kit_ioas.reserved", { upstream: false }),
  ];
  function ids(selection: Selection): string[] {
    return selection.select(tests).map(({ id }) => id);
  }

  it("takes everything without filters", () => {
    assertEquals(ids(new Selection("all", [])).length, 4);
  });

  it("takes what any filter matches, in the order of the suite", () => {
    assertEquals(ids(new Selection("all", ["*.area", "iommufd"])), [
      "iommufd.simple_close",
      "iommufd_ioas.mock.area",
      "iommufd_ioas.none.area",
    ]);
  });

  it("leaves out what a filter with ! matches", () => {
    assertEquals(ids(new Selection("all", ["!iommufd_ioas", "!kit*"])), [
      "iommufd.simple_close",
    ]);
    assertEquals(ids(new Selection("all", ["*.area", "!*.none"])), [
      "iommufd_ioas.mock.area",
    ]);
  });

  it("tells the kernel's tests from those of the kit", () => {
    assertEquals(ids(new Selection("kernel", [])).length, 3);
    assertEquals(ids(new Selection("kit", [])), ["kit_ioas.reserved"]);
  });

  it("tells the kernel's programs apart", () => {
    const sweep = passingTest("basic_fail_nth.basic", {
      program: "iommufd_fail_nth",
    });
    const irq = passingTest("vfio_pci_irq_test.msi.enable", {
      program: "vfio_pci_device_test",
    });
    function count(suite: Suite): number {
      return new Selection(suite, []).select([...tests, sweep, irq]).length;
    }
    assertEquals(
      SUITES.map((suite) => [suite, count(suite)])
        .filter(([, count]) => count !== 0),
      [
        ["kernel", 5],
        ["iommufd", 3],
        ["iommufd_fail_nth", 1],
        ["vfio_pci_device_test", 1],
        ["kit", 1],
        ["all", 6],
      ],
    );
  });

  it("names the filters that match nothing", () => {
    const selection = new Selection("all", ["iommufd", "nothing", "!never"]);
    assertEquals(selection.unmatched(tests), ["nothing", "never"]);
    assertEquals(new Selection("all", ["*"]).unmatched(tests), []);
  });
});
