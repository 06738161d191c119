// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import * as uapi from "../uapi/mod.ts";
import { IommufdError } from "./error.ts";
import {
  Bench,
  describeReasons,
  IOVA,
  PAGE,
  type Scenario,
} from "./testing/reasons.ts";

/** The type of all that the mock has. */
const TYPE = uapi.IOMMU_VIOMMU_TYPE_SELFTEST;
const EVENTS = uapi.IOMMU_VEVENTQ_TYPE_SELFTEST;
/** What the guest calls the device. */
const VIRT_ID = 0x99;
/** Bytes of an event. */
const EVENT = uapi.ViommuEventSelftest.size;

/** A HWPT that a virtual IOMMU can be on. */
function parentOf({ io, devId, ptId }: Bench): number {
  const flags = uapi.IOMMU_HWPT_ALLOC_NEST_PARENT;
  return io.hwpt.alloc({ devId, ptId, flags }).hwptId;
}

/** A virtual IOMMU, on a new parent. */
function viommuOf(bench: Bench): number {
  const { io, devId } = bench;
  const hwptId = parentOf(bench);
  return io.viommu.alloc({ devId, hwptId, type: TYPE }).viommuId;
}

/** A HWPT that is nested by a virtual IOMMU. */
function nestedBy({ io, devId }: Bench, viommuId: number): number {
  const dataType = uapi.IOMMU_HWPT_DATA_SELFTEST;
  const data = uapi.HwptSelftest.encode();
  return io.hwpt.alloc({ devId, ptId: viommuId, dataType, data }).hwptId;
}

/** A virtual IOMMU whose device is attached and known to it. */
function attached(bench: Bench): number {
  const { io, devId, device: { stdevId } } = bench;
  const viommuId = viommuOf(bench);
  io.viommu.vdeviceAlloc({ viommuId, devId, virtId: VIRT_ID });
  const ptId = nestedBy(bench, viommuId);
  io.mock.mockDomainReplace({ stdevId, ptId });
  return viommuId;
}

/** A queue of the mock's events. */
function queueOf({ io }: Bench, viommuId: number, veventqDepth = 2): number {
  const values = { viommuId, type: EVENTS, veventqDepth };
  return io.viommu.veventqAlloc(values).veventqFd;
}

describe("ViommuClient", () => {
  it("gives back what the driver made of the data, and maps its pages", () => {
    const bench = new Bench();
    const { io, process, devId } = bench;
    const { data, viommuId } = io.viommu.alloc({
      devId,
      hwptId: parentOf(bench),
      type: TYPE,
      data: uapi.ViommuSelftest.encode({ inData: 0xbeef }),
    });
    const { outData, outMmapOffset, outMmapLength } = uapi.ViommuSelftest
      .decode(data);
    assertEquals(outData, 0xbeef);
    const { PROT_READ, PROT_WRITE, MAP_SHARED } = uapi;
    const address = process.mmap(
      0,
      Number(outMmapLength),
      PROT_READ | PROT_WRITE,
      MAP_SHARED,
      io.fd,
      Number(outMmapOffset),
    );
    assertEquals(process.peek(address, 2), new Uint8Array([0xef, 0xbe]));
    assertThrows(() => io.destroy(viommuId), IommufdError, "EBUSY");
    process.munmap(address, Number(outMmapLength));
    io.destroy(viommuId);
    process.exit();
    assertEquals(process.kernel.audit(), []);
  });

  it("reads events, and where some were lost", () => {
    const bench = new Bench();
    const { io, process, devId } = bench;
    const fd = queueOf(bench, attached(bench));
    assertEquals(io.viommu.readEvents(fd, EVENT), []);
    for (let i = 0; i < 3; i++) io.mock.triggerVevent({ devId });
    const data = uapi.ViommuEventSelftest.encode({ virtId: VIRT_ID });
    assertEquals(io.viommu.readEvents(fd, EVENT), [
      { sequence: 0, data },
      { sequence: 1, data },
      { sequence: 2, data: undefined },
    ]);
    io.mock.triggerVevent({ devId });
    assertEquals(io.viommu.readEvents(fd, EVENT), [{ sequence: 3, data }]);
    process.exit();
    assertEquals(process.kernel.audit(), []);
  });

  it("invalidates the caches of devices", () => {
    const bench = new Bench();
    const { io, devId } = bench;
    const hwptId = attached(bench);
    const cache = uapi.IOMMU_TEST_DEV_CACHE_DEFAULT;
    io.mock.devCheckCache({ devId, cacheId: 1, cache });
    const dataType = uapi.IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST;
    const entry = { vdevId: VIRT_ID, cacheId: 1 };
    const entries = [uapi.ViommuInvalidateSelftest.encode(entry)];
    const done = io.hwpt.invalidate({ hwptId, dataType, entries });
    assertEquals(done, { handled: 1 });
    io.mock.devCheckCache({ devId, cacheId: 1, cache: 0 });
  });

  it("keeps a queue in the guest's memory mapped", () => {
    const bench = new Bench();
    const { io, ptId, userVa } = bench;
    const range = { ioasId: ptId, length: PAGE };
    const { iova } = io.ioasMap({ ...range, userVa });
    const { hwQueueId } = io.viommu.hwQueueAlloc({
      viommuId: viommuOf(bench),
      type: uapi.IOMMU_HW_QUEUE_TYPE_SELFTEST,
      nestingParentIova: iova,
      length: PAGE,
    });
    const unmap = { ioasId: ptId, iova, length: PAGE };
    assertThrows(() => io.ioasUnmap(unmap), IommufdError, "EBUSY");
    io.destroy(hwQueueId);
    io.ioasUnmap(unmap);
  });
});

