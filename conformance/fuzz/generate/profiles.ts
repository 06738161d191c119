// SPDX-License-Identifier: GPL-2.0-only

/**
 * Profiles: how often programs have what. An action is an ioctl or a test
 * operation by its C constant, or a verb by its name.
 *
 * @module
 */

/** How often which action comes, in proportion to the others. */
type Actions = Readonly<Record<string, number>>;

/** What programs are made of. */
export interface Profile {
  /** The name that people give. */
  readonly name: string;
  /** What it is for. */
  readonly about: string;
  /** The actions. */
  readonly actions: Actions;
  /** Of a hundred ioctls, how many are wrong in something. */
  readonly wrong: number;
  /** Of a hundred ioctls, in how many a step of the kernel is made to fail. */
  readonly failNth: number;
}

const OBJECTS: Actions = {
  IOMMU_DESTROY: 10,
  IOMMU_IOAS_ALLOC: 6,
  IOMMU_TEST_OP_MOCK_DOMAIN: 6,
  IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS: 8,
  IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE: 10,
  open: 2,
  close: 2,
};

const IOAS: Actions = {
  IOMMU_IOAS_MAP: 30,
  IOMMU_IOAS_MAP_FILE: 14,
  IOMMU_IOAS_UNMAP: 14,
  IOMMU_IOAS_COPY: 14,
  IOMMU_IOAS_ALLOW_IOVAS: 4,
  IOMMU_IOAS_IOVA_RANGES: 5,
  IOMMU_OPTION: 6,
  IOMMU_IOAS_CHANGE_PROCESS: 3,
  IOMMU_IOAS_NOIOMMU_GET_PA: 3,
  IOMMU_TEST_OP_ADD_RESERVED: 3,
  IOMMU_TEST_OP_MD_CHECK_MAP: 8,
  IOMMU_TEST_OP_MD_CHECK_REFS: 8,
  IOMMU_TEST_OP_SET_TEMP_MEMORY_LIMIT: 5,
};

const CONTAINER: Actions = {
  IOMMU_VFIO_IOAS: 6,
  VFIO_GET_API_VERSION: 1,
  VFIO_CHECK_EXTENSION: 2,
  VFIO_SET_IOMMU: 2,
  VFIO_IOMMU_GET_INFO: 3,
  VFIO_IOMMU_MAP_DMA: 6,
  VFIO_IOMMU_UNMAP_DMA: 4,
  VFIO_IOMMU_DIRTY_PAGES: 1,
};

const ACCESS: Actions = {
  IOMMU_TEST_OP_CREATE_ACCESS: 5,
  IOMMU_TEST_OP_DESTROY_ACCESS_PAGES: 6,
  IOMMU_TEST_OP_ACCESS_PAGES: 12,
  IOMMU_TEST_OP_ACCESS_RW: 12,
  IOMMU_TEST_OP_ACCESS_REPLACE_IOAS: 5,
};

const HWPT: Actions = {
  IOMMU_HWPT_ALLOC: 24,
  IOMMU_GET_HW_INFO: 6,
  IOMMU_HWPT_INVALIDATE: 10,
  IOMMU_TEST_OP_MD_CHECK_IOTLB: 6,
};

const DIRTY: Actions = {
  IOMMU_HWPT_SET_DIRTY_TRACKING: 8,
  IOMMU_HWPT_GET_DIRTY_BITMAP: 12,
  IOMMU_TEST_OP_DIRTY: 12,
};

const FAULTS: Actions = {
  IOMMU_FAULT_QUEUE_ALLOC: 5,
  IOMMU_TEST_OP_TRIGGER_IOPF: 14,
  answer: 12,
};

const VIOMMU: Actions = {
  IOMMU_VIOMMU_ALLOC: 8,
  IOMMU_VDEVICE_ALLOC: 10,
  IOMMU_VEVENTQ_ALLOC: 6,
  IOMMU_HW_QUEUE_ALLOC: 8,
  IOMMU_TEST_OP_DEV_CHECK_CACHE: 6,
  IOMMU_TEST_OP_TRIGGER_VEVENT: 10,
};

