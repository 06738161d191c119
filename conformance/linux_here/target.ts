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
  type OpenOptions,
  refuseTarget,
  type TargetSpec,
} from "../targets/target_spec.ts";

/** The command line of `deno task run`: a process of its own, as it needs what no runner should have. */
const SUPERVISOR = new URL("../../host/command.ts", import.meta.url);

/** `linux-here:[REVISION]`: by default each. Throws {@link UsageError}. */
export function parseLinuxHere(rest: string, spec: string): TargetSpec {
  if (rest !== "" && !isRevisionName(rest)) {
    refuseTarget(
      spec,
      `linux-here: takes ${REVISION_NAMES.join(" or ")}, or nothing.`,
    );
  }
  const revisions = rest === "" ? REVISION_NAMES : [rest];
  return {
    spec,
    revisions: () => Promise.resolve(revisions),
    open: openLinuxHere,
  };
}

async function openLinuxHere(
  uapi: RevisionName,
  { timeoutMs }: OpenOptions = {},
): Promise<Target> {
  const agent = await builtAgent(cacheFolder());
  const connection = spawnConnection(Deno.execPath(), [
    ...["run", "--quiet", "--allow-all", SUPERVISOR.href],
    // To the tests a process has all rights.
    ...["--as-root", "--uapi", uapi, "--", agent],
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
