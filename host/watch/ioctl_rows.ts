// SPDX-License-Identifier: GPL-2.0-only

/**
 * Which ioctl a number is, and what VFIO's take beside a struct: the files of
 * devices and groups have numbers that mean something else to a container.
 *
 * @module
 */

import { formatNumber, formatValue } from "../../impl/uapi/layout/format.ts";
import type { File } from "../../impl/kernel/files/file.ts";
import type { SystemCalls } from "../../impl/kernel/system_calls.ts";
import type { Ioctl } from "../../impl/uapi/ioctl.ts";
import { IOCTLS, VFIO_IOCTLS } from "../../impl/uapi/ioctls.ts";
import {
  VFIO_IRQ_SET_DATA_BOOL,
  VFIO_IRQ_SET_DATA_EVENTFD,
  VfioGroupGetDeviceFd,
  VfioGroupSetContainer,
  VfioIrqSet,
} from "../../impl/uapi/vfio/device.ts";
import {
  VfioDeviceFeature,
  VfioPciHotReset,
} from "../../impl/uapi/vfio/feature.ts";
import { VfioDeviceFile } from "../../impl/vfio/device_file.ts";
import { GroupFile } from "../../impl/vfio/group_file.ts";
import { memoryAt } from "./format_struct.ts";

const OF_DEVICES: readonly Ioctl[] = [...VFIO_IOCTLS, ...IOCTLS];
const OF_OTHERS: readonly Ioctl[] = [...IOCTLS, ...VFIO_IOCTLS];

/** Letters of a name that are shown. */
const MAX_NAME = 64;
/** Elements that are shown of what follows a struct. */
const MAX_ELEMENTS = 16;

/** The ioctls of a file. */
export function ioctlsOf(file: File | undefined): readonly Ioctl[] {
  const isDevice = file instanceof VfioDeviceFile || file instanceof GroupFile;
  return isDevice ? OF_DEVICES : OF_OTHERS;
}

/** Whether the argument, which is no struct, is an address. */
export function isPointer(row: Ioctl | undefined): boolean {
  return row === VfioGroupSetContainer || row === VfioGroupGetDeviceFd;
}

/** What an argument says that is not the address of a struct; undefined where its memory cannot be read. */
export function plainArgument(
  row: Ioctl | undefined,
  process: SystemCalls,
  arg: number,
): string | undefined {
  switch (row) {
    case VfioGroupSetContainer: {
      const bytes = memoryAt(process, arg, 4);
      return bytes && `[${new DataView(bytes.buffer).getInt32(0, true)}]`;
    }
    case VfioGroupGetDeviceFd:
      return textAt(process, arg);
    default:
      return row && "arg" in row
        ? formatValue(row.arg, arg)
        : formatNumber(arg);
  }
}

/** What the data behind a struct are: numbers, or just bytes. */
type Following = "descriptors" | "flags" | "bytes";

/** What follows a struct that data belong to; undefined if nothing does. */
function followingOf(
  row: Ioctl | undefined,
  struct: Uint8Array,
): Following | undefined {
  switch (row) {
    case VfioIrqSet: {
      const { flags, count } = VfioIrqSet.decode(
        padded(struct, VfioIrqSet.size),
      );
      if (count === 0) return undefined;
      if (flags & VFIO_IRQ_SET_DATA_EVENTFD) return "descriptors";
      return flags & VFIO_IRQ_SET_DATA_BOOL ? "flags" : undefined;
    }
    case VfioPciHotReset:
      return "descriptors";
    case VfioDeviceFeature:
      return "bytes";
    default:
      return undefined;
  }
}

/** Whether descriptors follow a struct, of which nobody knows which they are elsewhere. */
export function descriptorsFollow(
  row: Ioctl | undefined,
  struct: Uint8Array,
): boolean {
  return followingOf(row, struct) === "descriptors" &&
    lengthOf(struct) > (row && "size" in row ? row.size : 0);
}

/** What follows a struct: ` [5, -1]`, ` "00ff"`, or nothing. */
export function followingText(
  row: Ioctl & { readonly size: number },
  struct: Uint8Array,
  process: SystemCalls,
  address: number,
): string {
  const following = followingOf(row, struct);
  const length = lengthOf(struct) - row.size;
  if (following === undefined || length <= 0) return "";
  const unit = following === "descriptors" ? 4 : 1;
  const shown = Math.min(length, unit * MAX_ELEMENTS);
  const bytes = memoryAt(process, address + row.size, shown);
  if (bytes === undefined) return "";
  if (following === "bytes") {
    return ` "${bytes.toHex()}"${length > shown ? "…" : ""}`;
  }
  const view = new DataView(bytes.buffer);
  const numbers = Array.from(
    { length: Math.floor(shown / unit) },
    (_, i) => unit === 4 ? view.getInt32(4 * i, true) : bytes[i],
  );
  return ` [${numbers.join(", ")}${length > shown ? ", …" : ""}]`;
}

/** Bytes that the caller says a struct and what follows it have. */
function lengthOf(struct: Uint8Array): number {
  return new DataView(struct.buffer, struct.byteOffset).getUint32(0, true);
}

function padded(bytes: Uint8Array, size: number): Uint8Array {
  const whole = new Uint8Array(Math.max(size, bytes.length));
  whole.set(bytes);
  return whole;
}

/** A text in memory that ends with a zero, as far as it is shown. */
function textAt(process: SystemCalls, address: number): string | undefined {
  let text = "";
  for (let i = 0; i < MAX_NAME; i++) {
    const byte = memoryAt(process, address + i, 1)?.[0];
    if (byte === undefined) return undefined;
    if (byte === 0) break;
    text += String.fromCharCode(byte);
  }
  return JSON.stringify(text);
}
