// SPDX-License-Identifier: GPL-2.0-only

/**
 * All mutants of the host.
 *
 * @module
 */

import type { HostMutant } from "./mutant.ts";
import { CALL_MUTANTS } from "./tables/calls.ts";
import { HOSTILE_MUTANTS } from "./tables/hostile.ts";
import { IGB_MUTANTS } from "./tables/igb.ts";
import { DEVICE_MUTANTS } from "./tables/devices.ts";
import { LOOKING_MUTANTS } from "./tables/looking.ts";
import { MAPPED_BAR_MUTANTS } from "./tables/mapped_bars.ts";
import { MEMORY_MUTANTS } from "./tables/memory.ts";
import { NVME_MUTANTS } from "./tables/nvme.ts";
import { SHOWN_MUTANTS } from "./tables/shown.ts";
import { WATCH_MUTANTS } from "./tables/watch.ts";

/** All of them, by subject. */
export const MUTANTS: readonly HostMutant[] = [
  ...CALL_MUTANTS,
  ...HOSTILE_MUTANTS,
  ...IGB_MUTANTS,
  ...DEVICE_MUTANTS,
  ...LOOKING_MUTANTS,
  ...MAPPED_BAR_MUTANTS,
  ...MEMORY_MUTANTS,
  ...NVME_MUTANTS,
  ...SHOWN_MUTANTS,
  ...WATCH_MUTANTS,
];
