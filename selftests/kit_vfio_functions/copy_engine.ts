// SPDX-License-Identifier: GPL-2.0-only

/**
 * A driver of copy engines.
 *
 * @module
 */

import {
  MAP_ANONYMOUS,
  MAP_SHARED,
  O_RDWR,
  PROT_READ,
  PROT_WRITE,
} from "../../impl/uapi/mman.ts";
import {
  assertEq,
  assertOk,
  type Fixture,
  fixture,
  type TargetProcess,
  type Test,
} from "../harness/harness.ts";
import { Iommufd } from "../ioctls/ioctls.ts";
import type { Need } from "../target/capabilities.ts";
import { VfioFile } from "../kit_vfio/vfio_ioctls.ts";

/** FEATURE: what is done. */
export const [GET, SET, PROBE] = [1 << 16, 1 << 17, 1 << 18];

/** Its registers, in BAR 0. */
export const ENGINE = {
  STATUS: 0x04,
  COMMAND: 0x08,
  SOURCE: 0x10,
  TARGET: 0x18,
  LENGTH: 0x20,
  COUNT: 0x30,
} as const;

/** Where memory is mapped, and how much. */
export const IOVA = 0x100000;
/** Bytes. */
export const LENGTH = 0x10000;

/** What the tests share. */
export interface EngineSelf {
  /** An iommufd. */
  readonly io: Iommufd;
  /** The program. */
  readonly process: TargetProcess;
  /** A copy engine, bound, attached, and allowed to do DMA. */
  readonly device: VfioFile;
  /** Its IOAS. */
  readonly ioasId: number;
  /** Memory that it reaches at {@link IOVA}. */
  readonly memory: number;
}

/** Words of 64 bits as bytes. */
export function words(...values: readonly (number | bigint)[]): Uint8Array {
  return new Uint8Array(new BigUint64Array(values.map(BigInt)).buffer);
}

/** Opens a copy engine, binds and attaches it, and lets it do DMA. */
export async function openEngine(
  { io, process, ioasId }: Omit<EngineSelf, "device" | "memory">,
  index: number,
): Promise<VfioFile> {
  const path = `/dev/vfio/devices/vfio${index}`;
  const fd = assertOk(await process.open(path, O_RDWR), `open ${path}`);
  const device = new VfioFile(process, fd);
  await device.bind(io.fd);
  await device.attach(ioasId);
  await device.setConfig(4, 2, 6);
  return device;
}

/** Has a copy engine copy 8 bytes within the memory; the caller looks what came of it. */
export async function copy(
  device: VfioFile,
  from: number,
  to: number,
): Promise<void> {
  await device.store(0, ENGINE.SOURCE, 4, IOVA + from);
  await device.store(0, ENGINE.TARGET, 4, IOVA + to);
  await device.store(0, ENGINE.LENGTH, 4, 8);
  await device.store(0, ENGINE.COMMAND, 4, 1);
}

/** A fixture whose tests have a copy engine with memory. */
export function engineFixture(
  registry: Test[],
  name: string,
  needs: readonly Need[] = [],
): Fixture<undefined, EngineSelf> {
  return fixture(registry, name, {
    since: "6.12",
    upstream: false,
    needs: () => ["copy_engines", ...needs],
    setup: async (context) => {
      const io = await Iommufd.open(context);
      const { process } = context;
      const ioasId = await io.ioasAlloc();
      const prot = PROT_READ | PROT_WRITE;
      const flags = MAP_SHARED | MAP_ANONYMOUS;
      const memory = assertOk(
        await process.mmap(0, LENGTH, prot, flags),
        "mmap",
      );
      await io.mapFixed(ioasId, memory, LENGTH, BigInt(IOVA));
      const self = { io, process, ioasId, memory };
      return { ...self, device: await openEngine(self, 0) };
    },
    teardown: async ({ io, device, process, memory }) => {
      await device.close();
      assertEq(await process.munmap(memory, LENGTH), 0, "munmap");
      await io.teardown();
    },
  });
}
