// SPDX-License-Identifier: GPL-2.0-only

/**
 * Targets that speak the adapter protocol: `stdio:CMD ARGS…`, `unix:PATH` and
 * `tcp:HOST:PORT`.
 *
 * @module
 */

import type { RevisionName } from "../../impl/uapi/revision.ts";
import { connectTarget } from "../protocol/client.ts";
import type { Connection } from "../protocol/connection.ts";
import { connectSocket, parseAddress } from "../protocol/socket.ts";
import { spawnConnection } from "../protocol/stdio.ts";
import type { Target } from "../../selftests/target/target.ts";
import {
  type OpenOptions,
  refuseTarget,
  type TargetSpec,
} from "./target_spec.ts";
import { UsageError } from "../lib/usage_error.ts";

/** `stdio:CMD ARGS…`: a program that is started, with its words quoted as in a shell. Throws {@link UsageError}. */
export function parseStdio(command: string, spec: string): TargetSpec {
  const [name, ...args] = splitCommand(command, spec);
  // Where npx runs Deno there may be no other.
  const program = name === "deno" ? Deno.execPath() : name;
  if (program === undefined) {
    refuseTarget(spec, "stdio: needs a program, as in stdio:./adapter.");
  }
  return adapterSpec(
    spec,
    () => Promise.try(() => spawnConnection(program, args)),
  );
}

/** `unix:PATH` or `tcp:HOST:PORT`: an adapter that listens. Throws {@link UsageError}. */
export function parseSocket(_rest: string, spec: string): TargetSpec {
  try {
    const address = parseAddress(spec);
    return adapterSpec(spec, () => connectSocket(address));
  } catch (error) {
    throw new UsageError(
      `Cannot parse target "${spec}": it must be unix:PATH or tcp:HOST:PORT.`,
      { cause: error },
    );
  }
}

/** A target whose revision it tells itself, once it runs. */
export function startedSpec(
  spec: string,
  open: (options: OpenOptions) => Promise<Target>,
): TargetSpec {
  let revision: Promise<RevisionName> | undefined;
  async function ask(options: OpenOptions): Promise<RevisionName> {
    const target = await open(options);
    await target.close();
    return target.info.uapi as RevisionName;
  }
  return {
    spec,
    revisions: async (options = {}) => [await (revision ??= ask(options))],
    open: (_uapi, options = {}) => open(options),
  };
}

function adapterSpec(
  spec: string,
  connect: () => Promise<Connection>,
): TargetSpec {
  const started = startedSpec(
    spec,
    async ({ timeoutMs }) =>
      await connectTarget(await connect(), { replyTimeoutMs: timeoutMs }),
  );
  return { ...started, connect };
}

/** The words of a command: separated by blanks, unless in quotes or behind a backslash. */
function splitCommand(command: string, spec: string): string[] {
  const words: string[] = [];
  const token = /\s+|'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)|([^\s'"\\]+)/gsy;
  let word: string | undefined;
  while (token.lastIndex < command.length) {
    const match = token.exec(command);
    if (match === null) {
      refuseTarget(spec, "a quote or a backslash has no end.");
    }
    const [all, single, double, escaped, plain] = match;
    const part = single ?? double?.replace(/\\(.)/gs, "$1") ?? escaped ?? plain;
    if (part !== undefined) {
      word = (word ?? "") + part;
    } else if (all !== "" && word !== undefined) {
      words.push(word);
      word = undefined;
    }
  }
  if (word !== undefined) words.push(word);
  return words;
}
