// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `kit_vfio_device`: a device that is opened by its own path: what an
 * unbound one refuses, bind, attach, who has it, and what it says of itself.
 *
 * @module
 */

import {
  E2BIG,
  EADDRINUSE,
  EBADF,
  EBADFD,
  EBUSY,
  EFAULT,
  EINVAL,
  ENODEV,
  ENOENT,
  ENOMEM,
  ENOSPC,
  ENOTTY,
  type Errno,
  ESPIPE,
} from "../../impl/uapi/errno.ts";
import {
  CAP_IPC_LOCK,
  MAP_SHARED,
  O_RDONLY,
  POLLIN,
  POLLOUT,
  PROT_READ,
  RLIMIT_MEMLOCK,
} from "../../impl/uapi/mman.ts";
import {
  assertEq,
  assertErrno,
  assertOk,
  type Fixture,
  fixture,
  type Table,
  type Test,
} from "../harness/harness.ts";
import { IOMMU_HWPT_FAULT_ID_VALID } from "../../impl/uapi/iommufd.ts";
import { faultQueueAlloc, hwptAlloc } from "../ioctls/hwpt_ioctls.ts";
import { Iommufd } from "../ioctls/ioctls.ts";
import {
  Attach,
  Bind,
  bound,
  Detach,
  Info,
  IRQ,
  IrqInfo,
  REGION,
  RegionInfo,
  VFIO,
  VFIO_DEVICE_PATH,
  VfioFile,
} from "./vfio_ioctls.ts";

/** The first IOVA that is reserved for messages. */
const MSI_WINDOW = 0xfee00000n;

/** What the tests share. */
export interface VfioSelf {
  /** An iommufd. */
  readonly io: Iommufd;
  /** The device, bound to it. */
  readonly device: VfioFile;
  /** Its id there. */
  readonly devId: number;
  /** An IOAS. */
  readonly ioasId: number;
}

/** A fixture whose tests get a bound device. */
export function vfioFixture(
  registry: Test[],
  name: string,
): Fixture<undefined, VfioSelf> {
  return fixture(registry, name, {
    since: "6.12",
    upstream: false,
    needs: () => ["vfio_device"],
    setup: async (context) => {
      const io = await Iommufd.open(context);
      const { device, devId } = await bound(io);
      return { io, device, devId, ioasId: await io.ioasAlloc() };
    },
    teardown: async ({ io, device }) => {
      await device.close();
      await io.teardown();
    },
  });
}

