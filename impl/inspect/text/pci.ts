// SPDX-License-Identifier: GPL-2.0-only

/**
 * A PCI device as lines.
 *
 * @module
 */

import { IOMMU_NO_PASID } from "../../iommu/group.ts";
import type { BarSnapshot, DmaRange, PciSnapshot } from "../pci.ts";
import { address, bytes, count, hex } from "../units.ts";
import { abridge, type Row, table } from "./table.ts";

/** Ranges that are shown at each end of many. */
const ENDS = 4;

/** The lines of a device of VFIO. */
export function drawPci(device: PciSnapshot): string[] {
  const bars = device.bars.map((bar) => ({ cells: barFacts(bar) }));
  const { irqs } = device;
  return [
    pciTitle(device),
    ...table(bars, { indent: "  " }),
    ...irqs === undefined ? [] : [`  interrupts: ${irqs}`],
    ...device.dma.flatMap(({ pasid, reach, ranges }) => [
      `  DMA${
        pasid === IOMMU_NO_PASID ? "" : ` with PASID ${pasid}`
      }: ${reach}`,
      ...drawRanges(ranges),
    ]),
  ];
}

/** Which device it is, and who has it. */
function pciTitle(
  { index, name, ids, group, owner }: PciSnapshot,
): string {
  return `vfio${index}: ${name}, ${ids}, group ${group}, ${owner}`;
}

/** The columns of a BAR. */
function barFacts({ index, kind, size, address, isOn }: BarSnapshot): string[] {
  const state = isOn === undefined ? "" : isOn ? "on" : "off";
  return [
    `BAR ${index}`,
    kind,
    bytes(BigInt(size)),
    `at ${hex(BigInt(address))}`,
    state,
  ];
}

function drawRanges(ranges: readonly DmaRange[]): string[] {
  const rows = abridge<DmaRange, Row>(
    ranges,
    ENDS,
    ({ iova, size, target }) => ({
      cells: [
        `${address(BigInt(iova))}-${address(BigInt(iova + size - 1))}`,
        `-> ${target}`,
      ],
    }),
    (hidden) => ({ cells: [`… ${count(hidden.length, "range")}`] }),
  );
  return table(rows, { indent: "    " });
}
