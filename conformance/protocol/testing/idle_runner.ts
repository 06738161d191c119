// SPDX-License-Identifier: GPL-2.0-only

/**
 * Starts an adapter that never ends by itself, tells its process number, and
 * waits: to be ended, as a person ends a run.
 *
 * @module
 */

import { spawnConnection } from "../stdio.ts";

const connection = spawnConnection("sh", ["-c", "echo $$; sleep 300"]);
const bytes = await connection.read();
console.log(new TextDecoder().decode(bytes!).trim());
await connection.read();