/** Adds the fixture's tests to `registry`. */
export function registerKitVfioDevice(registry: Test[]): void {
  const f = vfioFixture(registry, "kit_vfio_device");

  f.table("unbound", {
    description: "Before BIND a device refuses everything else",
    rules: ["X1.1"],
  }, unbound);

  f.table("bind_errno", {
    description: "BIND checks its arguments in Linux's order",
    rules: ["X1.1"],
  }, (t, _variant, revision) => bindErrno(t, revision.vfio.bindHasToken));

  f.test("bind_reply_efault", {
    description: "A BIND that cannot answer leaves the device unbound",
    rules: ["X1.1"],
  }, async ({ io, device, devId }) => {
    await device.close();
    const file = await VfioFile.open(io.process);
    const bytes = Bind.encode({ argsz: 16, iommufd: io.fd });
    await io.at(file.fd).ioctlReadOnly(VFIO.BIND, bytes, EFAULT, "BIND");
    await file.call(Info, VFIO.GET_INFO, {}, EINVAL);
    assertEq(await file.bind(io.fd), devId, "the lowest free id");
  });

  f.test("one_owner", {
    description: "A device is bound through one descriptor at a time",
    rules: ["X1.1"],
  }, async ({ io, device }) => {
    const other = await io.reopen();
    const second = await VfioFile.open(io.process);
    await device.bind(io.fd, EINVAL);
    await second.bind(io.fd, EINVAL);
    await second.bind(other.fd, EINVAL);
    await second.bind(9999, EBADF);
    await second.call(Info, VFIO.GET_INFO, {}, EINVAL);
    await device.close();
    await second.bind(other.fd);
    await second.close();
    const again = await VfioFile.open(io.process);
    assertEq(again.fd, device.fd, "the descriptor that was closed first");
    await again.bind(io.fd);
  });

  f.test("id_comes_back", {
    description: "The id of a device is free again when it is unbound",
    rules: ["X1.2"],
  }, async ({ io, device, devId }) => {
    await device.close();
    const { device: again, devId: id } = await bound(io);
    assertEq(id, devId, "the lowest free id");
    assertEq(again.fd, device.fd, "the lowest free descriptor");
    await io.destroy(id, EBUSY);
  });

  f.table("attach", {
    description: "ATTACH and DETACH, and what they refuse",
    rules: ["X1.3"],
  }, attach);

  f.test("attach_reserved", {
    description: "An IOAS that maps what the device cannot reach is refused",
    rules: ["X1.3"],
  }, async ({ io, device, ioasId }) => {
    await io.mapFixed(ioasId, io.buffer, io.page, MSI_WINDOW);
    await device.attach(ioasId, EADDRINUSE);
    await io.unmap(ioasId, MSI_WINDOW, io.page);
    await device.attach(ioasId);
    await io.mapFixed(ioasId, io.buffer, io.page, MSI_WINDOW, EINVAL);
    await device.detach();
  });

  f.test("attach_pins", {
    description: "ATTACH pins the memory of the IOAS, up to the limit",
    rules: ["X1.3"],
    needs: () => ["setrlimit", "setuid"],
  }, async ({ io, device, ioasId }) => {
    const { process } = io;
    assertEq(await process.dropCapability(CAP_IPC_LOCK), 0, "no CAP_IPC_LOCK");
    const limit = 2n * io.page;
    assertEq(await process.setrlimit(RLIMIT_MEMLOCK, limit), 0, "setrlimit");
    await io.mapFixed(ioasId, io.buffer, 3n * io.page, 0x100000n);
    await device.attach(ioasId, ENOMEM);
    await io.unmap(ioasId, 0x100000n, 3n * io.page);
    await io.mapFixed(ioasId, io.buffer, 2n * io.page, 0x100000n);
    await device.attach(ioasId);
    await device.detach();
  });

  f.test("attach_is_used", {
    description: "What a device is attached to stays, its own HWPT goes",
    rules: ["X1.3"],
  }, async ({ io, device, ioasId }) => {
    const hwptId = await device.attach(ioasId);
    await io.destroy(ioasId, EBUSY);
    await device.detach();
    await io.destroy(hwptId, ENOENT);
    await device.attach(ioasId);
  });

  f.table("pasid", {
    description: "A PASID of a device without PASIDs",
    rules: ["X1.3"],
    since: "7.3",
  }, pasids);

  f.test("without_page_requests", {
    description: "A HWPT with a queue of page faults is for devices that ask",
    rules: ["X1.3"],
    since: "7.3",
  }, async ({ io, device, devId, ioasId: ptId }) => {
    const { faultId } = await faultQueueAlloc(io);
    const flags = IOMMU_HWPT_FAULT_ID_VALID;
    const hwptId = await hwptAlloc(io, { devId, ptId, faultId, flags });
    await device.attach(hwptId, ENODEV);
    await device.attach(ptId);
    await device.attach(hwptId, ENODEV);
  });

  f.test("iommufd_closed_first", {
    description: "A device keeps its iommufd: it works on after the close",
    rules: ["X1.2"],
  }, async ({ io, device, ioasId }) => {
    await device.attach(ioasId);
    assertEq(await io.process.close(io.fd), 0, "close the iommufd");
    await device.call(Info, VFIO.GET_INFO, {});
    const again = await io.reopen();
    assertEq(again.fd, io.fd, "the lowest free descriptor");
  });

  f.test("mapping_holds_device", {
    description: "A mapping holds the device until it is unmapped",
    rules: ["X1.2"],
  }, async ({ io, device }) => {
    const address = assertOk(
      await io.process.mmap(0, 4096, PROT_READ, MAP_SHARED, device.fd),
      "mmap of BAR 0",
    );
    await device.close();
    const other = await VfioFile.open(io.process);
    await other.bind(io.fd, EINVAL);
    assertEq(await io.process.munmap(address, 4096), 0, "munmap");
    await other.bind(io.fd);
  });

  f.table("struct_efault", {
    description: "A struct is read, and answered, or that is EFAULT",
    rules: ["X1.4"],
  }, (t) => {
    const asked: [string, number, Uint8Array][] = [
      ["GET_INFO", VFIO.GET_INFO, Info.encode({ argsz: 16 })],
      [
        "GET_REGION_INFO",
        VFIO.GET_REGION_INFO,
        RegionInfo.encode({ argsz: 32 }),
      ],
      ["GET_IRQ_INFO", VFIO.GET_IRQ_INFO, IrqInfo.encode({ argsz: 16 })],
    ];
    for (const [what, cmd, bytes] of asked) {
      t.case(what, async ({ io, device }) => {
        const at = io.at(device.fd);
        await at.ioctlArg(cmd, 0, EFAULT, what);
        await at.ioctlReadOnly(cmd, bytes, EFAULT, what);
      });
    }
  });

  f.table("info", {
    description: "GET_INFO answers as much as the caller has room for",
    rules: ["X1.4"],
  }, (t) => {
    for (const argsz of [0, 15]) {
      t.case(`argsz ${argsz}`, async ({ device }) => {
        await device.call(Info, VFIO.GET_INFO, { argsz }, EINVAL);
      });
    }
    for (const argsz of [16, 20, 24, 64]) {
      t.case(`argsz ${argsz}`, async ({ device }) => {
        const info = await device.call(Info, VFIO.GET_INFO, { argsz });
        assertEq(info.argsz, argsz, "argsz");
        assertEq(info.flags, 3, "flags: PCI and RESET");
        assertEq(info.numRegions, 9, "regions");
        assertEq(info.numIrqs, 5, "kinds of interrupts");
        assertEq(info.capOffset, 0, "no capabilities");
      });
    }
    t.case("what is behind argsz", async ({ device }) => {
      const values = { argsz: 16, capOffset: 7, pad: 9 };
      const info = await device.call(Info, VFIO.GET_INFO, values);
      assertEq(info.capOffset, 7, "as it was");
      assertEq(info.pad, 9, "as it was");
    });
  });

  f.table("regions", {
    description: "GET_REGION_INFO of each region",
    rules: ["X1.4"],
  }, regions);

  f.table("irqs", {
    description: "GET_IRQ_INFO of each kind of interrupts",
    rules: ["X1.4"],
  }, (t) => {
    const rows: [string, number, number, number][] = [
      ["INTx", IRQ.INTX, 0x7, 1],
      ["MSI", IRQ.MSI, 0x9, 1],
      ["MSI-X", IRQ.MSIX, 0x1, 10],
      ["ERR", IRQ.ERR, 0x9, 1],
      ["REQ", IRQ.REQ, 0x9, 1],
    ];
    for (const [what, index, flags, count] of rows) {
      t.case(what, async ({ device }) => {
        const info = await device.irq(index);
        assertEq(info.flags, flags, "flags");
        assertEq(info.count, count, "count");
      });
    }
    t.case("no such kind", ({ device }) => device.irq(5, EINVAL));
  });

  f.test("unknown_ioctl", {
    description: "A bound device refuses what it does not know with ENOTTY",
    rules: ["X1.4"],
  }, async ({ device }) => {
    for (const cmd of [0x3bff, 0x3b72, 0x5401]) {
      await device.ioctl(cmd, new Uint8Array(64), ENOTTY);
    }
  });
}

