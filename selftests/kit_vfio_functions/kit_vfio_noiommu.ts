// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `kit_vfio_noiommu`: a device without an IOMMU, by its own file and by
 * its group's, in either container.
 *
 * @module
 */

import {
  EBUSY,
  EINVAL,
  ENODEV,
  ENOTTY,
  EPERM,
  type Errno,
} from "../../impl/uapi/errno.ts";
import { CAP_SYS_RAWIO, O_RDWR } from "../../impl/uapi/mman.ts";
import {
  assertBytes,
  assertEq,
  assertErrno,
  AssertionFailure,
  assertOk,
  type Fixture,
  fixture,
  type TargetProcess,
  type Test,
} from "../harness/harness.ts";
import { assertResult, Iommufd } from "../ioctls/ioctls.ts";
import { noiommuGetPa } from "../ioctls/noiommu_ioctls.ts";
import { VfioFile } from "../kit_vfio/vfio_ioctls.ts";
import { ENGINE } from "./copy_engine.ts";

const PATH = "/dev/vfio/devices/noiommu-vfio0";
const NAME = "0000:00:04.0";
const [TYPE1, TYPE1V2, NOIOMMU, UNMAP_ALL] = [1, 3, 8, 9];
const CHECK_EXTENSION = 0x3b65;
const SET_IOMMU = 0x3b66;
const GET_STATUS = 0x3b67;
const SET_CONTAINER = 0x3b68;
const GET_DEVICE_FD = 0x3b6a;
const [GET_INFO, MAP_DMA, UNMAP_DMA] = [0x3b70, 0x3b71, 0x3b72];
const DIRTY_PAGES = 0x3b75;
/** Groups that are tried. */
const MAX_GROUPS = 64;
const PATTERN = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);

/** What the tests share. */
interface NoIommuSelf {
  readonly io: Iommufd;
  readonly process: TargetProcess;
}

/** Opens the group of the device. */
export async function openNoIommuGroup(
  process: TargetProcess,
): Promise<{ group: number; path: string }> {
  for (let i = 0; i < MAX_GROUPS; i++) {
    const path = `/dev/vfio/noiommu-${i}`;
    const group = await process.open(path, O_RDWR);
    if (group >= 0) return { group, path };
  }
  throw new AssertionFailure("a group", `below ${MAX_GROUPS}`, "none");
}

/** SET_CONTAINER. */
async function setContainer(
  { io, process }: NoIommuSelf,
  group: number,
  container: number,
  errno?: Errno,
): Promise<void> {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setInt32(0, container, true);
  await process.poke(io.scratch, bytes);
  const ret = await process.ioctlArg(group, SET_CONTAINER, io.scratch);
  assertResult(ret, errno, "SET_CONTAINER");
}

/** GET_DEVICE_FD; the result. */
async function getDevice(
  { io, process }: NoIommuSelf,
  group: number,
): Promise<number> {
  await process.poke(io.scratch, new TextEncoder().encode(`${NAME}\0`));
  return await process.ioctlArg(group, GET_DEVICE_FD, io.scratch);
}

/** CHECK_EXTENSION of each. */
async function extensions(
  { process }: NoIommuSelf,
  container: number,
): Promise<string> {
  const answers: number[] = [];
  for (const extension of [TYPE1, TYPE1V2, NOIOMMU, UNMAP_ALL]) {
    answers.push(await process.ioctlArg(container, CHECK_EXTENSION, extension));
  }
  return answers.join();
}

/** Opens the device by its group, in an iommufd. */
export async function openNoIommuDevice(io: Iommufd): Promise<VfioFile> {
  const { process } = io;
  const { group } = await openNoIommuGroup(process);
  await setContainer({ io, process }, group, io.fd);
  const fd = assertOk(await getDevice({ io, process }, group), NAME);
  return new VfioFile(process, fd);
}

/** Binds the device, and maps a page for it: where that is in memory. */
async function mapped(
  { io, process }: NoIommuSelf,
): Promise<{ device: VfioFile; physical: number }> {
  const fd = assertOk(await process.open(PATH, O_RDWR), PATH);
  const device = new VfioFile(process, fd);
  await device.bind(io.fd);
  const ioasId = await io.ioasAlloc();
  await device.attach(ioasId);
  const iova = 0x100000n;
  await io.mapFixed(ioasId, io.buffer, io.page, iova);
  const { outPhys } = await noiommuGetPa(io, ioasId, iova, io.page);
  return { device, physical: Number(outPhys) };
}

