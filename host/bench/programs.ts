// SPDX-License-Identifier: GPL-2.0-only

/**
 * Runs the program that makes calls, under the supervisor and under the least
 * that can answer.
 *
 * @module
 */

import type { PciDevice } from "../../impl/pci/device.ts";
import { CONTINUE, type NotifiedCall } from "../calls/call.ts";
import { hostKernel } from "../run/start.ts";
import { filterOf } from "../supervise/filter.ts";
import { Program } from "../supervise/program.ts";
import { Supervisor } from "../supervise/supervisor.ts";
import { must, type Sys } from "../sys/sys.ts";

const MFD_CLOEXEC = 1;
const POLLIN = 1;

/** Builds a program, `calls` or `devices`, into a folder; returns its path. Throws an Error without a compiler. */
export function buildProgram(folder: string, name: string): string {
  const source = new URL(`${name}.c`, import.meta.url).pathname;
  const path = `${folder}/${name}`;
  const args = ["-O2", "-Wall", "-o", path, source];
  const { success, stderr } = new Deno.Command("cc", { args }).outputSync();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return path;
}

/** What the program prints: microseconds for each call. */
class Output {
  readonly fd: number;
  readonly #sys: Sys;

  constructor(sys: Sys) {
    this.#sys = sys;
    const name = sys.text("output");
    const fd = sys.call(sys.nr.memfd_create, name, MFD_CLOEXEC);
    this.fd = must(fd, "memfd_create");
  }

  /** Reads it, and closes it. */
  take(): number {
    const block = this.#sys.alloc(64);
    const { nr } = this.#sys;
    const length = this.#sys
      .call(nr.pread64, this.fd, block.address, 64, 0);
    this.#sys.close(this.fd);
    return Number(new TextDecoder().decode(block.bytes.slice(0, length)));
  }
}

/** Microseconds for each call of a kind on the model, or each round with a device. */
export async function supervised(
  sys: Sys,
  path: string,
  kind: string,
  count: number,
  device?: PciDevice,
): Promise<number> {
  const output = new Output(sys);
  const kernel = hostKernel();
  if (device !== undefined) kernel.addPciDevice(device);
  const supervisor = new Supervisor({ kernel });
  const args = [kind, `${count}`];
  const stdio = [0, output.fd, 2] as const;
  await supervisor.start({ program: path, args, stdio }).ended;
  supervisor.close();
  return output.take();
}

/** Microseconds for each call that is answered with 0 as soon as it comes: what a notification costs. */
export function bare(sys: Sys, path: string, count: number): number {
  const calls: NotifiedCall[] = [{
    name: "ioctl",
    when: [{ argument: 1, mask: 0xff00, test: "equals", value: 0x3b00 }],
    handle: () => CONTINUE,
  }];
  const { architecture, nr } = sys;
  const filter = filterOf({ architecture, nr, calls, refused: [] });
  const output = new Output(sys);
  const args = ["unknown", `${count}`];
  const stdio = [0, output.fd, 2] as const;
  const program = new Program(sys, filter, { program: path, args, stdio });
  const { listener, guard } = program;
  // One more, which is not counted.
  for (let left = count + 1; left > 0; left--) {
    listener.receive();
    listener.answer(0);
  }
  const poll = sys.alloc(8);
  poll.view.setInt32(0, guard, true);
  poll.view.setInt16(4, POLLIN, true);
  sys.call(nr.ppoll, poll.address, 1, 0, 0, 8);
  program.end();
  return output.take();
}
