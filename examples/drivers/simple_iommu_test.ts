// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  DmaFault,
  errnoName,
  HPAGE_SIZE,
  IOMMU_GET_HW_INFO,
  IOMMU_HW_CAP_DIRTY_TRACKING,
  IOMMU_HWPT_ALLOC,
  IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
  IOMMU_HWPT_ALLOC_NEST_PARENT,
  IOMMU_HWPT_ALLOC_PASID,
  IOMMU_HWPT_FAULT_ID_VALID,
  IOMMU_HWPT_INVALIDATE,
  IOMMU_IOAS_MAP_READABLE,
  IOMMU_NO_PASID,
  IOMMU_PGFAULT_FLAGS_LAST_PAGE,
  IOMMU_PGFAULT_PERM_READ,
  IOMMU_READ,
  IOMMU_WRITE,
  IOMMUFD_PAGE_RESP_SUCCESS,
  IommuHwInfo,
  IommuHwptAlloc,
  IommuHwptInvalidate,
  MAP_ANONYMOUS,
  MAP_HUGETLB,
  MAP_SHARED,
  PAGE_SIZE,
  type Process,
  PROT_READ,
  PROT_WRITE,
  releaseDevice,
  type Struct,
  type Values,
} from "@iommufd/kit";
import { Program } from "./program.ts";
import {
  INVALIDATE_ALL,
  SIMPLE_IOMMU,
  SimpleDevice,
  SimpleHwInfo,
  SimpleInvalidate,
  SimpleIommu,
  SimpleStage1,
  STAGE1_VALID,
  STAGE1_WRITE,
} from "./simple_iommu.ts";

const IOVA = 0x100000;

/** A machine with a device that a driver has given to user space, as vfio-pci would. */
class Bench extends Program {
  readonly nic = new SimpleDevice(new SimpleIommu(this.kernel.iommu), "nic0");
  readonly idev = this.bind(this.nic);
  readonly ioasId = this.iommufd.ioasAlloc().ioasId;

  constructor() {
    super(2 ** 26);
  }

  /** Maps memory of the process at an IOVA; its address. */
  map(iova: number, length: number, mmapFlags = 0): number {
    const address = this.sharedMemory(length, mmapFlags);
    const { ioasId } = this;
    this.iommufd.ioasMap({ ioasId, userVa: address, length, iova });
    return address;
  }

  /** An ioctl; the struct after it, and "ok" or an errno's name. */
  call<T extends object>(cmd: number, struct: Struct<T>, values: Values<T>) {
    const bytes = struct.encode(values);
    const ret = this.process.ioctlStruct(this.iommufd.fd, cmd, bytes);
    return { ...struct.decode(bytes), ret: ret < 0 ? errnoName(ret) : "ok" };
  }

  alloc(ptId: number, values: Values<IommuHwptAlloc>) {
    const devId = this.idev.id;
    const cmd = IOMMU_HWPT_ALLOC;
    return this.call(cmd, IommuHwptAlloc, { devId, ptId, ...values });
  }

  /** A nested HWPT with a table at an IOVA of its parent; `place` is memory for the data. */
  nest(
    parent: number,
    table: number,
    place: number,
    values: Values<IommuHwptAlloc> = {},
  ) {
    const data = SimpleStage1.encode({ table });
    this.process.poke(place, data);
    return this.alloc(parent, {
      dataType: SIMPLE_IOMMU,
      dataLen: data.length,
      dataUptr: place,
      ...values,
    });
  }

  invalidate(
    hwptId: number,
    place: number,
    requests: readonly Values<SimpleInvalidate>[],
  ) {
    const { size } = SimpleInvalidate;
    for (const [i, request] of requests.entries()) {
      const bytes = SimpleInvalidate.encode(request);
      this.process.poke(place + i * size, bytes);
    }
    return this.call(IOMMU_HWPT_INVALIDATE, IommuHwptInvalidate, {
      hwptId,
      dataUptr: place,
      dataType: SIMPLE_IOMMU,
      entryLen: size,
      entryNum: requests.length,
    });
  }

  /** Takes everything back; nothing may be left or have been warned about. */
  end(): void {
    this.idev.unbind();
    releaseDevice(this.nic);
    this.exit();
  }
}

/** A byte that a device reads; undefined when it is blocked. */
function byteAt(nic: SimpleDevice, iova: number): number | undefined {
  return nic.read(iova, 1)?.[0];
}

