// SPDX-License-Identifier: GPL-2.0-only

/**
 * Scenarios about memory: who pins it, where its frame numbers are kept, who
 * is charged.
 *
 * @module
 */

import { IOMMUFD, map, memory, type Scenario, scene } from "./scenario.ts";

/** A device, a copy, an access, and what is refused: as `deno task demo` plays it. */
export const TOUR: Scenario = {
  id: "tour",
  title: "A tour: map, attach, copy, pin, unmap",
  text: `
# 64 KiB of memory, as a VMM has for its guest.
$memory = ${memory(0x10000)}
# Every iommufd context begins with this descriptor.
$iommufd = open("/dev/iommu", O_RDWR)
# An IO address space. No device is attached: all IOVA from 0 to 2^64-1 can be mapped.
$ioas = ioctl($iommufd, IOMMU_IOAS_ALLOC, {})
# Map the memory at IOVA 16 MiB. Nobody uses it yet: nothing is pinned, there are no frames.
${map(0x10000, 0x1000000)}
# Attach a mock device. All 16 pages are pinned, once; their frame numbers are kept in the HWPT's page table. What the mock IOMMU cannot map became reserved.
$mock = ioctl($iommufd, IOMMU_TEST_CMD MOCK_DOMAIN, {id: $ioas.outIoasId})
# A second IO address space...
$other = ioctl($iommufd, IOMMU_IOAS_ALLOC, {})
# ... gets half of it by a copy. Both areas map the same pages, P1.
ioctl($iommufd, IOMMU_IOAS_COPY, {flags: FIXED_IOVA | WRITEABLE | READABLE, dstIoasId: $other.outIoasId, srcIoasId: $ioas.outIoasId, length: 0x8000, dstIova: 0x2000000, srcIova: 0x1004000})
# A device of its own: a second page table, and still every page is pinned once.
ioctl($iommufd, IOMMU_TEST_CMD MOCK_DOMAIN, {id: $other.outIoasId})
# An emulated device, which has no DMA and no page table: an access.
$access = ioctl($iommufd, IOMMU_TEST_CMD CREATE_ACCESS, {id: $ioas.outIoasId, flags: NEEDS_PIN_PAGES})
# It pins the first four pages. Their frame numbers are kept in pinned_pfns too; nothing is pinned twice.
$pinned = ioctl($iommufd, IOMMU_TEST_CMD ACCESS_PAGES, {id: $access.outAccessFd, iova: 0x1000000, length: 0x4000, uptr: $memory})
# A part of an area cannot be unmapped.
ioctl($iommufd, IOMMU_IOAS_UNMAP, {ioasId: $ioas.outIoasId, iova: 0x1000000, length: 0x1000})
# Nor can an object be destroyed that others use.
ioctl($iommufd, IOMMU_DESTROY, {id: $ioas.outIoasId})
# The whole area can: the access is asked to let go of its pages, and does. Pages 4-11 stay pinned for the second IOAS, whose HWPT is their storage now.
ioctl($iommufd, IOMMU_IOAS_UNMAP, {ioasId: $ioas.outIoasId, iova: 0x1000000, length: 0x10000})
# Close all. The access is still open: the context stays.
close($iommufd)
# Now everything goes in the order of who uses what, and every pin is given back.
close($access.outAccessFd)
`,
};

/** Frame numbers move between three places. */
export const TIERS: Scenario = {
  id: "tiers",
  title: "Where frame numbers are kept: pinned_pfns, a domain, user memory",
  text: `
${scene(0x8000)}
# Mapped, and used by nobody: the place to find a frame is user memory.
${map(0x8000, 0x1000000)}
$access = ioctl($iommufd, IOMMU_TEST_CMD CREATE_ACCESS, {id: $ioas.outIoasId, flags: NEEDS_PIN_PAGES})
# An access pins pages 2-5: there is no domain, so pinned_pfns holds the frame numbers.
$first = ioctl($iommufd, IOMMU_TEST_CMD ACCESS_PAGES, {id: $access.outAccessFd, iova: 0x1002000, length: 0x4000, uptr: $memory + 0x2000})
# A device comes: the other pages are pinned too, and kept in its page table alone.
$mock = ioctl($iommufd, IOMMU_TEST_CMD MOCK_DOMAIN, {id: $ioas.outIoasId})
# Another pin of pages 4-7: it takes frames from wherever they are.
$second = ioctl($iommufd, IOMMU_TEST_CMD ACCESS_PAGES, {id: $access.outAccessFd, iova: 0x1004000, length: 0x4000, uptr: $memory + 0x4000})
# Pages 2 and 3 have no pin by the access any more; the domain still has all.
ioctl($iommufd, IOMMU_TEST_CMD DESTROY_ACCESS_PAGES, {id: $access.outAccessFd, accessPagesId: $first.outAccessPagesId})
# The device goes. What the access has pinned stays in pinned_pfns, all else is user memory again.
ioctl($iommufd, IOMMU_DESTROY, {id: $mock.outStdevId})
# The last pin goes.
ioctl($iommufd, IOMMU_TEST_CMD DESTROY_ACCESS_PAGES, {id: $access.outAccessFd, accessPagesId: $second.outAccessPagesId})
close($access.outAccessFd)
close($iommufd)
`,
};

