// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `kit_hw_info`: GET_HW_INFO with buffers of all lengths and places.
 *
 * @module
 */

import {
  EFAULT,
  ENOENT,
  EOPNOTSUPP,
  type Errno,
} from "../../impl/uapi/errno.ts";
import {
  IOMMU_GET_HW_INFO,
  IOMMU_HW_CAP_DIRTY_TRACKING,
  IommuHwInfo,
} from "../../impl/uapi/iommufd.ts";
import {
  IOMMU_HW_INFO_SELFTEST_REGVAL,
  IOMMU_HW_INFO_TYPE_SELFTEST,
  MOCK_FLAGS_DEVICE_NO_DIRTY,
  TestHwInfo,
} from "../../impl/uapi/selftest.ts";
import { MAP_PRIVATE, PROT_READ } from "../../impl/uapi/mman.ts";
import {
  assertBytes,
  assertEq,
  type Context,
  type Fixture,
  fixture,
  type Test,
} from "../harness/harness.ts";
import { Iommufd } from "../ioctls/ioctls.ts";

/** What the tests share. */
interface InfoSelf {
  readonly io: Iommufd;
  readonly ioasId: number;
  readonly stdevId: number;
  /** A bound mock device. */
  readonly idevId: number;
  /** The address behind two pages of memory, where nothing is. */
  readonly end: number;
}

type InfoFixture = Fixture<undefined, InfoSelf>;

/** What is in a buffer before the call. */
const JUNK = 0xa5;

/** Adds the fixture's tests to `registry`. */
export function registerKitHwInfo(registry: Test[]): void {
  const f: InfoFixture = fixture(registry, "kit_hw_info", {
    since: "6.7",
    upstream: false,
    needs: () => ["hwpt"],
    setup: async (context: Context) => {
      const io = await Iommufd.open(context);
      const { pageSize } = context;
      const ioasId = await io.ioasAlloc();
      const { stdevId, idevId } = await io.mock.domain(ioasId);
      const memory = await io.mmap(3 * pageSize, MAP_PRIVATE);
      const end = memory + 2 * pageSize;
      await io.munmap(end, pageSize);
      return { io, ioasId, stdevId, idevId, end };
    },
    teardown: ({ io }) => io.teardown(),
  });
  registerBuffers(f);
  registerErrnos(f);
}

/** The mock's information, cut or with zeros behind it. */
function information(length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  const whole = TestHwInfo.encode({ testReg: IOMMU_HW_INFO_SELFTEST_REGVAL });
  bytes.set(whole.subarray(0, length));
  return bytes;
}

/** GET_HW_INFO; returns the struct. */
function getInfo(
  { io, idevId }: InfoSelf,
  values: Partial<IommuHwInfo>,
  errno?: Errno,
): Promise<IommuHwInfo> {
  const all = { devId: idevId, ...values };
  return io.call(IommuHwInfo, IOMMU_GET_HW_INFO, all, errno);
}

/** What is written where. */
function registerBuffers(f: InfoFixture): void {
  f.test("every_length", {
    description:
      "As many bytes as the buffer has are written, zeros behind the information; its length comes back",
    reference: "device.c iommufd_get_hw_info; C2.24",
  }, async (self) => {
    const { io, end } = self;
    const { size } = TestHwInfo;
    const longest = io.context.pageSize + 3;
    for (const dataLen of [...Array(2 * size + 2).keys(), longest]) {
      for (const at of [end - dataLen, end - dataLen - 5]) {
        const spare = end - at - dataLen;
        const junk = new Uint8Array(8 + dataLen + spare).fill(JUNK);
        await io.process.poke(at - 8, junk);
        const reply = await getInfo(self, { dataLen, dataUptr: BigInt(at) });
        assertEq(reply.dataLen, size, "length of the information");
        assertEq(reply.outDataType, IOMMU_HW_INFO_TYPE_SELFTEST, "type");
        const expected = junk.slice();
        expected.set(information(dataLen), 8);
        const seen = await io.process.peek(at - 8, junk.length);
        assertBytes(seen, expected, `buffer of ${dataLen} bytes`);
      }
    }
  });

  f.test("no_buffer", {
    description: "Without length the address does not matter",
    reference: "device.c iommufd_get_hw_info; C2.24",
  }, async (self) => {
    for (const dataUptr of [0n, 1n, BigInt(self.end), 2n ** 64n - 1n]) {
      const { dataLen } = await getInfo(self, { dataUptr });
      assertEq(dataLen, TestHwInfo.size, "length of the information");
    }
  });

  f.test("buffer_efault", {
    description:
      "A buffer that cannot be written in full is refused, and the struct stays as it was",
    reference: "device.c iommufd_get_hw_info; C2.24",
  }, async (self) => {
    const { io, end } = self;
    const { pageSize } = io.context;
    const bad: [bigint | number, number][] = [
      [0, 1],
      [end, 1],
      [end - 4, 8],
      [end - 8, 9],
      [end - 12, 16],
      [end - pageSize - 8, 2 * pageSize],
      [end - 8, 0xffffffff],
      [2n ** 47n - 8n, 8],
      [2n ** 63n, 8],
      [2n ** 64n - 4n, 8],
    ];
    for (const [at, dataLen] of bad) {
      const dataUptr = BigInt(at);
      const reply = await getInfo(self, { dataLen, dataUptr }, EFAULT);
      assertEq(reply.dataLen, dataLen, "length after the failure");
      assertEq(reply.outDataType, 0, "type after the failure");
    }
    const page = end - pageSize;
    const ret = await io.process.mprotect(page, pageSize, PROT_READ);
    assertEq(ret, 0, "mprotect");
    const readOnly = { dataLen: 8, dataUptr: BigInt(page) };
    await getInfo(self, readOnly, EFAULT);
  });
}

/** What is asked for. */
function registerErrnos(f: InfoFixture): void {
  f.test("errno_order", {
    description:
      "Flags and reserved bytes come before the device, the device before the buffer",
    reference: "device.c iommufd_get_hw_info; C2.24",
  }, async (self) => {
    const { ioasId, stdevId } = self;
    const wrong = { devId: 999, dataLen: 8, dataUptr: 0n };
    await getInfo(self, { ...wrong, flags: 1, reserved: 1 }, EOPNOTSUPP);
    await getInfo(self, { ...wrong, reserved2: 1 }, EOPNOTSUPP);
    for (const devId of [999, 0, ioasId, stdevId]) {
      await getInfo(self, { ...wrong, devId }, ENOENT);
    }
    await getInfo(self, { dataLen: 8 }, EFAULT);
    await getInfo(self, {});
  });

  f.test("capabilities", {
    description:
      "The capabilities are those of the device; what was in the reply does not matter",
    reference: "device.c iommufd_get_hw_info; C2.24",
  }, async (self) => {
    const { io, ioasId } = self;
    const before = {
      outCapabilities: 2n ** 64n - 1n,
      outMaxPasidLog2: 0xff,
      outDataType: 1,
    };
    const able = await getInfo(self, before);
    assertEq(able.outCapabilities, IOMMU_HW_CAP_DIRTY_TRACKING, "capabilities");
    assertEq(able.outMaxPasidLog2, 0, "width of a PASID");
    const noDirty = MOCK_FLAGS_DEVICE_NO_DIRTY;
    const { idevId: devId } = await io.mock.domainFlags(ioasId, noDirty);
    const unable = await getInfo(self, { ...before, devId });
    assertEq(unable.outCapabilities, 0n, "capabilities without tracking");
    assertEq(unable.outMaxPasidLog2, 0, "width of a PASID");
  });
}