function unbound(t: Table<VfioSelf>): void {
  const each = (
    what: string,
    body: (file: VfioFile, io: Iommufd) => Promise<unknown>,
  ) =>
    t.case(what, async ({ io }) => {
      const file = await VfioFile.open(io.process);
      await body(file, io);
      await file.close();
    });
  for (
    const [what, cmd] of [
      ["GET_INFO", VFIO.GET_INFO],
      ["ATTACH", VFIO.ATTACH],
      ["an unknown ioctl", 0x3bff],
      ["an ioctl of terminals", 0x5401],
    ] as const
  ) {
    each(what, (file) => file.ioctl(cmd, new Uint8Array(64), EINVAL));
  }
  each(
    "pread and pwrite",
    (file) => file.noAccess(REGION.CONFIG, 0, 4, EINVAL),
  );
  each("read", async (file) => {
    const bytes = new Uint8Array(4);
    assertErrno(await file.process.read(file.fd, bytes), EINVAL, "read");
  });
  each("mmap", async (file) => {
    const ret = await file.process.mmap(
      0,
      4096,
      PROT_READ,
      MAP_SHARED,
      file.fd,
    );
    assertErrno(ret, EINVAL, "mmap");
  });
  each("lseek", async (file) => {
    assertErrno(await file.process.lseek(file.fd, 100, 0), ESPIPE, "lseek");
  });
  each("poll", async (file) => {
    const events = await file.process.poll(file.fd, POLLIN | POLLOUT);
    assertEq(events, POLLIN | POLLOUT, "always ready");
  });
  each("opened for reading", async (_, io) => {
    const fd = await io.process.open(VFIO_DEVICE_PATH, O_RDONLY);
    assertEq(await io.process.close(assertOk(fd, "open")), 0, "close");
  });
}

