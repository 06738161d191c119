// SPDX-License-Identifier: GPL-2.0-only

/**
 * A call that is about to be made on the model, and what it is about.
 *
 * @module
 */

import { IommufdCtx } from "../../../impl/iommufd/main.ts";
import type { IommufdObject } from "../../../impl/iommufd/objects/object.ts";
import { Ioas } from "../../../impl/iommufd/ioas/ioas.ts";
import type { IoptPages } from "../../../impl/iommufd/pages/pages.ts";
import type { Process } from "../../../impl/kernel/simulated/process.ts";
import type { VfioDevice } from "../../../impl/vfio/device.ts";
import { VfioDeviceFile } from "../../../impl/vfio/device_file.ts";
import type { Struct } from "../../../impl/uapi/layout/struct.ts";
import { TestCmd } from "../../../impl/uapi/selftest.ts";
import {
  type Call,
  isIoctl,
  structOf,
} from "../../../selftests/target/verbs.ts";

/** A call, and the process that makes it. */
export interface Here {
  readonly process: Process;
  readonly call: Call;
  /** The number of its ioctl; 0 for another call. */
  readonly command: number;
  /** The bytes of its struct. */
  readonly bytes: Uint8Array;
  /** The iommufd that is asked, if it is one. */
  readonly ctx: IommufdCtx | undefined;
  /** The VFIO device that is asked, if it is one. */
  readonly device: VfioDevice | undefined;
}

const NOTHING = new Uint8Array(0);

/** What a call is about. */
export function hereOf(process: Process, call: Call): Here {
  const { args } = call;
  const asks = isIoctl(call);
  const file = asks ? process.files.get(Number(args[0])) : undefined;
  return {
    process,
    call,
    command: asks ? Number(args[1]) : 0,
    bytes: structOf(call) ?? NOTHING,
    ctx: file instanceof IommufdCtx ? file : undefined,
    device: file instanceof VfioDeviceFile ? file.vfioDevice : undefined,
  };
}

/** The fields of the struct, as if all of it had been sent. */
export function fields<T extends object>(
  { bytes }: Here,
  layout: Struct<T>,
): T {
  const whole = new Uint8Array(Math.max(layout.size, bytes.length));
  whole.set(bytes);
  return layout.decode(whole);
}

/** The test operation; undefined for another ioctl. */
export function testOp(here: Here): number | undefined {
  if (here.command !== TestCmd.ioctl.number) return undefined;
  return fields(here, TestCmd).op;
}

/** The object with an id in the iommufd that is asked. */
export function objectOf(
  { ctx }: Here,
  id: number,
): IommufdObject | undefined {
  return ctx && [...ctx.objects].find((object) => object.id === id);
}

/** All that is mapped through the iommufd that is asked. */
export function* pagesOf({ ctx }: Here): Generator<IoptPages> {
  for (const object of ctx?.objects ?? []) {
    if (!(object instanceof Ioas)) continue;
    for (const { pages } of object.iopt.areas) if (pages) yield pages;
  }
}
