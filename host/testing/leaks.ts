// SPDX-License-Identifier: GPL-2.0-only

/**
 * A process that runs programs one after the other, and prints its lowest free
 * descriptor after the first of them and after the last. In a process of its
 * own, since the threads of a test runner share their descriptors.
 *
 * @module
 */

import { run } from "../mod.ts";
import { AT_FDCWD, O_CLOEXEC } from "../sys/structs.ts";
import { Sys } from "../sys/sys.ts";

function lowestFree(): number {
  const sys = Sys.shared;
  const fd = sys.openat(AT_FDCWD, "/dev/null", O_CLOEXEC);
  sys.close(fd);
  return fd;
}

const [program, ...args] = Deno.args;
for (let i = 0; i < 10; i++) {
  await run(program!, args);
  if (i === 1 || i === 9) console.log(lowestFree());
}
