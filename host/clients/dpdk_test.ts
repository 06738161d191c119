// SPDX-License-Identifier: GPL-2.0-only

/** Debian's DPDK, unmodified, with an Ethernet controller of the model. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { isThere } from "../../conformance/linux_vm/programs.ts";
import { Igb, type IgbOptions } from "../../impl/pci/devices/igb/igb.ts";
import { hostKernel, run, start } from "../mod.ts";
import { cannotRun } from "../testing/real_programs.ts";

const noTestpmd = cannotRun ||
  !await isThere("dpdk-testpmd") && "there is no dpdk-testpmd, of dpdk";

/** Options of its environment: ordinary memory, the one device, all processors here. */
const ENVIRONMENT = [
  ...["-l", "0,1"],
  "--no-huge",
  "--no-telemetry",
  ...["-m", "64"],
];
/** What it forwards with. */
const FORWARDING = ["--total-num-mbufs=2048", "--no-lsc-interrupt"];

/** A machine with a controller. */
function machine(options?: IgbOptions) {
  const kernel = hostKernel();
  const { pci } = kernel.addPciDevice(new Igb(options));
  return { kernel, args: [...ENVIRONMENT, "-a", pci.name] };
}

/** Reads until there is what fits, and goes on to the end behind the caller's back. */
async function readUntil(
  stream: ReadableStream<Uint8Array>,
  wanted: RegExp,
): Promise<RegExpExecArray> {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value = "" } = await reader.read();
    text += value;
    const found = wanted.exec(text);
    if (found !== null) {
      void (async () => {
        while (!(await reader.read()).done);
      })();
      return found;
    }
    if (done) throw new Error(`There is no ${wanted} in: ${text}`);
  }
}

/** Why there are too few processors here: it has one for commands and one for frames. */
const tooSmall = navigator.hardwareConcurrency < 2 && "there is one processor";

describe("dpdk-testpmd", () => {
  it("finds the controller, starts it, and closes it", {
    skip: noTestpmd || tooSmall,
  }, async () => {
    const { kernel, args } = machine();
    const { code, stdout, stderr } = await run("dpdk-testpmd", [
      ...args,
      "--",
      ...FORWARDING,
    ], { kernel, input: "\n" });
    assertEquals(code, 0, stderr);
    assertStringIncludes(stdout, "Port 0: 02:49:47:42:00:20");
    assertStringIncludes(stdout, "Port 0 is closed");
    // It leaves its memory mapped when it exits.
    assertEquals(kernel.audit(), []);
    assert(!/error/i.test(stderr), stderr);
  });

  it("sends frames, which come back, and are sent again", {
    skip: noTestpmd || tooSmall,
  }, async () => {
    const { kernel, args } = machine({ wire: "loop" });
    const program = start("dpdk-testpmd", [
      ...args,
      "--",
      ...FORWARDING,
      "--tx-first",
      ...["--stats-period", "1"],
    ], { kernel, stdout: "piped", stderr: "null" });
    const received = await readUntil(program.stdout, /RX-packets: ([1-9]\d*)/);
    program.kill("SIGINT");
    assert(Number(received[1]) >= 32, received[0]);
    const { code } = await program.status;
    assertEquals(code, 0);
    assertEquals(kernel.audit(), []);
  });
});
