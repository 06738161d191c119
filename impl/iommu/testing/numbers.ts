// SPDX-License-Identifier: GPL-2.0-only

/**
 * Mapping at IOVAs that a test writes as plain numbers.
 *
 * @module
 */

import type { Iova } from "../../lib/brands.ts";
import type { Domain } from "../domain.ts";
import * as map from "../map.ts";

/** See the function that it calls. */
export function iommuMap(
  domain: Domain,
  iova: number,
  paddr: number,
  size: number,
  prot: number,
): void {
  map.iommuMap(domain, iova as Iova, paddr, size, prot);
}

/** See the function that it calls. */
export function iommuUnmap(
  domain: Domain,
  iova: number,
  size: number,
): number {
  return map.iommuUnmap(domain, iova as Iova, size);
}