const PASID: Actions = {
  IOMMU_TEST_OP_PASID_ATTACH: 12,
  IOMMU_TEST_OP_PASID_REPLACE: 10,
  IOMMU_TEST_OP_PASID_DETACH: 8,
  IOMMU_TEST_OP_PASID_CHECK_HWPT: 8,
};

const FILES: Actions = {
  IOMMU_TEST_OP_DMABUF_GET: 5,
  IOMMU_TEST_OP_DMABUF_REVOKE: 5,
  memfd: 6,
  ftruncate: 6,
  fallocate: 6,
  fcntl: 6,
  pread: 4,
  pwrite: 5,
  lseek: 3,
  read: 5,
  write: 4,
  poll: 4,
  dup: 4,
  dup2: 2,
  dup3: 1,
  open: 3,
  close: 4,
  unlink: 1,
  eventfd: 2,
  pipe: 2,
};

const MEMORY: Actions = {
  mmap: 10,
  munmap: 6,
  mremap: 5,
  mprotect: 6,
  madvise: 6,
  peek: 6,
  poke: 8,
};

const PROCESSES: Actions = {
  fork: 6,
  exit: 3,
  exec: 2,
  passfd: 5,
  setrlimit: 4,
  setuid: 2,
  dropcap: 4,
  vmstatus: 4,
};

const GROUPS: Actions = {
  "open group": 3,
  VFIO_GROUP_GET_STATUS: 3,
  VFIO_GROUP_SET_CONTAINER: 6,
  VFIO_GROUP_UNSET_CONTAINER: 2,
  VFIO_GROUP_GET_DEVICE_FD: 6,
};

const VFIO: Actions = {
  ...GROUPS,
  "open device": 4,
  VFIO_DEVICE_GET_INFO: 3,
  VFIO_DEVICE_GET_REGION_INFO: 6,
  VFIO_DEVICE_GET_IRQ_INFO: 5,
  VFIO_DEVICE_SET_IRQS: 14,
  VFIO_DEVICE_RESET: 2,
  VFIO_DEVICE_BIND_IOMMUFD: 8,
  VFIO_DEVICE_ATTACH_IOMMUFD_PT: 10,
  VFIO_DEVICE_DETACH_IOMMUFD_PT: 5,
  VFIO_DEVICE_GET_PCI_HOT_RESET_INFO: 2,
  VFIO_DEVICE_PCI_HOT_RESET: 1,
  VFIO_DEVICE_IOEVENTFD: 4,
  VFIO_DEVICE_FEATURE: 10,
  VFIO_MIG_GET_PRECOPY_INFO: 1,
  "read config": 8,
  "write config": 8,
  "read region": 4,
  "map region": 4,
  dropcap: 1,
};

const REGISTERS: Actions = {
  "open device": 2,
  VFIO_DEVICE_BIND_IOMMUFD: 4,
  VFIO_DEVICE_ATTACH_IOMMUFD_PT: 4,
  VFIO_DEVICE_DETACH_IOMMUFD_PT: 2,
  VFIO_DEVICE_FEATURE: 16,
  VFIO_MIG_GET_PRECOPY_INFO: 1,
  VFIO_DEVICE_RESET: 2,
  VFIO_DEVICE_PCI_HOT_RESET: 4,
  VFIO_DEVICE_IOEVENTFD: 6,
  "virtual functions": 5,
  "read config": 5,
  "write config": 8,
  "write control": 3,
  "read region": 6,
  "map region": 4,
  copy: 10,
  IOMMU_IOAS_MAP: 3,
  eventfd: 2,
  peek: 4,
  read: 4,
  write: 3,
  close: 2,
};

