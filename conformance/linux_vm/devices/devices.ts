// SPDX-License-Identifier: GPL-2.0-only

/**
 * The devices that a machine can have for VFIO: QEMU's own, behind its model of
 * Intel's IOMMU. The agent gives the device to vfio-pci.
 *
 * @module
 */

/** A device. */
export interface Device {
  /** What it is, for people. */
  readonly summary: string;
  /** Its name in QEMU. */
  readonly model: string;
  /** Where it is: of what the tests' device is at. */
  readonly address: string;
}

/** All of them, by name. */
export const DEVICES: Readonly<Record<string, Device>> = {
  igb: {
    summary: "an Ethernet controller (82576)",
    model: "igb",
    address: "0000:00:04.0",
  },
};

/** What a machine is like. */
export interface Board {
  readonly machine: string;
  readonly memory: string;
  /** More for the kernel's command line. */
  readonly kernel: readonly string[];
  /** More for the agent. */
  readonly agent: readonly string[];
  /** QEMU's arguments besides. */
  readonly args: readonly string[];
}

/** What is between a device and memory. */
export const IOMMUS = {
  // 48 bits of addresses, and interrupts go through it.
  intel: {
    args: ["-device", "intel-iommu,intremap=on,aw-bits=48"],
    kernel: [],
  },
  none: { args: [], kernel: ["vfio.enable_unsafe_noiommu_mode=1"] },
} as const;
/** One of {@link IOMMUS}. */
export type Iommu = keyof typeof IOMMUS;

/** The machine that nothing is said about. */
const PLAIN: Board = {
  machine: "q35",
  memory: "2G",
  kernel: [],
  agent: [],
  args: [],
};

/** The machine with a device, or without. */
export function boardWith(device: Device | undefined, iommu: Iommu): Board {
  if (device === undefined) return PLAIN;
  const { model, address } = device;
  const { args, kernel } = IOMMUS[iommu];
  const [, , slot, fn] = address.split(/[:.]/);
  return {
    // KVM's own interrupt controller does not know of an IOMMU.
    machine: "q35,kernel-irqchip=split",
    // What drivers of the device want to map.
    memory: "4G",
    kernel: [
      ...["hugepagesz=1G", "hugepages=1", "vfio_pci.enable_sriov=1"],
      ...kernel,
    ],
    agent: [address],
    args: [...args, "-device", `${model},addr=${slot}.${fn}`],
  };
}
