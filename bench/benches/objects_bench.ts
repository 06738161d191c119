// SPDX-License-Identifier: GPL-2.0-only

/**
 * Benchmarks: allocating and destroying objects.
 *
 * @module
 */

import { registerGroup } from "../register.ts";

registerGroup("objects");
