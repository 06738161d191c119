// SPDX-License-Identifier: GPL-2.0-only

/**
 * Virtual IOMMUs, and what is on them.
 *
 * @module
 */

import type { IommufdObject } from "../iommufd/objects/object.ts";
import { IommufdHwQueue } from "../iommufd/viommu/hw_queue.ts";
import { IommufdVdevice } from "../iommufd/viommu/vdevice.ts";
import { Veventq } from "../iommufd/viommu/veventq.ts";
import { IommufdViommu } from "../iommufd/viommu/viommu.ts";
import { bytes, count, hex } from "./units.ts";

/** The kind of an object; undefined for one that has nothing to do with virtual IOMMUs. */
export function viommuKind(object: IommufdObject): string | undefined {
  if (object instanceof IommufdViommu) return "vIOMMU";
  if (object instanceof IommufdVdevice) return "vDEVICE";
  if (object instanceof Veventq) return "vEVENTQ";
  if (object instanceof IommufdHwQueue) return "HW queue";
  return undefined;
}

/** What there is to say about such an object. */
export function viommuFacts(object: IommufdObject): string[] | undefined {
  if (object instanceof IommufdViommu) {
    return [
      `on HWPT ${object.paging.id}`,
      `type ${hex(BigInt(object.type))}`,
      count(object.vdevices.size, "device"),
    ];
  }
  if (object instanceof IommufdVdevice) {
    const { dev, virtId, viommu } = object;
    return [`${dev.name} is ${hex(virtId)} of vIOMMU ${viommu.id}`];
  }
  if (object instanceof Veventq) {
    const { viommu, type, count: events, depth } = object;
    return [
      `of vIOMMU ${viommu.id}`,
      `type ${hex(BigInt(type))}`,
      `${events} of ${depth} unread`,
    ];
  }
  if (object instanceof IommufdHwQueue) {
    const { viommu, baseAddr, length } = object;
    return [
      `of vIOMMU ${viommu.id}`,
      `${bytes(length)} at IOVA ${hex(baseAddr)}`,
    ];
  }
  return undefined;
}

/** The ids of what such an object is made on. */
export function viommuUses(object: IommufdObject): number[] {
  if (object instanceof IommufdViommu) return [object.paging.id];
  const isOn = object instanceof IommufdVdevice || object instanceof Veventq ||
    object instanceof IommufdHwQueue;
  return isOn ? [object.viommu.id] : [];
}
