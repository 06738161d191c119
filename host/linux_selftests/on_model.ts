// SPDX-License-Identifier: GPL-2.0-only

/**
 * Runs a program on the model, as `deno task run --as-root` does, and looks only
 * whether the kernel is well afterwards: a test program may end with its files
 * open. Arguments: the revision, the program, its arguments. Exit status 125 if
 * the kernel warned, or something is still pinned, in use or charged.
 *
 * @module
 */

import type { RevisionName } from "../../impl/uapi/revision.ts";
import { hostKernel, start } from "../mod.ts";

const [revision, program, ...args] = Deno.args;
const kernel = hostKernel({ revision: revision as RevisionName });
const { code } = await start(program!, args, { kernel, uid: 0 }).status;
const problems = kernel.audit();
for (const problem of problems) console.error(problem);
Deno.exit(problems.length > 0 ? 125 : code ?? 1);
