// SPDX-License-Identifier: GPL-2.0-only

/**
 * Scenarios about devices: what they are attached to, their faults, virtual
 * IOMMUs, VFIO.
 *
 * @module
 */

import { map, memory, type Scenario, scene } from "./scenario.ts";

const SCENE = `
${scene(0x8000)}
${map(0x8000, 0x1000000)}`;

/** Attach, detach, attach again. */
export const ATTACH: Scenario = {
  id: "attach",
  since: "6.6",
  title: "Attach, replace, detach",
  text: `${SCENE}
# Attached to an IOAS: the kernel makes a HWPT ("auto") and fills its page table.
$mock = ioctl($iommufd, IOMMU_TEST_CMD MOCK_DOMAIN, {id: $ioas.outIoasId})
# A second device shares it.
$second = ioctl($iommufd, IOMMU_TEST_CMD MOCK_DOMAIN, {id: $ioas.outIoasId})
# A HWPT that user space asks for is another page table. It is full at once: no device could find a hole in it.
$hwpt = ioctl($iommufd, IOMMU_HWPT_ALLOC, {devId: $mock.outIdevId, ptId: $ioas.outIoasId})
# Replace: the first device goes over to it, with no moment in between.
ioctl($iommufd, IOMMU_TEST_CMD MOCK_DOMAIN_REPLACE, {id: $mock.outStdevId, ptId: $hwpt.outHwptId})
# Another address space, empty.
$other = ioctl($iommufd, IOMMU_IOAS_ALLOC, {})
# The second device moves there. Nobody has the auto HWPT any more: it goes, and the other one is storage of the frame numbers.
ioctl($iommufd, IOMMU_TEST_CMD MOCK_DOMAIN_REPLACE, {id: $second.outStdevId, ptId: $other.outIoasId})
# A device's file is closed: it is detached and unbound.
ioctl($iommufd, IOMMU_DESTROY, {id: $mock.outStdevId})
# The HWPT that was asked for stays until it is destroyed, and so do the pins.
ioctl($iommufd, IOMMU_DESTROY, {id: $hwpt.outHwptId})
close($iommufd)
`,
};

/** Which pages did the device write? */
export const DIRTY: Scenario = {
  id: "dirty",
  since: "6.7",
  title: "Dirty tracking, as for live migration",
  text: `${SCENE}
$mock = ioctl($iommufd, IOMMU_TEST_CMD MOCK_DOMAIN, {id: $ioas.outIoasId})
$bitmaps = ${memory(0x1000, 0x20000000)}
# A HWPT that can track writes.
$hwpt = ioctl($iommufd, IOMMU_HWPT_ALLOC, {flags: DIRTY_TRACKING, devId: $mock.outIdevId, ptId: $ioas.outIoasId})
ioctl($iommufd, IOMMU_TEST_CMD MOCK_DOMAIN_REPLACE, {id: $mock.outStdevId, ptId: $hwpt.outHwptId})
# Off at first: turn it on.
ioctl($iommufd, IOMMU_HWPT_SET_DIRTY_TRACKING, {flags: ENABLE, hwptId: $hwpt.outHwptId})
# The device writes to pages 1 and 6. No device of this machine does: the selftest module marks entries, by a bitmap.
poke(0x20000000, x"42")
ioctl($iommufd, IOMMU_TEST_CMD DIRTY, {id: $hwpt.outHwptId, iova: 0x1000000, length: 0x8000, pageSize: 0x1000, uptr: $bitmaps})
# Read what is dirty, and clear it: an entry is dirty as a whole.
ioctl($iommufd, IOMMU_HWPT_GET_DIRTY_BITMAP, {hwptId: $hwpt.outHwptId, iova: 0x1000000, length: 0x8000, pageSize: 0x1000, data: $bitmaps + 0x100})
# One bit for each page.
peek(0x20000100, 1)
# A second time nothing is dirty.
ioctl($iommufd, IOMMU_HWPT_GET_DIRTY_BITMAP, {hwptId: $hwpt.outHwptId, iova: 0x1000000, length: 0x8000, pageSize: 0x1000, data: $bitmaps + 0x200})
peek(0x20000200, 1)
`,
};

