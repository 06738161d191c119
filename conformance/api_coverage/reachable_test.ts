// SPDX-License-Identifier: GPL-2.0-only

import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import * as errnos from "../../impl/uapi/errno.ts";
import { TEST_OPS } from "../../impl/uapi/ioctls.ts";
import { existsIn } from "../../impl/uapi/revision/versions.ts";
import { allTests } from "../../selftests/all.ts";
import { implTarget } from "../../selftests/target/impl_target.ts";
import { runTests } from "../running/run_on_target.ts";
import { Coverage, FILES, ioctlsOf, OTHERS } from "./coverage.ts";
import { covered } from "./covered_target.ts";
import { measure, pairName, unknownPairs } from "./measure.ts";
import { pairsIn } from "./reachable.ts";

const REVISIONS = ["6.12", "7.3"] as const;

describe("The table of what ioctls can come to", () => {
  for (const uapi of REVISIONS) {
    it(`has all ioctls of ${uapi}, and no others`, () => {
      const names = FILES.flatMap((file) => [
        ...ioctlsOf(file, uapi).map(({ ioctl }) => `${file} ${ioctl.name}`),
        `${file} ${OTHERS}`,
      ]);
      const rows = new Set(
        pairsIn(uapi).filter(({ name }) => !name.includes(" "))
          .map(({ file, name }) => `${file} ${name}`),
      );
      assertEquals([...rows].sort(), names.sort());
    });

    it(`has all operations of the test ioctl of ${uapi}, and no others`, () => {
      const names = TEST_OPS.filter(({ op }) => existsIn(uapi, op))
        .map(({ op }) => op.name.replace("IOMMU_TEST_OP_", "IOMMU_TEST_CMD "));
      const rows = new Set(
        pairsIn(uapi).map(({ name }) => name)
          .filter((name) => name.includes(" ")),
      );
      assertEquals([...rows].sort(), names.sort());
    });

    it(`has all that tests of errnos reach in ${uapi}`, async () => {
      const coverage = new Coverage(uapi);
      const tests = allTests(uapi).filter(({ id }) =>
        /^kit_(commands|names|hwpt|vfio_group)|errno/.test(id)
      );
      await runTests(uapi, tests, {
        open: async () => covered(await implTarget(uapi), coverage),
      });
      const { reached } = coverage;
      assert(measure(uapi, reached)[0]!.byCalls.reached > 100);
      assertEquals(unknownPairs({ spec: "impl:", uapi, reached }), []);
    });
  }

  it("names errnos, each with a way there", () => {
    const wrong = pairsIn("7.3").filter(({ result, when }) =>
      (result !== "ok" && !(result in errnos)) || when.length < 5
    );
    assertEquals(wrong.map(pairName), []);
  });

  it("is found out where it lacks what was reached", () => {
    const row = {
      file: "iommufd",
      name: "IOMMU_IOAS_ALLOC",
      results: new Map([["ok", 1], ["EXDEV", 1]]),
      fields: new Map(),
    } as const;
    const found = unknownPairs({ spec: "x:", uapi: "7.3", reached: [row] });
    assertEquals(found.length, 1);
    assert(found[0]!.includes("IOMMU_IOAS_ALLOC of iommufd came to EXDEV"));
  });
});
