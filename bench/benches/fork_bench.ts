// SPDX-License-Identifier: GPL-2.0-only

/**
 * Benchmarks: a child that maps memory.
 *
 * @module
 */

import { registerGroup } from "../register.ts";

registerGroup("fork");
