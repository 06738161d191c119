// SPDX-License-Identifier: GPL-2.0-only

/**
 * Targets by name: `scheme:what`, as `--target` takes them.
 *
 * @module
 */

import {
  isRevisionName,
  REVISION_NAMES,
  type RevisionName,
} from "../impl/uapi/revision.ts";
import { parseSocket, parseStdio } from "./targets/adapter_targets.ts";
import {
  type ImplOptions,
  implTarget,
} from "../selftests/target/impl_target.ts";
import { parseLinuxHere } from "./linux_here/target.ts";
import { parseLinuxVm } from "./linux_vm/target.ts";
import { parseLinuxUml } from "./linux_vm/uml/target.ts";
import { parseKtapTarget } from "./targets/ktap/target.ts";
import { parseModule } from "./targets/module_target.ts";
import { parseReplay } from "./traces/replay_target.ts";
import { refuseTarget, type TargetSpec } from "./targets/target_spec.ts";
import { parseWorker } from "./targets/worker/target.ts";
import { suggestion, UsageError } from "./lib/usage_error.ts";

/** How each scheme reads what stands behind its colon. */
const SCHEMES: Readonly<
  Record<string, (rest: string, spec: string) => TargetSpec>
> = {
  impl: parseImpl,
  module: parseModule,
  worker: parseWorker,
  stdio: parseStdio,
  unix: parseSocket,
  tcp: parseSocket,
  "linux-vm": parseLinuxVm,
  "linux-uml": parseLinuxUml,
  "linux-here": parseLinuxHere,
  replay: parseReplay,
  ktap: parseKtapTarget,
};

/** Reads a target's name. Throws {@link UsageError}. */
export function parseTarget(spec: string): TargetSpec {
  const colon = spec.indexOf(":");
  const scheme = colon < 0 ? spec : spec.slice(0, colon);
  const parse = Object.hasOwn(SCHEMES, scheme) ? SCHEMES[scheme] : undefined;
  if (colon < 0 || parse === undefined) {
    const known = Object.keys(SCHEMES).map((name) => `${name}:`);
    const meant = suggestion(`${scheme}:`, known);
    refuseTarget(spec, `it must begin with ${known.join(" or ")}.${meant}`);
  }
  return parse(spec.slice(colon + 1), spec);
}

/** Reads a revision's name. Throws {@link UsageError}. */
export function parseRevision(name: string): RevisionName {
  if (isRevisionName(name)) return name;
  throw new UsageError(
    `Cannot parse uAPI revision "${name}": it must be ${
      REVISION_NAMES.join(" or ")
    }.${suggestion(name, REVISION_NAMES)}`,
  );
}

/**
 * `impl:[REVISION][,scattered=SEED][,container=type1|iommufd][,device=engines|none]`: the model.
 * `scattered` hands memory out in an order that the seed decides, so that
 * neighbouring pages are rarely neighbouring frames. `container` is what
 * `/dev/vfio/vfio` is; without it each test gets what it needs. `device=engines`
 * puts copy engines in the card's place, `device=none` nothing.
 */
function parseImpl(rest: string, spec: string): TargetSpec {
  let revisions = REVISION_NAMES;
  const options: { -readonly [K in keyof ImplOptions]: ImplOptions[K] } = {};
  const parts = rest.split(",").filter((part) => part !== "");
  for (const [index, part] of parts.entries()) {
    const [name, value] = part.split("=", 2);
    if (value === undefined && index === 0) {
      revisions = [parseRevision(part)];
    } else if (name === "scattered") {
      options.frameOrder = { scattered: parseSeed(value, spec) };
    } else if (
      name === "container" && (value === "type1" || value === "iommufd")
    ) {
      options.container = value;
    } else if (
      name === "device" && (value === "engines" || value === "none")
    ) {
      options.device = value;
    } else {
      const takes =
        "which takes a revision, scattered=SEED, container=type1|iommufd and device=engines|none.";
      refuseTarget(spec, `"${part}" is no option of impl:, ${takes}`);
    }
  }
  return {
    spec,
    inProcess: true,
    revisions: () => Promise.resolve(revisions),
    open: (uapi) => implTarget(uapi, options),
  };
}

function parseSeed(value: string | undefined, spec: string): number {
  if (value !== undefined && /^\d{1,9}$/.test(value)) return Number(value);
  refuseTarget(spec, "scattered needs a seed, as in scattered=7.");
}
