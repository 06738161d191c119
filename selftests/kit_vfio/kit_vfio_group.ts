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
  EMFILE,
  ENODEV,
  ENOTTY,
  type Errno,
} from "../../impl/uapi/errno.ts";
import { MAP_SHARED, PROT_READ, RLIMIT_NOFILE } from "../../impl/uapi/mman.ts";
import {
  assertEq,
  assertErrno,
  assertOk,
  type Fixture,
  fixture,
  type Table,
  type TargetProcess,
  type Test,
} from "../harness/harness.ts";
import { Iommufd } from "../ioctls/ioctls.ts";
import { GROUP, GroupFile, Status } from "./group_ioctls.ts";
import { Info, VFIO, VfioFile } from "./vfio_ioctls.ts";

/** Type1, version 2, for SET_IOMMU. */
const SET_IOMMU = 0x3b66;
const TYPE1_V2 = 3;

/** What the tests share. */
interface GroupSelf {
  readonly io: Iommufd;
  readonly process: TargetProcess;
  /** The open group. */
  readonly group: GroupFile;
  /** The name of its device. */
  readonly name: string;
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
      const group = await GroupFile.open(process);
      assertEq(await group.setContainer(io.fd), 0, "SET_CONTAINER");
      const name = await group.name();
      assertEq(await group.unsetContainer(), 0, "UNSET_CONTAINER");
      return { io, process, group, name };
    },
    teardown: async ({ io, group }) => {
      await group.close();
      await io.teardown();
    },
  });

  f.test("one_user", {
    description: "A group is opened once, and not while a device is bound",
    rules: ["X6.1"],
  }, async ({ io, process, group }) => {
    assertErrno(await process.open(group.path), EBUSY, "open again");
    const device = await VfioFile.open(process);
    await device.bind(io.fd, EBUSY);
    await device.bind(9999, EBUSY);
    assertEq(await process.close(group.fd), 0, "close the group");
    await device.bind(io.fd);
    assertErrno(await process.open(group.path), EBUSY, "open while bound");
    await device.close();
    assertEq(await process.open(group.path), group.fd, "open after the close");
  });

  f.table("without_container", {
    description: "What a group without a container refuses",
    rules: ["X6.1"],
  }, withoutContainer);

  f.test("status", {
    description: "A group is viable, and says whether it has a container",
    rules: ["X6.1"],
  }, async (self) => {
    assertEq(await self.group.status(), 1, "viable");
    assertEq(await self.group.setContainer(self.io.fd), 0, "SET_CONTAINER");
    assertErrno(await self.group.setContainer(self.io.fd), EINVAL, "again");
    assertEq(await self.group.status(), 3, "in a container");
    const { group } = self;
    const unset = await group.unsetContainer();
    assertEq(unset, 0, "UNSET_CONTAINER");
    assertEq(await self.group.status(), 1, "in none");
  });

  f.table("names", {
    description: "A device is named as PCI names it",
    rules: ["X6.2"],
    prepare: async (self) => {
      assertEq(await self.group.setContainer(self.io.fd), 0, "SET_CONTAINER");
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
        assertErrno(await self.group.deviceFd(text(self.name)), errno, what);
      });
    }
    t.case("a blank behind it", async (self) => {
      const fd = assertOk(
        await self.group.deviceFd(`${self.name} `),
        "a blank",
      );
      assertEq(await self.process.close(fd), 0, "close");
    });
    t.case("too long", async (self) => {
      const text = self.name + " ".repeat(5000);
      assertErrno(await self.group.deviceFd(text), EINVAL, "too long");
    });
    t.case("no memory", async ({ process, group }) => {
      const ret = await process.ioctlArg(group.fd, GROUP.GET_DEVICE_FD, 0);
      assertErrno(ret, EFAULT, "a name at 0");
    });
  });

  f.test("device", {
    description: "A device of a group is bound and attached by itself",
    rules: ["X6.2"],
  }, async (self) => {
    const { io, process } = self;
    assertEq(await self.group.setContainer(io.fd), 0, "SET_CONTAINER");
    const device = await self.group.device();
    const again = await self.group.device();
    await device.bind(io.fd, EINVAL);
    await device.attach(1, ENOTTY);
    await device.detach(ENOTTY);
    await device.call(Info, VFIO.GET_INFO, {});
    await device.setConfig(4, 2, 7);
    assertEq(await again.config(4, 2), 7, "one state");
    await device.close();
    assertEq(await again.config(4, 2), 7, "open still");
    await again.close();
    const last = await self.group.device();
    assertEq(await last.config(4, 2) & 4, 0, "as new");
    await last.close();
    assertErrno(
      await process.open(self.group.path),
      EBUSY,
      "the group is open",
    );
  });

  f.test("no_descriptor", {
    description: "A device for which there is no descriptor is not opened",
    rules: ["X6.2"],
    needs: () => ["setrlimit"],
  }, async ({ io, process, group, name }) => {
    assertEq(await group.setContainer(io.fd), 0, "SET_CONTAINER");
    const first = assertOk(await group.deviceFd(name), "GET_DEVICE_FD");
    const limit = BigInt(first + 1);
    assertEq(await process.setrlimit(RLIMIT_NOFILE, limit), 0, "setrlimit");
    assertErrno(await group.deviceFd(name), EMFILE, "one more");
    assertEq(await process.close(first), 0, "close");
    assertEq(await process.setrlimit(RLIMIT_NOFILE, limit - 1n), 0, "less");
    assertErrno(await group.deviceFd(name), EMFILE, "none");
    assertErrno(await group.deviceFd("0000:ff:00.0"), ENODEV, "another");
    assertEq(await process.setrlimit(RLIMIT_NOFILE, 256n), 0, "setrlimit");
    assertEq(await group.unsetContainer(), 0, "UNSET_CONTAINER");
    assertEq(await group.status(), 1, "viable: nobody has it open");
  });

  f.test("container_goes_first", {
    description: "With an iommufd a device works on without its group",
    rules: ["X6.2"],
  }, async (self) => {
    const { io, process, group } = self;
    assertEq(await self.group.setContainer(io.fd), 0, "SET_CONTAINER");
    const device = await self.group.device();
    const unset = await group.unsetContainer();
    assertEq(unset, 0, "UNSET_CONTAINER");
    assertEq(await self.group.status(), 0, "not viable: somebody has its DMA");
    await device.call(Info, VFIO.GET_INFO, {});
    assertEq(await process.close(group.fd), 0, "close the group");
    assertEq(await process.open(group.path), group.fd, "open the group again");
    await device.call(Info, VFIO.GET_INFO, {});
    await device.close();
    assertEq(await self.group.status(), 1, "viable");
  });

  f.test("set_iommu", {
    description: "An iommufd can be given a type again and again",
    rules: ["X6.2"],
  }, async (self) => {
    const io = await self.io.reopen();
    await io.ioctlArg(SET_IOMMU, TYPE1_V2, ENODEV, "SET_IOMMU");
    assertEq(await self.group.setContainer(io.fd), 0, "SET_CONTAINER");
    await io.ioctlArg(SET_IOMMU, TYPE1_V2, undefined, "SET_IOMMU");
    await io.ioctlArg(SET_IOMMU, TYPE1_V2, undefined, "SET_IOMMU");
    assertEq(await io.process.close(io.fd), 0, "close");
  });
}

