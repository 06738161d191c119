// SPDX-License-Identifier: GPL-2.0-only

/**
 * `deno task run`: runs a program on the model. `--help` lists its options.
 *
 * @example
 * ```sh
 * deno task run --log -- ./my_program --its --arguments
 * ```
 *
 * @module
 */

import { denoHost } from "../conformance/lib/host.ts";
import { type Environment, runCommand } from "./command/command.ts";
import { DEVICE_SOURCES } from "./command/sources.ts";
import { hostKernel, start } from "./run/start.ts";

/** The process that Deno runs. */
function environment(): Environment {
  const { out, err } = denoHost();
  return {
    out,
    err,
    create(path) {
      const file = Deno.openSync(path, {
        write: true,
        create: true,
        truncate: true,
      });
      return (text) => {
        const bytes = new TextEncoder().encode(text);
        for (let at = 0; at < bytes.length;) {
          at += file.writeSync(bytes.subarray(at));
        }
      };
    },
    hasTerminal: Deno.stdin.isTerminal(),
    onSignal(signal, act) {
      Deno.addSignalListener(signal, act);
      return () => Deno.removeSignalListener(signal, act);
    },
    createKernel: hostKernel,
    devices: DEVICE_SOURCES,
    start,
  };
}

/** Goes where the caller is: a task begins in the folder of the package. */
function goToCaller(): void {
  const caller = Deno.env.get("INIT_CWD");
  const isTask = new URL("..", import.meta.url).pathname === `${Deno.cwd()}/`;
  if (isTask && caller !== undefined) Deno.chdir(caller);
}

if (import.meta.main) {
  goToCaller();
  Deno.exit(await runCommand(Deno.args, environment()));
}
