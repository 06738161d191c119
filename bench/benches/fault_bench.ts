// SPDX-License-Identifier: GPL-2.0-only

/**
 * Benchmarks: the way of a page fault.
 *
 * @module
 */

import { registerGroup } from "../register.ts";

registerGroup("fault");
