// SPDX-License-Identifier: GPL-2.0-only

/**
 * `linux-here:`: the model behind the Linux of this machine. The agent
 * (../agents/linux_agent.c) makes real system calls, on real memory, and the
 * supervisor of `deno task run` answers those that are iommufd's.
 *
 * @module
 */

import {
  isRevisionName,
  REVISION_NAMES,
  type RevisionName,
  REVISIONS,
} from "../../impl/uapi/revision.ts";
import type { Target } from "../../selftests/target/target.ts";
import { compileAgent } from "../linux_vm/build.ts";
import {
  agentSources,
  cacheFolder,
  hashOfSources,
  noteBuilt,
} from "../linux_vm/cache.ts";
import { isThere } from "../linux_vm/programs.ts";
import { connectTarget } from "../protocol/client.ts";
import { spawnConnection } from "../protocol/stdio.ts";
import {
  describeOptions,
  type OpenOptions,
  parseChosen,
  refuseTarget,
  type TargetSpec,
} from "../targets/target_spec.ts";

/** The command line of `deno task run`: a process of its own, as it needs what no runner should have. */
const SUPERVISOR = new URL("../../host/command.ts", import.meta.url);

/** The devices that a machine has, by what is chosen. */
const DEVICES: Readonly<Record<string, readonly string[]>> = {
  igb: ["--device", "igb"],
  // One is moved to the other.
  dma: ["--device", "dma", "--device", "dma"],
  // The IOMMU cannot tell one from the other.
  pair: ["0000:01:00.0", "0000:01:00.1"].flatMap((place) => [
    "--device",
    `dma,at=${place},group=pair`,
  ]),
  noiommu: ["--device", "dma,iommu=none"],
};

/** What can be chosen of the machine. */
const OPTIONS = {
  device: Object.keys(DEVICES),
  container: ["iommufd", "type1"],
};

/** `linux-here:[REVISION][,device=KIND][,container=WHOSE]`: by default each revision. Throws {@link UsageError}. */
export function parseLinuxHere(rest: string, spec: string): TargetSpec {
  const chosen = parseChosen(rest, OPTIONS);
  const revision = chosen?.revision;
  if (
    chosen === undefined ||
    (revision !== undefined && !isRevisionName(revision))
  ) {
    refuseTarget(
      spec,
      `linux-here: takes ${REVISION_NAMES.join(" or ")}, ${
        describeOptions(OPTIONS)
      }, or nothing.`,
    );
  }
  const { options } = chosen;
  const device = options.get("device");
  const machine = [
    ...["--container", options.get("container") ?? "iommufd"],
    ...DEVICES[device ?? ""] ?? [],
  ];
  const all = device === undefined
    ? REVISION_NAMES
    : REVISION_NAMES.filter((name) => REVISIONS[name].vfio.hasDeviceFiles);
  const revisions = revision === undefined ? all : [revision];
  return {
    spec,
    revisions: () => Promise.resolve(revisions),
    open: (uapi, options) => openLinuxHere(uapi, machine, options),
  };
}

async function openLinuxHere(
  uapi: RevisionName,
  machine: readonly string[],
  { timeoutMs }: OpenOptions = {},
): Promise<Target> {
  const agent = await builtAgent(cacheFolder());
  const connection = spawnConnection(Deno.execPath(), [
    ...["run", "--quiet", "--allow-all", SUPERVISOR.href],
    // To the tests a process has all rights.
    ...["--as-root", "--uapi", uapi, ...machine, "--", agent],
  ]);
  return connectTarget(connection, { replyTimeoutMs: timeoutMs });
}

/** The path of the agent, which is compiled if it is not there. Rejects with what is missing where there is no compiler. */
export async function builtAgent(folder: string): Promise<string> {
  const sources = await hashOfSources(await agentSources());
  const path = `${folder}agent-${sources}`;
  if (await isThere(path)) return path;
  await Deno.mkdir(folder, { recursive: true });
  const own = await Deno.makeTempDir({ dir: folder, prefix: "own-" });
  try {
    await compileAgent(`${own}/agent`);
    await Deno.rename(`${own}/agent`, path);
  } finally {
    await Deno.remove(own, { recursive: true });
  }
  await noteBuilt(folder, { agent: { sources, path } });
  return path;
}
