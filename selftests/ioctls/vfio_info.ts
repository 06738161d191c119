// SPDX-License-Identifier: GPL-2.0-only

/**
 * VFIO_IOMMU_GET_INFO with room for capabilities, and checks of what it says.
 *
 * @module
 */

import {
  MOCK_APERTURE_LAST,
  MOCK_APERTURE_START,
} from "../../impl/uapi/selftest.ts";
import { IommuIovaRange } from "../../impl/uapi/iommufd.ts";
import {
  VFIO_IOMMU_GET_INFO,
  VFIO_IOMMU_INFO_CAPS,
  VFIO_IOMMU_INFO_PGSIZES,
  VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE,
  VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL,
  VfioInfoCapHeader,
  VfioIommuType1Info,
  VfioIommuType1InfoCapIovaRange,
  VfioIommuType1InfoDmaAvail,
} from "../../impl/uapi/vfio.ts";
import { assertEq, AssertionFailure, assertTrue } from "../harness/harness.ts";
import type { Iommufd } from "./ioctls.ts";

/** What memory holds that the kernel must not write. */
const FILL = 0xaa;

/** An answer to GET_INFO with all memory it could be in. */
export interface InfoReply {
  /** The struct at the start of the memory. */
  readonly info: VfioIommuType1Info;
  /** The struct and what follows it. */
  readonly bytes: Uint8Array;
}

/** A capability as it stands in the chain. */
export interface InfoCap {
  /** `VFIO_IOMMU_TYPE1_INFO_*`. */
  readonly id: number;
  /** Offset of its header. */
  readonly offset: number;
  /** Bytes up to the next one, or to the end. */
  readonly size: number;
}

/**
 * GET_INFO in the test buffer with the given `argsz`. Asserts that nothing
 * past `argsz` was written.
 */
export async function getInfoInBuffer(
  io: Iommufd,
  argsz: number,
): Promise<InfoReply> {
  const before = new Uint8Array(io.memory.bufferSize);
  before.set(VfioIommuType1Info.encode({ argsz }));
  before.fill(FILL, argsz);
  await io.process.poke(io.buffer, before);
  const what = `VFIO_IOMMU_GET_INFO with argsz ${argsz}`;
  const ret = await io.ioctlArg(
    VFIO_IOMMU_GET_INFO,
    io.buffer,
    undefined,
    what,
  );
  assertEq(ret, 0, what);
  const bytes = await io.process.peek(io.buffer, io.memory.bufferSize);
  const written = bytes.subarray(argsz).findIndex((byte) => byte !== FILL);
  assertEq(written, -1, `${what} writes past argsz`);
  return { info: VfioIommuType1Info.decode(bytes), bytes };
}

/** Asserts what every answer says. */
export function checkInfoHeader(info: VfioIommuType1Info): void {
  const flags = VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS;
  assertEq(info.flags, flags, "flags of GET_INFO");
  assertTrue(info.iovaPgsizes !== 0n, "GET_INFO tells page sizes");
}

/**
 * Asserts that the capability chain of a mock domain's answer is whole, and
 * returns it (C: check_vfio_info_cap_chain).
 */
export function checkCapChain({ info, bytes }: InfoReply): InfoCap[] {
  const caps: InfoCap[] = [];
  let offset = info.capOffset;
  while (true) {
    assertTrue(
      info.argsz >= offset + VfioInfoCapHeader.size,
      `the capability at ${offset} is inside argsz ${info.argsz}`,
    );
    const { id, next } = VfioInfoCapHeader.decode(bytes.subarray(offset));
    const cap = { id, offset, size: (next || info.argsz) - offset };
    checkCap(cap, bytes.subarray(offset, offset + cap.size));
    caps.push(cap);
    if (!next) return caps;
    assertTrue(next > offset, `the chain goes on behind ${offset}`);
    offset = next;
  }
}

/** Asserts the contents of one capability. */
function checkCap(cap: InfoCap, bytes: Uint8Array): void {
  switch (cap.id) {
    case VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE: {
      const { size } = VfioIommuType1InfoCapIovaRange;
      assertTrue(
        cap.size >= size + IommuIovaRange.size,
        "IOVA_RANGE has room for a range",
      );
      const data = VfioIommuType1InfoCapIovaRange.decode(bytes);
      assertEq(data.version, 1, "version of IOVA_RANGE");
      assertEq(data.nrIovas, 1, "ranges of IOVA_RANGE");
      const range = IommuIovaRange.decode(bytes.subarray(size));
      assertEq(range.start, BigInt(MOCK_APERTURE_START), "start of the range");
      assertEq(range.last, BigInt(MOCK_APERTURE_LAST), "end of the range");
      return;
    }
    case VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL: {
      const data = VfioIommuType1InfoDmaAvail.decode(bytes);
      assertEq(data.version, 1, "version of DMA_AVAIL");
      return;
    }
    default:
      throw new AssertionFailure(
        "capability id",
        "IOVA_RANGE or DMA_AVAIL",
        String(cap.id),
      );
  }
}