/** A fault, delivered and answered. */
export const FAULT: Scenario = {
  id: "fault",
  since: "6.11",
  title: "A page fault of a device, and its answer",
  text: `${SCENE}
$mock = ioctl($iommufd, IOMMU_TEST_CMD MOCK_DOMAIN, {id: $ioas.outIoasId})
$data = ${memory(0x1000, 0x20000000)}
poke(0x20000000, x"ef be ad de")
# A queue for faults: an object with a file.
$queue = ioctl($iommufd, IOMMU_FAULT_QUEUE_ALLOC, {})
# A parent, and a HWPT nested on it that sends its faults to the queue: the page table in it is the guest's.
$parent = ioctl($iommufd, IOMMU_HWPT_ALLOC, {flags: NEST_PARENT, devId: $mock.outIdevId, ptId: $ioas.outIoasId})
$nested = ioctl($iommufd, IOMMU_HWPT_ALLOC, {flags: FAULT_ID_VALID, devId: $mock.outIdevId, ptId: $parent.outHwptId, dataType: 0xdead, dataLen: 4, dataUptr: $data, faultId: $queue.outFaultId})
ioctl($iommufd, IOMMU_TEST_CMD MOCK_DOMAIN_REPLACE, {id: $mock.outStdevId, ptId: $nested.outHwptId})
# DMA to an address that the guest's page table does not have: the device waits.
ioctl($iommufd, IOMMU_TEST_CMD TRIGGER_IOPF, {devId: $mock.outIdevId, pasid: 0, grpid: 2, perm: READ, addr: 0xdeadbeef})
poll($queue.outFaultFd, POLLIN)
# The VMM reads it: 40 bytes, with a cookie at byte 36.
$fault = read($queue.outFaultFd, 40)
# Its guest has mapped the page: the answer is the cookie with a code, 0 for success. The device goes on.
write($queue.outFaultFd, x"00*8") with BYTES@0.4 = $fault@36.4
close($queue.outFaultFd)
close($iommufd)
`,
};

/** Virtual IOMMUs. */
export const VIOMMU: Scenario = {
  id: "viommu",
  since: "7.3",
  title: "A virtual IOMMU, with a device, a queue and an event",
  text: `${SCENE}
$mock = ioctl($iommufd, IOMMU_TEST_CMD MOCK_DOMAIN, {id: $ioas.outIoasId})
# The parent maps guest memory.
$parent = ioctl($iommufd, IOMMU_HWPT_ALLOC, {flags: NEST_PARENT, devId: $mock.outIdevId, ptId: $ioas.outIoasId})
# A slice of the physical IOMMU for one guest.
$viommu = ioctl($iommufd, IOMMU_VIOMMU_ALLOC, {type: 0xdeadbeef, devId: $mock.outIdevId, hwptId: $parent.outHwptId})
# The guest knows the device by a number of its own.
$vdevice = ioctl($iommufd, IOMMU_VDEVICE_ALLOC, {viommuId: $viommu.outViommuId, devId: $mock.outIdevId, virtId: 0x99})
# A queue for events of this guest.
$events = ioctl($iommufd, IOMMU_VEVENTQ_ALLOC, {viommuId: $viommu.outViommuId, type: 0xbeefbeef, veventqDepth: 2})
# A HWPT nested on the virtual IOMMU: the guest's page table.
$data = ${memory(0x1000, 0x20000000)}
poke(0x20000000, x"ef be ad de")
$nested = ioctl($iommufd, IOMMU_HWPT_ALLOC, {devId: $mock.outIdevId, ptId: $viommu.outViommuId, dataType: 0xdead, dataLen: 4, dataUptr: $data})
ioctl($iommufd, IOMMU_TEST_CMD MOCK_DOMAIN_REPLACE, {id: $mock.outStdevId, ptId: $nested.outHwptId})
# The hardware reports something about the device...
ioctl($iommufd, IOMMU_TEST_CMD TRIGGER_VEVENT, {devId: $mock.outIdevId})
# ... which the VMM reads: it is about virtual id 0x99.
read($events.outVeventqFd, 64)
# Queues that the guest's driver and the hardware share lie in guest memory, which is pinned for it.
$queue = ioctl($iommufd, IOMMU_HW_QUEUE_ALLOC, {viommuId: $viommu.outViommuId, type: 0xdeadbeef, index: 0, nestingParentIova: 0x1000000, length: 0x1000})
# What others stand on cannot go first.
ioctl($iommufd, IOMMU_DESTROY, {id: $viommu.outViommuId})
close($iommufd)
`,
};

