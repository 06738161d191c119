// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `kit_vfio_groups`: two devices that the IOMMU cannot tell from each
 * other have one user, one page table, and are reset together.
 *
 * @module
 */

import {
  EBADF,
  EBUSY,
  EINVAL,
  ENODEV,
  ENOENT,
  ENOSPC,
  EPERM,
  type Errno,
} from "../../impl/uapi/errno.ts";
import { O_RDWR } from "../../impl/uapi/mman.ts";
import {
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
import { VfioFile } from "../kit_vfio/vfio_ioctls.ts";
import { ENGINE } from "./copy_engine.ts";

const NAMES = ["0000:01:00.0", "0000:01:00.1"] as const;
const SET_IOMMU = 0x3b66;
const GET_STATUS = 0x3b67;
const SET_CONTAINER = 0x3b68;
const UNSET_CONTAINER = 0x3b69;
const GET_DEVICE_FD = 0x3b6a;
const HOT_RESET_INFO = 0x3b70;
const HOT_RESET = 0x3b71;
const TYPE1V2 = 3;
/** Groups that are tried. */
const MAX_GROUPS = 64;

/** What the tests share. */
interface GroupsSelf {
  readonly io: Iommufd;
  readonly process: TargetProcess;
}

/** Opens one of the devices by its own file. */
async function open(
  { process }: GroupsSelf,
  index: number,
): Promise<VfioFile> {
  const path = `/dev/vfio/devices/vfio${index}`;
  return new VfioFile(
    process,
    assertOk(await process.open(path, O_RDWR), path),
  );
}

/** Opens the group. */
async function openGroup(
  { process }: GroupsSelf,
): Promise<{ group: number; path: string }> {
  for (let i = 0; i < MAX_GROUPS; i++) {
    const path = `/dev/vfio/${i}`;
    const group = await process.open(path, O_RDWR);
    if (group !== -ENOENT.code) return { group, path };
  }
  throw new AssertionFailure("a group", `below ${MAX_GROUPS}`, "none");
}

/** An ioctl with the address of bytes; the result. */
async function withBytes(
  { io, process }: GroupsSelf,
  fd: number,
  cmd: number,
  bytes: Uint8Array,
): Promise<number> {
  await process.poke(io.scratch, bytes);
  return await process.ioctlArg(fd, cmd, io.scratch);
}

/** The flags of GET_STATUS. */
async function status(
  { process }: GroupsSelf,
  group: number,
): Promise<number> {
  const bytes = Uint8Array.of(8, 0, 0, 0, 0, 0, 0, 0);
  assertEq(await process.ioctl(group, GET_STATUS, bytes), 0, "GET_STATUS");
  return bytes[4]!;
}

/** GET_PCI_HOT_RESET_INFO: flags, and what each device is called. */
async function resetInfo(
  { process }: GroupsSelf,
  { fd }: VfioFile,
): Promise<{ flags: number; ids: string }> {
  const words = new Uint32Array(7);
  words[0] = 28;
  const bytes = new Uint8Array(words.buffer);
  assertEq(await process.ioctl(fd, HOT_RESET_INFO, bytes), 0, "info");
  assertEq(words[2]!, 2, "devices on the bus");
  return { flags: words[1]!, ids: `${words[3]},${words[5]}` };
}

/** PCI_HOT_RESET with groups. */
async function hotReset(
  { process }: GroupsSelf,
  { fd }: VfioFile,
  groups: readonly number[],
  errno?: Errno,
): Promise<void> {
  const words = Int32Array.of(
    12 + 4 * groups.length,
    0,
    groups.length,
    ...groups,
  );
  const ret = await process.ioctl(
    fd,
    HOT_RESET,
    new Uint8Array(words.buffer),
  );
  assertResult(ret, errno, "PCI_HOT_RESET");
}

/** Adds the fixture's tests to `registry`. */
export function registerKitVfioGroups(registry: Test[]): void {
  const f: Fixture<undefined, GroupsSelf> = fixture(
    registry,
    "kit_vfio_groups",
    {
      since: "6.12",
      upstream: false,
      needs: () => ["vfio_group_of_two"],
      setup: async (context) => {
        const { process } = context;
        return { io: await Iommufd.open(context), process };
      },
      teardown: ({ io }) => io.teardown(),
    },
  );

  f.test("one_owner", {
    description:
      "Both are bound to one iommufd, and keep the group's file shut",
    rules: ["X6.3"],
  }, async (self) => {
    const { io, process } = self;
    const other = await io.reopen();
    const [first, second] = [await open(self, 0), await open(self, 1)];
    await first.bind(io.fd);
    await second.bind(other.fd, EPERM);
    const { group, path } = await openGroup(self);
    assertErrno(group, EBUSY, "open the group");
    await second.bind(io.fd);
    await first.close();
    assertErrno(await process.open(path, O_RDWR), EBUSY, "one is bound");
    await second.close();
    const opened = assertOk(await process.open(path, O_RDWR), "none is bound");
    const third = await open(self, 1);
    await third.bind(io.fd, EBUSY);
    assertEq(await process.close(opened), 0, "close the group");
    await third.bind(other.fd);
    await third.close();
    assertEq(await process.close(other.fd), 0, "close the other iommufd");
  });

  f.test("one_table", {
    description: "Both are attached to the same",
    rules: ["X6.3"],
  }, async (self) => {
    const { io } = self;
    const [first, second] = [await open(self, 0), await open(self, 1)];
    for (const device of [first, second]) await device.bind(io.fd);
    const [one, another] = [await io.ioasAlloc(), await io.ioasAlloc()];
    const hwpt = await first.attach(one);
    await second.attach(another, EINVAL);
    assertEq(await second.attach(one), hwpt, "the HWPT");
    assertEq(await second.attach(another) !== hwpt, true, "it is replaced");
    await first.detach();
    await second.detach();
    await second.attach(one);
    for (const device of [first, second]) await device.close();
  });

  f.test("group_file", {
    description: "The group's file opens both",
    rules: ["X6.3"],
  }, async (self) => {
    const { io, process } = self;
    const { group } = await openGroup(self);
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setInt32(0, io.fd, true);
    assertEq(await status(self, group), 1, "viable");
    const set = await withBytes(self, group, SET_CONTAINER, bytes);
    assertEq(set, 0, "SET_CONTAINER");
    assertEq(await status(self, group), 3, "viable, in a container");
    const devices: VfioFile[] = [];
    for (const name of NAMES) {
      const text = new TextEncoder().encode(`${name}\0`);
      const fd = await withBytes(self, group, GET_DEVICE_FD, text);
      devices.push(new VfioFile(process, assertOk(fd, name)));
    }
    const text = new TextEncoder().encode("0000:01:00.2\0");
    const none = await withBytes(self, group, GET_DEVICE_FD, text);
    assertErrno(none, ENODEV, "a third");
    for (const device of devices) await device.close();
    assertEq(await process.close(group), 0, "close the group");
  });

  f.test("type1", {
    description: "A container of VFIO's own has both while one is open",
    rules: ["X6.3"],
    needs: () => ["type1_container"],
  }, async (self) => {
    const { process } = self;
    const opened = await process.open("/dev/vfio/vfio", O_RDWR);
    const container = assertOk(opened, "/dev/vfio/vfio");
    const { group } = await openGroup(self);
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setInt32(0, container, true);
    const set = await withBytes(self, group, SET_CONTAINER, bytes);
    assertEq(set, 0, "SET_CONTAINER");
    const ret = await process.ioctlArg(container, SET_IOMMU, TYPE1V2);
    assertEq(ret, 0, "SET_IOMMU");
    const fds: number[] = [];
    for (const name of NAMES) {
      const text = new TextEncoder().encode(`${name}\0`);
      const fd = await withBytes(self, group, GET_DEVICE_FD, text);
      fds.push(assertOk(fd, name));
    }
    const unset = () => process.ioctlArg(group, UNSET_CONTAINER, 0);
    assertErrno(await unset(), EBUSY, "two are open");
    assertEq(await process.close(fds[0]!), 0, "close");
    assertErrno(await unset(), EBUSY, "one is open");
    assertEq(await process.close(fds[1]!), 0, "close");
    assertEq(await unset(), 0, "none is open");
    for (const fd of [group, container]) {
      assertEq(await process.close(fd), 0, "close");
    }
  });

  f.test("reset", {
    description: "A reset of the bus resets both, if both are the caller's",
    rules: ["X3.9"],
  }, async (self) => {
    const { io } = self;
    const [first, second] = [await open(self, 0), await open(self, 1)];
    const id = await first.bind(io.fd);
    const alone = await resetInfo(self, first);
    const room = Uint32Array.of(20, 0, 0, 0, 0);
    const bytes = new Uint8Array(room.buffer);
    const ret = await self.process.ioctl(first.fd, HOT_RESET_INFO, bytes);
    assertErrno(ret, ENOSPC, "no room for both");
    assertEq(room[2]!, 2, "how many there are");
    assertEq(room[3]!, 0, "none is told");
    assertEq(alone.ids, `${id},0`, "the other is owned without an id");
    assertEq(alone.flags, 3, "ids, and all owned");
    const other = await second.bind(io.fd);
    assertEq((await resetInfo(self, first)).ids, `${id},${other}`, "ids");
    await second.store(0, ENGINE.LENGTH, 4, 7);
    await hotReset(self, first, [1], EINVAL);
    await hotReset(self, first, []);
    assertEq(await second.load(0, ENGINE.LENGTH, 4), 0, "the other is reset");
    for (const device of [first, second]) await device.close();
  });

  f.test("reset_group", {
    description: "A group's device is reset with the group that is named",
    rules: ["X3.9"],
  }, async (self) => {
    const { io, process } = self;
    const { group, path } = await openGroup(self);
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setInt32(0, io.fd, true);
    const set = await withBytes(self, group, SET_CONTAINER, bytes);
    assertEq(set, 0, "SET_CONTAINER");
    const text = new TextEncoder().encode(`${NAMES[0]}\0`);
    const fd = await withBytes(self, group, GET_DEVICE_FD, text);
    const device = new VfioFile(process, assertOk(fd, "GET_DEVICE_FD"));
    const number = path.slice("/dev/vfio/".length);
    const { flags, ids } = await resetInfo(self, device);
    assertEq(ids, `${number},${number}`, "numbers of groups");
    assertEq(flags, 0, "no ids");
    await device.store(0, ENGINE.LENGTH, 4, 7);
    await hotReset(self, device, [], EINVAL);
    await hotReset(self, device, [io.fd], EINVAL);
    await hotReset(self, device, [9999], EBADF);
    await hotReset(self, device, [group, 9999], EBADF);
    await hotReset(self, device, [group, group, group], EINVAL);
    await hotReset(self, device, [group]);
    assertEq(await device.load(0, ENGINE.LENGTH, 4), 0, "it is reset");
    await device.close();
    assertEq(await process.close(group), 0, "close the group");
  });
}
