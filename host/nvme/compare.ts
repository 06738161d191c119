// SPDX-License-Identifier: GPL-2.0-only

/**
 * Has qemu-io do the same with a drive of the model and with a plain file.
 *
 * @module
 */

import { NvmeDrive } from "../../impl/pci/devices/nvme/nvme.ts";
import type { NvmeStorage } from "../../impl/pci/devices/nvme/storage.ts";
import { hostKernel, run, type RunResult } from "../mod.ts";
import { randomIo } from "./random_io.ts";

/** Where QEMU's block driver finds the drive. */
export const DRIVE = "nvme://0000:00:04.0/1";
/** RLIMIT_MEMLOCK for programs that let the drive reach more than 8 MiB. */
export const MEMLOCK: bigint = 2n ** 30n;

/** What came of it. */
export interface Comparison {
  /** What went wrong, a sentence each. */
  readonly problems: readonly string[];
  /** Milliseconds that it took with the drive, and with the file. */
  readonly driveMs: number;
  readonly fileMs: number;
}

/**
 * Random reads and writes: what was read, and all bytes at the end, must be the
 * same. `storage` is what is behind the drive, all zero; `file` an empty file.
 */
export async function compareRandomIo(
  options: {
    readonly operations: number;
    readonly seed: number;
    readonly storage: NvmeStorage;
    readonly file: string;
  },
): Promise<Comparison> {
  const { storage, file } = options;
  const { size } = storage;
  const { script, contents } = randomIo({ ...options, size });
  await Deno.truncate(file, size);
  const kernel = hostKernel();
  kernel.addPciDevice(new NvmeDrive(storage));
  const drive = await timed(() =>
    run("qemu-io", qemuIoArgs(DRIVE), {
      kernel,
      input: script,
      memlock: MEMLOCK,
    })
  );
  const plain = await timed(() =>
    run("qemu-io", qemuIoArgs(file), { input: script })
  );
  const problems: string[] = [
    ...drive.left,
    ...kernel.audit(),
    ...complaintsOf("drive", drive),
    ...complaintsOf("file", plain),
  ];
  const check = (isGood: boolean, problem: string) => {
    if (!isGood) problems.push(problem);
  };
  check(drive.stdout === plain.stdout, "qemu-io printed other bytes");
  check(
    isSame(contents, storage.read(0, size)),
    "the drive has other bytes than were written",
  );
  check(
    isSame(contents, await Deno.readFile(file)),
    "the file has other bytes than were written",
  );
  return { problems, driveMs: drive.ms, fileMs: plain.ms };
}

/** What qemu-io says that went wrong. */
function complaintsOf(
  what: string,
  { code, stdout, stderr }: RunResult,
): string[] {
  const lines = `${stdout.replaceAll("qemu-io> ", "")}${stderr}`.split("\n");
  const complaints = lines.filter((line) => /failed|error/i.test(line));
  if (code !== 0) complaints.push(`it ended with ${code}`);
  return complaints.map((line) => `qemu-io on the ${what}: ${line}`);
}

/** Discards reach what is behind. */
function qemuIoArgs(image: string): string[] {
  return ["-f", "raw", "-d", "unmap", image];
}

async function timed<Result>(
  action: () => Promise<Result>,
): Promise<Result & { readonly ms: number }> {
  const start = performance.now();
  const result = await action();
  return { ...result, ms: performance.now() - start };
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length &&
    one.every((byte, i) => byte === other[i]);
}
