// SPDX-License-Identifier: GPL-2.0-only

/**
 * The configuration space of a device from what its author says of it.
 *
 * @module
 */

import type { Bar } from "./bar.ts";
import type { VirtualFunctions } from "./device.ts";
import { MAX_PAGE_REQUESTS } from "../iommu/hardware/page_requests.ts";
import type { Rom } from "./rom.ts";
import * as sriov from "./sriov.ts";
import {
  ConfigSpace,
  PCI_BASE_ADDRESS_0,
  PCI_CACHE_LINE_SIZE,
  PCI_CAP_ID_EXP,
  PCI_CAP_ID_MSI,
  PCI_CAP_ID_MSIX,
  PCI_CAP_ID_PM,
  PCI_CAPABILITY_LIST,
  PCI_CFG_SPACE_EXP_SIZE,
  PCI_COMMAND,
  PCI_DEVICE_ID,
  PCI_EXP_DEVCAP_FLR,
  PCI_EXT_CAP_ID_ARI,
  PCI_EXT_CAP_ID_ATS,
  PCI_EXT_CAP_ID_ERR,
  PCI_EXT_CAP_ID_PASID,
  PCI_EXT_CAP_ID_PRI,
  PCI_EXT_CAP_ID_SRIOV,
  PCI_INTERRUPT_LINE,
  PCI_INTERRUPT_PIN,
  PCI_PASID_CAP,
  PCI_REVISION_ID,
  PCI_ROM_ADDRESS,
  PCI_ROM_ADDRESS_ENABLE,
  PCI_STATUS,
  PCI_STATUS_CAP_LIST,
  PCI_SUBSYSTEM_VENDOR_ID,
  PCI_VENDOR_ID,
} from "./config_space.ts";

/** Where the table of MSI-X and its pending bits are. */
export interface MsixPlace {
  /** Vectors, 1 to 2048. */
  readonly vectors: number;
  /** The BAR. */
  readonly bar: number;
  /** Offset of the table in it. */
  readonly table: number;
  /** Offset of the pending bits in it. */
  readonly pending: number;
}

/** What of a device its configuration space tells. */
export interface Identity {
  /** Vendor id. */
  readonly vendor: number;
  /** Device id. */
  readonly device: number;
  /** Class: base class, subclass, interface. */
  readonly class: number;
  /** Revision; default 0. */
  readonly revision?: number;
  /** Subsystem vendor id; default the vendor id. */
  readonly subsystemVendor?: number;
  /** Subsystem id; default the device id. */
  readonly subsystem?: number;
  /** The pin of its legacy interrupt, 1 to 4, or 0 for none; default 1. */
  readonly interruptPin?: number;
  /** Its messages, a power of two up to 32; default 1, 0 for no such capability. */
  readonly msi?: number;
  /** log2 of the PASIDs that its DMA can have, 1 to 20; default 0, none. */
  readonly pasidBits?: number;
  /** Whether it can ask for pages that its DMA does not find; default false. */
  readonly pageRequests?: boolean;
  /** Whether it has a function level reset; default true. */
  readonly flr?: boolean;
}

/** Where the capabilities are: the same for all devices, as those of igb in QEMU. */
const PM = 0x40;
const MSI = 0x50;
const MSIX = 0x70;
const EXP = 0xa0;
const AER = 0x100;
const ARI = 0x150;
const SRIOV = 0x160;
const ATS = 0x1b0;
const PRI = 0x1c0;
const PASID = 0x1d0;

/** IO, MEMORY, MASTER, SERR and INTX_DISABLE can be written. */
const COMMAND_WRITABLE = 0x507;
/** MSI: addresses of 64 bits, and a mask for each vector. */
const MSI_64BIT_MASK = 0x180;
/** PM: version 2; a driver has to set the device up. */
const PM_CAPABILITIES = 0x0022;
/** PCI Express: version 2, of an endpoint that is integrated in the root complex. */
const EXP_FLAGS = 0x0092;
/** … tags of 8 bits, role based errors. */
const EXP_CAPABILITIES = 0x8020;
/** … a link of one lane at 2.5 GT/s, that knows of L0s; and what it runs at. */
const EXP_LINK = 0x00000411;
const EXP_LINK_STATUS = 0x0011;
/** … prefixes of two DWORDs end to end. */
const EXP_CAPABILITIES_2 = 0x00300000;
/** The version of an extended capability. */
const EXT_CAP_VERSION = 1;
/** All errors that can be masked. */
const AER_ERRORS = 0x3fff030;
/** Those that are masked at first, of both kinds, and which checks it could make. */
const AER_MASKED = 0x02400000;
const AER_MASKED_CORRECTABLE = 0xe000;
const AER_CHECKS = 0xa0;
/** ATS: all that is asked for is aligned to pages; the kernel has switched it on. */
const ATS_ALIGNED = 0x20;
const ATS_ENABLED = 0x8000;
/** PRI: the kernel has switched it on, and answers name the PASID; so many may wait. */
const PRI_ENABLED = 0x1;
const PRI_ANSWERS_PASID = 0x8000;
/** SR-IOV: pages of 4 KiB up to 4 MiB. */
const SRIOV_PAGES = 0x553;

