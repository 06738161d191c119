// SPDX-License-Identifier: GPL-2.0-only

/**
 * Benchmarks: mapping and unmapping memory, and attaching to what is mapped.
 *
 * @module
 */

import { registerGroup } from "../register.ts";

registerGroup("map");
