// SPDX-License-Identifier: GPL-2.0-only

/**
 * Benchmarks: memory by the file that holds it.
 *
 * @module
 */

import { registerGroup } from "../register.ts";

registerGroup("files");
