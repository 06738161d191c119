// SPDX-License-Identifier: GPL-2.0-only

/**
 * ioctl: of all, those with the letter of iommufd and VFIO, and the one that
 * asks whether there is a terminal.
 *
 * @module
 */

import { type Answer, answered, type Call, CONTINUE } from "./call.ts";
import type { NotifiedCall } from "./call.ts";

/** Bits of a command that say whose it is (Linux: _IOC_TYPEMASK, shifted). */
const TYPE_MASK = 0xff00;
/** The letter of iommufd and VFIO. */
const TYPE = ";".charCodeAt(0) << 8;

/** Whether it is a terminal; the answer of a socket is another than that of a device. */
const TCGETS = 0x5401;

function ioctl(call: Call): Answer {
  const { process } = call;
  const fd = call.int(0);
  const emulated = process.files.emulated(fd);
  if (emulated === undefined) return CONTINUE;
  const command = call.int(1) >>> 0;
  const argument = call.arg(2);
  return answered(
    call,
    emulated.name,
    () =>
      process.ioctl(
        fd,
        command,
        Number.isSafeInteger(argument) ? argument : call.arg64(2),
      ),
  );
}

/** The family. */
export const IOCTL_CALLS: readonly NotifiedCall[] = [{
  name: "ioctl",
  when: [
    { argument: 1, mask: TYPE_MASK, test: "equals", value: TYPE },
    { argument: 1, test: "equals", value: TCGETS },
  ],
  onDescriptor: true,
  handle: ioctl,
}];
