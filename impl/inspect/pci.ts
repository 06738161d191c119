// SPDX-License-Identifier: GPL-2.0-only

/**
 * PCI devices: who has them, their BARs, their interrupts, and what their DMA
 * reaches.
 *
 * @module
 */

import type { Domain } from "../iommu/domain.ts";
import type { Bar } from "../pci/bar.ts";
import { PCI_COMMAND, PCI_COMMAND_MASTER } from "../pci/config_space.ts";
import { PciPagingDomain } from "../pci/iommu.ts";
import type { PciBus } from "../pci/bus.ts";
import type { PciFunction } from "../pci/function.ts";
import { PAGE_SIZE } from "../uapi/mman.ts";
import type { VfioDevice } from "../vfio/device.ts";
import { Names } from "./names.ts";
import { bytes, count, hex, range } from "./units.ts";

/** What the kinds of interrupts are called. */
const KINDS = ["INTx", "MSI", "MSI-X"];

/** A BAR of a device. */
export interface BarSnapshot {
  /** Its number. */
  readonly index: number;
  /** What it is. */
  readonly kind: "ports" | "memory";
  /** Bytes. */
  readonly size: number;
  /** Where DMA reaches it. */
  readonly address: number;
  /** Whether it is memory at the moment; undefined for what never is. */
  readonly isOn: boolean | undefined;
}

/** A range of IOVA that goes on in memory too. */
export interface DmaRange {
  /** First IOVA. */
  readonly iova: number;
  /** First address in memory. */
  readonly paddr: number;
  /** Bytes. */
  size: number;
  /** What is there: frames, or the BAR of a device. */
  target: string;
}

/** What DMA of a device reaches. */
export interface DmaSnapshot {
  /** The PASID that it carries; 0 for none. */
  readonly pasid: number;
  /** In words. */
  readonly reach: string;
  /** Where IOVA lead. */
  readonly ranges: readonly DmaRange[];
}

/** A device of VFIO. */
export interface PciSnapshot {
  /** The number of its file. */
  readonly index: number;
  /** Its address on the bus. */
  readonly name: string;
  /** Vendor and device, as `8086:10c9`. */
  readonly ids: string;
  /** The number of its group. */
  readonly group: number;
  /** Who has it, in words. */
  readonly owner: string;
  /** Those that it has. */
  readonly bars: readonly BarSnapshot[];
  /** Its interrupts, in words; undefined while it is not open. */
  readonly irqs: string | undefined;
  /** What its DMA reaches, by PASID. */
  readonly dma: readonly DmaSnapshot[];
}

/** A device. */
export function snapshotPci(device: VfioDevice): PciSnapshot {
  const { pci, index } = device;
  return {
    index,
    name: pci.name,
    ids: idsOf(device),
    group: device.group.iommuGroup.id,
    owner: ownerOf(device),
    bars: pci.device.bars.flatMap((bar, i) =>
      bar === undefined ? [] : snapshotBar(bar, i, pci.barAddresses[i]!)
    ),
    irqs: irqsOf(device),
    dma: Array.from(pci.translations, ([pasid, domain]) => ({
      pasid,
      reach: reachOf(device, domain),
      ranges: rangesOf(pci, domain),
    })),
  };
}

function idsOf({ pci }: VfioDevice): string {
  const { config } = pci.device;
  const id = (at: number) => config.read(at, 2).toString(16).padStart(4, "0");
  return `${id(0)}:${id(2)}`;
}

function ownerOf({ idev, core }: VfioDevice): string {
  if (!core.isOpen) return "not open";
  return idev === undefined ? "open by type1" : `device ${idev.id}`;
}

function snapshotBar(bar: Bar, index: number, address: number): BarSnapshot {
  return {
    index,
    kind: bar.isIo ? "ports" : "memory",
    size: bar.size,
    address,
    isOn: bar.memory && bar.memory.size > 0,
  };
}

function irqsOf({ core }: VfioDevice): string | undefined {
  if (!core.isOpen) return undefined;
  const { mode, connected, isMasked } = core.irqs;
  if (mode === undefined) return "off";
  const vectors = mode === 0
    ? (isMasked ? "masked" : "on")
    : connected.length === 0
    ? "no vectors"
    : `vectors ${connected.join(", ")}`;
  return `${KINDS[mode]}, ${vectors}`;
}

/** Where the IOVA of a domain lead: ranges that go on in memory too, as often as IO pages make them up. */
function rangesOf({ bus }: PciFunction, domain: Domain): DmaRange[] {
  if (!(domain instanceof PciPagingDomain)) return [];
  const runs: DmaRange[] = [];
  for (const { iova, paddr, size } of domain.pageTable.entries()) {
    const last = runs.at(-1);
    const goesOn = last !== undefined && iova - last.iova === last.size &&
      paddr - last.paddr === last.size;
    if (goesOn) last.size += size;
    else runs.push({ iova, paddr, size, target: "" });
  }
  for (const run of runs) run.target = targetOf(bus, run.paddr, run.size);
  return runs;
}

/** What is at a physical address: frames, or the BAR of a device. */
function targetOf(bus: PciBus, paddr: number, size: number): string {
  const first = Math.trunc(paddr / PAGE_SIZE);
  const last = Math.trunc((paddr + size - 1) / PAGE_SIZE);
  if (bus.isMemory(paddr)) {
    return `${first === last ? "frame" : "frames"} ${range(first, last)}`;
  }
  for (const { name, device, barAddresses } of bus.functions.values()) {
    const index = device.bars.findIndex((bar, i) =>
      bar !== undefined && paddr >= barAddresses[i]! &&
      paddr < barAddresses[i]! + bar.size
    );
    if (index >= 0) return `BAR ${index} of ${name}`;
  }
  return `address ${hex(BigInt(paddr))}`;
}

/** What a domain lets through at the moment. */
function reachOf({ idev, pci }: VfioDevice, domain: Domain): string {
  const command = pci.device.config.read(PCI_COMMAND, 2);
  const off = command & PCI_COMMAND_MASTER ? "" : ", bus mastering is off";
  if (!(domain instanceof PciPagingDomain)) return `blocked${off}`;
  const entries = domain.pageTable.entries();
  const total = entries.reduce((sum, { size }) => sum + size, 0);
  const name = idev && new Names(idev.ctx).hwpt(domain);
  const what = `${bytes(BigInt(total))} in ${count(entries.length, "IO page")}`;
  return `${name ?? "a domain"}, ${what}${off}`;
}
