// SPDX-License-Identifier: GPL-2.0-only

/**
 * An error names the cause that it had, not one that the errno may have.
 */

import { assertEquals } from "@std/assert";
import { it } from "@std/testing/bdd";
import { Ioas } from "../iommufd/ioas/ioas.ts";
import { iommufdCtxFromFd } from "../iommufd/main.ts";
import * as uapi from "../uapi/mod.ts";
import {
  type Bench,
  describeReasons,
  IOVA,
  PAGE,
  type Scenario,
} from "./testing/reasons.ts";

const TOP = 2n ** 64n;

/** Asks which memory the first IOVA stands for. */
function ask(bench: Bench, options: object = {}): void {
  const { io, ioasId } = bench;
  io.ioasNoiommuGetPa({ ioasId, iova: IOVA, length: PAGE, ...options });
}

const ADDRESSES: readonly Scenario[] = [
  ["EPERM: the process lacks CAP_SYS_RAWIO", (b) => {
    b.process.dropCapability(uapi.CAP_SYS_RAWIO);
    ask(b);
  }],
  ["EINVAL: the length is 0", (b) => ask(b, { length: 0 })],
  ["EOVERFLOW: an IOVA is 2^64-1", (b) => ask(b, { iova: TOP - 1n })],
  ["ENOENT: there is no IOAS with this id", (b) => ask(b, { ioasId: 77 })],
  ["ENOENT: nothing is mapped in the range", (b) => ask(b)],
  ["EOPNOTSUPP: no device without an IOMMU uses the IOAS", (b) => {
    b.map();
    ask(b);
  }],
  ["EINVAL: the memory was taken back", (b) => {
    const { dmabufFd: fd } = b.io.mock.dmabufGet({ length: PAGE });
    const { ioasId } = b;
    b.io.ioasMapFile({ ioasId, fd, length: PAGE, iova: IOVA });
    b.io.mock.dmabufRevoke({ dmabufFd: fd, revoked: true });
    ask(b);
  }],
];

const PLACES: readonly Scenario[] = [
  ["EINVAL: the length is 0", (b) => b.map({ length: 0 })],
  [
    "EINVAL: the length is above 2^64-4097",
    (b) => b.map({ userVa: 0, length: TOP - 4096n }),
  ],
  ["EOVERFLOW: the length is 2^64-1", (b) => b.map({ length: TOP - 1n })],
  ["EOVERFLOW: an IOVA is 2^64-1", (b) => b.map({ iova: TOP - 1n })],
  [
    "EOVERFLOW: the memory reaches beyond 2^64-1",
    (b) => b.map({ userVa: TOP - 4096n, length: 2 * PAGE }),
  ],
  [
    "EOVERFLOW: the range of IOVA reaches beyond 2^64-1",
    (b) => b.map({ iova: TOP - 4096n, length: 2 * PAGE }),
  ],
  [
    "EOVERFLOW: the length is 2^63-1 or more, at no fixed IOVA",
    (b) => b.map({ userVa: 0, length: 2n ** 63n, iova: undefined }),
  ],
  ["EINVAL: neither READABLE nor WRITEABLE is set", (b) => b.map({ flags: 0 })],
  ["EOPNOTSUPP: a flag is unknown", (b) => b.map({ flags: 15 })],
  ["ENOENT: there is no IOAS with this id", (b) => b.map({ ioasId: 77 })],
  ["ENOENT: there is no IOAS with this id", (b) => b.map({ ioasId: b.devId })],
  [
    "EINVAL: the length is not as aligned as the IOAS demands",
    (b) => b.map({ ioasId: b.ptId, length: 100 }),
  ],
  [
    "EINVAL: the IOVA is not as aligned as the IOAS demands",
    (b) => b.map({ ioasId: b.ptId, iova: IOVA + 100 }),
  ],
  [
    "EINVAL: the memory is not as aligned as the IOAS demands",
    (b) => b.map({ ioasId: b.ptId, userVa: b.userVa + 100 }),
  ],
  [
    "EINVAL: the memory is not as aligned as the IOAS demands",
    (b) => b.map({ ioasId: b.ptId, userVa: b.userVa + 100, iova: undefined }),
  ],
  ["EINVAL: part of the range of IOVA is outside of what a domain can map", (
    b,
  ) => b.map({ ioasId: b.ptId, iova: 0 })],
  ["EINVAL: part of the range of IOVA is in a reserved range", (b) => {
    b.io.mock.addReserved({ ioasId: b.ioasId, start: IOVA, length: 1 });
    b.map();
  }],
  ["EEXIST: part of the range of IOVA is mapped already", (b) => {
    b.map();
    b.map();
  }],
  ["ENOSPC: no free range of IOVA is long enough", (b) => {
    const ranges = [{ start: IOVA, last: IOVA + PAGE - 1 }];
    b.io.ioasAllowIovas({ ioasId: b.ioasId, ranges });
    b.map({ length: 2 * PAGE, iova: undefined });
  }],
  [
    "EFAULT: there is no memory at an address",
    (b) => b.map({ ioasId: b.ptId, userVa: b.userVa + 16 * PAGE }),
  ],
  ["EFAULT: memory at an address is protected from that", (b) => {
    b.process.mprotect(b.userVa, PAGE, uapi.PROT_READ);
    b.map({ ioasId: b.ptId });
  }],
  ["ENOMEM: RLIMIT_MEMLOCK does not allow to pin more", (b) => {
    b.process.dropCapability(uapi.CAP_IPC_LOCK);
    b.process.setrlimit(uapi.RLIMIT_MEMLOCK, 0n);
    b.map({ ioasId: b.ptId });
  }],
  ["ENOMEM: fail_nth made the step pages.alloc fail", (b) => {
    b.process.setFailNth(3);
    b.map();
  }],
];

