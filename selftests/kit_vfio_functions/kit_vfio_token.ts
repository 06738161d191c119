// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `kit_vfio_token`: who may open a device and its virtual functions.
 *
 * @module
 */

import {
  EACCES,
  EBADF,
  EFAULT,
  EINVAL,
  ENODEV,
  ENOTTY,
  type Errno,
} from "../../impl/uapi/errno.ts";
import {
  assertEq,
  assertErrno,
  AssertionFailure,
  assertOk,
  type Test,
} from "../harness/harness.ts";
import { feature, VfioFile } from "../kit_vfio/vfio_ioctls.ts";
import {
  bindWith,
  nameOfFirst,
  openFirst,
  sriovFixture,
  type SriovSelf,
  TOKEN_1,
  TOKEN_2,
  TOKEN_OF_NOBODY,
  tokenBytes,
  writeCount,
} from "./virtual_function.ts";

const [GET, SET, PROBE] = [1 << 16, 1 << 17, 1 << 18];
const [SET_CONTAINER, GET_DEVICE_FD] = [0x3b68, 0x3b6a];
/** Groups that are tried. */
const MAX_GROUPS = 64;

/** Opens the first virtual function, tries to bind it, and closes it. */
async function tryVirtual(
  self: SriovSelf,
  uuid: string | undefined,
  errno?: Errno,
): Promise<void> {
  const vf = await openFirst(self);
  await bindWith(self, vf, uuid, errno);
  await vf.close();
}

/** Opens the device with a token. */
async function openPhysical(
  self: SriovSelf,
  uuid: string | undefined,
  errno?: Errno,
): Promise<VfioFile> {
  const pf = await VfioFile.open(self.process);
  await bindWith(self, pf, uuid, errno);
  return pf;
}

