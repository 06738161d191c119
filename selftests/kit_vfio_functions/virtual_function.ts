// SPDX-License-Identifier: GPL-2.0-only

/**
 * The virtual functions of the device: made and taken away by a file of
 * sysfs, and opened with the token of the device.
 *
 * @module
 */

import type { Errno } from "../../impl/uapi/errno.ts";
import { O_RDONLY, O_RDWR, O_WRONLY } from "../../impl/uapi/mman.ts";
import {
  assertEq,
  AssertionFailure,
  assertOk,
  type Context,
  type Fixture,
  fixture,
  type TargetProcess,
  type Test,
} from "../harness/harness.ts";
import { Iommufd } from "../ioctls/ioctls.ts";
import { DEVICE_NAMES, VfioFile } from "../kit_vfio/vfio_ioctls.ts";

/** From its number to that of its first virtual function, as of the 82576. */
const FIRST_OFFSET = 0x80;
/** Where a first virtual function is, as the only device beside it. */
const PATH = "/dev/vfio/devices/vfio1";

/** A token. */
export const TOKEN_1 = "52ac9bff-3a88-4fbd-901a-0d767c3b6c97";
/** Another one. */
export const TOKEN_2 = "88594674-90a0-47a9-aea8-9d9b352ac08a";
/** One that no test gives to a device, which keeps its token as long as it is in the machine. */
export const TOKEN_OF_NOBODY = "0e6f4a52-94bb-4d44-8b1f-7a2d3c5e9f01";

/** What the tests share. */
export interface SriovSelf {
  /** An iommufd. */
  readonly io: Iommufd;
  /** The program. */
  readonly process: TargetProcess;
  /** The name of the device. */
  readonly name: string;
  /** What says how many virtual functions it has. */
  readonly path: string;
}

/** The bytes of a token. */
export function tokenBytes(uuid: string): Uint8Array {
  const pairs = uuid.replaceAll("-", "").match(/../g)!;
  return Uint8Array.from(pairs, (pair) => parseInt(pair, 16));
}

/** The name of the first virtual function. */
export function nameOfFirst(name: string): string {
  const [, bus, slot, fn] = /:(..):(..)\.(.)$/.exec(name)!;
  const devfn = parseInt(slot!, 16) * 8 + Number(fn) + FIRST_OFFSET;
  const hex = (devfn >> 3).toString(16).padStart(2, "0");
  return `0000:${bus}:${hex}.${devfn & 7}`;
}

/** Writes how many virtual functions there shall be, as text; the result. */
export async function writeCount(
  { process, path }: SriovSelf,
  text: string,
): Promise<number> {
  const fd = assertOk(await process.open(path, O_WRONLY), `open ${path}`);
  const ret = await process.write(fd, new TextEncoder().encode(text));
  assertEq(await process.close(fd), 0, "close");
  return ret;
}

/** How many there are, as text. */
export async function readCount({ process, path }: SriovSelf): Promise<string> {
  const fd = assertOk(await process.open(path, O_RDONLY), `open ${path}`);
  const bytes = new Uint8Array(8);
  const count = assertOk(await process.read(fd, bytes), "read");
  assertEq(await process.close(fd), 0, "close");
  return new TextDecoder().decode(bytes.subarray(0, count));
}

/** Opens the first virtual function; the result if it is not there. */
export async function openFirst({ process }: SriovSelf): Promise<VfioFile> {
  const fd = await process.open(PATH, O_RDWR);
  return new VfioFile(process, assertOk(fd, `open ${PATH}`));
}

/** Whether there is a file of a first virtual function; the result of opening it. */
export async function tryFirst({ process }: SriovSelf): Promise<number> {
  const fd = await process.open(PATH, O_RDWR);
  if (fd >= 0) assertEq(await process.close(fd), 0, "close");
  return Math.min(fd, 0);
}

/** Binds a device with a token, or without one. */
export async function bindWith(
  { io, process }: SriovSelf,
  device: VfioFile,
  uuid: string | undefined,
  errno?: Errno,
): Promise<void> {
  if (uuid === undefined) {
    await device.bind(io.fd, errno, { argsz: 24 });
    return;
  }
  await process.poke(io.scratch, tokenBytes(uuid));
  const tokenUuidPtr = BigInt(io.scratch);
  await device.bind(io.fd, errno, { argsz: 24, flags: 1, tokenUuidPtr });
}

/** A fixture whose tests have a device without virtual functions, and leave it so. */
export function sriovFixture(
  registry: Test[],
  name: string,
): Fixture<undefined, SriovSelf> {
  return fixture(registry, name, {
    since: "7.3",
    upstream: false,
    needs: () => ["vfio_device", "vfio_sriov"],
    setup: async (context) => {
      const io = await Iommufd.open(context);
      const self = await findSriov(context, io);
      // A test that failed may have left some.
      assertEq(await writeCount(self, "0"), 1, "no virtual functions");
      return self;
    },
    teardown: async (self) => {
      assertEq(await writeCount(self, "0"), 1, "no virtual functions");
      await self.io.teardown();
    },
  });
}

/** Finds the device, and what says how many virtual functions it has. */
export async function findSriov(
  { process }: Pick<Context, "process">,
  io: Iommufd,
): Promise<SriovSelf> {
  const name = await nameOfDevice(process);
  return { io, process, name, path: countPath(name) };
}

/** The name of the device that can have virtual functions. */
export async function nameOfDevice(process: TargetProcess): Promise<string> {
  // A machine may show its card when it is opened first.
  await (await VfioFile.open(process)).close();
  for (const name of DEVICE_NAMES) {
    const fd = await process.open(countPath(name), O_RDONLY);
    if (fd < 0) continue;
    assertEq(await process.close(fd), 0, "close");
    return name;
  }
  throw new AssertionFailure("sriov_numvfs", DEVICE_NAMES.join(), "none");
}

/** The file that says how many virtual functions a device has. */
export function countPath(name: string): string {
  return `/sys/bus/pci/devices/${name}/sriov_numvfs`;
}
