// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { EBUSY } from "../../impl/uapi/errno.ts";
import { IOMMU_DESTROY } from "../../impl/uapi/ioas.ts";
import type { RevisionName } from "../../impl/uapi/revision.ts";
import { IMPL_CALLS } from "../../selftests/target/impl_calls.ts";
import {
  type ImplOptions,
  implTarget,
} from "../../selftests/target/impl_target.ts";
import { denoHost } from "../lib/host.ts";
import { parseTarget } from "../targets.ts";
import { TargetStartError } from "../targets/test_target.ts";
import type { TargetSpec } from "../targets/target_spec.ts";
import { runTraces } from "./command.ts";

/** A model as a target. */
function model(
  options: ImplOptions = {},
  revisions: RevisionName[] = ["7.3"],
): TargetSpec {
  return {
    spec: "altered:",
    revisions: () => Promise.resolve(revisions),
    open: (uapi) => implTarget(uapi, { hasOnlyCard: true, ...options }),
  };
}

/** Runs a command; its exit code and what it says. */
async function run(args: readonly string[], target?: TargetSpec) {
  let out = "";
  let err = "";
  const code = await runTraces(args, {
    host: {
      ...denoHost(),
      out: (text) => out += text,
      err: (text) => err += text,
    },
    parseTarget: target ? () => target : parseTarget,
  });
  return { code, out, err };
}

/** Destroys what is in use. */
const WRONG = {
  ...IMPL_CALLS,
  ioctl: (...args: Parameters<typeof IMPL_CALLS.ioctl>) => {
    const result = IMPL_CALLS.ioctl(...args);
    return args[2] === IOMMU_DESTROY && result === -EBUSY.code ? 0 : result;
  },
};

describe("deno task traces", () => {
  it("plays on the model as each machine where no target is named", async () => {
    const { code, out } = await run(["--filter", "kit_map.no_domain"]);
    assertEquals(code, 0, out);
    assertMatch(out, /^impl:container=iommufd 6\.12: (\d+) of \1 traces/m);
    assertMatch(out, /^impl:container=iommufd 7\.3: (\d+) of \1 traces/m);
    assertMatch(out, /^impl:container=type1 7\.3: 0 of 0 traces/m);
  });

  it("names the traces that come to something else, and what does", async () => {
    const args = ["--target", "x:", "--filter", "no_domain"];
    const { code, out } = await run(args, model({ calls: WRONG }));
    assertEquals(code, 1);
    assertMatch(
      out,
      /^kit_\S+\n {2}step \d+, IOMMU_DESTROY: EBUSY here, 0 there/m,
    );
  });

  it("counts what a target cannot run by what it lacks", async () => {
    const target = { ...model({ container: "iommufd" }), spec: "container:" };
    const args = ["--target", "x:", "--filter", "kit_vfio_type1"];
    const { code, out } = await run(args, target);
    assertEquals(code, 0, out);
    assertMatch(out, /^ {2}\d+ not played: they need type1_container$/m);
  });

  it("says when there is nothing to play", async () => {
    const filtered = await run(["--filter", "nothing of that name"]);
    assertEquals(filtered.code, 2);
    assertMatch(
      filtered.err,
      /No trace has "nothing of that name" in its name/,
    );
    const old = await run(["--target", "x:"], model({}, ["v3"]));
    assertEquals(old.code, 2);
    assertMatch(old.err, /traces of 6\.12 and 7\.3, which no target is/);
  });

  it("says that a target does not start", async () => {
    const target: TargetSpec = {
      ...model(),
      open: () => Promise.reject(new TargetStartError("it is broken")),
    };
    const { code, err } = await run(["--target", "x:"], target);
    assertEquals(code, 3);
    assertMatch(err, /it is broken/);
  });

  it("prints its help, whatever else is asked for", async () => {
    for (const args of [["--help"], ["-h", "--record"]]) {
      const { code, out } = await run(args);
      assertEquals(code, 0);
      assertMatch(out, /deno task traces:record --target/);
    }
  });
});

describe("The command lines of traces", () => {
  const wrong: [string[], RegExp][] = [
    [
      ["--traget", "impl:"],
      /Unknown option "--traget"\. Did you mean "--target"/,
    ],
    [["more"], /Unexpected argument "more"/],
    [["--target", "nothing"], /must begin with/],
    [["--target="], /--target needs a value/],
    [["--filter="], /--filter needs a value/],
    [["--add"], /--add is for traces:record/],
    [["--record"], /needs a --target/],
    [["--record", "--add"], /needs a --target/],
    [
      ["--record", "--target", "impl:", "--filter", "x"],
      /--filter is for traces/,
    ],
  ];
  for (const [args, message] of wrong) {
    it(`are refused: ${args.join(" ")}`, async () => {
      const { code, out, err } = await run(args);
      assertEquals(code, 2);
      assertEquals(out, "");
      assertMatch(err, message);
    });
  }
});
