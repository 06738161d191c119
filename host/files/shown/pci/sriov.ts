// SPDX-License-Identifier: GPL-2.0-only

/**
 * Virtual functions of PCI devices, as sysfs shows them: how many there are is
 * a file that can be written.
 *
 * Linux: sriov_pf_dev_attr_group of drivers/pci/iov.c.
 *
 * @module
 */

import type { PciFunction } from "../../../../impl/pci/function.ts";
import { numVfsValue, type Sriov } from "../../../../impl/pci/sriov.ts";
import type { Vfio } from "../../../../impl/vfio/vfio.ts";
import {
  parseBoolean,
  type Value,
} from "../../../../impl/kernel/files/value_file.ts";
import { attribute, type Showing } from "../node.ts";
import { valueNode } from "../value.ts";

/** What stat says of an attribute of sysfs. */
const ATTRIBUTE_SIZE = 4096;
/** The parameter that allows virtual functions. */
const ENABLE_SRIOV = "/sys/module/vfio_pci/parameters/enable_sriov";

/** Shows whether devices may have virtual functions, which can be written. */
export function showEnableSriov(tree: Showing, vfio: Vfio): void {
  const value = {
    show: () => vfio.enableSriov ? "Y\n" : "N\n",
    store(text: string) {
      vfio.enableSriov = parseBoolean(text);
    },
  };
  tree.add(ENABLE_SRIOV, writable(value));
}

/** Shows in a device's directory the virtual functions that it can have, or the device that it is one of. */
export function showSriov(
  tree: Showing,
  directory: string,
  pci: PciFunction,
): void {
  const { name, sriov, physFn } = pci;
  if (sriov !== undefined) showCounts(tree, directory, sriov);
  if (physFn === undefined) return;
  const index = physFn.sriov!.functions.indexOf(pci);
  const bus = directory.slice(0, -name.length);
  tree.link(`${directory}/physfn`, `../${physFn.name}`);
  tree.link(`${bus}${physFn.name}/virtfn${index}`, `../${name}`);
}

function showCounts(tree: Showing, directory: string, sriov: Sriov): void {
  const { totalVfs, offset, stride, deviceId } = sriov;
  const fixed = {
    sriov_totalvfs: totalVfs,
    sriov_offset: offset,
    sriov_stride: stride,
    sriov_vf_device: deviceId.toString(16),
    sriov_vf_total_msix: 0,
  };
  for (const [name, value] of Object.entries(fixed)) {
    tree.add(`${directory}/${name}`, attribute(`${value}\n`));
  }
  const changeable: Record<string, Value> = {
    sriov_numvfs: numVfsValue(sriov),
    sriov_drivers_autoprobe: {
      show: () => `${Number(sriov.driversAutoprobe)}\n`,
      store(text) {
        sriov.driversAutoprobe = parseBoolean(text);
      },
    },
  };
  for (const [name, value] of Object.entries(changeable)) {
    tree.add(`${directory}/${name}`, writable(value));
  }
}

function writable(value: Value) {
  return valueNode(value, 0o644, ATTRIBUTE_SIZE);
}
