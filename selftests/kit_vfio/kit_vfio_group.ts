// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `kit_vfio_group`: the file of a group, a container, and the devices
 * that are opened so. The container is `/dev/iommu`.
 *
 * @module
 */

import {
  EBADF,
  EBADFD,
  EBUSY,
  EFAULT,
  EINVAL,
  ENODEV,
  ENOTTY,
  type Errno,
} from "../../impl/uapi/errno.ts";
import { MAP_SHARED, PROT_READ } from "../../impl/uapi/mman.ts";
import {
  assertEq,
  assertErrno,
  AssertionFailure,
  assertOk,
  type Fixture,
  fixture,
  type Table,
  type TargetProcess,
  type Test,
} from "../harness/harness.ts";
import { Iommufd } from "../ioctls/ioctls.ts";
import { cStruct } from "../ioctls/c_struct.ts";
import type { Struct } from "../../impl/uapi/layout/struct.ts";
import { Info, VFIO, VfioFile } from "./vfio_ioctls.ts";

/** Numbers of a group's ioctls. */
const GROUP = {
  GET_STATUS: 0x3b67,
  SET_CONTAINER: 0x3b68,
  UNSET_CONTAINER: 0x3b69,
  GET_DEVICE_FD: 0x3b6a,
} as const;

/** Type1, version 2, for SET_IOMMU. */
const SET_IOMMU = 0x3b66;
const TYPE1_V2 = 3;

/** Groups that are tried. */
const MAX_GROUPS = 64;
/** The names that the device may have. */
const NAMES = ["0000:00:04.0", "0000:00:05.0", "0000:01:00.0"];

/** Linux: `struct vfio_group_status`. */
interface Status {
  argsz: number;
  flags: number;
}
const Status: Struct<Status> = cStruct("vfio_group_status", {
  argsz: "u32",
  flags: "u32",
});

/** What the tests share. */
interface GroupSelf {
  readonly io: Iommufd;
  readonly process: TargetProcess;
  /** The open group. */
  readonly group: number;
  /** Its path. */
  readonly path: string;
  /** The name of its device. */
  readonly name: string;
}

/** Opens the group of the device, which is the only one there is. */
async function openGroup(
  process: TargetProcess,
): Promise<{ group: number; path: string }> {
  // A machine may show its card when it is opened first.
  await (await VfioFile.open(process)).close();
  for (let i = 0; i < MAX_GROUPS; i++) {
    const path = `/dev/vfio/${i}`;
    const group = await process.open(path);
    if (group >= 0) return { group, path };
  }
  throw new AssertionFailure("a group", `below ${MAX_GROUPS}`, "none");
}

/** An ioctl of a group whose argument is the address of a text. */
async function withText(
  { io, process, group }: Omit<GroupSelf, "name" | "path">,
  text: string,
): Promise<number> {
  const bytes = new TextEncoder().encode(`${text}\0`);
  await process.poke(io.scratch, bytes);
  return await process.ioctlArg(group, GROUP.GET_DEVICE_FD, io.scratch);
}

/** SET_CONTAINER with a descriptor. */
async function setContainer(
  { io, process, group }: Pick<GroupSelf, "io" | "process" | "group">,
  fd: number,
): Promise<number> {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setInt32(0, fd, true);
  await process.poke(io.scratch, bytes);
  return await process.ioctlArg(group, GROUP.SET_CONTAINER, io.scratch);
}

/** The flags of GET_STATUS. */
async function status({ process, group }: GroupSelf): Promise<number> {
  const bytes = Status.encode({ argsz: 8 });
  const ret = await process.ioctl(group, GROUP.GET_STATUS, bytes);
  assertEq(ret, 0, "GET_STATUS");
  return Status.decode(bytes).flags;
}

/** Opens the device, once more if it is open. */
async function openDevice(self: GroupSelf): Promise<VfioFile> {
  const fd = assertOk(await withText(self, self.name), "GET_DEVICE_FD");
  return new VfioFile(self.process, fd);
}