/** Allocates a virtual IOMMU with something changed. */
function alloc(bench: Bench, options: object): void {
  const { io, devId } = bench;
  const hwptId = parentOf(bench);
  io.viommu.alloc({ devId, hwptId, type: TYPE, ...options });
}

/** Allocates a queue of the hardware with something changed; IOVA of pages that are mapped is given. */
function hwQueue(bench: Bench, options: object): void {
  const viommuId = viommuOf(bench);
  bench.map({ ioasId: bench.ptId });
  const nestingParentIova = IOVA;
  const place = { nestingParentIova, length: PAGE };
  bench.io.viommu.hwQueueAlloc({ viommuId, type: TYPE, ...place, ...options });
}

const OBJECTS: readonly Scenario[] = [
  [
    "EOPNOTSUPP: the IOMMU driver has no vIOMMU of the type",
    (b) => alloc(b, { type: 77 }),
  ],
  [
    "EINVAL: the HWPT was not allocated to be a parent",
    (b) => alloc(b, { hwptId: b.device.hwptId }),
  ],
  [
    "EINVAL: the IOMMU driver does not know data of that length",
    (b) => alloc(b, { data: new Uint8Array(4) }),
  ],
  ["EEXIST: the device has a vDEVICE already", (b) => {
    const { io, devId } = b;
    const device = { viommuId: attached(b), devId, virtId: 5 };
    io.viommu.vdeviceAlloc(device);
  }],
  ["EEXIST: the vIOMMU has another device of that number", (b) => {
    const viommuId = attached(b);
    const devId = b.io.mock.mockDomain({ ptId: b.ptId }).idevId!;
    b.io.viommu.vdeviceAlloc({ viommuId, devId, virtId: VIRT_ID });
  }],
  ["ENOENT: the vIOMMU does not know the device", (b) => {
    const ptId = nestedBy(b, viommuOf(b));
    b.io.mock.mockDomainReplace({ stdevId: b.device.stdevId, ptId });
  }],
  ["EBUSY: a vIOMMU uses the object", (b) => {
    const hwptId = parentOf(b);
    b.io.viommu.alloc({ devId: b.devId, hwptId, type: TYPE });
    b.io.destroy(hwptId);
  }],
  ["EBUSY: a vDEVICE uses the object", (b) => {
    const { io, devId } = b;
    const viommuId = viommuOf(b);
    io.viommu.vdeviceAlloc({ viommuId, devId, virtId: VIRT_ID });
    io.destroy(viommuId);
  }],
  ["EBUSY: a vEVENTQ uses the object", (b) => {
    const viommuId = viommuOf(b);
    queueOf(b, viommuId);
    b.io.destroy(viommuId);
  }],
  ["EBUSY: a nested HWPT uses the object", (b) => {
    const viommuId = viommuOf(b);
    nestedBy(b, viommuId);
    b.io.destroy(viommuId);
  }],
];

const QUEUES: readonly Scenario[] = [
  [
    "EINVAL: a queue holds 1 to 2^19 events",
    (b) => queueOf(b, viommuOf(b), 2 ** 19 + 1),
  ],
  ["EEXIST: the vIOMMU has a queue of the type", (b) => {
    const viommuId = viommuOf(b);
    queueOf(b, viommuId);
    queueOf(b, viommuId);
  }],
  ["EOPNOTSUPP: the vIOMMU has no queue for such events", (b) => {
    attached(b);
    b.io.mock.triggerVevent({ devId: b.devId });
  }],
  ["EINVAL: the length is 0", (b) => hwQueue(b, { length: 0 })],
  [
    "EOPNOTSUPP: the vIOMMU has no queue of the type",
    (b) => hwQueue(b, { type: 77 }),
  ],
  [
    "ENOENT: part of the range of IOVA is not mapped",
    (b) => hwQueue(b, { nestingParentIova: IOVA + PAGE }),
  ],
  ["EIO: queue 1 needs queue 0", (b) => hwQueue(b, { index: 1 })],
  ["EINVAL: there are queues 0 and 1 only", (b) => hwQueue(b, { index: 2 })],
];

describeReasons("virtual IOMMUs and their devices", OBJECTS);
describeReasons("queues", QUEUES);
