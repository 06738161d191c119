// SPDX-License-Identifier: GPL-2.0-only

/**
 * How the behaviour of iommufd differs with its age.
 *
 * A revision is a plain object of named differences, and code asks for a
 * difference, never for the name of a revision. A new revision is one more
 * object here. References: "v3 L…" is a line of the posted series
 * (seeds/002), "Bnn" and "Snn" a row of reference/seed_requirements.md; names
 * of files are those of Linux 6.12's drivers/iommu/iommufd.
 *
 * @module
 */

import {
  EADDRINUSE,
  EEXIST,
  EINVAL,
  ENOENT,
  EOPNOTSUPP,
  type Errno,
} from "./errno.ts";

/** Name of a revision that this package has. */
export type RevisionName = "v3" | "6.12";

/** The named differences between revisions. */
export interface Revision {
  /** Its name. */
  readonly name: RevisionName;

  /** Errno for a struct shorter than the ioctl's minimum (B02; main.c iommufd_fops_ioctl). */
  readonly shortStructErrno: Errno;
  /** Errno of a fixed map over an existing area (S01; iopt_check_iova). */
  readonly areaExistsErrno: Errno;
  /** Errno of a fixed map that touches reserved IOVA (S02; iopt_check_iova). */
  readonly reservedIovaErrno: Errno;
  /** MAP and COPY must have READABLE or WRITEABLE (S03; ioas.c). */
  readonly mapNeedsProt: boolean;
  /** `user_va + length` that wraps is EOVERFLOW (S04; iopt_alloc_pages). */
  readonly checksUserVaOverflow: boolean;
  /** ALLOW_IOVAS and OPTION refuse a non-zero reserved field (B12, B14). */
  readonly checksReservedFields: boolean;
  /** RLIMIT_MODE refuses an object id (S05; iommufd_option_rlimit_mode). */
  readonly rlimitModeChecksObjectId: boolean;
  /** COPY refuses a source or destination IOVA of 2^64-1 (B13). */
  readonly copyChecksIova: boolean;
  /** VFIO UNMAP_DMA of a range without areas succeeds with size 0; else ENOENT (S06). */
  readonly vfioEmptyUnmapSucceeds: boolean;
  /** UNMAP_DMA that failed before it counted writes back 0; else the size stays as given (v3 L8310: uninitialised). */
  readonly vfioUnmapInitialisesSize: boolean;
  /** Kernel-chosen IOVA is aligned to at most a huge page (S08; iopt_alloc_iova). */
  readonly capsIovaAlignment: boolean;
  /** Choosing an IOVA looks at each hole between areas from its own first place on (v3 L4646; iopt_alloc_iova). */
  readonly clipsAreaHoles: boolean;
  /** An area with accesses can be split (S10; v3 L5498). */
  readonly splitsAccessedAreas: boolean;
  /** Pages of one's own whose end is 2^64 cannot be pinned for EOVERFLOW; else for EFAULT (gup.c gup_fast_fallback, Linux 6.5). */
  readonly pinChecksOverflow: boolean;
  /** Memory pinned for reading is pinned as if written, to break copy-on-write (S12; v3 L2958). */
  readonly readPinsForceWrite: boolean;
  /** An access that does not need pin_pages keeps the IOVA alignment; pinning needs the flag (B16). */
  readonly accessNeedsPinPages: boolean;
  /** Ids of objects are at most 2^31-1; else 2^32-1 (main.c xa_limit_31b). */
  readonly maxObjectId: number;

  /** An access is created without IOAS and attached later (S15; device.c). */
  readonly accessAttachesLater: boolean;
  /** The domain enters the IOAS when its HWPT is allocated; else at the first attach (S16; hw_pagetable.c). */
  readonly hwptFilledAtAlloc: boolean;
  /** MSI isolation is checked at bind; else at attach, where a flag overrides it (S18). */
  readonly msiCheckedAtBind: boolean;
  /** All devices of a group share one HWPT, kept per group; device_replace exists (S19; iommufd_group). */
  readonly hasIommufdGroup: boolean;
  /** An MSI and a software MSI region together are a driver bug; else the real one wins (S20). */
  readonly warnsMixedMsiRegions: boolean;

  /** VFIO no-IOMMU mode exists (vfio_compat.c iommufd_vfio_compat_set_no_iommu). */
  readonly hasVfioNoIommu: boolean;
  /** GET_INFO's capabilities: DMA_AVAIL first, padded to 8 bytes; else IOVA_RANGE first, unpadded (S21). */
  readonly vfioCapsDmaAvailFirst: boolean;
  /** What the DMA_AVAIL capability reports (S21). */
  readonly vfioDmaAvail: number;
  /** Opening /dev/vfio/vfio gives an iommufd that charges per process (S23). */
  readonly hasVfioDevice: boolean;

