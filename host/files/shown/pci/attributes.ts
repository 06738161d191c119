// SPDX-License-Identifier: GPL-2.0-only

/**
 * The attributes of a PCI device in sysfs: what it is, its state, and what can
 * be written.
 *
 * Linux: drivers/pci/pci-sysfs.c.
 *
 * @module
 */

import {
  PCI_INTERRUPT_LINE,
  PCI_REVISION_ID,
  PCI_SUBSYSTEM_VENDOR_ID,
} from "../../../../impl/pci/config_space.ts";
import type { PciFunction } from "../../../../impl/pci/function.ts";
import { EBUSY, EINVAL } from "../../../../impl/uapi/errno.ts";
import type { VfioPciDevice } from "../../../../impl/vfio/pci/pci_device.ts";
import { attribute, type Node } from "../node.ts";
import { valueNode } from "../value.ts";
import { resourcesOf } from "./resources.ts";

/** Bytes that an attribute says to have. */
const PAGE = 4096;

/** All of a device that the machine `host` has, by name. */
export function attributesOf(
  device: VfioPciDevice,
  host: { read(path: string): string | undefined },
): Record<string, Node> {
  const { pci } = device;
  const online = host.read("/sys/devices/system/cpu/online") ?? "0\n";
  const texts = {
    ...identityOf(pci),
    irq: `${pci.device.config.read(PCI_INTERRUPT_LINE, 1)}\n`,
    local_cpulist: online,
    local_cpus: maskOf(online),
    dma_mask_bits: "64\n",
    consistent_dma_mask_bits: "64\n",
    ari_enabled: "0\n",
  };
  const live = {
    resource: () => resourcesOf(pci),
    power_state: () => device.isOpen ? "D0\n" : "D3hot\n",
    "power/runtime_status": () => device.isOpen ? "active\n" : "suspended\n",
  };
  const nodes: Record<string, Node> = {
    enable: written(() => device.isOpen ? "1\n" : "0\n", NUMBER, () => {
      throw EBUSY.because("the device has a driver");
    }),
    "power/control": remembered("auto\n", /^(?:auto|on)$/),
    driver_override: remembered("vfio-pci\n"),
    numa_node: remembered("-1\n", NUMBER),
    msi_bus: remembered("1\n", NUMBER),
    broken_parity_status: remembered("0\n", NUMBER),
    d3cold_allowed: remembered("1\n", NUMBER),
    rescan: valueNode(writeOnly(NUMBER, () => {}), 0o200, PAGE),
    remove: valueNode(
      writeOnly(NUMBER, () => {
        throw EBUSY.because("the model's devices stay");
      }),
      0o200,
      PAGE,
    ),
  };
  if (device.canReset) {
    nodes.reset_method = remembered("flr pm\n");
    const reset = writeOnly(/^1$/, () => device.resetFunction());
    nodes.reset = valueNode(reset, 0o200, PAGE);
  }
  for (const [name, text] of Object.entries(texts)) {
    nodes[name] = attribute(text, name === "uevent" ? 0o644 : 0o444);
  }
  for (const [name, read] of Object.entries(live)) {
    nodes[name] = { ...attribute(""), read };
  }
  return nodes;
}

/** A number as kstrtoul takes it. */
const NUMBER = /^[+-]?(?:0x[\da-f]+|\d+)$/i;

/** An attribute that can be written with what fits. */
function written(
  show: () => string,
  takes: RegExp,
  store: (text: string) => void,
): Node {
  return valueNode({ ...writeOnly(takes, store), show }, 0o644, PAGE);
}

/** One that is as it was written last. */
function remembered(text: string, takes = /^/): Node {
  return written(() => text, takes, (given) => text = `${given}\n`);
}

/** One that cannot be read. Throws EINVAL for what does not fit. */
function writeOnly(takes: RegExp, store: (text: string) => void) {
  return {
    show: () => "",
    store(text: string) {
      if (!takes.test(text)) throw EINVAL;
      store(text);
    },
  };
}

/** What says which device it is. */
function identityOf(pci: PciFunction): Record<string, string> {
  const { config } = pci.device;
  const id = (at: number) => config.read(at, 2);
  const { vendor, deviceId: device } = pci;
  const ofVendor = id(PCI_SUBSYSTEM_VENDOR_ID);
  const ofDevice = id(PCI_SUBSYSTEM_VENDOR_ID + 2);
  const revision = config.read(PCI_REVISION_ID, 1);
  const kind = config.read(PCI_REVISION_ID + 1, 3);
  const [base, sub, programming] = [16, 8, 0].map((bit) => kind >> bit & 0xff);
  const alias = `pci:v${HEX(vendor, 8)}d${HEX(device, 8)}` +
    `sv${HEX(ofVendor, 8)}sd${HEX(ofDevice, 8)}` +
    `bc${HEX(base!, 2)}sc${HEX(sub!, 2)}i${HEX(programming!, 2)}`;
  const uevent = {
    DRIVER: "vfio-pci",
    PCI_CLASS: HEX(kind, 0),
    PCI_ID: `${HEX(vendor, 4)}:${HEX(device, 4)}`,
    PCI_SUBSYS_ID: `${HEX(ofVendor, 4)}:${HEX(ofDevice, 4)}`,
    PCI_SLOT_NAME: pci.name,
    MODALIAS: alias,
  };
  return {
    vendor: `0x${hex(vendor, 4)}\n`,
    device: `0x${hex(device, 4)}\n`,
    subsystem_vendor: `0x${hex(ofVendor, 4)}\n`,
    subsystem_device: `0x${hex(ofDevice, 4)}\n`,
    class: `0x${hex(kind, 6)}\n`,
    revision: `0x${hex(revision, 2)}\n`,
    modalias: `${alias}\n`,
    uevent: Object.entries(uevent)
      .map(([name, value]) => `${name}=${value}\n`).join(""),
  };
}

/** A list of processors, as `0-2,5`, as a mask in words of 32 bits, as `00000027`. */
export function maskOf(list: string): string {
  let mask = 0n;
  for (const range of list.trim().split(",")) {
    const [first, last = first] = range.split("-").map(Number);
    for (let cpu = first!; cpu <= last!; cpu++) mask |= 1n << BigInt(cpu);
  }
  const digits = mask.toString(16);
  const words = digits.padStart(Math.ceil(digits.length / 8) * 8, "0")
    .match(/.{8}/g)!;
  return `${words.join(",").replace(/^0+(?=.)/, "")}\n`;
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, "0");
}

function HEX(value: number, digits: number): string {
  return hex(value, digits).toUpperCase();
}
