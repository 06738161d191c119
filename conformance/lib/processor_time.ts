// SPDX-License-Identifier: GPL-2.0-only

import process from "node:process";

/** Milliseconds of processor time that this program has had. */
export function processorMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
