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
  IOMMU_HW_CAP_PCI_ATS_NOT_SUPPORTED,
  IOMMU_HW_INFO_FLAG_INPUT_TYPE,
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
import { Iommufd, U64_MAX } from "../ioctls/ioctls.ts";

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
  f.table("every_length", {
    description:
      "As many bytes as the buffer has are written, zeros behind the information; its length comes back",
    rules: ["C2.24"],
  }, (t) => {
    const { size } = TestHwInfo;
    for (const spare of [0, 5]) {
      const where = spare === 0 ? "at the end" : `${spare} before the end`;
      const check = (from: number, to: number) => async (self: InfoSelf) => {
        for (let length = from; length <= to; length++) {
          await checkLength(self, length, spare);
        }
      };
      t.case(`no bytes ${where}`, check(0, 0));
      t.case(`too few bytes ${where}`, check(1, size - 1));
      t.case(`all bytes ${where}`, check(size, size));
      t.case(`too many bytes ${where}`, check(size + 1, 2 * size + 1));
      t.case(
        `more than a page ${where}`,
        (self) => checkLength(self, self.io.context.pageSize + 3, spare),
      );
    }
  });

  f.table("no_buffer", {
    description: "Without length the address does not matter",
    rules: ["C2.24"],
  }, (t) => {
    const addresses: [string, (self: InfoSelf) => bigint][] = [
      ["0", () => 0n],
      ["1", () => 1n],
      ["where nothing is", ({ end }) => BigInt(end)],
      ["2^64-1", () => U64_MAX],
    ];
    for (const [what, address] of addresses) {
      t.case(`address ${what}`, async (self) => {
        const reply = await getInfo(self, { dataUptr: address(self) });
        assertEq(reply.dataLen, TestHwInfo.size, "length of the information");
      });
    }
  });

  f.table("buffer_efault", {
    description:
      "A buffer that cannot be written in full is refused, and the struct stays as it was",
    rules: ["C2.24"],
  }, (t) => {
    function refused(
      what: string,
      dataLen: number | ((self: InfoSelf) => number),
      address: (self: InfoSelf) => number | bigint,
    ): void {
      t.case(what, async (self) => {
        const length = typeof dataLen === "number" ? dataLen : dataLen(self);
        const values = { dataLen: length, dataUptr: BigInt(address(self)) };
        const reply = await getInfo(self, values, EFAULT);
        assertEq(reply.dataLen, length, "length after the failure");
        assertEq(reply.outDataType, 0, "type after the failure");
      });
    }
    const page = ({ io }: InfoSelf) => io.context.pageSize;
    refused("address 0", 1, () => 0);
    refused("nothing there", 1, ({ end }) => end);
    refused("only the first half there", 8, ({ end }) => end - 4);
    refused("all but a zero behind there", 9, ({ end }) => end - 8);
    refused("all but some zeros behind there", 16, ({ end }) => end - 12);
    refused(
      "zeros across pages",
      (self) => 2 * page(self),
      (self) => self.end - page(self) - 8,
    );
    refused("the longest length", 0xffffffff, ({ end }) => end - 8);
    refused("the last bytes below the kernel", 8, () => 2n ** 47n - 8n);
    refused("the kernel", 8, () => 2n ** 63n);
    refused("an end beyond 2^64", 8, () => 2n ** 64n - 4n);
    t.case("memory that can only be read", async (self) => {
      const { io } = self;
      const { pageSize } = io.context;
      const address = await io.mmap(pageSize, MAP_PRIVATE, PROT_READ);
      const values = { dataLen: 8, dataUptr: BigInt(address) };
      await getInfo(self, values, EFAULT);
      await io.munmap(address, pageSize);
    });
  });
}

/** A buffer of that length, with some memory behind it. */
async function checkLength(
  self: InfoSelf,
  dataLen: number,
  spare: number,
): Promise<void> {
  const { io, end } = self;
  const at = end - dataLen - spare;
  const junk = new Uint8Array(8 + dataLen + spare).fill(JUNK);
  await io.process.poke(at - 8, junk);
  const reply = await getInfo(self, { dataLen, dataUptr: BigInt(at) });
  assertEq(reply.dataLen, TestHwInfo.size, "length of the information");
  assertEq(reply.outDataType, IOMMU_HW_INFO_TYPE_SELFTEST, "type");
  const expected = junk.slice();
  expected.set(information(dataLen), 8);
  const seen = await io.process.peek(at - 8, junk.length);
  assertBytes(seen, expected, `buffer of ${dataLen} bytes`);
}

