// SPDX-License-Identifier: GPL-2.0-only

/**
 * Programs that were written by hand: what neither a test nor chance does.
 *
 * @module
 */

import {
  CAP_IPC_LOCK,
  RLIMIT_MEMLOCK,
  RLIMIT_NOFILE,
} from "../../../impl/uapi/mman.ts";
import type { RevisionName } from "../../../impl/uapi/revision.ts";
import { isSince } from "../../../impl/uapi/revision/versions.ts";
import type { Need } from "../../../selftests/target/capabilities.ts";
import type { Program } from "../../../selftests/target/program.ts";
import { parseProgram } from "../../fuzz/program/text.ts";

/** A program that was written. */
interface Written {
  readonly name: string;
  /** What the machine must have. */
  readonly needs: readonly Need[];
  readonly since?: RevisionName;
  readonly text: string;
}

/** An iommufd with memory, of which an IOAS has a page at the IOVA that is named. */
function mappedAt(iova: string): string {
  return `
$i = open("/dev/iommu", O_RDWR)
$a = ioctl($i, IOMMU_IOAS_ALLOC, {})
mmap(0x10000000, 0x4000, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_FIXED | MAP_PRIVATE, -1, 0)
ioctl($i, IOMMU_IOAS_MAP, {flags: FIXED_IOVA | WRITEABLE | READABLE, ioasId: $a.outIoasId, userVa: 0x10000000, length: 0x1000, iova: ${iova}})`;
}

/** A device with a page table for PASIDs, and an IOAS of which nothing can be pinned any more. */
function pasids(iova: string): string {
  return `${mappedAt(iova)}
$b = ioctl($i, IOMMU_IOAS_ALLOC, {})
$m = ioctl($i, IOMMU_TEST_CMD MOCK_DOMAIN_FLAGS, {id: $b.outIoasId, devFlags: PASID})
$h = ioctl($i, IOMMU_HWPT_ALLOC, {flags: PASID, devId: $m.outIdevId, ptId: $b.outIoasId})
ioctl($i, IOMMU_TEST_CMD MOCK_DOMAIN_REPLACE, {id: $m.outStdevId, ptId: $h.outHwptId})
ioctl($i, IOMMU_TEST_CMD PASID_ATTACH, {id: $m.outStdevId, pasid: 1, ptId: $h.outHwptId})`;
}

const PASID_CALLS = `
ioctl($i, IOMMU_TEST_CMD PASID_ATTACH, {id: $m.outStdevId, pasid: 2, ptId: $a.outIoasId})
ioctl($i, IOMMU_TEST_CMD PASID_REPLACE, {id: $m.outStdevId, pasid: 1, ptId: $a.outIoasId})
ioctl($i, IOMMU_TEST_CMD PASID_DETACH, {id: $m.outStdevId, pasid: 1})`;

/** What is mapped from here on is charged. */
const CHARGED = `
dropcap(${CAP_IPC_LOCK})`;
/** Nothing more can be charged. */
const NOTHING_MORE = `
setrlimit(${RLIMIT_MEMLOCK}, 0)`;

/** Asks for what a container is like, with room for so many bytes. */
function infoWith(room: number): string {
  return `
poke(0x10000000, x"${room.toString(16)}000000 00*80")
ioctlarg($i, VFIO_IOMMU_GET_INFO, 0x10000000)
peek(0x10000000, 84)`;
}

/** The card, bound to an iommufd. */
const BOUND = `
$d = open("/dev/vfio/devices/vfio0", O_RDWR)
$bound = ioctl($d, VFIO_DEVICE_BIND_IOMMUFD, {iommufd: $i})`;

/** The card's group, which a machine may show when the card is opened first. */
const GROUP = `
$first = open("/dev/vfio/devices/vfio0", O_RDWR)
close($first)
$g = open("/dev/vfio/0", O_RDWR)`;