/** The device asks for the pages of a range that are blocked, as one group; notes in `answers` whether it gets them. */
function ask(
  nic: SimpleDevice,
  iova: number,
  length: number,
  access: number,
  answers: boolean[] = [],
  pasid = IOMMU_NO_PASID,
): void {
  const missing: DmaFault[] = [];
  for (let at = iova; at < iova + length; at += PAGE_SIZE) {
    if (nic.translation(pasid)?.translate(at, access) !== undefined) continue;
    missing.push(new DmaFault(access, at, pasid, true));
  }
  nic.pageRequests.ask(missing, (granted) => answers.push(granted));
}

/** Writes an entry of a stage 1 table in the process's memory. */
function setEntry(
  process: Process,
  address: number,
  page: number,
  entry: bigint,
): void {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, entry, true);
  process.poke(address + page * 8, bytes);
}

describe("a simple IOMMU driver", () => {
  it("lets DMA reach what the IOAS maps, and nothing else", () => {
    const bench = new Bench();
    const { nic, process, iommufd, idev, ioasId } = bench;
    const length = 3 * PAGE_SIZE;
    const memory = bench.map(IOVA, length);
    process.poke(memory + PAGE_SIZE - 1, new Uint8Array([7, 8]));
    assertEquals(nic.read(IOVA, 1), undefined);

    idev.attach(ioasId);
    assertEquals(nic.read(IOVA + PAGE_SIZE - 1, 2), new Uint8Array([7, 8]));
    assertEquals(nic.write(IOVA + length - 1, new Uint8Array([9])), true);
    assertEquals(process.peek(memory + length - 1, 1), new Uint8Array([9]));
    assertEquals(nic.write(IOVA + length - 1, new Uint8Array(2)), false);
    assertEquals(nic.read(IOVA - 1, 1), undefined);

    iommufd.ioasUnmap({ ioasId, iova: IOVA, length });
    assertEquals(nic.read(IOVA, 1), undefined);
    idev.detach();
    bench.end();
  });

  it("keeps to the permission of a map", () => {
    const bench = new Bench();
    const { nic, iommufd, idev, ioasId } = bench;
    const userVa = bench.map(0, PAGE_SIZE);
    const flags = IOMMU_IOAS_MAP_READABLE;
    const iova = IOVA;
    iommufd.ioasMap({ ioasId, userVa, length: PAGE_SIZE, iova, flags });
    idev.attach(ioasId);
    assertEquals(nic.write(0, new Uint8Array([5])), true);
    assertEquals(nic.write(IOVA, new Uint8Array([6])), false);
    assertEquals(byteAt(nic, IOVA), 5);
    idev.detach();
    bench.end();
  });

  it("maps huge pages as such where they are aligned, and small ones elsewhere", () => {
    for (const shift of [0, PAGE_SIZE]) {
      const bench = new Bench();
      const { nic, process, iommufd, idev, ioasId } = bench;
      idev.attach(ioasId);
      const length = 2 * HPAGE_SIZE;
      const iova = 4 * HPAGE_SIZE + shift;
      const memory = bench.map(iova, length, MAP_HUGETLB);
      for (let at = 0; at < length; at += HPAGE_SIZE / 2) {
        process.poke(memory + at, new Uint8Array([1 + at / HPAGE_SIZE * 2]));
        assertEquals(byteAt(nic, iova + at), 1 + at / HPAGE_SIZE * 2);
      }
      assertEquals(byteAt(nic, iova - 1), undefined);
      assertEquals(byteAt(nic, iova + length), undefined);
      iommufd.ioasUnmap({ ioasId, iova, length });
      assertEquals(byteAt(nic, iova), undefined);
      assertEquals(byteAt(nic, iova + length - 1), undefined);
      bench.map(iova, length);
      idev.detach();
      bench.end();
    }
  });

  it("maps nothing when it runs out of memory half-way", () => {
    const bench = new Bench();
    const { nic, process, iommufd, idev, ioasId } = bench;
    idev.attach(ioasId);
    const length = 2 * PAGE_SIZE;
    const iova = HPAGE_SIZE - PAGE_SIZE;
    const userVa = bench.map(0, length);
    let failures = 0;
    for (let nth = 1;; nth++) {
      process.setFailNth(nth);
      try {
        iommufd.ioasMap({ ioasId, userVa, length, iova });
        break;
      } catch {
        failures++;
        assertEquals(byteAt(nic, iova), undefined);
      }
    }
    process.setFailNth(0);
    assertEquals(failures > 3, true);
    assertEquals(byteAt(nic, iova + PAGE_SIZE), 0);
    idev.detach();
    bench.end();
  });

  it("reserves the window of its interrupts", () => {
    const bench = new Bench();
    bench.idev.attach(bench.ioasId);
    const { ranges } = bench.iommufd.ioasIovaRanges(bench.ioasId);
    assertEquals(ranges, [
      { start: 0n, last: 0xfedfffffn },
      { start: 0xfef00000n, last: 2n ** 39n - 1n },
    ]);
    bench.idev.detach();
    bench.end();
  });

  it("tells what the hardware can do", () => {
    const bench = new Bench();
    const place = bench.map(0, PAGE_SIZE);
    const answer = bench.call(IOMMU_GET_HW_INFO, IommuHwInfo, {
      devId: bench.idev.id,
      dataLen: SimpleHwInfo.size,
      dataUptr: place,
    });
    assertEquals(answer.ret, "ok");
    assertEquals(answer.outDataType, SIMPLE_IOMMU);
    assertEquals(answer.outCapabilities, IOMMU_HW_CAP_DIRTY_TRACKING);
    assertEquals(answer.outMaxPasidLog2, 8);
    const bytes = bench.process.peek(place, SimpleHwInfo.size);
    const info = SimpleHwInfo.decode(bytes);
    assertEquals(info, { inputBits: 21, outputBits: 39 });
    bench.end();
  });

  it("refuses a HWPT that it cannot make", () => {
    const bench = new Bench();
    const place = bench.map(0, PAGE_SIZE);
    const data = {
      dataType: SIMPLE_IOMMU,
      dataLen: SimpleStage1.size,
      dataUptr: place,
    };
    assertEquals(bench.alloc(bench.ioasId, data).ret, "EOPNOTSUPP");
    const flags = IOMMU_HWPT_ALLOC_NEST_PARENT;
    const parent = bench.alloc(bench.ioasId, { flags }).outHwptId;
    const refused: [string, Values<IommuHwptAlloc>][] = [
      ["EOPNOTSUPP", { ...data, dataType: SIMPLE_IOMMU + 1 }],
      ["EINVAL", { ...data, dataLen: SimpleStage1.size - 1 }],
      ["EINVAL", { ...data, dataLen: SimpleStage1.size + 1 }],
      ["EFAULT", { ...data, dataUptr: 0n }],
    ];
    for (const [errno, values] of refused) {
      assertEquals(bench.alloc(parent, values).ret, errno);
    }
    assertEquals(bench.nest(parent, 8, place).ret, "EINVAL");
    assertEquals(bench.nest(parent, 2 ** 39, place).ret, "EINVAL");
    bench.process.poke(place, SimpleStage1.encode({ reserved: 1 }));
    assertEquals(bench.alloc(parent, data).ret, "EOPNOTSUPP");
    assertEquals(bench.nest(parent, 0, place).ret, "ok");
    bench.end();
  });

  it("translates twice for a nested HWPT, with what it has cached", () => {
    const bench = new Bench();
    const { nic, process, idev, ioasId } = bench;
    const table = bench.map(0, PAGE_SIZE);
    const memory = bench.map(IOVA, 2 * PAGE_SIZE);
    const place = bench.map(2 ** 30, PAGE_SIZE);
    process.poke(memory, new Uint8Array([1]));
    process.poke(memory + PAGE_SIZE, new Uint8Array([2]));
    setEntry(process, table, 5, BigInt(IOVA) | STAGE1_VALID);
    const second = BigInt(IOVA + PAGE_SIZE);
    setEntry(process, table, 6, second | STAGE1_VALID | STAGE1_WRITE);

    const flags = IOMMU_HWPT_ALLOC_NEST_PARENT;
    const parent = bench.alloc(ioasId, { flags }).outHwptId;
    const nested = bench.nest(parent, 0, place).outHwptId;
    idev.attach(parent);
    assertEquals(byteAt(nic, IOVA), 1);
    assertEquals(idev.replace(nested), nested);
    assertEquals(byteAt(nic, IOVA), undefined);
    assertEquals(byteAt(nic, 5 * PAGE_SIZE), 1);
    assertEquals(byteAt(nic, 6 * PAGE_SIZE), 2);
    assertEquals(byteAt(nic, 7 * PAGE_SIZE), undefined);
    assertEquals(byteAt(nic, 512 * PAGE_SIZE), undefined);
    assertEquals(nic.write(5 * PAGE_SIZE, new Uint8Array([3])), false);
    assertEquals(nic.write(6 * PAGE_SIZE, new Uint8Array([3])), true);

    // The hardware goes on with what it read, until it is told.
    for (const page of [5, 6]) setEntry(process, table, page, 0n);
    assertEquals(byteAt(nic, 5 * PAGE_SIZE), 1);
    const stale = { addr: BigInt(5 * PAGE_SIZE) };
    const requests = [stale, { flags: 8 }, { flags: INVALIDATE_ALL }];
    const answer = bench.invalidate(nested, place, requests);
    assertEquals([answer.ret, answer.entryNum], ["EOPNOTSUPP", 1]);
    assertEquals(byteAt(nic, 5 * PAGE_SIZE), undefined);
    assertEquals(byteAt(nic, 6 * PAGE_SIZE), 3);
    const all = [{ flags: INVALIDATE_ALL }];
    assertEquals(bench.invalidate(nested, place, all).entryNum, 1);
    assertEquals(byteAt(nic, 6 * PAGE_SIZE), undefined);

    idev.detach();
    assertEquals(nic.read(5 * PAGE_SIZE, 1), undefined);
    bench.end();
  });

  it("tells which pages were written, the nested ones too", () => {
    const bench = new Bench();
    const { nic, process, idev, ioasId } = bench;
    const { hwpt } = bench.iommufd;
    const table = bench.map(0, PAGE_SIZE);
    const place = bench.map(PAGE_SIZE, PAGE_SIZE);
    bench.map(IOVA, 8 * PAGE_SIZE);
    const large = 8 * HPAGE_SIZE;
    bench.map(large, HPAGE_SIZE, MAP_HUGETLB);
    setEntry(process, table, 5, BigInt(IOVA) | STAGE1_VALID | STAGE1_WRITE);
    const flags = IOMMU_HWPT_ALLOC_DIRTY_TRACKING |
      IOMMU_HWPT_ALLOC_NEST_PARENT;
    const hwptId = bench.alloc(ioasId, { flags }).outHwptId;
    const nested = bench.nest(hwptId, 0, place).outHwptId;
    const pageSize = PAGE_SIZE;
    const small = { hwptId, iova: IOVA, length: 8 * PAGE_SIZE, pageSize };
    const read = (clear: boolean, range = small) =>
      hwpt.getDirtyBitmap({ ...range, clear });
    const none = new Uint8Array(1);

    idev.attach(hwptId);
    nic.write(IOVA, new Uint8Array(1));
    hwpt.setDirtyTracking({ hwptId, on: true });
    assertEquals(read(true), none);
    nic.write(IOVA + 3 * PAGE_SIZE - 1, new Uint8Array(2));
    nic.read(IOVA, PAGE_SIZE);
    assertEquals(read(false), new Uint8Array([0b1100]));
    assertEquals(read(true), new Uint8Array([0b1100]));
    assertEquals(read(true), none);
    idev.replace(nested);
    nic.write(5 * PAGE_SIZE, new Uint8Array(1));
    assertEquals(read(true), new Uint8Array([1]));

    // A large page is dirty as a whole, and clean when all of it was read.
    idev.replace(hwptId);
    nic.write(large + 99 * PAGE_SIZE, new Uint8Array(1));
    const part = { ...small, iova: large };
    assertEquals(read(true, part), new Uint8Array([0xff]));
    const whole = { ...small, iova: large, length: HPAGE_SIZE };
    assertEquals(read(true, whole), new Uint8Array(64).fill(0xff));
    assertEquals(read(true, part), none);

    nic.write(IOVA, new Uint8Array(1));
    hwpt.setDirtyTracking({ hwptId, on: false });
    assertEquals(read(true), none);
    nic.write(IOVA, new Uint8Array(1));
    hwpt.setDirtyTracking({ hwptId, on: true });
    assertEquals(read(true), none);
    idev.detach();
    bench.end();
  });

  it("keeps the address spaces of PASIDs apart", () => {
    const bench = new Bench();
    const { nic, process, idev, ioasId } = bench;
    const flags = IOMMU_HWPT_ALLOC_PASID;
    const own = bench.alloc(ioasId, { flags }).outHwptId;
    process.poke(bench.map(IOVA, PAGE_SIZE), new Uint8Array([1]));
    const other = bench.iommufd.ioasAlloc().ioasId;
    const { faultId, faultFd } = bench.iommufd.hwpt.faultQueueAlloc();
    const space = bench.alloc(other, {
      flags: flags | IOMMU_HWPT_FAULT_ID_VALID,
      faultId,
    }).outHwptId;
    const prot = PROT_READ | PROT_WRITE;
    const memory = process.mmap(0, PAGE_SIZE, prot, MAP_SHARED | MAP_ANONYMOUS);
    const map = {
      ioasId: other,
      userVa: memory,
      length: PAGE_SIZE,
      iova: IOVA,
    };
    bench.iommufd.ioasMap(map);
    process.poke(memory, new Uint8Array([2]));

    idev.attach(own);
    idev.attach(space, 7);
    assertEquals(nic.read(IOVA, 1), new Uint8Array([1]));
    assertEquals(nic.read(IOVA, 1, 7), new Uint8Array([2]));
    assertEquals(nic.read(IOVA, 1, 8), undefined);
    ask(nic, IOVA, 2 * PAGE_SIZE, IOMMU_READ, [], 7);
    const faults = bench.iommufd.hwpt.readFaults(faultFd);
    assertEquals(faults.map(({ pasid, addr }) => [pasid, addr]), [
      [7, BigInt(IOVA + PAGE_SIZE)],
    ]);
    idev.replace(own, 7);
    assertEquals(nic.read(IOVA, 1, 7), new Uint8Array([1]));
    idev.detach(7);
    assertEquals(nic.read(IOVA, 1, 7), undefined);
    assertEquals(nic.read(IOVA, 1), new Uint8Array([1]));
    idev.detach();
    bench.end();
  });

  it("lets user space map what a device asks for", () => {
    const bench = new Bench();
    const { nic, process, idev, ioasId } = bench;
    const { hwpt } = bench.iommufd;
    const table = bench.map(0, PAGE_SIZE);
    bench.map(IOVA, PAGE_SIZE);
    const place = bench.map(2 ** 30, PAGE_SIZE);
    const entry = BigInt(IOVA) | STAGE1_VALID;
    setEntry(process, table, 6, entry);

    const { faultId, faultFd } = hwpt.faultQueueAlloc();
    const parent = bench.alloc(ioasId, {
      flags: IOMMU_HWPT_ALLOC_NEST_PARENT,
    }).outHwptId;
    const faulting = { flags: IOMMU_HWPT_FAULT_ID_VALID, faultId };
    const nested = bench.nest(parent, 0, place, faulting).outHwptId;
    idev.attach(nested);
    const answers: boolean[] = [];
    ask(nic, 5 * PAGE_SIZE, 3 * PAGE_SIZE, IOMMU_READ, answers);
    const faults = hwpt.readFaults(faultFd);
    assertEquals(
      faults.map(({ devId, addr, perm, flags }) => [devId, addr, perm, flags]),
      [
        [idev.id, 0x5000n, IOMMU_PGFAULT_PERM_READ, 0],
        [
          idev.id,
          0x7000n,
          IOMMU_PGFAULT_PERM_READ,
          IOMMU_PGFAULT_FLAGS_LAST_PAGE,
        ],
      ],
    );
    assertEquals(answers, []);
    for (const { addr } of faults) {
      setEntry(process, table, Number(addr) / PAGE_SIZE, entry);
    }
    const { cookie } = faults[0]!;
    hwpt.respondFaults(faultFd, [{ cookie, code: IOMMUFD_PAGE_RESP_SUCCESS }]);
    assertEquals(nic.read(5 * PAGE_SIZE, 3 * PAGE_SIZE)?.length, 12288);

    // What is not answered in time is answered for user space.
    ask(nic, 0, PAGE_SIZE, IOMMU_WRITE, answers);
    idev.detach();
    ask(nic, 0, PAGE_SIZE, IOMMU_WRITE, answers);
    assertEquals(answers, [true, false, false]);
    bench.end();
  });
});
