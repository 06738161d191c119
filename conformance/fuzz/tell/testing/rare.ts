// SPDX-License-Identifier: GPL-2.0-only

/**
 * Models of machines that few have, in which a fault was put on purpose:
 * `module:FILE?need=NAME` is such a target.
 *
 * @module
 */

import { EINVAL } from "../../../../impl/uapi/errno.ts";
import { VFIO_SET_IOMMU } from "../../../../impl/uapi/vfio.ts";
import { VFIO_DEVICE_RESET } from "../../../../impl/uapi/vfio/device.ts";
import {
  IMPL_CALLS,
  type ImplCalls,
} from "../../../../selftests/target/impl_calls.ts";
import { implTarget } from "../../../../selftests/target/impl_target.ts";
import type { Target } from "../../../../selftests/target/target.ts";
import type { Likeness } from "../../machine/likeness.ts";
import { MACHINE } from "../../run/on_model.ts";

/** A fault of a machine. */
interface Rare {
  /** What the machine has. */
  readonly machine: Likeness;
  /** A program that shows the fault, and shows nothing on the usual machine. */
  readonly program: string;
  /** The calls that are wrong. */
  readonly calls: Partial<ImplCalls>;
}

/** An ioctl with a plain argument that answers wrongly. */
function wrong(command: number, answer: number): Partial<ImplCalls> {
  return {
    ioctlarg: (p, fd, cmd, arg) =>
      cmd === command ? answer : p.ioctl(fd, cmd, arg),
  };
}

/** Such machines, by the capability that a test asks for. */
export const RARE: Readonly<Record<string, Rare>> = {
  type1_container: {
    machine: { container: "type1" },
    // It gets no type before it has a group.
    program: `
$0 = open("/dev/vfio/vfio", O_RDWR)
ioctl($0, VFIO_SET_IOMMU, 1)
`,
    calls: wrong(VFIO_SET_IOMMU, 0),
  },
  copy_engines: {
    machine: { device: "engines" },
    program: `
$0 = open("/dev/vfio/devices/vfio1", O_RDWR)
$1 = open("/dev/iommu", O_RDWR)
ioctl($0, VFIO_DEVICE_BIND_IOMMUFD, {iommufd: $1})
ioctl($0, VFIO_DEVICE_RESET, 0)
`,
    calls: wrong(VFIO_DEVICE_RESET, -EINVAL.code),
  },
};

/** The machine that the name of this module asks for, with its fault. */
export function target(): Promise<Target> {
  const need = new URL(import.meta.url).searchParams.get("need")!;
  const { machine, calls } = RARE[need]!;
  const all = { ...IMPL_CALLS, ...calls } as ImplCalls;
  return implTarget("7.3", { ...MACHINE, ...machine, calls: all });
}