function withoutContainer(t: Table<GroupSelf>): void {
  t.case("a device", async (self) => {
    assertErrno(await self.group.deviceFd(self.name), EINVAL, "GET_DEVICE_FD");
  });
  t.case("another device", async (self) => {
    assertErrno(
      await self.group.deviceFd("0000:ff:00.0"),
      ENODEV,
      "GET_DEVICE_FD",
    );
  });
  t.case("to leave one", async ({ group }) => {
    const ret = await group.unsetContainer();
    assertErrno(ret, EINVAL, "UNSET_CONTAINER");
  });
  const descriptors: [string, number, Errno][] = [
    ["a negative descriptor", -1, EBADF],
    ["a descriptor that is not open", 9999, EBADF],
  ];
  for (const [what, fd, errno] of descriptors) {
    t.case(what, async (self) => {
      assertErrno(await self.group.setContainer(fd), errno, "SET_CONTAINER");
    });
  }
  t.case("another file", async (self) => {
    assertErrno(
      await self.group.setContainer(self.group.fd),
      EBADFD,
      "SET_CONTAINER",
    );
  });
  t.case("no memory", async ({ process, group }) => {
    const ret = await process.ioctlArg(group.fd, GROUP.SET_CONTAINER, 0);
    assertErrno(ret, EFAULT, "SET_CONTAINER of nothing");
  });
  t.case("a short struct", async ({ process, group }) => {
    const bytes = Status.encode({ argsz: 7 });
    const ret = await process.ioctl(group.fd, GROUP.GET_STATUS, bytes);
    assertErrno(ret, EINVAL, "GET_STATUS");
  });
  t.case("a struct that cannot be read, or written", async (self) => {
    const at = self.io.at(self.group.fd);
    const cmd = GROUP.GET_STATUS;
    await at.ioctlArg(cmd, 0, EFAULT, "GET_STATUS");
    const bytes = Status.encode({ argsz: Status.size });
    await at.ioctlReadOnly(cmd, bytes, EFAULT, "GET_STATUS");
  });
  t.case("an unknown ioctl", async ({ process, group }) => {
    assertErrno(await process.ioctlArg(group.fd, 0x3bff, 0), ENOTTY, "ioctl");
  });
  t.case("read and mmap", async ({ process, group }) => {
    const bytes = new Uint8Array(4);
    assertErrno(await process.read(group.fd, bytes), EINVAL, "read");
    const ret = await process.mmap(0, 4096, PROT_READ, MAP_SHARED, group.fd);
    assertErrno(ret, ENODEV, "mmap");
  });
}
