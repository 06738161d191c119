// SPDX-License-Identifier: GPL-2.0-only

/**
 * Random reads and writes of qemu-io on a drive of the model, in memory and in
 * a file, beside a plain file.
 *
 * ```sh
 * deno task nvme:random [OPERATIONS] [SEED]
 * ```
 *
 * @module
 */

import { NvmeMemory } from "../../impl/pci/devices/nvme/storage.ts";
import { FileStorage } from "../command/storage.ts";
import { compareRandomIo } from "./compare.ts";

/** Bytes of the drive: small, so that most is written more than once. */
const SIZE = 2 ** 24;

const [operations = 100_000, seed = 1] = Deno.args.map(Number);
const folder = await Deno.makeTempDir();
try {
  await Deno.writeFile(`${folder}/drive`, new Uint8Array(SIZE));
  const storages = {
    memory: new NvmeMemory(SIZE),
    "a file": new FileStorage(`${folder}/drive`),
  };
  for (const [name, storage] of Object.entries(storages)) {
    const file = `${folder}/file`;
    const options = { operations, seed, storage, file };
    await Deno.writeFile(file, new Uint8Array(0));
    const { problems, driveMs, fileMs } = await compareRandomIo(options);
    for (const problem of problems) console.error(problem);
    if (problems.length > 0) Deno.exitCode = 1;
    const [drive, plain] = [driveMs, fileMs].map((ms) =>
      (ms / 1000).toFixed(1)
    );
    console.log(
      `${operations} reads and writes, ${name} behind the drive: ${
        problems.length === 0 ? "the same" : "NOT the same"
      } as with a plain file; ${drive} s, ${plain} s with the file`,
    );
  }
} finally {
  await Deno.remove(folder, { recursive: true });
}
