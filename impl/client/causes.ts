// SPDX-License-Identifier: GPL-2.0-only

/**
 * What an errno means, call by call. The same errno has different causes in
 * different ioctls, and in different revisions.
 *
 * @module
 */

import {
  E2BIG,
  EADDRINUSE,
  EBADE,
  EBADFD,
  EBUSY,
  EDEADLOCK,
  EFAULT,
  EINVAL,
  EIO,
  EMFILE,
  ENODEV,
  ENOENT,
  ENOMEM,
  ENOSPC,
  ENOTTY,
  EOPNOTSUPP,
  EOVERFLOW,
  EPERM,
  type Errno,
} from "../uapi/errno.ts";
import {
  IOMMU_IOAS_MAP_READABLE,
  IOMMU_IOAS_MAP_WRITEABLE,
} from "../uapi/iommufd.ts";
import { unknownBits } from "../uapi/layout/format.ts";
import type { Revision } from "../uapi/revision.ts";
import type { Named, Role } from "../uapi/layout/roles.ts";
import type { ArgumentFields, CallArguments } from "./error.ts";

/** One cause: the errno, and what is wrong. */
type Cause = readonly [Errno, string];

/** What can go wrong in a call, as far as the arguments do not rule it out. */
type Causes = (revision: Revision, args: CallArguments) => readonly Cause[];

const NO_MEMORY: Cause = [
  ENOMEM,
  "memory is used up, or RLIMIT_MEMLOCK does not allow to pin more",
];
const NO_VFIO_IOAS: Cause = [
  ENODEV,
  "there is no IOAS for the VFIO container ioctls",
];
const WRAPS: Cause = [EOVERFLOW, "the range reaches beyond 2^64-1"];

/** Placing areas at IOVA: IOAS_MAP, IOAS_COPY and VFIO's MAP_DMA. */
function placing(revision: Revision): Cause[] {
  return [
    WRAPS,
    [
      EINVAL,
      "the length is 0, or address, IOVA or length are not aligned as the IOAS demands",
    ],
    [revision.ioas.areaExistsErrno, "part of the IOVA range is mapped already"],
    [revision.ioas.reservedIovaErrno, "part of the IOVA range is reserved"],
    [ENOSPC, "there is no free IOVA range of that length"],
    [EFAULT, "the memory cannot be pinned"],
    NO_MEMORY,
  ];
}

/** The access rights of a map or a copy. */
function protection(revision: Revision, { flags }: CallArguments): Cause[] {
  const any = IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE;
  if (!revision.ioas.mapNeedsProt || Number(flags) & any) return [];
  return [[EINVAL, "neither READABLE nor WRITEABLE is set"]];
}

/** Choosing a page table: attaching a device to an IOAS or HWPT. */
const ATTACHING: readonly Cause[] = [
  [EADDRINUSE, "an area is outside of what the device can map, or misaligned"],
  [EINVAL, "device and page table do not fit together"],
  NO_MEMORY,
];

/** Using IOVA through an access. */
const ACCESSING: readonly Cause[] = [
  [EINVAL, "the range is empty, misaligned or being unmapped"],
  WRAPS,
  [ENOENT, "part of the IOVA range is not mapped"],
  [EPERM, "the mapping does not allow this access"],
  [EFAULT, "the memory cannot be reached"],
  [ENOMEM, "memory is used up, or the range is longer than 16 MiB"],
];

