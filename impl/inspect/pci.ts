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
import type { PciBus } from "../pci/bus.ts";
import type { PciFunction } from "../pci/function.ts";
import { PAGE_SIZE } from "../uapi/mman.ts";
import type { VfioDevice } from "../vfio/device.ts";
import { Names } from "./names.ts";
import { abridge, type Row, table } from "./table.ts";
import { address, bytes, count, hex, range } from "./units.ts";

/** Ranges that are shown at each end of many. */
const ENDS = 4;

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
    ...[...pci.translations].flatMap(([pasid, domain]) => [
      `  DMA${pasid === IOMMU_NO_PASID ? "" : ` with PASID ${pasid}`}: ${
        reachOf(device, domain)
      }`,
      ...rangesOf(pci, domain),
    ]),
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

/** Where the IOVA of a domain lead: ranges that go on in memory too, as often as IO pages make them up. */
function rangesOf({ bus }: PciFunction, domain: PciDomain): string[] {
  if (!(domain instanceof PciPagingDomain)) return [];
  const runs: { iova: number; paddr: number; size: number }[] = [];
  for (const { iova, paddr, size } of domain.pageTable.entries()) {
    const last = runs.at(-1);
    const goesOn = last !== undefined && iova - last.iova === last.size &&
      paddr - last.paddr === last.size;
    if (goesOn) last.size += size;
    else runs.push({ iova, paddr, size });
  }
  const rows = abridge<typeof runs[number], Row>(
    runs,
    ENDS,
    ({ iova, paddr, size }) => ({
      cells: [
        `${address(BigInt(iova))}-${address(BigInt(iova + size - 1))}`,
        `-> ${targetOf(bus, paddr, size)}`,
      ],
    }),
    (hidden) => ({ cells: [`… ${count(hidden.length, "range")}`] }),
  );
  return table(rows, { indent: "    " });
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