const PROGRAMS: readonly Written[] = [
  {
    name: "what is mapped cannot be pinned for a mock device",
    needs: ["setrlimit"],
    text: `${CHARGED}${mappedAt("0x1000000")}
$b = ioctl($i, IOMMU_IOAS_ALLOC, {})
$m = ioctl($i, IOMMU_TEST_CMD MOCK_DOMAIN, {id: $b.outIoasId})
${NOTHING_MORE}
ioctl($i, IOMMU_TEST_CMD MOCK_DOMAIN, {id: $a.outIoasId})
ioctl($i, IOMMU_TEST_CMD MOCK_DOMAIN_FLAGS, {id: $a.outIoasId})
ioctl($i, IOMMU_TEST_CMD MOCK_DOMAIN_REPLACE, {id: $m.outStdevId, ptId: $a.outIoasId})`,
  },
  {
    name: "what is mapped cannot be pinned for a PASID",
    needs: ["setrlimit", "pasid"],
    text: `${CHARGED}${pasids("0x1000000")}
${NOTHING_MORE}
${PASID_CALLS}`,
  },
  {
    name: "what is mapped for a PASID is not there",
    needs: ["pasid"],
    text: `${pasids("0x1000000")}
munmap(0x10000000, 0x4000)
${PASID_CALLS}`,
  },
  {
    name: "what is mapped is where no PASID can reach",
    needs: ["pasid"],
    text: `${pasids("0x1000")}
${PASID_CALLS}`,
  },
  {
    name: "an access wants one descriptor too many",
    needs: ["setrlimit"],
    text: `
$i = open("/dev/iommu", O_RDWR)
$a = ioctl($i, IOMMU_IOAS_ALLOC, {})
setrlimit(${RLIMIT_NOFILE}, 0)
ioctl($i, IOMMU_TEST_CMD CREATE_ACCESS, {id: $a.outIoasId})`,
  },
  {
    name: "a number between others, whose length cannot be read",
    needs: [],
    text: `
$i = open("/dev/iommu", O_RDWR)
ioctlarg($i, 0x3b9c, 0x10)`,
  },
  {
    name: "room for a chain of capabilities, or not quite",
    needs: ["vfio"],
    text: `
$i = open("/dev/iommu", O_RDWR)
$a = ioctl($i, IOMMU_IOAS_ALLOC, {})
ioctl($i, IOMMU_VFIO_IOAS, {ioasId: $a.outIoasId, op: SET})
mmap(0x10000000, 0x1000, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_FIXED | MAP_PRIVATE, -1, 0)
${[24, 35, 36, 40, 55, 56, 67, 68, 71, 72, 80].map(infoWith).join("\n")}`,
  },
  {
    name: "type 1 of what is not mapped by pages",
    needs: ["vfio"],
    text: `
$i = open("/dev/iommu", O_RDWR)
$a = ioctl($i, IOMMU_IOAS_ALLOC, {})
mmap(0x10000000, 0x4000, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_FIXED | MAP_PRIVATE, -1, 0)
ioctl($i, IOMMU_IOAS_MAP, {flags: FIXED_IOVA | WRITEABLE | READABLE, ioasId: $a.outIoasId, userVa: 0x10000000, length: 0x801, iova: 0x1})
ioctl($i, IOMMU_VFIO_IOAS, {ioasId: $a.outIoasId, op: SET})
ioctlarg($i, VFIO_SET_IOMMU, 1)`,
  },
  {
    name: "a longer question for a physical address",
    needs: [],
    since: "7.3",
    text: `${mappedAt("0x1000000")}
ioctl($i, IOMMU_IOAS_NOIOMMU_GET_PA, {size: 41, ioasId: $a.outIoasId, iova: 0x1000000} then x"01")`,
  },
  {
    name: "structs of a device that cannot be read",
    needs: ["vfio_device"],
    text: `
$i = open("/dev/iommu", O_RDWR)
${BOUND}
ioctlarg($d, VFIO_DEVICE_GET_INFO, 0x10)
ioctlarg($d, VFIO_DEVICE_GET_IRQ_INFO, 0x10)
ioctlarg($d, VFIO_DEVICE_IOEVENTFD, 0x10)`,
  },
  {
    name: "a device is to wake by a descriptor that is closed",
    needs: ["vfio_device"],
    text: `
$i = open("/dev/iommu", O_RDWR)
${BOUND}
ioctl($d, VFIO_DEVICE_FEATURE, x"1000000004000200e703000000000000")`,
  },
  {
    name: "what is mapped cannot be pinned for a device",
    needs: ["vfio_device", "setrlimit"],
    text: `${CHARGED}${mappedAt("0x1000000")}
${BOUND}
${NOTHING_MORE}
ioctl($d, VFIO_DEVICE_ATTACH_IOMMUFD_PT, {ptId: $a.outIoasId})`,
  },
  {
    name: "what is mapped is where a device sends messages",
    needs: ["vfio_device"],
    text: `${mappedAt("0xfee00000")}
${BOUND}
ioctl($d, VFIO_DEVICE_ATTACH_IOMMUFD_PT, {ptId: $a.outIoasId})`,
  },
  {
    name: "a fault of a device of VFIO's",
    needs: ["vfio_device"],
    text: `
$i = open("/dev/iommu", O_RDWR)
${BOUND}
ioctl($i, IOMMU_TEST_CMD TRIGGER_IOPF, {devId: $bound.outDevid})`,
  },
  {
    name: "a group's status that cannot be written",
    needs: ["vfio_device"],
    text: `${GROUP}
ioctlarg($g, VFIO_GROUP_GET_STATUS, 0x10)`,
  },
  {
    name: "a group's device is one descriptor too many",
    needs: ["vfio_device", "setrlimit"],
    text: `${GROUP}
$i = open("/dev/iommu", O_RDWR)
ioctl($g, VFIO_GROUP_SET_CONTAINER, x"00*4") with STRUCT@0.4 = $i
setrlimit(${RLIMIT_NOFILE}, 0)
ioctl($g, VFIO_GROUP_GET_DEVICE_FD, x"303030303a30303a30342e3000")`,
  },
  {
    name: "structs of a container that cannot be read",
    needs: ["type1_container", "vfio_device"],
    text: `
$c = open("/dev/vfio/vfio", O_RDWR)
ioctlarg($c, 0x3bf0, 0)
${GROUP}
ioctl($g, VFIO_GROUP_SET_CONTAINER, x"00*4") with STRUCT@0.4 = $c
ioctlarg($c, VFIO_SET_IOMMU, 3)
ioctlarg($c, VFIO_IOMMU_GET_INFO, 0x10)
ioctlarg($c, VFIO_IOMMU_UNMAP_DMA, 0x10)
ioctlarg($c, VFIO_IOMMU_DIRTY_PAGES, 0x10)
ioctl($c, VFIO_IOMMU_DIRTY_PAGES, x"0800000001000000")
ioctl($c, VFIO_IOMMU_DIRTY_PAGES, x"300000000400000000f0ffffffffffff00200000000000000010000000000000010000000000000000001000000000")
ioctl($c, VFIO_IOMMU_DIRTY_PAGES, x"300000000400000000f0ffffffffffff0020000000000000001000000000000001000000000000000000100000000000")`,
  },
];

/** A program that was written, by its name. */
export interface NamedProgram {
  readonly name: string;
  readonly program: Program;
}

/** The programs for a machine: those of a device where there is one, and otherwise the others. */
export function writtenPrograms(
  uapi: RevisionName,
  capabilities: readonly string[],
): NamedProgram[] {
  const hasDevice = capabilities.includes("vfio_device");
  return PROGRAMS.filter(({ needs, since = "v3" }) =>
    isSince(uapi, since) && needs.includes("vfio_device") === hasDevice &&
    needs.every((need) => capabilities.includes(need))
  ).map(({ name, text }) => ({ name, program: parseProgram(text, uapi) }));
}
