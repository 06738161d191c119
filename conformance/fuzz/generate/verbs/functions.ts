// SPDX-License-Identifier: GPL-2.0-only

/**
 * Virtual functions: how many a device shall have.
 *
 * @module
 */

import { O_RDWR } from "../../../../impl/uapi/mman.ts";
import type { Proc } from "../known/world.ts";
import type { Maker } from "../maker.ts";
import type { Action } from "./files.ts";
import { openDevice } from "./vfio.ts";

/** Has a device get some, or lose them. They stay, so that only a program with a machine of its own can. */
function setCount(maker: Maker, process: Proc): void {
  const { chance, devices } = maker;
  if (!maker.isAlone) return;
  // A machine may show its card when it is opened first.
  if (devices.counts.length === 0) openDevice(maker, process);
  const path = chance.maybe(devices.counts);
  if (path === undefined) return;
  const fd = maker.add(process, [], "open", path, O_RDWR)?.result ?? -1;
  const open = process.fds.get(fd);
  if (open === undefined) return;
  const text = chance.weighted([[30, "0"], [35, "1"], [20, "2"], [15, "99"]]);
  const bytes = new TextEncoder().encode(text);
  maker.addOn(process, open, [], "write", fd, bytes);
  maker.addOn(process, open, [], "close", fd);
}

/** What a process does with them, by the names that profiles have. */
export const FUNCTION_ACTIONS: Readonly<Record<string, Action>> = {
  "virtual functions": setCount,
};
