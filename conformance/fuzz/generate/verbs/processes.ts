// SPDX-License-Identifier: GPL-2.0-only

/**
 * The verbs of processes: how many there are, who they are, what they may use.
 *
 * @module
 */

import {
  CAP_DAC_OVERRIDE,
  CAP_IPC_LOCK,
  CAP_SYS_RAWIO,
  CAP_SYS_RESOURCE,
  RLIM_INFINITY,
  RLIMIT_MEMLOCK,
  RLIMIT_NOFILE,
} from "../../../../impl/uapi/mman.ts";
import type { Action } from "./files.ts";
import type { Maker } from "../maker.ts";
import type { Proc } from "../known/world.ts";

/** Processes that there are at most. */
const MOST_PROCESSES = 5;
/** A user that is not root. */
const NOBODY = 65534;
/** The most steps of the kernel of which the last one is made to fail. */
const MOST_STEPS = 30;

function fork(maker: Maker, process: Proc): void {
  const { processes } = maker.world;
  if (processes.length >= MOST_PROCESSES || process.isShort) return;
  maker.add(process, [], "fork");
}

/** The last process stays, so that the program goes on. */
function exit(maker: Maker, process: Proc): void {
  if (maker.world.alive.length > 1) maker.add(process, [], "exit");
}

function setrlimit(maker: Maker, process: Proc): void {
  const { chance } = maker;
  const [resource, soft] = chance.weighted<readonly [number, bigint]>([
    [25, [RLIMIT_MEMLOCK, 0n]],
    [30, [RLIMIT_MEMLOCK, 4096n * BigInt(chance.below(32))]],
    [25, [RLIMIT_MEMLOCK, RLIM_INFINITY]],
    [10, [RLIMIT_NOFILE, BigInt(chance.below(16))]],
    [8, [RLIMIT_NOFILE, 1024n]],
    [2, [99, 0n]],
  ]);
  maker.add(process, [], "setrlimit", resource, soft);
}

function dropcap(maker: Maker, process: Proc): void {
  const capability = maker.chance.weighted([
    [70, CAP_IPC_LOCK],
    [10, CAP_SYS_RESOURCE],
    [10, CAP_SYS_RAWIO],
    [5, CAP_DAC_OVERRIDE],
    [5, 99],
  ]);
  maker.add(process, [], "dropcap", capability);
}

/** What a process does about itself, by the names that profiles have. */
export const PROCESS_ACTIONS: Readonly<Record<string, Action>> = {
  fork,
  exit,
  exec: (maker, process) => {
    maker.add(process, [], "exec");
  },
  setrlimit,
  setuid: (maker, process) => {
    maker.add(process, [], "setuid", maker.chance.percent(70) ? NOBODY : 0);
  },
  dropcap,
  vmstatus: (maker, process) => {
    maker.add(process, [], "vmstatus", [0, 0]);
  },
  failnth: (maker, process) => {
    maker.add(process, [], "failnth", maker.chance.between(1, MOST_STEPS));
  },
  failnthleft: (maker, process) => {
    maker.add(process, [], "failnthleft");
  },
};