/** What a device has that configuration space tells of. */
export interface Parts {
  /** Its BARs. */
  readonly bars: readonly (Bar | undefined)[];
  /** Where the table of MSI-X is. */
  readonly msix: MsixPlace | undefined;
  /** Its expansion ROM. */
  readonly rom: Rom | undefined;
  /** The virtual functions that it can have. */
  readonly sriov: VirtualFunctions | undefined;
}

/** Configuration space with a header and capabilities. */
export function layOut(
  identity: Identity,
  { bars, msix, rom, sriov: virtual }: Parts,
): ConfigSpace {
  const config = new ConfigSpace(PCI_CFG_SPACE_EXP_SIZE);
  addHeader(config, identity);
  addBars(config, bars, PCI_BASE_ADDRESS_0);
  if (rom !== undefined) {
    config.declare(PCI_ROM_ADDRESS, 4, 0, -rom.size | PCI_ROM_ADDRESS_ENABLE);
  }
  const caps = [
    addPowerManagement,
    ...identity.msi === 0 ? [] : [addMsi],
    ...msix ? [(config: ConfigSpace) => addMsix(config, msix)] : [],
    addExpress,
  ];
  let link = PCI_CAPABILITY_LIST;
  for (const add of caps) {
    const at = add(config, identity);
    config.set(link, 1, at);
    link = at + 1;
  }
  const { pageRequests, pasidBits = 0 } = identity;
  const extended = [
    addErrors,
    (config: ConfigSpace) => addExtended(config, ARI, PCI_EXT_CAP_ID_ARI, 8),
    ...virtual
      ? [(config: ConfigSpace) => addVirtualFunctions(config, virtual)]
      : [],
    ...pageRequests ? [addTranslations, addPageRequests] : [],
    ...pasidBits > 0
      ? [(config: ConfigSpace) => addPasids(config, pasidBits)]
      : [],
  ];
  let last = 0;
  for (const add of extended) {
    const at = add(config);
    if (last !== 0) config.set(last + 2, 2, at << 4 | EXT_CAP_VERSION);
    last = at;
  }
  config.finish();
  return config;
}

function addHeader(config: ConfigSpace, identity: Identity): void {
  const { vendor, device, class: code, revision = 0 } = identity;
  config.declare(PCI_VENDOR_ID, 2, vendor);
  config.declare(PCI_DEVICE_ID, 2, device);
  config.declare(PCI_COMMAND, 2, 0, COMMAND_WRITABLE);
  config.declare(PCI_STATUS, 2, PCI_STATUS_CAP_LIST);
  config.declare(PCI_REVISION_ID, 4, code * 256 + revision);
  config.declare(PCI_CACHE_LINE_SIZE, 1, 0, 0xff);
  config.declare(
    PCI_SUBSYSTEM_VENDOR_ID,
    2,
    identity.subsystemVendor ?? vendor,
  );
  config.declare(
    PCI_SUBSYSTEM_VENDOR_ID + 2,
    2,
    identity.subsystem ?? device,
  );
  config.declare(PCI_INTERRUPT_LINE, 1, 0, 0xff);
  config.declare(PCI_INTERRUPT_PIN, 1, identity.interruptPin ?? 1);
}

/** The bits of an address below the size of the BAR are fixed. */
function addBars(
  config: ConfigSpace,
  bars: readonly (Bar | undefined)[],
  from: number,
): void {
  for (const [index, bar] of bars.entries()) {
    if (bar === undefined) continue;
    const at = from + 4 * index;
    config.declare(at, 4, bar.flags, -bar.size);
    if (!bar.isWide) continue;
    config.declare(at + 4, 4, 0, Math.floor(-bar.size / 2 ** 32));
  }
}

function addPowerManagement(config: ConfigSpace): number {
  config.declare(PM, 8, PCI_CAP_ID_PM);
  config.declare(PM + 2, 2, PM_CAPABILITIES);
  config.declare(PM + 4, 2, 0, 0x3);
  return PM;
}

function addMsi(config: ConfigSpace, { msi = 1 }: Identity): number {
  const log2 = Math.log2(msi);
  if (log2 % 1 !== 0 || !(msi >= 1 && msi <= 32)) {
    throw new RangeError(
      `A device has 1, 2, 4, 8, 16 or 32 messages, not ${msi}`,
    );
  }
  config.declare(MSI, 2, PCI_CAP_ID_MSI);
  config.declare(MSI + 2, 2, MSI_64BIT_MASK | log2 << 1, 0x71);
  config.declare(MSI + 4, 4, 0, -4);
  config.declare(MSI + 8, 4, 0, -1);
  config.declare(MSI + 12, 2, 0, 0xffff);
  config.declare(MSI + 14, 2, 0);
  config.declare(MSI + 16, 4, 0, 2 ** msi - 1);
  config.declare(MSI + 20, 4, 0);
  return MSI;
}

