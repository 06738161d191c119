// SPDX-License-Identifier: GPL-2.0-only

/**
 * Whether tests can run real programs here.
 *
 * @module
 */

import { missingNeeds } from "../sys/needs.ts";
import { Sys } from "../sys/sys.ts";

/** Why no program can be run under supervision; false if they can. */
export const cannotRun: string | false = Deno.build.os !== "linux"
  ? "this is no Linux"
  : missingNeeds(Sys.shared).join(" ") || false;

/** Python itself: a shim before it would be a program of its own. Undefined if there is none. */
export const python: string | undefined = findPython();

/** Why no client in Python can be run; false if they can. */
export const noClients: string | false = cannotRun ||
  (python === undefined && "there is no Python");

function findPython(): string | undefined {
  try {
    const args = ["-c", "import sys; print(sys.executable)"];
    const { stdout } = new Deno.Command("python3", { args }).outputSync();
    return new TextDecoder().decode(stdout).trim() || undefined;
  } catch {
    return undefined;
  }
}
