// SPDX-License-Identifier: GPL-2.0-only

/**
 * Runs a program on the model, as `deno task run --as-root` does, and looks only
 * whether the kernel is well afterwards: a test program may end with its files
 * open. Arguments: the revision, the program, its arguments. Exit status 125 if
 * the kernel warned, or something is still pinned, in use or charged.
 *
 * @module
 */

import { Kernel } from "../../impl/kernel.ts";
import type { RevisionName } from "../../impl/uapi/revision.ts";
import { HostMachine } from "../memory/machine.ts";
import { Supervisor } from "../supervise/supervisor.ts";
import { Sys } from "../sys/sys.ts";

const [revision, program, ...args] = Deno.args;
const kernel = new Kernel({
  revision: revision as RevisionName,
  machine: new HostMachine(Sys.shared),
});
const supervisor = new Supervisor({ kernel, pretence: { uid: 0 } });
const { code, signal } = await supervisor.start({ program: program!, args })
  .ended;
const problems = kernel.audit();
for (const problem of problems) console.error(problem);
Deno.exit(problems.length > 0 ? 125 : code ?? 128 + signal!);
