// SPDX-License-Identifier: GPL-2.0-only

/** The command, with programs of this language in place of real ones. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { CopyEngine, Kernel } from "../../mod.ts";
import * as uapi from "../../impl/uapi/mod.ts";
import { type Environment, runCommand } from "./command.ts";
import { HELP } from "./help.ts";
import {
  CannotRun,
  type RunningProgram,
  type StartOptions,
} from "../run/program.ts";
import { signalNumber, statusOf } from "../watch/status.ts";
import { WatchedProgram } from "../watch/testing/watched_program.ts";

/** What a program does; what `wait` tells of it. */
type Body = (
  program: WatchedProgram,
  signals: FakeSignals,
) => number | Promise<number>;

/** Signals, which nobody sends but the test. */
class FakeSignals {
  readonly #acts = new Map<Deno.Signal, Set<() => void>>();
  readonly got: Deno.Signal[] = [];
  #wake: () => void = () => {};
  /** Resolves when the program gets a signal. */
  readonly first = new Promise<void>((resolve) => this.#wake = resolve);

  on(signal: Deno.Signal, act: () => void): () => void {
    const acts = this.#acts.get(signal) ?? new Set();
    this.#acts.set(signal, acts.add(act));
    return () => acts.delete(act);
  }

  send(signal: Deno.Signal): void {
    for (const act of this.#acts.get(signal) ?? []) act();
  }

  kill(signal: Deno.Signal): void {
    this.got.push(signal);
    this.#wake();
  }

  get handlers(): number {
    return [...this.#acts.values()].reduce((sum, { size }) => sum + size, 0);
  }
}

/** The names of programs that cannot be run. */
const CANNOT: Readonly<Record<string, CannotRun>> = {
  "./none": new CannotRun(127, "There is no ./none."),
  "./text": new CannotRun(126, "./text is not executable."),
};

/** What modules export. */
const MODULES: Readonly<Record<string, unknown>> = {
  "./one.ts": new CopyEngine(),
  "./class.ts": CopyEngine,
};

async function run(line: string, body: Body, hasTerminal = false) {
  const output = { out: "", err: "" };
  const files = new Map<string, string>();
  const started: StartOptions[] = [];
  const signals = new FakeSignals();
  const environment: Environment = {
    out: (text) => output.out += text,
    err: (text) => output.err += text,
    create(path) {
      if (path.startsWith("/none/")) throw new Error("No such folder");
      files.set(path, "");
      return (text) => files.set(path, files.get(path)! + text);
    },
    hasTerminal,
    onSignal: (signal, act) => signals.on(signal, act),
    createKernel: (options) => new Kernel(options),
    devices: {
      load: (path) => Promise.resolve(MODULES[path]),
      openStorage: (path) => {
        throw new Error(`there is no "${path}"`);
      },
    },
    start(name, _args, options): RunningProgram {
      if (CANNOT[name]) throw CANNOT[name];
      started.push(options);
      const process = options.kernel!.spawn({ uid: options.uid ?? 0 });
      if (options.faults) Object.assign(process, { faults: options.faults });
      const program = new WatchedProgram(options.watcher!, process);
      const end = async () => {
        // Once the command listens.
        await new Promise((resolve) => setTimeout(resolve));
        const wait = await body(program, signals);
        program.exit(wait);
        return statusOf(wait);
      };
      const piped = () => {
        throw new TypeError("Nothing is piped");
      };
      return {
        pid: process.pid,
        kernel: options.kernel!,
        status: end(),
        get stdin() {
          return piped();
        },
        get stdout() {
          return piped();
        },
        get stderr() {
          return piped();
        },
        complaints: [],
        kill: (signal = "SIGTERM") => signals.kill(signal),
      };
    },
  };
  const code = await runCommand(line.split(" "), environment);
  return { code, ...output, files, started, signals };
}

/** Leaves an IOAS behind. */
function messy(program: WatchedProgram): number {
  const fd = program.open("/dev/iommu");
  if (fd < 0) return 1 << 8;
  return program.ioctl(fd, uapi.IommuIoasAlloc).ret < 0 ? 1 << 8 : 0;
}

/** Leaves nothing behind. */
function tidy(program: WatchedProgram): number {
  const fd = program.open("/dev/iommu");
  if (fd >= 0) program.close(fd);
  return 0;
}

describe("run", () => {
  it("passes the exit status on, and says nothing if all is well", async () => {
    const { code, out, err } = await run("./x", (program) => {
      tidy(program);
      return 7 << 8;
    });
    assertEquals([code, out, err], [7, "", ""]);
  });

  it("is 128 and the number of the signal that ended the program", async () => {
    assertEquals((await run("./x", () => 9)).code, 137);
  });

  it("says in a note what was left behind", async () => {
    const { code, err } = await run("./x", messy);
    const left = "/dev/iommu was left open with 1 object: IOAS 1.";
    assertEquals([code, err], [0, `run: ${left}\n`]);
  });

  it("fails with 125 and a list for --audit", async () => {
    const { code, err } = await run("--audit ./x", (program) => {
      messy(program);
      program.process.kernel.warnings.on(true, "a page is lost");
      return 3 << 8;
    });
    assertEquals(code, 125);
    assertEquals(err.split("\n").length, 3);
    assertStringIncludes(err, "run: The kernel warned: a page is lost.");
    const clean = await run("--audit ./x", tidy);
    assertEquals([clean.code, clean.err], [0, ""]);
  });

  it("logs to standard error, or to a file", async () => {
    const { err } = await run("--log ./x", tidy);
    assertStringIncludes(err, `[pid 1] openat(AT_FDCWD, "/dev/iommu", O_RDWR)`);
    const { err: none, files } = await run("--log=l.txt ./x", tidy);
    assertEquals([none, files.get("l.txt")], ["", err]);
  });

  it("writes a transcript", async () => {
    const { files } = await run("--transcript t.txt ./x a b", tidy);
    const text = files.get("t.txt")!;
    assertStringIncludes(text, "# program ./x a b\n");
    assertStringIncludes(text, "> 4 1 open 2f6465762f696f6d6d75 2\n");
  });

  it("draws the state at the end for --inspect, and for SIGUSR1", async () => {
    const { err, signals } = await run("--inspect ./x", (program, signals) => {
      const fd = program.open("/dev/iommu");
      signals.send("SIGUSR1");
      program.ioctl(fd, uapi.IommuIoasAlloc);
      return 0;
    });
    assertEquals(signals.got, []);
    const drawings = err.split("iommufd 7.3: 1 context").length - 1;
    assertEquals(drawings, 2);
    assertStringIncludes(err, "(process 1 fd 3): 0 objects");
    assertStringIncludes(err, "(process 1 fd 3): 1 object,");
  });

  it("passes signals on, and forgets them at the end", async () => {
    const { signals } = await run("./x", (_, signals) => {
      for (const each of ["SIGTERM", "SIGUSR1", "SIGINT"] as const) {
        signals.send(each);
      }
      return signalNumber("SIGTERM");
    });
    assertEquals(signals.got, ["SIGTERM", "SIGUSR1", "SIGINT"]);
    assertEquals(signals.handlers, 0);
  });

  it("does not send twice what a terminal sends to all", async () => {
    const { signals } = await run("./x", (_, signals) => {
      for (const each of ["SIGINT", "SIGQUIT", "SIGHUP"] as const) {
        signals.send(each);
      }
      return 0;
    }, true);
    assertEquals(signals.got, ["SIGHUP"]);
  });

  it("makes a step fail, and says which", async () => {
    const { code, err } = await run("--fail-nth 4 ./x", messy);
    assertEquals(code, 1);
    const step = "run: Step 4, iommufd.open, failed in openat /dev/iommu";
    assertStringIncludes(err, `${step} with ENOMEM: the call returned ENOMEM.`);
    const { err: none } = await run("--fail-nth 999 ./x", tidy);
    assertStringIncludes(none, "run: No step failed: there were 4.");
  });

  it("hands on what the model is to believe", async () => {
    const line = "--uapi 6.12 --uid 5 --memlock 64K --poll 9 --trap ./x";
    const { started: [options] } = await run(line, tidy);
    assertEquals([options!.uid, options!.memlock], [5, 65536n]);
    assertEquals([options!.pollMs, options!.trapsStores], [9, true]);
    assertEquals(options!.kernel!.revision.name, "6.12");
    const root = await run("--as-root ./x", tidy);
    assertEquals(root.started[0]!.uid, 0);
  });

  it("puts the devices into the machine before the program starts", async () => {
    const line = "--device dma --device ./class.ts,at=0000:01:00.0 ./x";
    const { started } = await run(line, tidy);
    const { options, pci } = started[0]!.kernel!;
    assertEquals(options.vfioNoIommu, false);
    assertEquals([...pci.functions.keys()], ["0000:00:04.0", "0000:01:00.0"]);
    assertEquals(options.vfioContainer, "type1");
  });

  it("gives /dev/vfio/vfio to who is to have it", async () => {
    const { started } = await run("--container iommufd ./x", tidy);
    assertEquals(started[0]!.kernel!.options.vfioContainer, "iommufd");
  });

  it("lets devices be used without an IOMMU if one has none", async () => {
    const { started } = await run("--device dma,iommu=none ./x", tidy);
    const { options, pci } = started[0]!.kernel!;
    assertEquals([options.vfioNoIommu, pci.functions.size], [true, 1]);
  });

  it("draws the devices too", async () => {
    const { err } = await run("--inspect --device igb ./x", tidy);
    assertStringIncludes(err, "vfio0: 0000:00:04.0, 8086:10c9, group 0");
  });

  it("runs nothing where a device cannot be plugged in", async () => {
    const { code, err, started } = await run(
      "--device nvme,file=none ./x",
      tidy,
    );
    assertEquals([code, started.length], [2, 0]);
    assertStringIncludes(
      err,
      `run: Cannot make device "nvme,file=none": there is no "none"`,
    );
  });

  it("says what cannot be run, with the status of a shell", async () => {
    const none = await run("./none", tidy);
    assertEquals([none.code, none.err], [127, "run: There is no ./none.\n"]);
    assertEquals((await run("./text", tidy)).code, 126);
  });

  it("finds out that a file cannot be written before it runs anything", async () => {
    const { code, err, started } = await run("--log=/none/l ./x", tidy);
    assertEquals([code, started.length], [2, 0]);
    assertStringIncludes(
      err,
      `run: Cannot write the log to "/none/l": No such`,
    );
  });

  it("helps, and refuses what it does not know", async () => {
    const { code, out } = await run("--help", tidy);
    assertEquals([code, out], [0, HELP]);
    const bad = await run("--adit ./x", tidy);
    assertEquals([bad.code, bad.started.length], [2, 0]);
    assertStringIncludes(bad.err, `Did you mean "--audit"?`);
  });
});

describe("run --sweep", () => {
  it("runs with each step failing, shows nothing of the program, and reports", async () => {
    const { code, out, err, started, signals } = await run("--sweep ./x", tidy);
    assertEquals([code, err], [0, ""]);
    assertEquals(started.length, 5);
    assert(started.every(({ stdout }) => stdout === "null"));
    assertStringIncludes(out, "4 steps can fail");
    assertStringIncludes(out, "4 runs: 4 exited with 0");
    assertEquals(signals.handlers, 0);
  });

  it("makes the devices anew for each run", async () => {
    const line = "--sweep --device ./class.ts ./x";
    const { code, started } = await run(line, tidy);
    assertEquals(code, 0);
    assert(started.every(({ kernel }) => kernel!.pci.functions.size === 1));
    const one = await run("--sweep --device ./one.ts ./x", tidy);
    assertEquals(one.code, 2);
    assertStringIncludes(one.err, "The device is in a machine already");
  });

  it("is 125 with --audit if a run left something behind", async () => {
    assertEquals((await run("--sweep --audit ./x", messy)).code, 125);
    assertEquals((await run("--sweep --audit ./x", tidy)).code, 0);
    assertEquals((await run("--sweep ./x", messy)).code, 0);
  });

  it("ends what takes too long, and calls that bad", async () => {
    const line = "--sweep --timeout 1 ./x";
    const { code, out, signals } = await run(line, async (program, signals) => {
      if (program.open("/dev/iommu") >= 0) return 0;
      await signals.first;
      return 9;
    });
    assertEquals(code, 1);
    assertStringIncludes(out, "ENOMEM   hung");
    assert(signals.got.includes("SIGKILL"));
  });

  it("is ended by a signal, and starts nothing more", async () => {
    const { code, err, started } = await run("--sweep ./x", (_, signals) => {
      signals.send("SIGINT");
      return 0;
    });
    assertEquals([code, started.length], [130, 1]);
    assertStringIncludes(err, "run: The sweep was ended by SIGINT.");
  });
});
