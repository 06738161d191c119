// SPDX-License-Identifier: GPL-2.0-only

/**
 * The worker of `worker:`: takes a module's target, and asks it what the run
 * asks.
 *
 * @module
 */

import type { Target } from "../../../selftests/target/target.ts";
import type { Call } from "../../../selftests/target/verbs.ts";
import { openModule } from "../module_target.ts";
import {
  type FromWorker,
  type Method,
  sendFailure,
  type ToWorker,
} from "./messages.ts";

/** What a worker can do that this project's types do not have. */
const scope = self as unknown as {
  onmessage: (event: MessageEvent<ToWorker>) => void;
  postMessage(message: FromWorker): void;
};

let target: Promise<Target>;
/** Answers go out in the order of the questions. */
let last: Promise<unknown> = Promise.resolve();

scope.onmessage = ({ data }) => {
  const answer = "module" in data
    ? start(data.module)
    : ask(data.method, data.args);
  const sent = answer.catch((error) => ({ failure: sendFailure(error) }));
  last = last.then(async () => scope.postMessage(await sent));
};

async function start(module: string): Promise<FromWorker> {
  target = openModule(module);
  const { info, program } = await target;
  return { value: { info, program: program !== undefined } };
}

async function ask(
  method: Method,
  args: readonly unknown[],
): Promise<FromWorker> {
  const opened = await target;
  const asked = opened[method] as (...args: readonly unknown[]) => unknown;
  const value = await asked.apply(opened, [...args]);
  const written = callsIn(method, args)?.map(({ args }) => args);
  return { value, ...written && { written } };
}

/** The calls that a method is given, to whose arguments it writes. */
function callsIn(
  method: Method,
  args: readonly unknown[],
): readonly Call[] | undefined {
  if (method !== "make" && method !== "time") return undefined;
  return args.at(-1) as readonly Call[];
}