function bindErrno(t: Table<VfioSelf>, hasToken: boolean): void {
  const fresh = (
    what: string,
    errno: Errno | undefined,
    values: (io: Iommufd, nul: number) => Partial<Bind>,
    tail = 0,
  ) =>
    t.case(what, async ({ io, device }) => {
      if (errno === undefined) await device.close();
      const file = await VfioFile.open(io.process);
      const nul = assertOk(
        await io.process.open("/dev/null"),
        "open /dev/null",
      );
      const bytes = new Uint8Array(Math.max(24, tail));
      bytes.fill(tail > 64 ? 1 : 0, 24);
      bytes.set(Bind.encode({ argsz: 16, iommufd: io.fd, ...values(io, nul) }));
      await file.ioctl(VFIO.BIND, bytes, errno);
      assertEq(await io.process.close(nul), 0, "close /dev/null");
      await file.close();
      if (errno === undefined) {
        await (await VfioFile.open(io.process)).bind(io.fd);
      }
    });
  fresh("short before anything else", EINVAL, () => ({
    argsz: 15,
    flags: 2,
    iommufd: -1,
  }));
  fresh("a negative descriptor", EINVAL, () => ({ iommufd: -1 }));
  fresh("an unknown flag", EINVAL, () => ({ flags: 2, iommufd: 9999 }));
  fresh("a descriptor that is not open", EBADF, () => ({ iommufd: 9999 }));
  fresh("another file", EBADFD, (_, nul) => ({ iommufd: nul }));
  fresh("a longer struct", undefined, () => ({ argsz: 56 }), 56);
  fresh("all of it", undefined, () => ({ argsz: 24 }));
  if (hasToken) {
    fresh("a tail that is not zero", E2BIG, () => ({ argsz: 100 }), 100);
    fresh("a token of a device without functions", EFAULT, () => ({
      argsz: 24,
      flags: 1,
      tokenUuidPtr: 8n,
    }));
  }
  t.case("no memory", async ({ io }) => {
    const file = await VfioFile.open(io.process);
    const ret = await io.process.ioctlArg(file.fd, VFIO.BIND, 0);
    assertErrno(ret, EFAULT, "BIND of nothing");
    await file.close();
  });
}

function attach(t: Table<VfioSelf>): void {
  type Values = Partial<Attach>;
  const refused: [string, Errno, Values][] = [
    ["short", EINVAL, { argsz: 11 }],
    ["an unknown flag", EINVAL, { flags: 2 }],
    ["an id of nothing", ENOENT, { ptId: 77777 }],
    ["id 0", ENOENT, { ptId: 0 }],
  ];
  for (const [what, errno, values] of refused) {
    t.case(what, async ({ device, ioasId }) => {
      await device.attach(ioasId, errno, values);
    });
  }
  t.case("the device itself", async ({ device, devId }) => {
    await device.attach(devId, EINVAL);
  });
  t.case("no memory", async ({ io, device }) => {
    for (const cmd of [VFIO.ATTACH, VFIO.DETACH]) {
      const ret = await io.process.ioctlArg(device.fd, cmd, 0);
      assertErrno(ret, EFAULT, "a struct at 0");
    }
  });
  t.case("memory that cannot be written", async ({ io, device }) => {
    const ioasId = await io.ioasAlloc();
    const bytes = Attach.encode({ argsz: 12, ptId: ioasId });
    await io.at(device.fd).ioctlReadOnly(
      VFIO.ATTACH,
      bytes,
      EFAULT,
      "ATTACH",
    );
    // It is detached again.
    await io.destroy(ioasId);
  });
  t.case("an IOAS twice", async ({ device, ioasId }) => {
    const first = await device.attach(ioasId);
    assertEq(await device.attach(ioasId), first, "the same HWPT");
    await device.detach();
  });
  t.case("another IOAS in its place", async ({ io, device, ioasId }) => {
    const other = await io.ioasAlloc();
    const first = await device.attach(ioasId);
    const second = await device.attach(other);
    assertEq(second === first, false, "another HWPT");
    await io.destroy(first, ENOENT);
    await device.detach();
    await io.destroy(other);
  });
  t.case("detach", async ({ device }) => {
    await device.detach();
    await device.detach(EINVAL, { argsz: 7 });
    await device.detach(EINVAL, { flags: 2 });
  });
}