/** What is asked for. */
function registerErrnos(f: InfoFixture): void {
  f.table("errno_order", {
    description:
      "Flags and reserved bytes come before the device, the device before the buffer",
    rules: ["C2.24"],
  }, (t, _, { hwpt }) => {
    function refused(
      what: string,
      errno: Errno,
      values: (self: InfoSelf) => Partial<IommuHwInfo>,
    ): void {
      t.case(what, async (self) => {
        const wrong = { devId: 999, dataLen: 8, dataUptr: 0n };
        await getInfo(self, { ...wrong, ...values(self) }, errno);
      });
    }
    refused("flags", EOPNOTSUPP, () => ({ flags: 2 }));
    refused("all flags", EOPNOTSUPP, () => ({ flags: 0xffffffff }));
    if (!hwpt.hwInfoTakesType) {
      refused("a wanted type", EOPNOTSUPP, () => ({ flags: 1 }));
    }
    refused("a reserved field", EOPNOTSUPP, () => ({ reserved: 1 }));
    refused("reserved bytes", EOPNOTSUPP, () => ({ reserved2: 1 }));
    refused("an id that nothing has", ENOENT, () => ({}));
    refused("id 0", ENOENT, () => ({ devId: 0 }));
    refused("an IOAS", ENOENT, ({ ioasId }) => ({ devId: ioasId }));
    refused("a selftest object", ENOENT, ({ stdevId }) => ({ devId: stdevId }));
    refused("a device and a bad buffer", EFAULT, ({ idevId }) => ({
      devId: idevId,
    }));
    t.case("a device", async (self) => {
      await getInfo(self, {});
    });
  });

  f.test("capabilities", {
    description:
      "The capabilities are those of the device; what was in the reply does not matter",
    rules: ["C2.24"],
  }, async (self) => {
    const { io, ioasId } = self;
    const before = {
      outCapabilities: 2n ** 64n - 1n,
      outMaxPasidLog2: 0xff,
      outDataType: 1,
    };
    // No mock device can use ATS.
    const { hwInfoTellsMissingAts } = io.revision.hwpt;
    const always = hwInfoTellsMissingAts
      ? IOMMU_HW_CAP_PCI_ATS_NOT_SUPPORTED
      : 0n;
    const able = await getInfo(self, before);
    const tracks = IOMMU_HW_CAP_DIRTY_TRACKING;
    assertEq(able.outCapabilities, always | tracks, "capabilities");
    assertEq(able.outMaxPasidLog2, 0, "width of a PASID");
    const noDirty = MOCK_FLAGS_DEVICE_NO_DIRTY;
    const { idevId: devId } = await io.mock.domainFlags(ioasId, noDirty);
    const unable = await getInfo(self, { ...before, devId });
    assertEq(unable.outCapabilities, always, "capabilities without tracking");
    assertEq(unable.outMaxPasidLog2, 0, "width of a PASID");
  });

  f.table("wanted_type", {
    description:
      "A type can be asked for with its flag; the driver refuses what it does not have",
    rules: ["C2.35"],
    since: "6.17",
  }, (t) => {
    const INPUT_TYPE = IOMMU_HW_INFO_FLAG_INPUT_TYPE;
    const own = IOMMU_HW_INFO_TYPE_SELFTEST;
    type Wanted = Pick<IommuHwInfo, "flags" | "outDataType">;
    function row(what: string, values: Wanted, errno?: Errno): void {
      t.case(what, async (self) => {
        const at = self.end - 16;
        await self.io.process.poke(at, new Uint8Array(16).fill(JUNK));
        const buffer = { dataLen: 16, dataUptr: BigInt(at) };
        const reply = await getInfo(self, { ...buffer, ...values }, errno);
        const seen = await self.io.process.peek(at, 16);
        // Refused before anything is written.
        const untouched = new Uint8Array(16).fill(JUNK);
        assertBytes(seen, errno ? untouched : information(16), "buffer");
        const type = errno ? values.outDataType : own;
        assertEq(reply.outDataType, type, "type");
      });
    }
    row("the default", { flags: INPUT_TYPE, outDataType: 0 });
    row("the driver's own", { flags: INPUT_TYPE, outDataType: own });
    const others = [1, 2, 3, 4, own - 1, own + 1, 0xffffffff];
    for (const outDataType of others) {
      const what = `type 0x${outDataType.toString(16)}`;
      row(what, { flags: INPUT_TYPE, outDataType }, EOPNOTSUPP);
      row(`${what} without the flag`, { flags: 0, outDataType });
    }
    // The device comes before its driver, the driver before the buffer.
    for (
      const [what, devId, errno] of [
        ["a type of no device", 999, ENOENT],
        ["a type and a bad buffer", undefined, EOPNOTSUPP],
      ] as const
    ) {
      t.case(what, (self) =>
        getInfo(self, {
          devId: devId ?? self.idevId,
          flags: INPUT_TYPE,
          outDataType: 1,
          dataLen: 8,
        }, errno));
    }
  });
}
