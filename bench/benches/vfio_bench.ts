// SPDX-License-Identifier: GPL-2.0-only

/**
 * Benchmarks: the VFIO container's map and unmap.
 *
 * @module
 */

import { registerGroup } from "../register.ts";

registerGroup("vfio");
