// SPDX-License-Identifier: GPL-2.0-only

/**
 * Benchmarks: what a system call costs before it does anything.
 *
 * @module
 */

import { registerGroup } from "../register.ts";

registerGroup("system calls");
