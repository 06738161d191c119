// SPDX-License-Identifier: GPL-2.0-only

/**
 * Programs made by hand.
 *
 * @module
 */

import { IommuIoasAlloc, IommuIoasMap } from "../../../../impl/uapi/ioas.ts";
import { O_RDWR } from "../../../../impl/uapi/mman.ts";
import type { Program, Step } from "../../../../selftests/target/program.ts";
import {
  type ArgumentsOf,
  call,
  type VerbName,
} from "../../../../selftests/target/verbs.ts";

/** A step of the first process without references. */
export function step<N extends VerbName>(
  name: N,
  ...args: ArgumentsOf<N>
): Step {
  return { process: 0, call: call(name, ...args) };
}

/** Opens an iommufd. */
export const OPEN: Step = step("open", "/dev/iommu", O_RDWR);

/** Makes an IOAS in the iommufd that a step opened. */
export function allocIoas(opened: number): Step {
  const made = step(
    "ioctl",
    -1,
    IommuIoasAlloc.ioctl.number,
    IommuIoasAlloc.encode(),
  );
  return { ...made, patches: [{ arg: 0, from: { step: opened } }] };
}

/** Maps memory that is not there, in the IOAS that a step made. */
export function map(opened: number, made: number): Step {
  const struct = IommuIoasMap.encode({ flags: 6, length: 4096n });
  const { offset } = IommuIoasMap.fields.ioasId;
  return {
    ...step("ioctl", -1, IommuIoasMap.ioctl.number, struct),
    patches: [
      { arg: 0, from: { step: opened } },
      {
        arg: 2,
        field: { offset, bytes: 4 },
        from: {
          step: made,
          field: { offset: IommuIoasAlloc.fields.outIoasId.offset, bytes: 4 },
        },
      },
    ],
  };
}

/** Two processes and three iommufds; what is made in the last is used in the first. */
export const TWO_PROCESSES: Program = [
  OPEN,
  allocIoas(0),
  step("fork"),
  { ...OPEN, process: 1 },
  { ...allocIoas(3), process: 1 },
  {
    ...step("passfd", -1, 0),
    process: 1,
    patches: [{ arg: 0, from: { step: 3 } }],
  },
  map(5, 4),
  OPEN,
  allocIoas(7),
  map(7, 8),
];
