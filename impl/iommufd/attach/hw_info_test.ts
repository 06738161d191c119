// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { IommuOps } from "../../iommu/device.ts";
import { EOPNOTSUPP } from "../../uapi/errno.ts";
import {
  IOMMU_GET_HW_INFO,
  IOMMU_HW_CAP_DIRTY_TRACKING,
  IOMMU_HW_CAP_PCI_ATS_NOT_SUPPORTED as NO_ATS,
  IOMMU_HW_CAP_PCI_PASID_EXEC,
  IOMMU_HW_CAP_PCI_PASID_PRIV,
  IOMMU_HW_INFO_FLAG_INPUT_TYPE,
  IOMMU_HW_INFO_TYPE_DEFAULT,
  IOMMU_HW_INFO_TYPE_NONE,
  IommuHwInfo,
} from "../../uapi/iommufd.ts";
import {
  IOMMU_HW_INFO_SELFTEST_REGVAL,
  IOMMU_HW_INFO_TYPE_SELFTEST,
  MOCK_FLAGS_DEVICE_NO_DIRTY,
  TestHwInfo,
} from "../../uapi/selftest.ts";
import { PAGE_SIZE } from "../../uapi/mman.ts";
import { Bench } from "../testing/bench.ts";
import { HwptBench } from "../testing/hwpt_bench.ts";

const INFO = TestHwInfo.encode({ testReg: IOMMU_HW_INFO_SELFTEST_REGVAL });
const JUNK = 0xa5;

