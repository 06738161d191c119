// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fault queues, and what is read from and written to them: Linux 6.11.
 *
 * @module
 */

import { ioctl, type IoctlStruct, type Sized } from "./ioctl.ts";
import * as role from "./layout/roles.ts";
import { type Struct, struct } from "./layout/struct.ts";

/** ioctl: Allocates a fault queue (Linux 6.11). */
export const IOMMU_FAULT_QUEUE_ALLOC: number = 0x3b8e;

/** `pasid` is set. */
export const IOMMU_PGFAULT_FLAGS_PASID_VALID: number = 1 << 0;
/** Last fault of its group. */
export const IOMMU_PGFAULT_FLAGS_LAST_PAGE: number = 1 << 1;
/** Read wanted. */
export const IOMMU_PGFAULT_PERM_READ: number = 1 << 0;
/** Write wanted. */
export const IOMMU_PGFAULT_PERM_WRITE: number = 1 << 1;
/** Execute wanted. */
export const IOMMU_PGFAULT_PERM_EXEC: number = 1 << 2;
/** Privileged access wanted. */
export const IOMMU_PGFAULT_PERM_PRIV: number = 1 << 3;
/** Answer: handled, retry. */
export const IOMMUFD_PAGE_RESP_SUCCESS: number = 0;
/** Answer: not handled, do not retry. */
export const IOMMUFD_PAGE_RESP_INVALID: number = 1;

/** What a device wanted to do, by name. */
export const PGFAULT_PERMS: Readonly<Record<string, number>> = {
  READ: IOMMU_PGFAULT_PERM_READ,
  WRITE: IOMMU_PGFAULT_PERM_WRITE,
  EXEC: IOMMU_PGFAULT_PERM_EXEC,
  PRIV: IOMMU_PGFAULT_PERM_PRIV,
};

/** Allocates a fault queue. Linux: `struct iommu_fault_alloc`, 16 bytes. */
export interface IommuFaultAlloc extends Sized {
  /** Must be 0. */
  flags: number;
  /** Reply: id of the fault queue. */
  outFaultId: number;
  /** Reply: descriptor to read faults from and write answers to. */
  outFaultFd: number;
}

/** Layout of {@link IommuFaultAlloc}. */
export const IommuFaultAlloc: IoctlStruct<IommuFaultAlloc> = ioctl(
  { IOMMU_FAULT_QUEUE_ALLOC, since: "6.11" },
  "iommu_fault_alloc",
  {
    size: role.size(),
    flags: role.flags(),
    outFaultId: role.out(role.id("FAULT")),
    outFaultFd: role.out(role.fd("fault queue")),
  },
);

/** One page fault, as read from a fault queue. Linux: `struct iommu_hwpt_pgfault`, 40 bytes. */
export interface IommuHwptPgfault {
  /** `IOMMU_PGFAULT_FLAGS_*`. */
  flags: number;
  /** The device. */
  devId: number;
  /** Its PASID, with PASID_VALID. */
  pasid: number;
  /** Page request group. */
  grpid: number;
  /** `IOMMU_PGFAULT_PERM_*`. */
  perm: number;
  /** Must be 0. */
  reserved: number;
  /** Faulting address. */
  addr: bigint;
  /** Hint of the length, 0 if none. */
  length: number;
  /** Number to answer with. */
  cookie: number;
}

/** Layout of {@link IommuHwptPgfault}. */
export const IommuHwptPgfault: Struct<IommuHwptPgfault> = struct(
  "iommu_hwpt_pgfault",
  {
    flags: role.out(role.flags({
      PASID_VALID: IOMMU_PGFAULT_FLAGS_PASID_VALID,
      LAST_PAGE: IOMMU_PGFAULT_FLAGS_LAST_PAGE,
    })),
    devId: role.out(role.id("DEVICE")),
    pasid: role.out(role.u32()),
    grpid: role.out(role.u32()),
    perm: role.out(role.flags(PGFAULT_PERMS)),
    reserved: role.out(role.unused()),
    addr: role.out(role.iova()),
    length: role.out(role.length("u32")),
    cookie: role.out(role.id("PAGE_FAULT")),
  },
);

/** The answer to a fault group, as written to a fault queue. Linux: `struct iommu_hwpt_page_response`, 8 bytes. */
export interface IommuHwptPageResponse {
  /** The fault's cookie. */
  cookie: number;
  /** `IOMMUFD_PAGE_RESP_*`. */
  code: number;
}

/** Layout of {@link IommuHwptPageResponse}. */
export const IommuHwptPageResponse: Struct<IommuHwptPageResponse> = struct(
  "iommu_hwpt_page_response",
  {
    cookie: role.id("PAGE_FAULT"),
    code: role.choice({
      SUCCESS: IOMMUFD_PAGE_RESP_SUCCESS,
      INVALID: IOMMUFD_PAGE_RESP_INVALID,
    }),
  },
);