const CAUSES: Readonly<Record<string, Causes>> = {
  "open": () => [
    [ENOENT, "there is no such device"],
    [EMFILE, "the process has as many open files as it may"],
  ],
  "IOMMU_DESTROY": () => [
    [EBUSY, "another object or a driver uses the object"],
  ],
  "IOMMU_IOAS_MAP": (revision, args) => [
    ...protection(revision, args),
    ...placing(revision),
  ],
  "IOMMU_IOAS_COPY": (revision, args) => [
    [ENOENT, "part of the source range is not mapped"],
    [EPERM, "WRITEABLE is set for memory that was mapped without it"],
    ...protection(revision, args),
    ...placing(revision),
  ],
  "IOMMU_IOAS_UNMAP": () => [
    [ENOENT, "nothing is mapped in the range, or the range cuts an area"],
    [EINVAL, "the length is 0"],
    WRAPS,
    [EBUSY, "an area is still being mapped"],
    [EDEADLOCK, "an access does not unpin its pages"],
  ],
  "IOMMU_IOAS_ALLOW_IOVAS": () => [
    [EINVAL, "a range does not end behind its start, or two ranges overlap"],
    [EADDRINUSE, "a range is reserved in part"],
  ],
  "IOMMU_OPTION": () => [
    [EPERM, "the process lacks CAP_SYS_RESOURCE"],
    [EBUSY, "there are objects already"],
    [EINVAL, "a domain has areas already, which may use large IO pages"],
    [EADDRINUSE, "an area is not aligned to CPU pages"],
  ],
  "IOMMU_VFIO_IOAS": () => [NO_VFIO_IOAS],
  "VFIO_CHECK_EXTENSION": () => [NO_VFIO_IOAS],
  "VFIO_SET_IOMMU": () => [
    [EINVAL, "the type is not type 1, or an area uses large IO pages"],
    NO_VFIO_IOAS,
    [EADDRINUSE, "an area is not aligned to CPU pages"],
    [EPERM, "the process lacks CAP_SYS_RAWIO"],
  ],
  "VFIO_IOMMU_GET_INFO": () => [NO_VFIO_IOAS],
  "VFIO_IOMMU_MAP_DMA": (revision) => [
    NO_VFIO_IOAS,
    ...placing(revision),
  ],
  "VFIO_IOMMU_UNMAP_DMA": () => [
    [EINVAL, "the length is 0"],
    NO_VFIO_IOAS,
    [ENOENT, "nothing is mapped in the range, or the range cuts an area"],
    WRAPS,
    [EDEADLOCK, "an access does not unpin its pages"],
  ],
  "IOMMU_HWPT_ALLOC": () => [
    [EINVAL, "the driver's data are missing or make no sense"],
    [EOPNOTSUPP, "the IOMMU does not support a flag or the type of the data"],
    [E2BIG, "the driver's data are longer than the kernel knows, and not zero"],
    NO_MEMORY,
  ],
  "IOMMU_HWPT_SET_DIRTY_TRACKING": () => [
    [EOPNOTSUPP, "the HWPT cannot track writes"],
  ],
  "IOMMU_HWPT_GET_DIRTY_BITMAP": () => [
    [EINVAL, "the range is empty or not aligned, or the page size is 0"],
    WRAPS,
    [EOPNOTSUPP, "the HWPT cannot track writes"],
  ],
  "IOMMU_HWPT_INVALIDATE": () => [
    [EINVAL, "a request makes no sense"],
    [EOPNOTSUPP, "a request has an unknown flag"],
    [E2BIG, "a request is longer than the kernel knows, and not zero"],
  ],
  "write": () => [[EINVAL, "a cookie or a code is not known"]],
  "IOMMU_TEST_OP_ADD_RESERVED": () => [
    [EINVAL, "the length is 0"],
    WRAPS,
    [EADDRINUSE, "the range is mapped or allowed in part"],
  ],
  "IOMMU_TEST_OP_MOCK_DOMAIN": () => ATTACHING,
  "IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS": () => ATTACHING,
  "IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE": () => ATTACHING,
  "IOMMU_TEST_OP_MD_CHECK_MAP": () => [
    [
      EINVAL,
      "an IO page does not hold the page of the memory, or the range is misaligned",
    ],
    [EFAULT, "there is no memory at the address"],
  ],
  "IOMMU_TEST_OP_MD_CHECK_REFS": () => [
    [EIO, "a page is not pinned as often as expected"],
    [EINVAL, "address or length are not multiples of the page size"],
    [EFAULT, "there is no memory at the address"],
  ],
  "IOMMU_TEST_OP_CREATE_ACCESS": () => [NO_MEMORY],
  "IOMMU_TEST_OP_ACCESS_PAGES": () => [
    [EBADE, "the pages are not those of the memory to compare with"],
    [EOPNOTSUPP, "the access was not created to pin pages"],
    ...ACCESSING,
  ],
  "IOMMU_TEST_OP_ACCESS_RW": () => ACCESSING,
  "IOMMU_TEST_OP_SET_TEMP_MEMORY_LIMIT": () => [
    [EINVAL, "the limit is less than 12 bytes"],
  ],
  "IOMMU_TEST_OP_DIRTY": () => [
    [EINVAL, "the HWPT does not track writes, or the range is misaligned"],
  ],
  "IOMMU_TEST_OP_MD_CHECK_IOTLB": () => [
    [EINVAL, "the entry has another value, or there is no such entry"],
  ],
};