/** Adds the fixture's tests to `registry`. */
export function registerKitVfioGroup(registry: Test[]): void {
  const f: Fixture<undefined, GroupSelf> = fixture(registry, "kit_vfio_group", {
    since: "6.12",
    upstream: false,
    needs: () => ["vfio_device"],
    setup: async (context) => {
      const io = await Iommufd.open(context);
      const { process } = context;
      const { group, path } = await openGroup(process);
      const self = { io, process, group, path };
      assertEq(await setContainer(self, io.fd), 0, "SET_CONTAINER");
      for (const name of NAMES) {
        const fd = await withText(self, name);
        if (fd < 0) continue;
        assertEq(await process.close(fd), 0, "close the device");
        const unset = await process.ioctlArg(group, GROUP.UNSET_CONTAINER, 0);
        assertEq(unset, 0, "UNSET_CONTAINER");
        return { ...self, name };
      }
      throw new AssertionFailure("a device", NAMES.join(), "none");
    },
    teardown: async ({ io, process, group }) => {
      assertEq(await process.close(group), 0, "close the group");
      await io.teardown();
    },
  });

  f.test("one_user", {
    description: "A group is opened once, and not while a device is bound",
    reference: "group.c vfio_group_fops_open",
  }, async ({ io, process, group, path }) => {
    assertErrno(await process.open(path), EBUSY, "open again");
    const device = await VfioFile.open(process);
    await device.bind(io.fd, EBUSY);
    await device.bind(9999, EBUSY);
    assertEq(await process.close(group), 0, "close the group");
    await device.bind(io.fd);
    assertErrno(await process.open(path), EBUSY, "open while bound");
    await device.close();
    assertEq(await process.open(path), group, "open after the close");
  });

  f.table("without_container", {
    description: "What a group without a container refuses",
    reference: "group.c vfio_group_fops_unl_ioctl",
  }, withoutContainer);

  f.test("status", {
    description: "A group is viable, and says whether it has a container",
    reference: "group.c vfio_group_ioctl_get_status",
  }, async (self) => {
    assertEq(await status(self), 1, "viable");
    assertEq(await setContainer(self, self.io.fd), 0, "SET_CONTAINER");
    assertErrno(await setContainer(self, self.io.fd), EINVAL, "again");
    assertEq(await status(self), 3, "in a container");
    const { process, group } = self;
    const unset = await process.ioctlArg(group, GROUP.UNSET_CONTAINER, 0);
    assertEq(unset, 0, "UNSET_CONTAINER");
    assertEq(await status(self), 1, "in none");
  });

  f.table("names", {
    description: "A device is named as PCI names it",
    reference: "vfio_pci_core.c vfio_pci_core_match",
    prepare: async (self) => {
      assertEq(await setContainer(self, self.io.fd), 0, "SET_CONTAINER");
      return self;
    },
  }, (t) => {
    const uuid = "00112233-4455-6677-8899-aabbccddeeff";
    const rows: [string, Errno, (name: string) => string][] = [
      ["another", ENODEV, () => "0000:00:1f.7"],
      ["nothing", ENODEV, () => ""],
      ["more behind it", ENODEV, (name) => `${name}x`],
      ["an option", EINVAL, (name) => `${name} foo=1`],
      ["a token that is none", EINVAL, (name) => `${name} vf_token=12`],
      [
        "two tokens",
        EINVAL,
        (name) => `${name} vf_token=${uuid} vf_token=${uuid}`,
      ],
    ];
    for (const [what, errno, text] of rows) {
      t.case(what, async (self) => {
        assertErrno(await withText(self, text(self.name)), errno, what);
      });
    }
    t.case("a blank behind it", async (self) => {
      const fd = assertOk(await withText(self, `${self.name} `), "a blank");
      assertEq(await self.process.close(fd), 0, "close");
    });
    t.case("too long", async (self) => {
      const text = self.name + " ".repeat(5000);
      assertErrno(await withText(self, text), EINVAL, "too long");
    });
    t.case("no memory", async ({ process, group }) => {
      const ret = await process.ioctlArg(group, GROUP.GET_DEVICE_FD, 0);
      assertErrno(ret, EFAULT, "a name at 0");
    });
  });

  f.test("device", {
    description: "A device of a group is bound and attached by itself",
    reference: "group.c vfio_df_group_open",
  }, async (self) => {
    const { io, process } = self;
    assertEq(await setContainer(self, io.fd), 0, "SET_CONTAINER");
    const device = await openDevice(self);
    const again = await openDevice(self);
    await device.bind(io.fd, EINVAL);
    await device.attach(1, ENOTTY);
    await device.detach(ENOTTY);
    await device.call(Info, VFIO.GET_INFO, {});
    await device.setConfig(4, 2, 7);
    assertEq(await again.config(4, 2), 7, "one state");
    await device.close();
    assertEq(await again.config(4, 2), 7, "open still");
    await again.close();
    const last = await openDevice(self);
    assertEq(await last.config(4, 2) & 4, 0, "as new");
    await last.close();
    assertErrno(await process.open(self.path), EBUSY, "the group is open");
  });

  f.test("container_goes_first", {
    description: "With an iommufd a device works on without its group",
    reference: "group.c vfio_group_ioctl_unset_container",
  }, async (self) => {
    const { io, process, group, path } = self;
    assertEq(await setContainer(self, io.fd), 0, "SET_CONTAINER");
    const device = await openDevice(self);
    const unset = await process.ioctlArg(group, GROUP.UNSET_CONTAINER, 0);
    assertEq(unset, 0, "UNSET_CONTAINER");
    assertEq(await status(self), 0, "not viable: somebody has its DMA");
    await device.call(Info, VFIO.GET_INFO, {});
    assertEq(await process.close(group), 0, "close the group");
    assertEq(await process.open(path), group, "open the group again");
    await device.call(Info, VFIO.GET_INFO, {});
    await device.close();
    assertEq(await status(self), 1, "viable");
  });

  f.test("set_iommu", {
    description: "An iommufd can be given a type again and again",
    reference: "vfio_compat.c iommufd_vfio_set_iommu",
  }, async (self) => {
    const io = await self.io.reopen();
    await io.ioctlArg(SET_IOMMU, TYPE1_V2, ENODEV, "SET_IOMMU");
    assertEq(await setContainer(self, io.fd), 0, "SET_CONTAINER");
    await io.ioctlArg(SET_IOMMU, TYPE1_V2, undefined, "SET_IOMMU");
    await io.ioctlArg(SET_IOMMU, TYPE1_V2, undefined, "SET_IOMMU");
    assertEq(await io.process.close(io.fd), 0, "close");
  });
}

