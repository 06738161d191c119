// SPDX-License-Identifier: GPL-2.0-only

/**
 * Benchmarks: 1,000 to 1,000,000 areas.
 *
 * @module
 */

import { registerGroup } from "../register.ts";

registerGroup("areas");
