// SPDX-License-Identifier: GPL-2.0-only

/**
 * Finds a QEMU that has a device: the machine's own, or that of a newer release
 * of Debian, which runs beside it by its own loader and libraries.
 *
 * @module
 */

import { APT_TOOLS, withApt } from "../debian/apt.ts";
import type { Say } from "../kernels/source.ts";
import { isThere, output, requireTools } from "../programs.ts";
import { QEMU } from "../qemu.ts";
import type { Device } from "./devices.ts";

/** How a QEMU is started. */
export interface Qemu {
  /** The program. */
  readonly program: string;
  /** What comes before all other arguments. */
  readonly args: readonly string[];
}

/** The package, and the release that it is from: a stable one, as its packages stay. */
const PACKAGE = QEMU.debianPackage;
const SUITE = "trixie";
/** How folders with an unpacked one begin. */
const PREFIX = "qemu-";

/** The machine's own. */
export const OWN_QEMU: Qemu = { program: QEMU.what, args: [] };

/** A QEMU that has the device. Rejects with what to do if none is there. */
export async function findQemu(
  folder: string,
  device: Device,
): Promise<Qemu> {
  const found = await foundQemu(folder, device);
  if (found !== undefined) return found;
  throw new Error(
    `${QEMU.what} has no ${device.model}: run "deno task linux:build qemu", which fetches one that has`,
  );
}

/** The path or name of the program; fetched if none that is there has the devices. */
export async function provideQemu(
  folder: string,
  devices: readonly Device[],
  say: Say,
): Promise<string> {
  const needed = await Promise.all(
    devices.map(async (each) => await foundQemu(folder, each) === undefined),
  );
  if (needed.includes(true)) await fetchQemu(folder, say);
  return (await findQemu(folder, devices[0]!)).program;
}

async function foundQemu(
  folder: string,
  { model }: Device,
): Promise<Qemu | undefined> {
  for (const qemu of [OWN_QEMU, ...await keptQemus(folder)]) {
    if (await hasModel(qemu, model)) return qemu;
  }
  return undefined;
}

/** True if a QEMU is there and has a model of a device. Its exit code does not tell. */
export async function hasModel(
  { program, args }: Qemu,
  model: string,
): Promise<boolean> {
  if (!await isThere(program)) return false;
  const { stdout } = await output(program, [
    ...args,
    "-device",
    `${model},help`,
  ]);
  return new TextDecoder().decode(stdout).startsWith(`${model} options:`);
}

/** Those that were fetched, the newest first. */
async function keptQemus(folder: string): Promise<Qemu[]> {
  const names: string[] = [];
  for await (const { name } of Deno.readDir(folder)) {
    if (name.startsWith(PREFIX)) names.push(name);
  }
  return names.sort().reverse().map((name) => unpackedQemu(folder + name));
}

/** How one that is unpacked in a folder is started. */
function unpackedQemu(root: string): Qemu {
  const libraries = `${root}/usr/lib/x86_64-linux-gnu`;
  return {
    program: `${libraries}/ld-linux-x86-64.so.2`,
    args: [
      ...["--library-path", libraries, `${root}/usr/bin/${QEMU.what}`],
      ...["-L", `${root}/usr/share/qemu`, "-L", `${root}/usr/share/seabios`],
    ],
  };
}

async function fetchQemu(folder: string, say: Say): Promise<void> {
  await requireTools(APT_TOOLS);
  await withApt(folder, [SUITE], async (apt) => {
    const version = await apt.newestVersion(PACKAGE);
    say(`Fetching ${PACKAGE} ${version} of ${SUITE}, with its libraries`);
    const unpacked = await apt.unpackWithDependencies(PACKAGE);
    const name = PREFIX + version.replace(/[^\w.+~-]/g, "_");
    await Deno.rename(unpacked, folder + name);
  });
}