/** What people call what an id can name, if not as Linux does. */
const NAMES: Readonly<Partial<Record<Named, string>>> = {
  HWPT_PAGING: "HWPT",
  HWPT_NESTED: "nested HWPT",
  DEVICE: "device",
  FAULT: "fault queue",
  SELFTEST: "mock device",
  ACCESS_PAGES: "item",
};

/** The types of objects that an id can name. */
function typesOf(of: readonly Named[]): string[] {
  if (of.length === 0) return ["object"];
  return of.filter((type) =>
    type !== "HWPT_NESTED" || !of.includes("HWPT_PAGING")
  ).map((type) => NAMES[type] ?? type);
}

/** What the roles of the arguments tell: objects that may be missing, and values that mean nothing. */
function causesOfRoles(args: CallArguments, fields: ArgumentFields): Cause[] {
  const causes: Cause[] = [];
  const refuse = (text: string): void => {
    causes.push([EOPNOTSUPP, text], [EINVAL, text]);
  };
  const ids: Extract<Role, { kind: "id" }>[] = [];
  for (const [name, { role }] of Object.entries(fields)) {
    const value = BigInt(args[name] as number | bigint);
    if (role.kind === "id" && !(role.optional && value === 0n)) ids.push(role);
    if (role.kind === "fd") {
      causes.push([EBADFD, `the descriptor is not an ${role.of}`]);
    }
    if (role.kind === "flags" && unknownBits(role.bits, value) !== 0n) {
      refuse("a flag is unknown");
    }
    if (role.kind === "reserved" && value !== 0n) refuse(`${name} must be 0`);
    if (
      role.kind === "choice" &&
      !Object.values(role.values).includes(Number(value))
    ) refuse(`${name} is unknown`);
  }
  for (const errno of new Set(ids.map(({ missing }) => missing))) {
    const those = ids.filter(({ missing }) => missing === errno);
    const types = new Set(those.flatMap(({ of }) => typesOf(of)));
    const which = those.length > 1 ? "one of the ids" : "this id";
    const text = `there is no ${[...types].join(" or ")} with ${which}`;
    causes.push([errno, text]);
  }
  return causes;
}

/** The reasons that an errno can have in a call of a revision; none if that is not known. */
export function causesOf(
  call: string,
  errno: Errno,
  revision: Revision,
  args: CallArguments,
  fields: ArgumentFields,
): string[] {
  if (errno === ENOTTY) return ["this revision does not have the ioctl"];
  const causes = [
    ...causesOfRoles(args, fields),
    ...CAUSES[call]?.(revision, args) ?? [],
  ];
  const known = causes.filter(([cause]) => cause === errno)
    .map(([, text]) => text);
  if (known.length > 0) return known;
  const isTestOp = call.startsWith("IOMMU_TEST_OP_") && errno === EOPNOTSUPP;
  return isTestOp ? ["this revision does not have the operation"] : [];
}
