// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `vfio_pci_sriov_uapi_test`: a virtual function is opened with the
 * token that its device was opened with, in every mode.
 *
 * The C program makes the virtual function once for all tests, here each test
 * makes its own.
 *
 * @module
 */

import { O_RDWR, O_WRONLY } from "../../impl/uapi/mman.ts";
import {
  assertEq,
  assertOk,
  assertTrue,
  type Fixture,
  type TargetProcess,
  type Test,
} from "../harness/harness.ts";
import { GroupFile } from "../kit_vfio/group_ioctls.ts";
import { Bind, VFIO, VFIO_DEVICE_PATH } from "../kit_vfio/vfio_ioctls.ts";
import {
  countPath,
  nameOfDevice,
  nameOfFirst,
  TOKEN_1,
  TOKEN_2,
  tokenBytes,
} from "../kit_vfio_functions/virtual_function.ts";
import { IOMMU_MODES, needsOf, TestIommu } from "./iommu.ts";
import { setContainerType } from "./pci_device.ts";
import { type ModeVariant, programFixture } from "./programs.ts";

/** FEATURE: sets the token of a device; bytes of its head. */
const SET_TOKEN = 1 << 17;
const FEATURE_HEAD = 8;
/** Bytes of the memory for tokens. */
const SCRATCH = 4096;

/** A mode, and the token of the virtual function's user. */
interface TokenVariant extends ModeVariant {
  readonly token: string | undefined;
}

/** A device or a virtual function. */
interface Function {
  /** Its name. */
  readonly name: string;
  /** The path of its own file. */
  readonly path: string;
  /** The number of its group is above this one. */
  readonly above: number;
}

/** One that is open, if it could be. */
interface OpenFunction {
  /** The descriptor; a negative errno if it could not be opened. */
  readonly fd: number;
  /** What opening came to: 0 or a negative errno. */
  readonly ret: number;
  readonly group: GroupFile | undefined;
}

/** What the tests share. */
interface SriovSelf {
  readonly iommu: TestIommu;
  readonly virtual: Function;
  /** The file that says how many virtual functions there are. */
  readonly count: string;
  readonly scratch: number;
  /** The device; undefined when it was closed. */
  device: OpenFunction | undefined;
  opened?: OpenFunction;
}

/** Adds the fixture's tests to `registry`. */
export function registerVfioSriovUapi(registry: Test[]): void {
  const tokens = { same: TOKEN_1, diff: TOKEN_2, null: undefined };
  const variants: Record<string, TokenVariant> = {};
  for (const [what, token] of Object.entries(tokens)) {
    for (const [name, mode] of Object.entries(IOMMU_MODES)) {
      variants[`${name}_${what}_uuid`] = { mode, token };
    }
  }
  const f: Fixture<TokenVariant, SriovSelf> = programFixture(
    registry,
    "vfio_pci_sriov_uapi_test",
    {
      program: "vfio_pci_sriov_uapi_test",
      variants,
      needs: ({ mode }) => ["vfio_sriov", ...needsOf(mode)],
      setup: ({ process }, { mode }) => setUp(process, mode),
      teardown: tearDown,
    },
  );

  f.test("init_token_match", {
    description: "A virtual function is opened with the token of its device",
    rules: ["X4.3"],
  }, (self, { token }) => checkOpen(self, token, TOKEN_1));

  f.test("pf_early_close", {
    description: "The token of a device counts when it is closed too",
    rules: ["X4.3"],
  }, async (self, { token }) => {
    await close(self.iommu.process, self.device);
    self.device = undefined;
    await checkOpen(self, token, TOKEN_1);
  });

  f.test("override_token", {
    description: "An open device can be given another token",
    rules: ["X4.3"],
  }, async (self, { token }) => {
    const argsz = FEATURE_HEAD + 16;
    const bytes = new Uint8Array(argsz);
    bytes.set(new Uint8Array(Uint32Array.of(argsz, SET_TOKEN).buffer));
    bytes.set(tokenBytes(TOKEN_2), FEATURE_HEAD);
    const { fd } = self.device!;
    const ret = await self.iommu.process.ioctl(fd, VFIO.FEATURE, bytes);
    assertEq(ret, 0, "a new token");
    await checkOpen(self, token, TOKEN_2);
  });
}

/** Makes a virtual function, and opens the device with the first token. */
async function setUp(
  process: TargetProcess,
  mode: ModeVariant["mode"],
): Promise<SriovSelf> {
  const name = await nameOfDevice(process);
  const count = countPath(name);
  await writeCount(process, count, "1");
  const iommu = await TestIommu.open(process, mode);
  const scratch = assertOk(await process.mmap(0, SCRATCH, 3, 0x22), "mmap");
  const itself = { name, path: VFIO_DEVICE_PATH, above: -1 };
  const device = await open({ iommu, scratch }, itself, TOKEN_1);
  assertEq(device.ret, 0, "opening the device");
  const virtual = {
    name: nameOfFirst(name),
    path: "/dev/vfio/devices/vfio1",
    above: device.group?.number ?? -1,
  };
  return { iommu, virtual, count, scratch, device };
}

async function tearDown(self: SriovSelf): Promise<void> {
  const { process } = self.iommu;
  await close(process, self.opened);
  await close(process, self.device);
  await self.iommu.close();
  assertEq(await process.munmap(self.scratch, SCRATCH), 0, "munmap");
  await writeCount(process, self.count, "0");
}

/** Opens a function with a token, or without one, as far as that goes. */
async function open(
  { iommu, scratch }: Pick<SriovSelf, "iommu" | "scratch">,
  { name, path, above }: Function,
  token: string | undefined,
): Promise<OpenFunction> {
  const { process, mode } = iommu;
  if (mode.container !== undefined) {
    const group = await GroupFile.open(process, above);
    await setContainerType(group, iommu);
    const option = token === undefined ? "" : ` vf_token=${token}`;
    const fd = await group.deviceFd(name + option);
    return { fd, ret: Math.min(fd, 0), group };
  }
  const fd = assertOk(await process.open(path, O_RDWR), `open ${path}`);
  const bytes = Bind.encode({ argsz: Bind.size, iommufd: iommu.fd });
  if (token !== undefined) {
    await process.poke(scratch, tokenBytes(token));
    const given = { flags: 1, tokenUuidPtr: BigInt(scratch) };
    Object.assign(Bind.at(bytes), given);
  }
  const ret = await process.ioctl(fd, VFIO.BIND, bytes);
  return { fd, ret, group: undefined };
}

async function close(
  process: TargetProcess,
  opened: OpenFunction | undefined,
): Promise<void> {
  if (opened === undefined) return;
  const { fd, group } = opened;
  if (fd >= 0) assertEq(await process.close(fd), 0, "close a function");
  await group?.close();
}

/** The virtual function can be opened exactly with the token that the device has. */
async function checkOpen(
  self: SriovSelf,
  token: string | undefined,
  current: string,
): Promise<void> {
  self.opened = await open(self, self.virtual, token);
  const { ret } = self.opened;
  if (token === current) assertEq(ret, 0, "opening with the token");
  else assertTrue(ret < 0, "opening without the token fails");
}

/** Writes how many virtual functions there shall be. */
async function writeCount(
  process: TargetProcess,
  path: string,
  count: string,
): Promise<void> {
  const fd = assertOk(await process.open(path, O_WRONLY), `open ${path}`);
  const ret = await process.write(fd, new TextEncoder().encode(count));
  assertEq(ret, count.length, "virtual functions");
  assertEq(await process.close(fd), 0, "close");
}
