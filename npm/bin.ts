#!/usr/bin/env node
// SPDX-License-Identifier: GPL-2.0-only

/**
 * The command of the npm package, `iommufd-kit`.
 *
 * @module
 */

import process from "node:process";
import { main } from "./cli.ts";

process.exit(await main(process.argv.slice(2)));