function pasids(t: Table<VfioSelf>): void {
  const PASID = { argsz: Attach.size, flags: 1 };
  t.case("short", async ({ device, ioasId }) => {
    await device.attach(ioasId, EINVAL, { flags: 1, pasid: 5 });
    await device.detach(EINVAL, { flags: 1, pasid: 5 });
  });
  t.case("another than 0", async ({ device, ioasId }) => {
    await device.attach(ioasId, EINVAL, { ...PASID, pasid: 5 });
    await device.attach(ioasId, EINVAL, { ...PASID, pasid: 0x7fffffff });
    await device.attach(ioasId, ENOSPC, { ...PASID, pasid: 0x80000000 });
    await device.detach(undefined, { argsz: Detach.size, flags: 1, pasid: 5 });
  });
  t.case("0 is the device, in another way", async ({ device, ioasId }) => {
    const detach = { argsz: Detach.size, flags: 1, pasid: 0 };
    const id = await device.attach(ioasId, undefined, { ...PASID, pasid: 0 });
    await device.attach(ioasId, EBUSY);
    assertEq(
      await device.attach(ioasId, undefined, { ...PASID, pasid: 0 }),
      id,
      "replaced by itself",
    );
    await device.detach();
    await device.attach(ioasId, EBUSY);
    await device.detach(undefined, detach);
    await device.attach(ioasId);
    await device.detach();
  });
  t.case(
    "the end of an id that is attached",
    async ({ io, device, ioasId }) => {
      await device.attach(ioasId, undefined, { ...PASID, pasid: 0 });
      await device.close();
      await (await VfioFile.open(io.process)).bind(io.fd);
    },
  );
}

function regions(t: Table<VfioSelf>): void {
  const rows: [string, number, number, number][] = [
    ["memory", 0, 0x7, 0x20000],
    ["more memory", 1, 0x7, 0x20000],
    ["ports", 2, 0x3, 0x20],
    ["no BAR", 5, 0, 0],
    ["the upper half of a BAR", 4, 0, 0],
    ["no ROM", REGION.ROM, 0, 0],
    ["configuration space", REGION.CONFIG, 0x3, 0x1000],
  ];
  for (const [what, index, flags, size] of rows) {
    t.case(what, async ({ device }) => {
      const info = await device.region(index);
      assertEq(info.argsz, 32, "argsz");
      assertEq(info.flags, flags, "flags");
      assertEq(info.length, BigInt(size), "size");
      assertEq(info.offset, BigInt(index) << 40n, "offset");
      assertEq(info.capOffset, 0, "no capability");
    });
  }
  t.case("the table of MSI-X, without room", async ({ device }) => {
    const info = await device.region(3);
    assertEq(info.argsz, 40, "argsz says what is needed");
    assertEq(info.flags, 0xf, "flags");
    assertEq(info.capOffset, 0, "no capability");
  });
  t.case(
    "where capabilities are, as it was sent, unless there are some",
    async ({ device }) => {
      for (const [index, left] of [[0, 7], [3, 0]] as const) {
        const values = { argsz: 32, index, capOffset: 7 };
        const cmd = VFIO.GET_REGION_INFO;
        const info = await device.call(RegionInfo, cmd, values);
        assertEq(info.capOffset, left, `region ${index}`);
      }
    },
  );
  t.case("the table of MSI-X, with room", async ({ device }) => {
    const values = { argsz: 40, index: 3 };
    const cmd = VFIO.GET_REGION_INFO;
    const info = await device.call(RegionInfo, cmd, values);
    assertEq(info.argsz, 40, "argsz");
    assertEq(info.capOffset, 32, "the capability follows");
    assertEq(info.capId, 3, "MSIX_MAPPABLE");
    assertEq(info.capVersion, 1, "version");
    assertEq(info.capNext, 0, "the last one");
  });
  t.case("no VGA", ({ device }) => device.region(REGION.VGA, EINVAL));
  t.case("beyond", ({ device }) => device.region(9, EINVAL));
  t.case(
    "short",
    ({ device }) =>
      device.call(RegionInfo, VFIO.GET_REGION_INFO, { argsz: 31 }, EINVAL),
  );
}
