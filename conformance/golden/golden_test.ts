// SPDX-License-Identifier: GPL-2.0-only

/** What real kernels did, on the model. */

import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { EBUSY } from "../../impl/uapi/errno.ts";
import { IOMMU_DESTROY } from "../../impl/uapi/ioas.ts";
import type { RevisionName } from "../../impl/uapi/revision.ts";
import {
  IMPL_CALLS,
  type ImplCalls,
} from "../../selftests/target/impl_calls.ts";
import type { ImplOptions } from "../../selftests/target/impl_target.ts";
import {
  measure,
  type Measured,
  pairName,
  unknownPairs,
} from "../api_coverage/measure.ts";
import { Masks } from "../fuzz/compare/masks.ts";
import { knownDifference } from "./differences.ts";
import { loadTraces, RECORDED } from "./files.ts";
import { coverageOf, measureTraces } from "./measure.ts";
import { play, type Played } from "./play.ts";
import { modelSide } from "./testing/model_side.ts";
import { packTraces, type Traces } from "./trace.ts";
import { whyUnreached } from "./unreached.ts";

/** The most bytes of all files together. */
const MAX_BYTES = 2 * 2 ** 20;

const CONTAINERS = ["iommufd", "type1"] as const;

const files = new Map<RevisionName, Traces>();
for (const uapi of RECORDED) files.set(uapi, await loadTraces(uapi));

/** Plays traces on the model, each as the machine that it is of. */
async function playOnModel(
  { uapi, traces }: Traces,
  options: ImplOptions = {},
): Promise<Played[]> {
  const played: Played[] = [];
  for (const container of CONTAINERS) {
    const side = modelSide(uapi, { ...options, container });
    played.push(await play(traces, side, new Masks(uapi)));
  }
  return played;
}

for (const [uapi, file] of files) {
  describe(`Golden traces of Linux ${file.kernel}`, () => {
    it("come to the same on the model", async () => {
      const played = await playOnModel(file);
      const different = played.flatMap(({ different }) =>
        different.map(({ trace: { name }, text }) => `${name}: ${text}`)
      );
      assertEquals(different, []);
      const same = played.reduce((sum, { same }) => sum + same, 0);
      const known = played.flatMap(({ known }) =>
        known.map(({ name }) => name)
      );
      assertEquals(same + known.length, file.traces.length);
      const listed = file.traces.map(({ name }) => name)
        .filter((name) => knownDifference(uapi, name));
      assertEquals(known.sort(), listed.sort());
    });

    it("reach at least 90 % of the pairs that calls bring about, on all files together and on an iommufd", () => {
      const { all, reached } = measureTraces(uapi, file.traces);
      assert(reached >= 0.9 * all, `${reached} of ${all}`);
      const coverage = coverageOf(uapi, file.traces);
      const [{ byCalls }] = measure(uapi, coverage.reached) as [Measured];
      assert(byCalls.reached >= 0.9 * byCalls.all, JSON.stringify(byCalls));
    });

    it("reach every pair that is not listed with a reason", () => {
      const { missing } = measureTraces(uapi, file.traces);
      const listed = missing.filter((pair) => whyUnreached(pair));
      assertEquals(missing.map(pairName), listed.map(pairName));
    });

    it("are of a machine without a device, and of one with each container", () => {
      const machines = file.traces.map(({ needs }) =>
        ["vfio_device", "type1_container"].filter((need) =>
          needs.includes(need)
        ).join()
      );
      assertEquals([...new Set(machines)].sort(), [
        "",
        "vfio_device",
        "vfio_device,type1_container",
      ]);
    });

    it("reach no pair that the table lacks", () => {
      const { reached } = coverageOf(uapi, file.traces);
      assertEquals(unknownPairs({ spec: "traces", uapi, reached }), []);
    });

    it("notice a model that is not like Linux", async () => {
      const calls = {
        ...IMPL_CALLS,
        ioctl: (process, fd, cmd, arg) => {
          const result = IMPL_CALLS.ioctl(process, fd, cmd, arg);
          const isWrong = cmd === IOMMU_DESTROY && result === -EBUSY.code;
          return isWrong ? 0 : result;
        },
      } as ImplCalls & typeof IMPL_CALLS;
      const traces = file.traces.filter(({ name }) => name.startsWith("kit_"));
      const [played] = await playOnModel({ ...file, traces }, { calls });
      assert(played!.different.length > 0);
    });
  });
}

describe("The files of golden traces", () => {
  it("take at most 2 MiB", async () => {
    let bytes = 0;
    for (const file of files.values()) {
      bytes += (await packTraces(file)).length;
    }
    assert(bytes <= MAX_BYTES, `${bytes}`);
  });
});
