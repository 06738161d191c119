// SPDX-License-Identifier: GPL-2.0-only

/**
 * Name and version of the suite, as reports carry them.
 *
 * @module
 */

import config from "../../deno.json" with { type: "json" };

/** Name of the suite. */
export const SUITE_NAME: string = "iommufd-kit conformance";

/** Version of the suite and of the model: that of the package. */
export const VERSION: string = config.version;
