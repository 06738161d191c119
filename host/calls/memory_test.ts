// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { Kernel } from "../../impl/kernel.ts";
import { HostMachine } from "../memory/machine.ts";
import { Supervisor } from "../supervise/supervisor.ts";
import { Sys } from "../sys/sys.ts";
import { DmaFile } from "../testing/dma_file.ts";

const PROGRAM = new URL("../testing/programs/memory_traps.py", import.meta.url);

/** What the program is told, and what that shows. */
const TRAPS = {
  private_unmapped: "is unmapped, and mapped again",
  shared_unmapped: "is shared and unmapped, and mapped again",
  replaced: "is replaced by another mapping",
  dropped: "is dropped",
  freed: "may be freed",
  removed: "is made a hole",
  heap_shrunk: "is of a heap that shrinks",
  private_moved: "is moved",
  shared_moved: "is shared and moved",
  shrunk: "is cut off",
  moved_leaving_nothing: "is moved, the mapping stays",
  file_cut: "is of a file that is cut off and gets holes",
  forked: "is a parent's and a child's",
  owner_gone: "is a process's that has ended",
  run_another: "is a process's that runs another program",
  spawned: "is a process's that starts another",
  owner_killed: "is a process's that was killed",
  with_threads: "is of many threads",
} as const;

/** What else is looked at. */
const RULES = {
  beyond_end: "that is not there, or not to be written, cannot be mapped",
  sealed: "that is pinned is not sealed against writes",
  one_frame: "of a file is one page for all who have it",
  read_only: "that was never touched is the program's own",
} as const;

/** Runs the program; throws what it complained of. */
async function run(what: string, mapFiles: boolean): Promise<void> {
  const machine = new HostMachine(Sys.shared, mapFiles);
  const kernel = new Kernel({ machine });
  DmaFile.register(kernel);
  const supervisor = new Supervisor({ kernel });
  const { ended } = supervisor.start({
    program: "python3",
    args: [PROGRAM.pathname, what],
    env: { PATH: Deno.env.get("PATH") ?? "", PYTHONDONTWRITEBYTECODE: "1" },
  });
  assertEquals(await ended, { code: 0, signal: undefined });
  assertEquals(kernel.audit(), []);
  assertEquals(machine.frames.used, 0);
}

for (const mapFiles of [true, false]) {
  const who = mapFiles ? "a program" : "a program of an ordinary user";
  describe(`pinned memory of ${who}`, () => {
    for (const [what, rule] of Object.entries(TRAPS)) {
      it(`stays what it is when it ${rule}`, () => run(what, mapFiles));
    }
  });
  describe(`memory of ${who}`, () => {
    for (const [what, rule] of Object.entries(RULES)) {
      it(rule, () => run(what, mapFiles));
    }
  });
}
