// SPDX-License-Identifier: GPL-2.0-only

/**
 * PCI devices: who has them, their BARs, their interrupts, and what their DMA
 * reaches.
 *
 * @module
 */

import { IOMMU_NO_PASID } from "../iommu/group.ts";
import type { Kernel } from "../kernel.ts";
import type { Bar } from "../pci/bar.ts";
import { PCI_COMMAND, PCI_COMMAND_MASTER } from "../pci/config_space.ts";
import { type PciDomain, PciPagingDomain } from "../pci/iommu.ts";
import type { VfioDevice } from "../vfio/device.ts";
import { Names } from "./names.ts";
import { table } from "./table.ts";
import { bytes, count, hex } from "./units.ts";

/** What the kinds of interrupts are called. */
const KINDS = ["INTx", "MSI", "MSI-X"];

/** The lines of all devices of VFIO; none without any. */
export function drawPci(kernel: Kernel): string[] {
  return kernel.vfio.devices.flatMap((device) => ["", ...drawDevice(device)]);
}

function drawDevice(device: VfioDevice): string[] {
  const { pci, index } = device;
  const { bars } = pci.device;
  const title = [
    `vfio${index}: ${pci.name}`,
    idsOf(device),
    `group ${device.group.iommuGroup.id}`,
    ...ownerOf(device),
  ];
  const rows = bars.flatMap((bar, i) =>
    bar === undefined
      ? []
      : [{ cells: [`BAR ${i}`, ...barFacts(bar, pci.barAddresses[i]!)] }]
  );
  return [
    title.join(", "),
    ...table(rows, { indent: "  " }),
    ...irqsOf(device),
    ...[...pci.translations].map(([pasid, domain]) =>
      `  DMA${pasid === IOMMU_NO_PASID ? "" : ` with PASID ${pasid}`}: ${
        reachOf(device, domain)
      }`
    ),
  ];
}

function idsOf({ pci }: VfioDevice): string {
  const { config } = pci.device;
  const id = (at: number) => config.read(at, 2).toString(16).padStart(4, "0");
  return `${id(0)}:${id(2)}`;
}

function ownerOf({ idev, core }: VfioDevice): string[] {
  if (!core.isOpen) return ["not open"];
  return [idev === undefined ? "open by type1" : `device ${idev.id}`];
}

function barFacts(bar: Bar, address: number): string[] {
  const kind = bar.isIo ? "ports" : "memory";
  const state = bar.memory === undefined
    ? ""
    : bar.memory.size === 0
    ? "off"
    : "on";
  return [kind, bytes(BigInt(bar.size)), `at ${hex(BigInt(address))}`, state];
}

function irqsOf({ core }: VfioDevice): string[] {
  if (!core.isOpen) return [];
  const { mode, connected, isMasked } = core.irqs;
  if (mode === undefined) return ["  interrupts: off"];
  const vectors = mode === 0
    ? (isMasked ? "masked" : "on")
    : connected.length === 0
    ? "no vectors"
    : `vectors ${connected.join(", ")}`;
  return [`  interrupts: ${KINDS[mode]}, ${vectors}`];
}

/** What a domain lets through at the moment. */
function reachOf({ idev, pci }: VfioDevice, domain: PciDomain): string {
  const command = pci.device.config.read(PCI_COMMAND, 2);
  const off = command & PCI_COMMAND_MASTER ? "" : ", bus mastering is off";
  if (!(domain instanceof PciPagingDomain)) return `blocked${off}`;
  const entries = domain.pageTable.entries();
  const total = entries.reduce((sum, { size }) => sum + size, 0);
  const name = idev && new Names(idev.ctx).hwpt(domain);
  const what = `${bytes(BigInt(total))} in ${count(entries.length, "IO page")}`;
  return `${name ?? "a domain"}, ${what}${off}`;
}
