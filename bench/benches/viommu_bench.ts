// SPDX-License-Identifier: GPL-2.0-only

/**
 * Benchmarks: a guest with an IOMMU of its own.
 *
 * @module
 */

import { registerGroup } from "../register.ts";

registerGroup("viommu");