/** All of some groups, each so many times as often. */
function sum(...groups: readonly (readonly [number, Actions])[]): Actions {
  const all: Record<string, number> = {};
  for (const [times, actions] of groups) {
    for (const [name, weight] of Object.entries(actions)) {
      all[name] = (all[name] ?? 0) + times * weight;
    }
  }
  return all;
}

function profile(
  name: string,
  about: string,
  actions: Actions,
  more: Partial<Profile> = {},
): Profile {
  return { name, about, actions, wrong: 38, failNth: 0, ...more };
}

const EVERYTHING = sum(
  [4, OBJECTS],
  [4, IOAS],
  [3, CONTAINER],
  [4, ACCESS],
  [4, HWPT],
  [4, DIRTY],
  [4, FAULTS],
  [4, VIOMMU],
  [4, PASID],
  [2, FILES],
  [3, MEMORY],
  [3, PROCESSES],
);

const ALL = [
  profile("mixed", "everything but devices and steps that fail", EVERYTHING),
  profile(
    "ioas",
    "address spaces: maps, unmaps, copies, accesses, the container",
    sum([1, OBJECTS], [3, IOAS], [2, CONTAINER], [2, ACCESS], [1, MEMORY]),
  ),
  profile(
    "hwpt",
    "page tables and what is attached to them",
    sum([3, OBJECTS], [1, IOAS], [4, HWPT], [1, DIRTY], [1, FAULTS]),
  ),
  profile(
    "dirty",
    "dirty tracking",
    sum([1, OBJECTS], [1, IOAS], [1, HWPT], [6, DIRTY]),
  ),
  profile(
    "faults",
    "page faults of devices",
    sum([2, OBJECTS], [1, HWPT], [6, FAULTS], [1, PASID], [1, FILES]),
  ),
  profile(
    "viommu",
    "virtual IOMMUs",
    sum([2, OBJECTS], [1, IOAS], [2, HWPT], [5, VIOMMU], [1, FILES]),
  ),
  profile(
    "pasid",
    "attachments with a PASID",
    sum([2, OBJECTS], [2, HWPT], [6, PASID], [1, FAULTS]),
  ),
  profile(
    "files",
    "files, DMA buffers, descriptors",
    sum([1, OBJECTS], [1, IOAS], [1, ACCESS], [5, FILES], [1, PROCESSES]),
  ),
  profile(
    "memory",
    "memory that changes under what is mapped",
    sum([1, OBJECTS], [2, IOAS], [2, ACCESS], [6, MEMORY], [1, PROCESSES]),
  ),
  profile(
    "process",
    "several processes, users, limits, accounting",
    sum([1, OBJECTS], [2, IOAS], [1, ACCESS], [1, MEMORY], [6, PROCESSES]),
  ),
  profile(
    "vfio",
    "VFIO devices, groups and containers",
    sum([1, OBJECTS], [1, IOAS], [3, CONTAINER], [6, VFIO], [1, FILES]),
  ),
  profile(
    "registers",
    "registers of VFIO devices: resets, DMA, migration, virtual functions",
    REGISTERS,
    { wrong: 20 },
  ),
  profile(
    "container",
    "VFIO's containers: groups, types, maps, dirty pages",
    sum([4, CONTAINER], [2, { VFIO_IOMMU_DIRTY_PAGES: 8 }], [1, GROUPS], [
      1,
      MEMORY,
    ], [1, FILES]),
  ),
  profile(
    "fail_nth",
    "ioctls of which a step is made to fail",
    sum([1, OBJECTS], [1, IOAS], [1, ACCESS], [1, HWPT], [1, VIOMMU], [
      1,
      PASID,
    ]),
    { wrong: 4, failNth: 60 },
  ),
];

/** The profiles by their names. */
export const PROFILES: Readonly<Record<string, Profile>> = Object.fromEntries(
  ALL.map((profile) => [profile.name, profile]),
);