/** The old API, on the new one. */
export const CONTAINER: Scenario = {
  id: "vfio",
  title: "A VFIO container on iommufd",
  text: `
$memory = ${memory(0x8000)}
# The selftest module's device needs iommufd's own ioctl, a VFIO container is the same file.
$container = open("/dev/iommu", O_RDWR)
# A container speaks of no IOAS: it has one that is chosen for it.
$ioas = ioctl($container, IOMMU_IOAS_ALLOC, {})
ioctl($container, IOMMU_VFIO_IOAS, {ioasId: $ioas.outIoasId, op: SET})
$mock = ioctl($container, IOMMU_TEST_CMD MOCK_DOMAIN, {id: $ioas.outIoasId})
# Type1, version 2.
ioctl($container, VFIO_SET_IOMMU, 3)
# The map of VFIO...
ioctl($container, VFIO_IOMMU_MAP_DMA, {argsz: 32, flags: READ | WRITE, vaddr: $memory, iova: 0x1000000, length: 0x8000})
# ... is an area of the IOAS. Version 2 unmaps whole maps only: not from the middle.
ioctl($container, VFIO_IOMMU_UNMAP_DMA, {argsz: 24, iova: 0x1004000, length: 0x4000})
ioctl($container, VFIO_IOMMU_UNMAP_DMA, {argsz: 24, iova: 0x1000000, length: 0x8000})
# Version 1 may cut them: large IO pages are off.
ioctl($container, VFIO_SET_IOMMU, 1)
ioctl($container, VFIO_IOMMU_MAP_DMA, {argsz: 32, flags: READ | WRITE, vaddr: $memory, iova: 0x1000000, length: 0x8000})
ioctl($container, VFIO_IOMMU_UNMAP_DMA, {argsz: 24, iova: 0x1004000, length: 0x1000})
close($container)
`,
};

/** What the kernel chooses, and keeps away from. */
export const IOVA: Scenario = {
  id: "iova",
  title: "IOVA: chosen, allowed, reserved",
  text: `
${scene(0x10000)}
# Without FIXED_IOVA the kernel chooses.
ioctl($iommufd, IOMMU_IOAS_MAP, {flags: WRITEABLE | READABLE, ioasId: $ioas.outIoasId, userVa: $memory, length: 0x3000})
$mock = ioctl($iommufd, IOMMU_TEST_CMD MOCK_DOMAIN, {id: $ioas.outIoasId})
# What a device cannot do is reserved, and what is mapped there already is in the way.
ioctl($iommufd, IOMMU_IOAS_UNMAP, {ioasId: $ioas.outIoasId, length: 0xffffffffffffffff})
$mock2 = ioctl($iommufd, IOMMU_TEST_CMD MOCK_DOMAIN, {id: $ioas.outIoasId})
# A device may have reserved regions of its own; here the selftest module adds one.
ioctl($iommufd, IOMMU_TEST_CMD ADD_RESERVED, {id: $ioas.outIoasId, start: 0x2001000, length: 0x4000})
# User space may narrow down where the kernel chooses.
poke(0x10000000, x"00600002 00000000 ffff0f02 00000000")
ioctl($iommufd, IOMMU_IOAS_ALLOW_IOVAS, {ioasId: $ioas.outIoasId, numIovas: 1, allowedIovas: $memory})
# Chosen within what is allowed, around what is reserved.
ioctl($iommufd, IOMMU_IOAS_MAP, {flags: WRITEABLE | READABLE, ioasId: $ioas.outIoasId, userVa: $memory, length: 0x1000})
ioctl($iommufd, IOMMU_IOAS_MAP, {flags: WRITEABLE | READABLE, ioasId: $ioas.outIoasId, userVa: $memory + 0x4000, length: 0x8000})
# Fixed IOVA need not be in what is allowed, but not in what is reserved.
${map(0x2000, 0x2002000)}
# Which ranges can be used?
ioctl($iommufd, IOMMU_IOAS_IOVA_RANGES, {ioasId: $ioas.outIoasId, numIovas: 8, allowedIovas: $memory + 0x8000})
peek(0x10008000, 32)
`,
};