  /** The test ioctl's struct and numbering (S24; iommufd_test.h): bytes, minimum, number of the first operation, number of operations. */
  readonly testCmd: {
    readonly size: number;
    readonly minSize: number;
    readonly firstOp: number;
    readonly ops: number;
  };
  /** MOCK_DOMAIN binds and attaches a device and returns three ids; else it makes a fresh HWPT without a device (S24; v3 L9254). */
  readonly mockDomainBindsDevice: boolean;
  /** The test operations validate lengths, flags and limits (S25). */
  readonly testOpsValidate: boolean;
  /** ACCESS_PAGES, ACCESS_RW and COPY know MOCK_FLAGS_ACCESS_SYZ (iommufd_test_syz_conv_iova; not in v3 L8887). */
  readonly hasSyzFlag: boolean;
  /** The mock tolerates unmapping what is not mapped; else it warns (S11; mock_domain_unmap_pages). */
  readonly mockUnmapToleratesMissing: boolean;

  /** The ioctls of Linux 6.6 to 6.11: HWPT_ALLOC, GET_HW_INFO, dirty tracking, HWPT_INVALIDATE, FAULT_QUEUE_ALLOC. */
  readonly hasHwptIoctls: boolean;
}

/** The series as posted, with the bugs fixed that its review found. */
const V3: Revision = {
  name: "v3",
  shortStructErrno: EOPNOTSUPP,
  areaExistsErrno: EADDRINUSE,
  reservedIovaErrno: ENOENT,
  mapNeedsProt: false,
  checksUserVaOverflow: false,
  checksReservedFields: false,
  rlimitModeChecksObjectId: false,
  copyChecksIova: false,
  vfioEmptyUnmapSucceeds: false,
  vfioUnmapInitialisesSize: false,
  capsIovaAlignment: false,
  clipsAreaHoles: true,
  splitsAccessedAreas: true,
  pinChecksOverflow: false,
  readPinsForceWrite: true,
  accessNeedsPinPages: false,
  maxObjectId: 2 ** 32 - 1,
  accessAttachesLater: false,
  hwptFilledAtAlloc: false,
  msiCheckedAtBind: false,
  hasIommufdGroup: false,
  warnsMixedMsiRegions: false,
  hasVfioNoIommu: false,
  vfioCapsDmaAvailFirst: false,
  vfioDmaAvail: 0xffff,
  hasVfioDevice: false,
  testCmd: { size: 56, minSize: 52, firstOp: 0, ops: 9 },
  mockDomainBindsDevice: false,
  testOpsValidate: false,
  hasSyzFlag: false,
  mockUnmapToleratesMissing: false,
  hasHwptIoctls: false,
};

/** Linux 6.12 (6.12.117, with the stable fixes). */
const LINUX_6_12: Revision = {
  name: "6.12",
  shortStructErrno: EINVAL,
  areaExistsErrno: EEXIST,
  reservedIovaErrno: EINVAL,
  mapNeedsProt: true,
  checksUserVaOverflow: true,
  checksReservedFields: true,
  rlimitModeChecksObjectId: true,
  copyChecksIova: true,
  vfioEmptyUnmapSucceeds: true,
  vfioUnmapInitialisesSize: true,
  capsIovaAlignment: true,
  clipsAreaHoles: false,
  splitsAccessedAreas: false,
  pinChecksOverflow: true,
  readPinsForceWrite: false,
  accessNeedsPinPages: true,
  maxObjectId: 2 ** 31 - 1,
  accessAttachesLater: true,
  hwptFilledAtAlloc: true,
  msiCheckedAtBind: true,
  hasIommufdGroup: true,
  warnsMixedMsiRegions: true,
  hasVfioNoIommu: true,
  vfioCapsDmaAvailFirst: true,
  vfioDmaAvail: 0xffffffff,
  hasVfioDevice: true,
  testCmd: { size: 72, minSize: 68, firstOp: 1, ops: 15 },
  mockDomainBindsDevice: true,
  testOpsValidate: true,
  hasSyzFlag: true,
  mockUnmapToleratesMissing: true,
  hasHwptIoctls: true,
};

/** All revisions by name. */
export const REVISIONS: Readonly<Record<RevisionName, Revision>> = Object
  .freeze({
    "v3": Object.freeze(V3),
    "6.12": Object.freeze(LINUX_6_12),
  });
