// SPDX-License-Identifier: GPL-2.0-only

/** What the toy passes, each of its tests fails on a toy that is broken in one way. */

import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { output } from "../../conformance/linux_vm/programs.ts";
import type { TestResult } from "../../conformance/reports/results.ts";
import { runTests } from "../../conformance/running/run_on_target.ts";
import { Selection } from "../../conformance/running/select.ts";
import { parseTarget } from "../../conformance/targets.ts";
import { allTests } from "../../selftests/all.ts";

const ADAPTER = decodeURIComponent(
  new URL("adapter.py", import.meta.url).pathname,
);
const ENOUGH = "import sys; sys.exit(sys.version_info < (3, 10))";
const NO_PYTHON = !(await output("python3", ["-c", ENOUGH])).success &&
  "there is no Python 3.10";

/** The structs that the toy knows. */
const STRUCTS = ["destroy", "ioas_alloc", "ioas_iova_ranges", "ioas_map"]
  .concat("ioas_unmap");

/** These tests of each of some structs. */
function ofStructs(tests: string[], structs = STRUCTS): string[] {
  return structs.flatMap((struct) =>
    tests.map((test) => `kit_struct.${struct}.${test}`)
  );
}

/** How the toy can be broken, and some of the tests that notice: each test that it passes is in one of these. */
const NOTICED: Readonly<Record<string, readonly string[]>> = {
  size: ["iommufd.cmd_ex_fail", ...ofStructs(["short"])],
  tail: ofStructs(["longer_junk", "junk_before_hole"]),
  fault: ["iommufd.cmd_fail", ...ofStructs(["bad_address"])],
  answer: [
    "iommufd_ioas.no_domain.ioas_auto_destroy",
    "iommufd_ioas.no_domain.ioas_destroy",
    "iommufd_ioas.no_domain.ioas_area_destroy",
    "iommufd_ioas.no_domain.ioas_area_auto_destroy",
    "kit_commands.reply_efault",
    "kit_commands.map_reply_efault",
    "kit_commands.contexts_apart",
    "kit_map.no_domain.map_bad_memory",
    ...ofStructs(["exact", "longer", "page_boundary", "read_only"]),
  ],
  reserved: [
    "kit_map.no_domain.map_errno",
    ...ofStructs(["unknown_bits"], STRUCTS.slice(1, 4)),
  ],
  destroy: ["kit_commands.object_ids"],
  id: ["kit_map.no_domain.unmap_errno"],
  range: [
    "kit_map.no_domain.map_wrapped_length",
    "kit_map.no_domain.map_without_rights",
    "kit_map.no_domain.map_fixed_alignment",
  ],
  overlap: [
    "iommufd_ioas.no_domain.area",
    "iommufd_ioas.no_domain.unmap_fully_contained_areas",
    "kit_map.no_domain.unmap_part",
  ],
  choice: [
    "kit_map.no_domain.chosen_iova",
    "kit_map.no_domain.chosen_iova_alignment",
    "kit_chosen_iova.map.area_below",
  ],
};

/** What tests come to on the toy, with these arguments of its adapter. */
async function run(
  ids: readonly string[],
  args: string,
): Promise<readonly TestResult[]> {
  const tests = new Selection("all", ids).select(allTests("7.3"));
  assertEquals(tests.length, ids.length);
  const target = parseTarget(`stdio:python3 '${ADAPTER}' ${args}`);
  const open = () => target.open("7.3");
  const { results } = await runTests("7.3", tests, { open, jobs: 2 });
  return results;
}

/** The ids of those that passed, and of those that did not. */
function byEnd(results: readonly TestResult[]): [string[], string[]] {
  const of = (good: boolean) =>
    results.filter(({ status }) => (status === "pass") === good)
      .map(({ id }) => id);
  return [of(true), of(false)];
}

describe("the toy", { skip: NO_PYTHON }, () => {
  it("passes more than 40 tests, without a test ioctl", async () => {
    const ids = Object.values(NOTICED).flat();
    const [passed, others] = byEnd(await run(ids, ""));
    assertEquals(others, []);
    assert(new Set(passed).size > 40);
  });

  for (const [how, ids] of Object.entries(NOTICED)) {
    it(`does not when it is broken: ${how}`, async () => {
      assertEquals(byEnd(await run(ids, `--broken ${how}`))[0], []);
    });
  }

  it("can be broken in ten ways, all of which are tried", async () => {
    assertEquals(Object.keys(NOTICED).length, 10);
    const { success, stderr } = await output("python3", [
      ...[ADAPTER, "--broken", "nothing"],
    ]);
    assertEquals(success, false);
    assertEquals(
      new TextDecoder().decode(stderr),
      `--broken needs one of ${Object.keys(NOTICED).join(", ")}\n`,
    );
  });
});