/** Adds the fixture's tests to `registry`. */
export function registerKitVfioToken(registry: Test[]): void {
  const f = sriovFixture(registry, "kit_vfio_token");

  f.test("virtual", {
    description: "A virtual function is opened with the device's token",
    rules: ["X4.3"],
  }, async (self) => {
    assertEq(await writeCount(self, "1"), 1, "one");
    await tryVirtual(self, undefined, EACCES);
    await tryVirtual(self, TOKEN_OF_NOBODY, EACCES);
    const pf = await openPhysical(self, TOKEN_1);
    await tryVirtual(self, TOKEN_1);
    await tryVirtual(self, TOKEN_2, EACCES);
    await tryVirtual(self, undefined, EACCES);
    await pf.close();
    await tryVirtual(self, TOKEN_1);
    await tryVirtual(self, TOKEN_2, EACCES);
  });

  f.test("physical", {
    description:
      "The device is opened with its token while a virtual function is open",
    rules: ["X4.3"],
  }, async (self) => {
    assertEq(await writeCount(self, "1"), 1, "one");
    await (await openPhysical(self, TOKEN_1)).close();
    const vf = await openFirst(self);
    await bindWith(self, vf, TOKEN_1);
    await (await openPhysical(self, undefined, EACCES)).close();
    await (await openPhysical(self, TOKEN_2, EACCES)).close();
    await (await openPhysical(self, TOKEN_1)).close();
    await vf.close();
    await (await openPhysical(self, undefined)).close();
    await tryVirtual(self, TOKEN_1);
    await (await openPhysical(self, TOKEN_2)).close();
    await tryVirtual(self, TOKEN_1, EACCES);
    await tryVirtual(self, TOKEN_2);
  });

  f.test("feature", {
    description: "Who has the device changes its token",
    rules: ["X4.3"],
  }, async (self) => {
    const pf = await openPhysical(self, TOKEN_1);
    assertEq(await writeCount(self, "1"), 1, "one");
    const none = new Uint8Array(0);
    await feature(pf, GET, tokenBytes(TOKEN_2), EINVAL);
    await feature(pf, GET | PROBE, none, EINVAL);
    await feature(pf, SET | PROBE, none);
    await feature(pf, SET, tokenBytes(TOKEN_2).subarray(1), EINVAL);
    await tryVirtual(self, TOKEN_1);
    await feature(pf, SET, tokenBytes(TOKEN_2));
    await tryVirtual(self, TOKEN_1, EACCES);
    const vf = await openFirst(self);
    await bindWith(self, vf, TOKEN_2);
    await feature(vf, SET, tokenBytes(TOKEN_2), ENOTTY);
    await feature(pf, SET, tokenBytes(TOKEN_1));
    await vf.close();
    await tryVirtual(self, TOKEN_1);
    await pf.close();
  });

  f.test("bind_order", {
    description: "A token is looked at before the iommufd",
    rules: ["X4.3"],
  }, async (self) => {
    const { io } = self;
    const pf = await VfioFile.open(self.process);
    const bad = { argsz: 24, flags: 1, tokenUuidPtr: 8n };
    await pf.bind(io.fd, EFAULT, bad);
    await pf.bind(9999, EFAULT, bad);
    await pf.bind(io.fd, EINVAL, { ...bad, flags: 2 });
    await bindWith(self, pf, TOKEN_1);
    await pf.bind(io.fd, EINVAL, bad);
    await pf.close();
    assertEq(await writeCount(self, "1"), 1, "one");
    const vf = await openFirst(self);
    await vf.bind(9999, EACCES, { argsz: 24 });
    await self.process.poke(io.scratch, tokenBytes(TOKEN_1));
    const tokenUuidPtr = BigInt(io.scratch);
    await vf.bind(9999, EBADF, { argsz: 24, flags: 1, tokenUuidPtr });
    await vf.bind(io.fd, EACCES, { argsz: 16 });
    await vf.close();
  });

  f.test("group", {
    description: "A token stands behind the name of the device",
    rules: ["X4.3"],
  }, async (self) => {
    assertEq(await writeCount(self, "1"), 1, "one");
    const pf = await openPhysical(self, TOKEN_1);
    const name = nameOfFirst(self.name);
    const group = await groupOf(self, name);
    const rows: [text: string, errno: Errno | undefined][] = [
      [name, EACCES],
      [`${name} vf_token=${TOKEN_2}`, EACCES],
      [`${name} vf_token=${TOKEN_1}0`, EINVAL],
      [`${name} vf_token=${TOKEN_1} vf_token=${TOKEN_1}`, EINVAL],
      [`${name} vf_token=${TOKEN_1.slice(1)}`, EINVAL],
      [`${name}vf_token=${TOKEN_1}`, ENODEV],
      [`${name}  vf_token=${TOKEN_1.toUpperCase()} `, undefined],
    ];
    for (const [text, errno] of rows) {
      const ret = await withText(self, group, text);
      if (errno !== undefined) assertErrno(ret, errno, text);
      else assertEq(await self.process.close(assertOk(ret, text)), 0, "close");
    }
    await pf.close();
    assertEq(await self.process.close(group), 0, "close the group");
  });
}

/** An ioctl of a group with the name of a device. */
async function withText(
  { io, process }: SriovSelf,
  group: number,
  text: string,
): Promise<number> {
  await process.poke(io.scratch, new TextEncoder().encode(`${text}\0`));
  return await process.ioctlArg(group, GET_DEVICE_FD, io.scratch);
}

/** The group of a device, in a container. */
async function groupOf(self: SriovSelf, name: string): Promise<number> {
  const { io, process } = self;
  for (let i = 0; i < MAX_GROUPS; i++) {
    const group = await process.open(`/dev/vfio/${i}`);
    if (group < 0) continue;
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setInt32(0, io.fd, true);
    await process.poke(io.scratch, bytes);
    const ret = await process.ioctlArg(group, SET_CONTAINER, io.scratch);
    assertEq(ret, 0, "SET_CONTAINER");
    const found = await withText(self, group, name);
    if (found !== -ENODEV.code) return group;
    assertEq(await process.close(group), 0, "close a group");
  }
  throw new AssertionFailure("the group of", name, "none");
}