const COPIES: readonly Scenario[] = [
  ["ENOENT: part of the source range is not mapped", (b) =>
    b.io.ioasCopy({
      dstIoasId: b.ioasId,
      srcIoasId: b.ioasId,
      srcIova: IOVA,
      length: 1,
    })],
  ["EPERM: WRITEABLE is set for what was mapped without it", (b) => {
    b.map({ flags: uapi.IOMMU_IOAS_MAP_READABLE });
    const { ioasId } = b;
    const ids = { dstIoasId: ioasId, srcIoasId: ioasId };
    b.io.ioasCopy({ ...ids, srcIova: IOVA, length: PAGE });
  }],
];

const REMOVALS: readonly Scenario[] = [
  [
    "ENOENT: nothing is mapped in the range",
    (b) => b.io.ioasUnmap({ ioasId: b.ioasId, iova: IOVA, length: PAGE }),
  ],
  ["ENOENT: the range cuts an area", (b) => {
    b.map();
    b.io.ioasUnmap({ ioasId: b.ioasId, iova: IOVA, length: 5 });
  }],
  ["EBUSY: a HWPT uses the object", (b) => b.io.destroy(b.ptId)],
  ["EBUSY: a device uses the object", (b) => b.io.destroy(b.device.hwptId)],
  ["EBUSY: its driver uses the object", (b) => b.io.destroy(b.devId)],
  ["EBUSY: an access uses the object", (b) => {
    b.io.mock.createAccess({ ioasId: b.ioasId });
    b.io.destroy(b.ioasId);
  }],
  [
    "EBUSY: a nested HWPT uses the object",
    (b) => b.io.destroy(b.nest().parent),
  ],
  [
    "EBUSY: its descriptor uses the object",
    (b) => b.io.destroy(b.io.hwpt.faultQueueAlloc().faultId),
  ],
  ["EBUSY: a nested HWPT uses the object", (b) => {
    const { faultId, faultFd } = b.io.hwpt.faultQueueAlloc();
    b.nest(faultId);
    b.process.close(faultFd);
    b.io.destroy(faultId);
  }],
  ["ENOENT: there is no such object with this id", (b) => b.io.destroy(77)],
];

const RANGES: readonly Scenario[] = [
  [
    "EINVAL: a range does not end behind its start",
    (b) =>
      b.io.ioasAllowIovas({
        ioasId: b.ioasId,
        ranges: [{ start: 1, last: 1 }],
      }),
  ],
  ["EINVAL: two ranges overlap", (b) => {
    const range = { start: 1, last: 5 };
    b.io.ioasAllowIovas({ ioasId: b.ioasId, ranges: [range, range] });
  }],
  [
    "EADDRINUSE: part of a range is outside of what a domain can map",
    (b) =>
      b.io.ioasAllowIovas({ ioasId: b.ptId, ranges: [{ start: 1, last: 5 }] }),
  ],
  ["EADDRINUSE: an area is in a reserved range", (b) => {
    b.map();
    b.io.mock.addReserved({ ioasId: b.ioasId, start: IOVA, length: 1 });
  }],
  ["EINVAL: a domain has areas already, perhaps in large pages", (b) => {
    b.map({ ioasId: b.ptId });
    b.io.option.setHugePages(b.ptId, false);
  }],
  ["EADDRINUSE: an area is not as aligned as is needed then", (b) => {
    b.map({ length: 100 });
    b.io.option.setHugePages(b.ioasId, false);
  }],
  [
    "EBUSY: there are objects already",
    (b) => b.io.option.setRlimitMode("process"),
  ],
  ["EPERM: the process lacks CAP_SYS_RESOURCE", (b) => {
    b.process.dropCapability(uapi.CAP_SYS_RESOURCE);
    b.io.option.setRlimitMode("process");
  }],
  [
    "ENODEV: there is no IOAS for the VFIO container ioctls",
    (b) => b.io.vfioIoasGet(),
  ],
];

