// SPDX-License-Identifier: GPL-2.0-only

/**
 * Benchmarks: what devices move by themselves.
 *
 * @module
 */

import { registerGroup } from "../register.ts";

registerGroup("dma");
