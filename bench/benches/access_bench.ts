// SPDX-License-Identifier: GPL-2.0-only

/**
 * Benchmarks: accesses that pin, read and write.
 *
 * @module
 */

import { registerGroup } from "../register.ts";

registerGroup("access");