/** Unmapping what an access has pinned. */
export const ACCESS: Scenario = {
  id: "access",
  title: "An access while its memory is unmapped",
  text: `
$memory = ${memory(0x4000)}
poke(0x10000000, x"69 6f 6d 6d 75 66 64")
${IOMMUFD}
${map(0x4000, 0x5000)}
# An access needs no IOMMU: it reads and writes by IOVA, or pins pages.
$access = ioctl($iommufd, IOMMU_TEST_CMD CREATE_ACCESS, {id: $ioas.outIoasId, flags: NEEDS_PIN_PAGES})
# Reading pins only for as long as it takes: the bytes arrive at 0x10003000.
ioctl($iommufd, IOMMU_TEST_CMD ACCESS_RW, {id: $access.outAccessFd, iova: 0x5000, length: 7, uptr: $memory + 0x3000})
# Here they are.
peek(0x10003000, 7)
# Pages 0 and 1 are pinned for good.
$pinned = ioctl($iommufd, IOMMU_TEST_CMD ACCESS_PAGES, {id: $access.outAccessFd, iova: 0x5000, length: 0x2000, uptr: $memory})
# Unmap: iommufd asks the access to let go (its unmap() is called), and goes on when it has. In the kernel a driver that does not is waited for.
ioctl($iommufd, IOMMU_IOAS_UNMAP, {ioasId: $ioas.outIoasId, iova: 0x5000, length: 0x4000})
# What was let go cannot be let go again.
ioctl($iommufd, IOMMU_TEST_CMD DESTROY_ACCESS_PAGES, {id: $access.outAccessFd, accessPagesId: $pinned.outAccessPagesId})
# Nothing is mapped: no more reads.
ioctl($iommufd, IOMMU_TEST_CMD ACCESS_RW, {id: $access.outAccessFd, iova: 0x5000, length: 7, uptr: $memory})
`,
};

/** RLIMIT_MEMLOCK, by user and by process. */
export const LIMIT: Scenario = {
  id: "memlock",
  title: "Out of memory at RLIMIT_MEMLOCK",
  text: `
# At most 4 pages may be locked. Root may lock more than that: this is user 1000.
setrlimit(RLIMIT_MEMLOCK, 0x4000)
setuid(1000)
$memory = mmap(0x10000000, 0x10000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0)
${IOMMUFD}
$mock = ioctl($iommufd, IOMMU_TEST_CMD MOCK_DOMAIN, {id: $ioas.outIoasId})
# Three pages are pinned for the device, and charged.
${map(0x3000, 0x1000000)}
# Two more would be five. Everything that was done for them is undone.
${map(0x2000, 0x1010000, 0x3000)}
# One more fits.
${map(0x1000, 0x1010000, 0x3000)}
# The same page mapped twice is charged twice: these are other pages to iommufd.
${map(0x1000, 0x1020000, 0x3000)}
# A copy is not: it shares the pages.
ioctl($iommufd, IOMMU_IOAS_COPY, {flags: FIXED_IOVA | WRITEABLE | READABLE, dstIoasId: $ioas.outIoasId, srcIoasId: $ioas.outIoasId, length: 0x3000, dstIova: 0x1030000, srcIova: 0x1000000})
# Unmapping gives back what no other area needs: nothing of these, because of the copy.
ioctl($iommufd, IOMMU_IOAS_UNMAP, {ioasId: $ioas.outIoasId, iova: 0x1000000, length: 0x3000})
# All of it.
ioctl($iommufd, IOMMU_IOAS_UNMAP, {ioasId: $ioas.outIoasId, length: 0xffffffffffffffff})
`,
};

/** The sizes of IO pages. */
export const HUGE: Scenario = {
  id: "huge",
  title: "Large IO pages, and without",
  text: `
# 2 MiB + 32 KiB of memory, contiguous in this machine.
${scene(0x208000)}
$mock = ioctl($iommufd, IOMMU_TEST_CMD MOCK_DOMAIN, {id: $ioas.outIoasId})
# As few IO pages as alignment allows of IOVA, address and what is left.
${map(0x208000, 0x1000000)}
ioctl($iommufd, IOMMU_IOAS_UNMAP, {ioasId: $ioas.outIoasId, iova: 0x1000000, length: 0x208000})
# Half a page off: nothing fits together but the smallest sizes.
${map(0x8000, 0x1000800)}
ioctl($iommufd, IOMMU_IOAS_UNMAP, {ioasId: $ioas.outIoasId, iova: 0x1000800, length: 0x8000})
# HUGE_PAGES off, as VFIO's type1 has it: page by page.
ioctl($iommufd, IOMMU_OPTION, {optionId: HUGE_PAGES, objectId: $ioas.outIoasId, val64: 0})
${map(0x208000, 0x1000000)}
# Now a part of it can be unmapped? No: an area goes whole, whatever its IO pages are.
ioctl($iommufd, IOMMU_IOAS_UNMAP, {ioasId: $ioas.outIoasId, iova: 0x1000000, length: 0x1000})
`,
};

/** 1 + 10,000 areas. */
export const MANY: Scenario = {
  id: "many",
  title: "10,000 areas",
  text: `
${scene(0x1000)}
$mock = ioctl($iommufd, IOMMU_TEST_CMD MOCK_DOMAIN, {id: $ioas.outIoasId})
# Ten thousand areas of one page each. What cannot be seen is summed up: press a piece of the axis to look into it.
${
    Array.from(
      { length: 10_000 },
      (_, i) => map(0x1000, 0x1000000 + i * 0x2000),
    )
      .join("\n")
  }
# All of them at once.
ioctl($iommufd, IOMMU_IOAS_UNMAP, {ioasId: $ioas.outIoasId, length: 0xffffffffffffffff})
`,
};
