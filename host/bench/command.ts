// SPDX-License-Identifier: GPL-2.0-only

/**
 * Measures what calls of a real program cost on the model, beside what a
 * notification costs that is answered at once, in the same run.
 *
 * ```sh
 * deno task bench:host [ROUNDS]
 * ```
 *
 * The best of some rounds counts, in which everything takes its turn; where that
 * is more than it may be there are more rounds, as other work may have disturbed
 * these. The exit status is 1 if something costs more than it may all the same.
 *
 * @module
 */

import { Sys } from "../sys/sys.ts";
import { DEVICE_KINDS, measureDevices } from "./devices.ts";
import { bare, buildProgram, supervised } from "./programs.ts";

/** Pages of the long mappings. */
const PAGES = 512;
/** What is measured, with how many calls a round. */
const KINDS = {
  unknown: { what: "an ioctl that is none", count: 4000 },
  option: { what: "OPTION, get", count: 4000 },
  alloc_destroy: { what: "IOAS_ALLOC and DESTROY", count: 2000 },
  open_close: { what: "open /dev/iommu and close", count: 1000 },
  open_other: { what: "open another file and close", count: 2000 },
  map_unmap: { what: "MAP and UNMAP of 16 shared pages", count: 1000 },
  shared_1: { what: "MAP of a new shared page", count: 300 },
  shared_512: { what: `MAP of ${PAGES} new shared pages`, count: 30 },
  private_1: { what: "MAP of a new private page", count: 300 },
  private_512: { what: `MAP of ${PAGES} new private pages`, count: 30 },
} as const;

type Kind = keyof typeof KINDS;

/** How often a bare notification a call without memory may cost. */
const MOST_TIMES = 2;
/** Microseconds that a page may cost that is pinned for the first time. */
const MOST_PER_PAGE = 3;

/** How many times as many rounds there are at most. */
const PATIENCE = 20;

/** Microseconds for each call. */
interface Measured {
  bare: number;
  readonly kinds: Map<Kind, number>;
  /** The same of each thing that a device is used for. */
  readonly devices: Map<string, number>;
}

async function measure(rounds: number): Promise<Measured> {
  const sys = Sys.shared;
  const folder = Deno.makeTempDirSync();
  const measured: Measured = {
    bare: Infinity,
    kinds: new Map(),
    devices: new Map(),
  };
  try {
    const path = buildProgram(folder, "calls");
    const devices = buildProgram(folder, "devices");
    const goesOn = (round: number) =>
      round < rounds ||
      (round < PATIENCE * rounds && tooMuch(measured).length > 0);
    for (let round = 0; goesOn(round); round++) {
      measured.bare = Math.min(measured.bare, bare(sys, path, 4000));
      for (const kind of Object.keys(KINDS) as Kind[]) {
        const { count } = KINDS[kind];
        const time = await supervised(sys, path, kind, count);
        const best = measured.kinds.get(kind) ?? Infinity;
        measured.kinds.set(kind, Math.min(best, time));
      }
      if (round >= rounds) continue;
      await measureDevices(sys, devices, measured.devices);
    }
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
  return measured;
}

/** Kinds of memory that are mapped. */
const MEMORIES = ["shared", "private"] as const;
type Memory = typeof MEMORIES[number];

/** Microseconds of one page more. */
function perPage({ kinds }: Measured, memory: Memory): number {
  const [one, many] = [kinds.get(`${memory}_1`)!, kinds.get(`${memory}_512`)!];
  return (many - one) / (PAGES - 1);
}

function print(measured: Measured): void {
  console.log("| call | µs | bare notifications |");
  console.log("| --- | --: | --: |");
  console.log(`| bare notification | ${measured.bare.toFixed(1)} | 1 |`);
  for (const [kind, time] of measured.kinds) {
    const times = time / measured.bare;
    const { what } = KINDS[kind];
    console.log(`| ${what} | ${time.toFixed(1)} | ${times.toFixed(1)} |`);
  }
  for (const memory of MEMORIES) {
    const time = perPage(measured, memory);
    console.log(`| each ${memory} page more | ${time.toFixed(2)} | |`);
  }
}

/** What a device's use takes, and how much that is. */
function printDevices({ devices }: Measured): void {
  console.log("\n| device | µs | |");
  console.log("| --- | --: | --: |");
  for (const [name, time] of devices) {
    const { what, bytes } = DEVICE_KINDS[name]!;
    const rate = bytes === undefined
      ? ""
      : `${(bytes / 2 ** 20 / time * 1e6).toFixed(0)} MiB/s`;
    console.log(`| ${what} | ${time.toFixed(1)} | ${rate} |`);
  }
}

/** What costs more than it may. */
function tooMuch(measured: Measured): string[] {
  const times = measured.kinds.get("unknown")! / measured.bare;
  const pages = MEMORIES
    .filter((memory) => perPage(measured, memory) > MOST_PER_PAGE)
    .map((memory) => `A ${memory} page costs more than ${MOST_PER_PAGE} µs.`);
  return times <= MOST_TIMES ? pages : [
    `A call without memory costs ${
      times.toFixed(2)
    } bare notifications, more than ${MOST_TIMES}.`,
    ...pages,
  ];
}

if (import.meta.main) {
  const rounds = Number(Deno.args[0] ?? 5);
  if (!Number.isSafeInteger(rounds) || rounds < 1) {
    console.error(`Rounds must be a number above 0, not ${Deno.args[0]}.`);
    Deno.exit(2);
  }
  const measured = await measure(rounds);
  print(measured);
  printDevices(measured);
  const problems = tooMuch(measured);
  for (const problem of problems) console.error(problem);
  Deno.exit(problems.length > 0 ? 1 : 0);
}
