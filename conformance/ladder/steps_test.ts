// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { IOCTLS, VFIO_IOCTLS } from "../../impl/uapi/ioctls.ts";
import { NEWEST, REVISION_NAMES } from "../../impl/uapi/revision.ts";
import { allTests } from "../../selftests/all.ts";
import { TEST_OP_NAMES } from "../protocol/hello.ts";
import { rungsOf } from "./climb.ts";
import { stepOf, STEPS } from "./steps.ts";
import { measureUses } from "./uses.ts";

/** It does more on newer kernels than it needs on all. */
const NEEDS_MORE = "basic_fail_nth.device";

/** A target without any capability. */
const TOY = {
  name: "toy",
  version: "1",
  pageSize: 4096,
  hugePageSize: 2 ** 21,
  capabilities: [],
};

describe("the steps of the ladder", () => {
  it("have every ioctl and every test operation, each once", () => {
    assertEquals(
      STEPS.flatMap(({ ioctls }) => ioctls).sort(),
      [...IOCTLS, ...VFIO_IOCTLS].map(({ ioctl }) => ioctl.name).sort(),
    );
    assertEquals(
      STEPS.flatMap(({ ops }) => ops).sort(),
      [
        ...TEST_OP_NAMES,
      ].sort(),
    );
  });

  it("are of whoever uses or needs anything of theirs: the last one", () => {
    const at = (...args: Parameters<typeof stepOf>) =>
      STEPS[stepOf(...args)]!.name;
    assertEquals(at([]), "processes");
    assertEquals(at(["0x3bff"], ["fork"]), "processes");
    assertEquals(at(["IOMMU_IOAS_COPY", "IOMMU_DESTROY"]), "copy");
    assertEquals(at(["IOMMU_DESTROY"], ["hwpt"]), "hardware page tables");
  });

  it("are where the tests are, by what they use on the model", async () => {
    const tests = allTests(NEWEST);
    const uses = await measureUses(NEWEST, tests);
    assertEquals(Object.keys(uses), tests.map(({ id }) => id));
    const known = new Set(
      STEPS.flatMap(({ ioctls, ops }) => [...ioctls, ...ops]),
    );
    const unknown = Object.values(uses).flat()
      .filter((name) => !known.has(name) && !name.startsWith("0x"));
    assertEquals(unknown, []);

    // Who needs a capability of a step needs nothing that is above it.
    const wrong = tests
      .filter(({ id, needs }) => {
        const least = stepOf([], needs);
        return least > 0 && stepOf(uses[id]!, needs) !== least;
      })
      .map(({ id }) => id);
    assertEquals(wrong.filter((id) => id !== NEEDS_MORE), []);
  });

  it("have each test once, and are only those that have some", async () => {
    for (const uapi of REVISION_NAMES) {
      const tests = allTests(uapi).filter(({ fixture }) =>
        fixture === "iommufd" || fixture === "iommufd_ioas"
      );
      const rungs = await rungsOf({ ...TOY, uapi }, tests);
      const ids = rungs.flatMap(({ tests }) => tests).map(({ id }) => id);
      assertEquals(ids.toSorted(), tests.map(({ id }) => id).sort());
      const names = rungs.map(({ step }) => step.name);
      assertEquals(names.includes("the VFIO container"), true);
      assertEquals(names.includes("files"), uapi === NEWEST);
      assertEquals(names.includes("PASIDs"), false);
    }
  });
});
