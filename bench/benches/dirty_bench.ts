// SPDX-License-Identifier: GPL-2.0-only

/**
 * Benchmarks: reading dirty bitmaps.
 *
 * @module
 */

import { registerGroup } from "../register.ts";

registerGroup("dirty");
