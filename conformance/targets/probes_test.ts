// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { NEWEST, REVISION_NAMES } from "../../impl/uapi/revision.ts";
import { implTarget } from "../../selftests/target/impl_target.ts";
import { probeTests } from "./probes.ts";
import { connectTarget } from "../protocol/client.ts";
import { formatText } from "../protocol/codec.ts";
import { runTest } from "../running/run_one.ts";
import type { Target } from "../../selftests/target/target.ts";
import { type Alter, alteredModel, at } from "../testing/altered_model.ts";

/** How each probe of a target ends: `name status message`. */
async function probe(target: Target): Promise<string[]> {
  const lines: string[] = [];
  for (const [name, test] of probeTests(target.info)) {
    const { status, message } = await runTest(test, target);
    lines.push(`${name} ${status}${message ? ` ${message}` : ""}`);
  }
  await target.close();
  return lines;
}

/** Fails an ioctl as a kernel that does not have it. */
function without(cmd: number): Alter {
  return at(
    "ioctl",
    ({ args }, honest) =>
      Number(args[1]) === cmd ? `ok -25 ${args[2]}` : honest(),
  );
}

/** Targets that name all capabilities and lack one. */
const LIARS: readonly (readonly [alter: Alter, line: RegExp])[] = [
  [
    at(
      "mmap",
      ({ args }, honest) => Number(args[3]) & 0x40000 ? "ok -12" : honest(),
    ),
    /^hugetlb fail mmap of \d+ bytes: expected success, got ENOMEM$/,
  ],
  [
    at("fork", () => `error ${formatText("no")}`),
    /^fork error .*: no$/,
  ],
  [
    at("peek", (_, honest) => honest().replace("ok 01", "ok 02")),
    /^fork fail the child's memory, byte 0: expected 0x1, got 0x2$/,
  ],
  [at("failnth", () => "ok -95"), /^fail_nth fail failnth 1: /],
  [at("failnth", () => "ok 0"), /^fail_nth fail IOMMU_IOAS_ALLOC fails when/],
  [at("setrlimit", () => "ok 0"), /^setrlimit fail setrlimit of no resource/],
  [at("setrlimit", () => "ok -1"), /^setrlimit fail setrlimit of RLIMIT_MEM/],
  [at("setuid", () => "ok 0"), /^setuid fail setuid back to root/],
  [at("dropcap", () => "ok -22"), /^setuid fail dropcap/],
  [at("pread", () => "ok -29 -"), /^files fail pread: expected 3, got -29$/],
  [at("fallocate", () => "ok 0"), /^files fail what is in the hole, byte 0: /],
  [at("fcntl", () => "ok 0"), /^files fail seals: expected 4, got 0$/],
  [at("unlink", () => "ok 0"), /^files fail unlink once more: /],
  [at("mremap", () => "ok 0"), /^mremap fail mremap: /],
  [at("exec", () => "ok 0"), /^exec fail close of what exec closed: /],
  [at("dup2", () => "ok 3"), /^dup2 fail dup2: expected 4, got 3$/],
  [at("dup3", () => "ok 3"), /^dup2 fail dup3 to itself: /],
  [at("passfd", () => "ok 3"), /^passfd fail /],
  [at("open", () => "ok -2"), /^vfio fail open .dev.vfio.vfio: .*ENOENT$/],
  [without(0x3b76), /^vfio_device fail .*ENOTTY$/],
  [without(0x3b89), /^hwpt fail .*ENOTTY$/],
  [without(0x3b8b), /^dirty fail .*ENOTTY$/],
  [without(0x3b8e), /^faults fail .*ENOTTY$/],
  [without(0x3b8f), /^map_file fail .*ENOTTY$/],
  [without(0x3b90), /^viommu fail .*ENOTTY$/],
];

describe("probeTests()", () => {
  for (const uapi of REVISION_NAMES) {
    it(`pass on the model, ${uapi}`, async () => {
      const target = await implTarget(uapi);
      const { capabilities } = target.info;
      assertEquals(
        (await probe(target)).sort(),
        // No test needs that calls can be timed, or programs travel whole.
        capabilities.filter((name) => name !== "time" && name !== "program")
          .map((name) => `${name} pass`).sort(),
      );
    });
  }

  for (const [alter, line] of LIARS) {
    it(`fail on a liar: ${line.source}`, async () => {
      const lines = await probe(await connectTarget(alteredModel(alter)));
      assertMatch(
        lines.find((text) => line.test(text)) ?? lines.join("\n"),
        line,
      );
    });
  }

  it("are only those that the target names", async () => {
    const { info } = await implTarget(NEWEST);
    const probes = probeTests({ ...info, capabilities: ["fork", "magic"] });
    assertEquals(probes.map(([name]) => name), ["fork"]);
  });
});