describe("GET_HW_INFO", () => {
  it("fills a buffer of any length, with zeros beyond what there is", () => {
    const bench = new HwptBench();
    const { process } = bench.machine;
    const address = bench.machine.memory(4);
    for (const dataLen of [0, 1, 4, 7, 8, 9, 16, PAGE_SIZE, 3 * PAGE_SIZE]) {
      process.poke(address, new Uint8Array(4 * PAGE_SIZE).fill(JUNK));
      const dataUptr = BigInt(address);
      const answer = bench.hwInfo({ dataLen, dataUptr });
      assertEquals(answer.ret, 0);
      assertEquals(answer.dataLen, INFO.length);
      assertEquals(answer.outDataType, IOMMU_HW_INFO_TYPE_SELFTEST);
      const expected = new Uint8Array(dataLen);
      expected.set(INFO.subarray(0, dataLen));
      assertEquals(process.peek(address, dataLen), expected);
      assertEquals(process.peek(address + dataLen, 1)[0], JUNK);
    }
    bench.end();
  });

  it("needs memory for as much as is asked for: EFAULT", () => {
    const bench = new HwptBench();
    const { process } = bench.machine;
    const address = bench.machine.memory(2);
    process.munmap(address + PAGE_SIZE, PAGE_SIZE);
    const end = address + PAGE_SIZE;
    const cases: [string | number, number, number][] = [
      [0, 0, 0],
      ["EFAULT", 0, 1],
      [0, end - 8, 8],
      ["EFAULT", end - 7, 8],
      ["EFAULT", end - 16, 17],
      [0, end - 16, 16],
      ["EFAULT", end - 16, 0xffffffff],
      ["EFAULT", 2 ** 47 - PAGE_SIZE, 2 * PAGE_SIZE],
    ];
    for (const [ret, at, dataLen] of cases) {
      const answer = bench.hwInfo({ dataUptr: BigInt(at), dataLen });
      assertEquals(answer.ret, ret);
      assertEquals(answer.dataLen, ret === 0 ? INFO.length : dataLen);
    }
    bench.end();
  });

  it("has a step that can fail also where nothing is copied, which does no harm", () => {
    const bench = new HwptBench();
    const { process } = bench.machine;
    // Real Linux: the struct, the device, the information, its copy, the answer.
    const rets = [1, 2, 3, 4, 5].map((nth) => {
      process.setFailNth(nth);
      const { ret } = bench.hwInfo({ dataLen: 0 });
      assertEquals(process.failNthLeft(), 0);
      return ret;
    });
    assertEquals(rets, ["EFAULT", "ENOENT", "ENOMEM", 0, "EFAULT"]);
    bench.end();
  });

  it("refuses flags and reserved bytes before it looks for the device", () => {
    const bench = new HwptBench();
    for (
      const values of [
        { flags: 2 },
        { flags: 0x80000000 },
        { reserved: 1 },
        { reserved1: 1 },
        { reserved2: 1 },
      ]
    ) {
      assertEquals(bench.hwInfo({ ...values, devId: 99 }).ret, "EOPNOTSUPP");
    }
    assertEquals(bench.hwInfo({ devId: 99 }).ret, "ENOENT");
    assertEquals(bench.hwInfo({ devId: bench.ioas }).ret, "ENOENT");
    assertEquals(bench.hwInfo({}).ret, 0);
    bench.end();
  });

  it("tells whether dirty tracking can be had", () => {
    for (
      const [flags, capabilities] of [
        [0, NO_ATS | IOMMU_HW_CAP_DIRTY_TRACKING],
        [MOCK_FLAGS_DEVICE_NO_DIRTY, NO_ATS],
      ] as const
    ) {
      const bench = new HwptBench(flags);
      const answer = bench.hwInfo({ outCapabilities: 99n });
      assertEquals(answer.outCapabilities, capabilities);
      assertEquals(answer.outMaxPasidLog2, 0);
      bench.end();
    }
  });

  it("tells of PASIDs only where they are on", () => {
    const bench = new Bench();
    const { a, machine } = bench;
    const idev = bench.bind(a);
    const ask = () => {
      const { outMaxPasidLog2, outCapabilities } = machine.call(
        IOMMU_GET_HW_INFO,
        IommuHwInfo,
        { devId: idev.id },
      );
      return [outMaxPasidLog2, outCapabilities];
    };
    assertEquals(ask(), [0, NO_ATS]);
    a.caps.add("pci-ats-supported");
    a.pciPasid = { exec: true, priv: true };
    assertEquals(ask(), [0, 0n]);
    a.maxPasids = 1 << 20;
    const both = IOMMU_HW_CAP_PCI_PASID_EXEC | IOMMU_HW_CAP_PCI_PASID_PRIV;
    assertEquals(ask(), [20, both]);
    a.maxPasids = 1000;
    a.pciPasid = { exec: true, priv: false };
    assertEquals(ask(), [9, IOMMU_HW_CAP_PCI_PASID_EXEC]);
    a.pciPasid = undefined;
    a.maxPasids = 1;
    assertEquals(ask(), [0, 0n]);
    idev.unbind();
    bench.end();
  });

  it("has nothing to tell without the driver's help", () => {
    const bench = new Bench();
    const { machine } = bench;
    const idev = bench.bind(bench.a);
    const address = machine.memory(1);
    machine.process.poke(address, new Uint8Array(8).fill(JUNK));
    const values = { devId: idev.id, dataLen: 7, dataUptr: BigInt(address) };
    const ask = () => machine.call(IOMMU_GET_HW_INFO, IommuHwInfo, values);
    const answer = ask();
    assertEquals(answer.ret, 0);
    assertEquals(answer.outDataType, IOMMU_HW_INFO_TYPE_NONE);
    assertEquals(answer.dataLen, 0);
    const seen = machine.process.peek(address, 8);
    assertEquals(seen, new Uint8Array([0, 0, 0, 0, 0, 0, 0, JUNK]));

    const ops: IommuOps = bench.ops;
    const bytes = new Uint8Array([1, 2, 3]);
    ops.hwInfo = () => ({ type: 5, bytes });
    assertEquals([ask().outDataType, ask().dataLen], [5, 3]);
    ops.hwInfo = () => ({ type: IOMMU_HW_INFO_TYPE_NONE, bytes });
    assertEquals(ask().ret, "EOPNOTSUPP");
    idev.unbind();
    bench.end([
      "IOMMU driver of a gives hardware information without a type",
    ]);
  });

  it("asks the driver for the type that is wanted, or for any", () => {
    const bench = new Bench();
    const idev = bench.bind(bench.a);
    const ops: IommuOps = bench.ops;
    const wanted: number[] = [];
    ops.hwInfo = (_dev, type) => {
      wanted.push(type);
      if (type === 9) throw EOPNOTSUPP;
      return { type: 5, bytes: new Uint8Array(3) };
    };
    const ask = (flags: number, outDataType: number) => {
      const values = { devId: idev.id, flags, outDataType };
      const answer = bench.machine.call(IOMMU_GET_HW_INFO, IommuHwInfo, values);
      return [answer.ret, answer.outDataType];
    };
    const flag = IOMMU_HW_INFO_FLAG_INPUT_TYPE;
    assertEquals(ask(flag, 7), [0, 5]);
    assertEquals(ask(flag, 9), ["EOPNOTSUPP", 9]);
    assertEquals(ask(0, 9), [0, 5]);
    assertEquals(wanted, [7, 9, IOMMU_HW_INFO_TYPE_DEFAULT]);
    idev.unbind();
    bench.end();
  });

  it("is as it was in 6.12", () => {
    const bench = new Bench("6.12");
    const idev = bench.bind(bench.a);
    const ops: IommuOps = bench.ops;
    const type = IOMMU_HW_INFO_TYPE_NONE;
    const ask = (flags: number) => {
      const values = { devId: idev.id, flags };
      return bench.machine.call(IOMMU_GET_HW_INFO, IommuHwInfo, values);
    };
    assertEquals(ask(IOMMU_HW_INFO_FLAG_INPUT_TYPE).ret, "EOPNOTSUPP");
    assertEquals(ask(0).outCapabilities, 0n);
    ops.hwInfo = () => ({ type, bytes: new Uint8Array(1) });
    assertEquals(ask(0).ret, "ENODEV");
    idev.unbind();
    bench.end([
      "IOMMU driver of a gives hardware information without a type",
    ]);
  });
});
