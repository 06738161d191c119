// SPDX-License-Identifier: GPL-2.0-only

/**
 * Exercises an adapter verb by verb, and says what is wrong with it.
 *
 * @module
 */

import { probeTests } from "../targets/probes.ts";
import { Channel, type Exchange } from "../protocol/channel.ts";
import { greet } from "../protocol/client.ts";
import type { Connection } from "../protocol/connection.ts";
import { LINUX } from "../../selftests/harness/known_bugs.ts";
import { type Target, TargetProcess } from "../../selftests/target/target.ts";
import { printable } from "../lib/printable.ts";
import { oneLine } from "../reports/summary.ts";
import { within } from "../lib/within.ts";
import type { Bench, Check } from "./bench.ts";
import { FILE_CHECKS } from "./file_checks.ts";
import { MEMORY_CHECKS } from "./memory_checks.ts";
import { PROCESS_CHECKS } from "./process_checks.ts";
import { PROGRAM_CHECKS } from "./program_checks.ts";
import { PROTOCOL_CHECKS } from "./protocol_checks.ts";

/** Milliseconds that an adapter has for a reply. */
const REPLY_MS = 10_000;
/** Milliseconds that it has for all requests of a check. */
const CHECK_MS = 30_000;

/** The checks that every adapter goes through, in order. */
const CHECKS: readonly Check[] = [
  ...PROCESS_CHECKS,
  ...FILE_CHECKS,
  ...MEMORY_CHECKS,
  ...PROGRAM_CHECKS,
  ...PROTOCOL_CHECKS,
];

/** What came of a check. */
export interface CheckResult {
  /** The verb or the rule. */
  readonly name: string;
  /** How it ended. */
  readonly status: "ok" | "wrong" | "skip";
  /** What is wrong, or why it was skipped. */
  readonly message?: string;
  /** The request in which that showed, and what it answered. */
  readonly last?: Exchange;
}

/**
 * Checks an adapter; `connect` starts it, again after a check that it did not
 * survive. Rejects when it does not start, or greets in a wrong way.
 */
export async function* checkAdapter(
  connect: () => Promise<Connection>,
): AsyncGenerator<CheckResult> {
  let adapter = await start(connect);
  const { info } = adapter.target;
  yield { name: "hello", status: "ok" };
  try {
    for (const check of [...CHECKS, ...probeChecks(adapter.target)]) {
      if (check.needs && !info.capabilities.includes(check.needs)) {
        const message = `${check.needs} is not among its capabilities`;
        yield { name: check.name, status: "skip", message };
        continue;
      }
      if (adapter.channel.failure) adapter = await start(connect);
      const wrong = await runCheck(check, adapter);
      yield wrong === undefined ? { name: check.name, status: "ok" } : {
        name: check.name,
        status: "wrong",
        message: printable(oneLine(wrong.why)),
        ...wrong.last && { last: wrong.last },
      };
    }
  } finally {
    await adapter.channel.close();
  }
}

/** An adapter that runs. */
type Adapter = Pick<Bench, "channel" | "target">;

async function start(connect: () => Promise<Connection>): Promise<Adapter> {
  const channel = new Channel(await connect(), { replyTimeoutMs: REPLY_MS });
  return { channel, target: await greet(channel) };
}

/** What is wrong, and the request in which it showed. */
interface Wrong {
  readonly why: string;
  readonly last: Exchange | undefined;
}

/** Runs a check on a new process; resolves to what is wrong. The adapter is ended if it may be broken. */
async function runCheck(
  check: Check,
  { channel, target }: Adapter,
): Promise<Wrong | undefined> {
  async function run(): Promise<Wrong | undefined> {
    try {
      const process = await TargetProcess.spawn(target);
      const { pageSize } = target.info;
      await check.run({ channel, target, process, pageSize });
      if (channel.failure) return undefined;
      const why = (await target.reset()).join(" ");
      return why === "" ? undefined : { why, last: channel.last };
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      const { last } = channel;
      // What follows must not suffer from what the check left.
      await channel.close();
      return { why, last };
    }
  }
  let late = true;
  const wrong = await within(CHECK_MS, run().finally(() => late = false));
  if (!late) return wrong;
  const { last } = channel;
  await channel.close();
  return { why: `It takes longer than ${CHECK_MS / 1000} seconds`, last };
}

/** The probes of the capabilities that the adapter names; a name that means nothing is wrong. */
function probeChecks({ info }: Target): Check[] {
  const probes = probeTests(info);
  const checks = probes.map(([capability, probe]): Check => ({
    name: `capability ${capability}`,
    run: ({ process }) => probe.run(process, info),
  }));
  const known = [...probes.map(([name]) => name), "time", "program", LINUX];
  for (const name of info.capabilities) {
    if (known.includes(name)) continue;
    checks.push({
      name: `capability ${name}`,
      run() {
        const why =
          `No test of uAPI ${info.uapi} asks for a capability ${name}`;
        throw new Error(why);
      },
    });
  }
  return checks;
}