function withoutContainer(t: Table<GroupSelf>): void {
  t.case("a device", async (self) => {
    assertErrno(await withText(self, self.name), EINVAL, "GET_DEVICE_FD");
  });
  t.case("another device", async (self) => {
    assertErrno(await withText(self, "0000:ff:00.0"), ENODEV, "GET_DEVICE_FD");
  });
  t.case("to leave one", async ({ process, group }) => {
    const ret = await process.ioctlArg(group, GROUP.UNSET_CONTAINER, 0);
    assertErrno(ret, EINVAL, "UNSET_CONTAINER");
  });
  const descriptors: [string, number, Errno][] = [
    ["a negative descriptor", -1, EBADF],
    ["a descriptor that is not open", 9999, EBADF],
  ];
  for (const [what, fd, errno] of descriptors) {
    t.case(what, async (self) => {
      assertErrno(await setContainer(self, fd), errno, "SET_CONTAINER");
    });
  }
  t.case("another file", async (self) => {
    assertErrno(await setContainer(self, self.group), EBADFD, "SET_CONTAINER");
  });
  t.case("no memory", async ({ process, group }) => {
    const ret = await process.ioctlArg(group, GROUP.SET_CONTAINER, 0);
    assertErrno(ret, EFAULT, "SET_CONTAINER of nothing");
  });
  t.case("a short struct", async ({ process, group }) => {
    const bytes = Status.encode({ argsz: 7 });
    const ret = await process.ioctl(group, GROUP.GET_STATUS, bytes);
    assertErrno(ret, EINVAL, "GET_STATUS");
  });
  t.case("an unknown ioctl", async ({ process, group }) => {
    assertErrno(await process.ioctlArg(group, 0x3bff, 0), ENOTTY, "ioctl");
  });
  t.case("read and mmap", async ({ process, group }) => {
    const bytes = new Uint8Array(4);
    assertErrno(await process.read(group, bytes), EINVAL, "read");
    const ret = await process.mmap(0, 4096, PROT_READ, MAP_SHARED, group);
    assertErrno(ret, ENODEV, "mmap");
  });
}