const ATTACHMENTS: readonly Scenario[] = [
  ["EADDRINUSE: an area is outside of what a domain can map", (b) => {
    b.map({ iova: 0 });
    b.io.mock.mockDomain({ ptId: b.ioasId });
  }],
  ["EADDRINUSE: an allowed range is outside of what a domain can map", (b) => {
    const ranges = [{ start: 1, last: 5 }];
    b.io.ioasAllowIovas({ ioasId: b.ioasId, ranges });
    b.io.mock.mockDomain({ ptId: b.ioasId });
  }],
  ["EADDRINUSE: an area is not as aligned as is needed then", (b) => {
    b.map({ length: 100 });
    b.io.mock.mockDomain({ ptId: b.ioasId });
  }],
  ["EFAULT: there is no memory at an address", (b) => {
    b.map({ userVa: b.userVa + 16 * PAGE });
    b.io.mock.mockDomain({ ptId: b.ioasId });
  }],
  [
    "EINVAL: the object is no IOAS and no HWPT",
    (b) => b.io.mock.mockDomain({ ptId: b.devId }),
  ],
  [
    "EINVAL: a device flag is unknown",
    (b) => b.io.mock.mockDomain({ ptId: b.ptId, devFlags: 64 }),
  ],
  ["EINVAL: the IOMMU cannot track the device's writes", (b) => {
    const flags = uapi.IOMMU_HWPT_ALLOC_DIRTY_TRACKING;
    const { devId, ptId } = b;
    const { hwptId } = b.io.hwpt.alloc({ devId, ptId, flags });
    const devFlags = uapi.MOCK_FLAGS_DEVICE_NO_DIRTY;
    b.io.mock.mockDomain({ ptId: hwptId, devFlags });
  }],
  [
    "EINVAL: data have no type, or a type has no data",
    (b) => b.io.hwpt.alloc({ devId: b.devId, ptId: b.ptId, dataType: 5 }),
  ],
  ["EOPNOTSUPP: the IOMMU driver does not know the type of the data", (b) => {
    const data = new Uint8Array(4);
    b.io.hwpt.alloc({ devId: b.devId, ptId: b.ptId, dataType: 5, data });
  }],
  [
    "EINVAL: there is no IOAS and no HWPT with this id",
    (b) => b.io.hwpt.alloc({ devId: b.devId, ptId: 77 }),
  ],
  ["ENOENT: there is no fault queue with this id", (b) => b.nest(77)],
  [
    "EOPNOTSUPP: the HWPT cannot track writes",
    (b) => b.io.hwpt.setDirtyTracking({ hwptId: b.device.hwptId, on: true }),
  ],
  ["EINVAL: the object has no cache", (b) =>
    b.io.hwpt.invalidate({
      hwptId: b.device.hwptId,
      dataType: 0,
      entries: [],
    })],
];

const ACCESSES: readonly Scenario[] = [
  ["EBUSY: no id is free", (b) => {
    const ctx = iommufdCtxFromFd(b.process, b.io.fd);
    const { accesses } = ctx.objects.get(b.ioasId, Ioas).iopt;
    while (accesses.size < 2 ** 16) accesses.alloc();
    b.io.mock.createAccess({ ioasId: b.ioasId });
  }],
  ["ENOMEM: the process has as many open files as it may", (b) => {
    for (;;) b.io.mock.createAccess({ ioasId: b.ioasId });
  }],
  [
    "EBADFD: the descriptor is not an access",
    (b) => b.io.mock.accessPages({ accessFd: 0, iova: IOVA, length: PAGE }),
  ],
  ["ENOENT: part of the range of IOVA is not mapped", (b) => {
    const { accessFd } = b.io.mock.createAccess({ ioasId: b.ioasId });
    b.io.mock.accessPages({ accessFd, iova: IOVA, length: PAGE });
  }],
  ["EOPNOTSUPP: the access was not created to pin pages", (b) => {
    const { ioasId } = b;
    const { accessFd } = b.io.mock.createAccess({ ioasId, pins: false });
    b.io.mock.accessPages({ accessFd, iova: IOVA, length: PAGE });
  }],
  ["EPERM: an area in the range does not allow that", (b) => {
    b.map({ flags: uapi.IOMMU_IOAS_MAP_READABLE });
    const { accessFd } = b.io.mock.createAccess({ ioasId: b.ioasId });
    const range = { iova: IOVA, length: PAGE, write: true };
    b.io.mock.accessPages({ accessFd, ...range });
  }],
  ["ENOMEM: the range is longer than 16 MiB", (b) => {
    const { accessFd } = b.io.mock.createAccess({ ioasId: b.ioasId });
    b.io.mock.accessPages({ accessFd, iova: IOVA, length: 2 ** 25 });
  }],
];

describeReasons("choosing and taking a place", PLACES);
describeReasons("asking for an address", ADDRESSES);
describeReasons("copying", COPIES);
describeReasons("unmapping and destroying", REMOVALS);
describeReasons("ranges and options", RANGES);
describeReasons("attaching", ATTACHMENTS);
describeReasons("accesses", ACCESSES);

it("an errno that nobody catches says its name and what it means", () => {
  assertEquals(Deno.inspect(uapi.EINVAL), "EINVAL: invalid argument");
  const why = "the length is 0";
  assertEquals(Deno.inspect(uapi.EINVAL.because(why)), `EINVAL: ${why}`);
});
