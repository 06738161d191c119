// SPDX-License-Identifier: GPL-2.0-only

/**
 * Where devices come from on this machine.
 *
 * @module
 */

import { pathToFileURL } from "node:url";
import type { DeviceSources } from "./devices.ts";
import { FileStorage } from "./storage.ts";

/** Modules are imported, files are opened. */
export const DEVICE_SOURCES: DeviceSources = {
  load: async (path) => (await import(pathToFileURL(path).href)).default,
  openStorage: (path, options) => new FileStorage(path, options),
};
