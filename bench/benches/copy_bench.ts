// SPDX-License-Identifier: GPL-2.0-only

/**
 * Benchmarks: mapping what is mapped once more.
 *
 * @module
 */

import { registerGroup } from "../register.ts";

registerGroup("copy");
