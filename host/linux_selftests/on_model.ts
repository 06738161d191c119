// SPDX-License-Identifier: GPL-2.0-only

/**
 * Runs a program on the model, as `deno task run` does with these arguments and
 * `--as-root`, and looks only whether the kernel is well afterwards: a test
 * program may end with its files open. Exit status 125 if the kernel warned, or
 * something is still pinned, in use or charged.
 *
 * @module
 */

import { plugDevices } from "../command/devices.ts";
import { parseOptions } from "../command/options.ts";
import { DEVICE_SOURCES } from "../command/sources.ts";
import { hostKernel, start } from "../mod.ts";

const options = parseOptions(Deno.args);
const { uapi: revision, container: vfioContainer, program, args } = options;
const kernel = hostKernel({ revision, vfioContainer });
await plugDevices(kernel, options.devices, DEVICE_SOURCES);
const { code } = await start(program, args, { kernel, uid: 0 }).status;
const problems = kernel.audit();
for (const problem of problems) console.error(problem);
Deno.exit(problems.length > 0 ? 125 : code ?? 1);