/** Adds the fixture's tests to `registry`. */
export function registerKitVfioNoiommu(registry: Test[]): void {
  const f: Fixture<undefined, NoIommuSelf> = fixture(
    registry,
    "kit_vfio_noiommu",
    {
      since: "7.3",
      upstream: false,
      needs: () => ["noiommu_device"],
      setup: async (context) => {
        const { process } = context;
        return { io: await Iommufd.open(context), process };
      },
      teardown: ({ io }) => io.teardown(),
    },
  );

  f.test("permission", {
    description: "Only who may do raw I/O opens the device or its group",
    rules: ["X6.4"],
  }, async ({ process }) => {
    const { group, path } = await openNoIommuGroup(process);
    assertErrno(await process.open(path, O_RDWR), EBUSY, "open again");
    const device = assertOk(await process.open(PATH, O_RDWR), PATH);
    await process.dropCapability(CAP_SYS_RAWIO);
    assertErrno(await process.open(path, O_RDWR), EPERM, "open the group");
    assertErrno(await process.open(PATH, O_RDWR), EPERM, "open the device");
    assertEq(await process.close(device), 0, "close the device");
    assertEq(await process.close(group), 0, "close the group");
  });

  f.test("own_file", {
    description: "An IOAS tells where its memory is",
    rules: ["X6.4"],
  }, async (self) => {
    const { device, physical } = await mapped(self);
    assertEq(physical !== 0 && physical % 4096 === 0, true, "a page");
    await device.close();
  });

  f.test("own_dma", {
    description: "Its DMA has addresses of memory",
    rules: ["X6.4"],
    needs: () => ["noiommu_engine"],
  }, async (self) => {
    const { io, process } = self;
    const { device, physical } = await mapped(self);
    await process.poke(io.buffer, PATTERN);
    await device.setConfig(4, 2, 6);
    const copyTo = async (address: number) => {
      await device.store(0, ENGINE.SOURCE, 4, physical);
      await device.store(0, ENGINE.TARGET, 4, address);
      await device.store(0, ENGINE.LENGTH, 4, 8);
      await device.store(0, ENGINE.COMMAND, 4, 1);
      return await device.load(0, ENGINE.STATUS, 4);
    };
    assertEq(await copyTo(physical + 64), 1, "done");
    const copied = await process.peek(io.buffer + 64, 8);
    assertBytes(copied, PATTERN, "what was copied");
    await device.close();
  });

  f.test("group_iommufd", {
    description: "Its group makes an iommufd a container without an IOMMU",
    rules: ["X6.5"],
  }, async (self) => {
    const { io, process } = self;
    assertEq(await extensions(self, io.fd), "1,1,1,1", "extensions before");
    const { group } = await openNoIommuGroup(process);
    await setContainer(self, group, io.fd);
    assertEq(await extensions(self, io.fd), "0,0,1,0", "extensions");
    const status = Uint8Array.of(8, 0, 0, 0, 0, 0, 0, 0);
    assertEq(await process.ioctl(group, GET_STATUS, status), 0, "GET_STATUS");
    assertEq(status[4]!, 3, "viable, and in a container");
    const setIommu = (type: number) => process.ioctlArg(io.fd, SET_IOMMU, type);
    assertErrno(await setIommu(TYPE1), EINVAL, "type1");
    assertEq(await setIommu(NOIOMMU), 0, "no-IOMMU");
    const fd = assertOk(await getDevice(self, group), "GET_DEVICE_FD");
    const device = new VfioFile(process, fd);
    assertEq(await device.config(2, 2) !== 0xffff, true, "it has an id");
    await process.dropCapability(CAP_SYS_RAWIO);
    const again = assertOk(await getDevice(self, group), "open once more");
    assertEq(await process.close(again), 0, "close");
    await device.close();
    assertErrno(await getDevice(self, group), EPERM, "open first");
    assertErrno(await setIommu(NOIOMMU), EPERM, "no-IOMMU");
    assertEq(await process.close(group), 0, "close the group");
  });

  f.test("group_mixed", {
    description: "An iommufd that is a container with an IOMMU stays one",
    rules: ["X6.5"],
  }, async (self) => {
    const { io, process } = self;
    const ioasId = await io.ioasAlloc();
    const bytes = new Uint8Array(12);
    new DataView(bytes.buffer).setUint32(0, 12, true);
    new DataView(bytes.buffer).setUint32(4, ioasId, true);
    new DataView(bytes.buffer).setUint16(8, 1, true);
    assertEq(await process.ioctl(io.fd, 0x3b88, bytes), 0, "VFIO_IOAS SET");
    const { group } = await openNoIommuGroup(process);
    await setContainer(self, group, io.fd, EINVAL);
    assertEq(await process.close(group), 0, "close the group");
  });

  f.test("group_type1", {
    description: "A container of VFIO's own has a type for it, and no ioctls",
    rules: ["X6.5"],
    needs: () => ["type1_container"],
  }, async (self) => {
    const { process } = self;
    const opened = await process.open("/dev/vfio/vfio", O_RDWR);
    const container = assertOk(opened, "/dev/vfio/vfio");
    assertEq(await extensions(self, container), "1,1,1,1", "extensions before");
    const { group } = await openNoIommuGroup(process);
    await setContainer(self, group, container);
    assertEq(await extensions(self, container), "0,0,1,0", "extensions");
    const setIommu = (type: number) =>
      process.ioctlArg(container, SET_IOMMU, type);
    assertErrno(await getDevice(self, group), EINVAL, "without a type");
    assertErrno(await setIommu(TYPE1V2), ENODEV, "type1");
    assertEq(await setIommu(NOIOMMU), 0, "no-IOMMU");
    assertErrno(await setIommu(NOIOMMU), EINVAL, "again");
    const map = Uint8Array.of(32, ...new Uint8Array(31));
    for (const cmd of [GET_INFO, MAP_DMA, UNMAP_DMA, DIRTY_PAGES]) {
      const ret = await process.ioctl(container, cmd, map);
      assertErrno(ret, ENOTTY, `ioctl 0x${cmd.toString(16)}`);
    }
    const fd = assertOk(await getDevice(self, group), "GET_DEVICE_FD");
    for (const one of [fd, group, container]) {
      assertEq(await process.close(one), 0, "close");
    }
  });
}