function addMsix(config: ConfigSpace, msix: MsixPlace): number {
  config.declare(MSIX, 2, PCI_CAP_ID_MSIX);
  config.declare(MSIX + 2, 2, msix.vectors - 1, 0xc000);
  config.declare(MSIX + 4, 4, msix.table | msix.bar);
  config.declare(MSIX + 8, 4, msix.pending | msix.bar);
  return MSIX;
}

function addExpress(config: ConfigSpace, { flr = true }: Identity): number {
  config.declare(EXP, 2, PCI_CAP_ID_EXP);
  config.declare(EXP + 2, 2, EXP_FLAGS);
  const devcap = EXP_CAPABILITIES | (flr ? PCI_EXP_DEVCAP_FLR : 0);
  config.declare(EXP + 4, 4, devcap);
  config.declare(EXP + 8, 2, 0, 0x7fff);
  config.declare(EXP + 10, 2, 0, 0, 0xf);
  for (let at = EXP + 12; at < EXP + 0x3c; at += 4) config.declare(at, 4, 0);
  config.declare(EXP + 0x0c, 4, EXP_LINK);
  config.declare(EXP + 0x12, 2, EXP_LINK_STATUS);
  config.declare(EXP + 0x24, 4, EXP_CAPABILITIES_2);
  config.declare(EXP + 0x28, 2, 0, 0xffff);
  return EXP;
}

/** An extended capability of `length` bytes, all read-only. */
function addExtended(
  config: ConfigSpace,
  at: number,
  id: number,
  length: number,
): number {
  for (let i = 0; i < length; i += 4) config.declare(at + i, 4, 0);
  config.set(at, 2, id);
  config.set(at + 2, 2, EXT_CAP_VERSION);
  return at;
}

function addErrors(config: ConfigSpace): number {
  addExtended(config, AER, PCI_EXT_CAP_ID_ERR, 0x48);
  config.declare(AER + 4, 4, 0, 0, AER_ERRORS);
  config.declare(AER + 8, 4, AER_MASKED, AER_ERRORS);
  config.declare(AER + 12, 4, 0x462030, AER_ERRORS);
  config.set(AER + 20, 4, AER_MASKED_CORRECTABLE);
  config.set(AER + 24, 4, AER_CHECKS);
  return AER;
}

function addTranslations(config: ConfigSpace): number {
  addExtended(config, ATS, PCI_EXT_CAP_ID_ATS, 8);
  config.set(ATS + 4, 2, ATS_ALIGNED);
  config.set(ATS + 6, 2, ATS_ENABLED);
  return ATS;
}

function addPageRequests(config: ConfigSpace): number {
  addExtended(config, PRI, PCI_EXT_CAP_ID_PRI, 16);
  config.set(PRI + 4, 2, PRI_ENABLED);
  config.set(PRI + 6, 2, PRI_ANSWERS_PASID);
  config.set(PRI + 8, 4, MAX_PAGE_REQUESTS);
  config.set(PRI + 12, 4, MAX_PAGE_REQUESTS);
  return PRI;
}

function addPasids(config: ConfigSpace, bits: number): number {
  if (!Number.isInteger(bits) || bits > 20) {
    throw new RangeError(`PASIDs have at most 20 bits, not ${bits}`);
  }
  addExtended(config, PASID, PCI_EXT_CAP_ID_PASID, 8);
  config.set(PASID + PCI_PASID_CAP, 2, bits << 8);
  config.set(PASID + PCI_PASID_CAP + 2, 2, 1);
  return PASID;
}

function addVirtualFunctions(
  config: ConfigSpace,
  { vfs, deviceId, bars }: VirtualFunctions,
): number {
  addExtended(config, SRIOV, PCI_EXT_CAP_ID_SRIOV, 0x40);
  config.declare(SRIOV + sriov.PCI_SRIOV_CTRL, 2, 0, 0x19);
  config.declare(SRIOV + sriov.PCI_SRIOV_INITIAL_VF, 2, vfs);
  config.declare(SRIOV + sriov.PCI_SRIOV_INITIAL_VF + 2, 2, vfs);
  config.declare(SRIOV + sriov.PCI_SRIOV_NUM_VF, 2, 0, 0xffff);
  config.declare(SRIOV + sriov.PCI_SRIOV_VF_OFFSET, 2, sriov.VF_OFFSET);
  config.declare(SRIOV + sriov.PCI_SRIOV_VF_OFFSET + 2, 2, sriov.VF_STRIDE);
  config.declare(SRIOV + sriov.PCI_SRIOV_VF_DID, 2, deviceId);
  config.declare(SRIOV + sriov.PCI_SRIOV_SUP_PGSIZE, 4, SRIOV_PAGES);
  config.declare(SRIOV + sriov.PCI_SRIOV_SUP_PGSIZE + 4, 4, 1, -1);
  addBars(config, bars, SRIOV + sriov.PCI_SRIOV_BAR);
  return SRIOV;
}
