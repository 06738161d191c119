// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import * as uapi from "../uapi/mod.ts";
import { Bench, describeReasons, type Scenario } from "./testing/reasons.ts";

const PASID = 100;

/** A mock device with PASIDs, attached to a HWPT for them, and another such HWPT. */
function setUp(bench: Bench): {
  readonly stdevId: number;
  readonly devId: number;
  readonly ptId: number;
  readonly other: number;
} {
  const { io, ptId: ioasId } = bench;
  const devFlags = uapi.MOCK_FLAGS_DEVICE_PASID;
  const { stdevId, idevId } = io.mock.mockDomain({ ptId: ioasId, devFlags });
  const devId = idevId!;
  const options = { devId, ptId: ioasId, flags: uapi.IOMMU_HWPT_ALLOC_PASID };
  const ptId = io.hwpt.alloc(options).hwptId;
  io.mock.mockDomainReplace({ stdevId, ptId });
  return { stdevId, devId, ptId, other: io.hwpt.alloc(options).hwptId };
}

describe("the client's mock devices", () => {
  it("are attached, moved and detached for a PASID", () => {
    const bench = new Bench();
    const { mock, hwpt } = bench.io;
    const { stdevId, devId, ptId, other } = setUp(bench);
    assertEquals(hwpt.getHwInfo(devId).maxPasidLog2, 20);
    const dma = { stdevId, pasid: PASID };
    mock.pasidCheckHwpt({ ...dma, hwptId: 0 });
    assertEquals(mock.pasidAttach({ ...dma, ptId }), { hwptId: ptId });
    mock.pasidCheckHwpt({ ...dma, hwptId: ptId });
    assertEquals(mock.pasidReplace({ ...dma, ptId: other }), { hwptId: other });
    mock.pasidCheckHwpt({ ...dma, hwptId: other });
    mock.pasidDetach(dma);
    mock.pasidCheckHwpt({ ...dma, hwptId: 0 });
    bench.process.exit();
    assertEquals(bench.process.kernel.audit(), []);
  });
});

/** Attaches a device for a PASID. */
function attach(bench: Bench, pasid: number, other?: number): void {
  const { stdevId, ptId } = setUp(bench);
  bench.io.mock.pasidAttach({ stdevId, pasid, ptId: other ?? ptId });
}

const PASIDS: readonly Scenario[] = [
  [
    "EINVAL: a device of the group does not have the PASID",
    (b) => attach(b, 2 ** 20),
  ],
  ["EBUSY: the device is attached already", (b) => attach(b, 0)],
  [
    "EINVAL: the HWPT was not allocated for PASIDs",
    (b) => attach(b, PASID, b.device.hwptId),
  ],
  ["EINVAL: its HWPT without PASID was not allocated for any", (b) => {
    const { stdevId, ptId } = setUp(b);
    b.io.mock.mockDomainReplace({ stdevId, ptId: b.ptId });
    b.io.mock.pasidAttach({ stdevId, pasid: PASID, ptId });
  }],
  ["EINVAL: the device is not attached", (b) => {
    const { stdevId, ptId } = setUp(b);
    b.io.mock.pasidReplace({ stdevId, pasid: PASID, ptId });
  }],
  ["EINVAL: the HWPT was not allocated for PASIDs", (b) => {
    const { stdevId, ptId } = setUp(b);
    b.io.mock.pasidAttach({ stdevId, pasid: PASID, ptId });
    b.io.mock.mockDomainReplace({ stdevId, ptId: b.device.hwptId });
  }],
];

describeReasons("PASIDs", PASIDS);
