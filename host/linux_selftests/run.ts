// SPDX-License-Identifier: GPL-2.0-only

/**
 * Builds Linux's own selftest programs of iommufd and VFIO and runs them,
 * unmodified, on the model: each of them with the revision that it was written
 * for, as the user that calls and, if that is root, as an ordinary one. Fails if
 * a test does, or if the kernel warned or is not well afterwards. Arguments:
 * which revisions, by default all; `--build` only builds; `--only=NAME` runs the
 * programs whose name begins so; `--tap=FOLDER` keeps there what the programs
 * print.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { chosenKernels } from "../../conformance/linux_vm/build.ts";
import { cacheFolder } from "../../conformance/linux_vm/cache.ts";
import type { Kernel } from "../../conformance/linux_vm/kernels/kernels.ts";
import { freeHugePages } from "../sys/huge_pages.ts";
import { Sys } from "../sys/sys.ts";
import { buildSelftests, type Programs } from "./build.ts";
import { type CopiedCommand, copyForEverybody } from "./copy.ts";
import { type Setting, settingsOf } from "./settings.ts";
import { parseTap, withKnown } from "./tap.ts";

/** Pages of 2 MiB that the tests map at a time. */
const HUGE_PAGES = 128;
/** The user that has no rights, `nobody`. */
const ORDINARY = 65534;

/** Programs that mostly wait are run beside each other, so many. */
const BESIDE = 4;

/** A run; true if all is well. */
type Job = () => Promise<boolean>;

/** Does all jobs, so many at a time; true if all is well. */
async function doAll(jobs: readonly Job[], atATime: number): Promise<boolean> {
  const left = jobs.values();
  let good = true;
  const work = async () => {
    for (const job of left) good = await job() && good;
  };
  await Promise.all(Array.from({ length: atATime }, work));
  return good;
}

/** Runs what was built. */
class Runner {
  readonly #copy: CopiedCommand;
  /** Where what the programs print is kept. */
  readonly #taps: string | undefined;

  constructor(copy: CopiedCommand, taps: string | undefined) {
    this.#copy = copy;
    this.#taps = taps;
  }

  /** Runs the programs of a kernel as users; true if all is well. */
  async run(
    { revision }: Kernel,
    programs: Programs,
    users: readonly number[],
  ): Promise<boolean> {
    const alone: Job[] = [];
    const beside: Job[] = [];
    for (const [name, path] of programs) {
      const copied = `${this.#copy.folder}/${name}-${revision}`;
      await Deno.copyFile(path, copied);
      for (const uid of users) {
        for (const setting of settingsOf(name, revision)) {
          const what = [`${name}-${revision}`, setting.name, uid]
            .filter((part) => part !== "").join("-");
          const jobs = setting.isAlone ? alone : beside;
          jobs.push(() => this.#runOn(setting, copied, what, uid));
        }
      }
    }
    return await doAll(alone, 1) && await doAll(beside, BESIDE);
  }

  /** Runs a program on a machine; true if all is well. */
  async #runOn(
    { name, options, args, fails, skips }: Setting,
    program: string,
    what: string,
    uid: number,
  ): Promise<boolean> {
    const start = performance.now();
    const output = await this.#output(
      [...options, "--", program, ...args],
      uid,
    );
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    const tap = withKnown(output.stdout, fails);
    const { passed, failed, skipped } = parseTap(tap);
    console.log(
      `${what}: ${passed.length} passed, ${failed.length} failed, ${skipped.length} skipped, exit status ${output.code}, ${seconds} seconds`,
    );
    if (this.#taps !== undefined) {
      await Deno.writeTextFile(`${this.#taps}/${what}.tap`, tap);
    }
    const unexpected = skipped.filter((each) =>
      !skips.test(each) && !fails.some((one) => each.startsWith(`${one} `))
    );
    for (const each of failed) console.log(`  failed: ${each}`);
    for (const each of unexpected) console.log(`  not run: ${each}`);
    for (const each of skipped) {
      if (name !== "") console.log(`  skipped: ${each}`);
    }
    const code = fails.length > 0 ? 1 : 0;
    const good = failed.length + unexpected.length === 0 &&
      output.code === code;
    if (!good) console.log(output.stderr.trim());
    return good;
  }

  async #output(
    args: readonly string[],
    uid: number,
  ): Promise<{ code: number; stdout: string; stderr: string }> {
    const { deno, folder, env } = this.#copy;
    const { code, stdout, stderr } = await new Deno.Command(deno, {
      args: [
        "run",
        "-A",
        `${folder}/host/linux_selftests/on_model.ts`,
        ...args,
      ],
      cwd: folder,
      env: { ...env, NO_COLOR: "1" },
      stdin: "null",
      ...uid === Deno.uid() ? {} : { uid, gid: uid },
    }).output();
    const decoder = new TextDecoder();
    const [out, err] = [stdout, stderr].map((bytes) => decoder.decode(bytes));
    return { code, stdout: out!, stderr: err! };
  }
}

/** The task; resolves to the exit code. */
async function main(args: readonly string[]): Promise<number> {
  const options = parseArgs([...args], {
    boolean: ["build"],
    string: ["only", "tap", "_"],
  });
  const only = options.only as string | undefined ?? "";
  const kernels = chosenKernels(options._.map(String));
  const built = new Map<Kernel, Programs>();
  for (const kernel of kernels) {
    const all = await buildSelftests(kernel, cacheFolder(), console.log);
    built.set(
      kernel,
      new Map([...all].filter(([name]) => name.startsWith(only))),
    );
  }
  if (options.build) {
    for (const programs of built.values()) {
      for (const path of programs.values()) console.log(path);
    }
    return 0;
  }
  const free = freeHugePages(Sys.shared);
  if (free < HUGE_PAGES) {
    throw new Error(
      `The tests need ${HUGE_PAGES} huge pages of 2 MiB, and ${free} are free: as root, write ${HUGE_PAGES} to /proc/sys/vm/nr_hugepages`,
    );
  }
  using copy = await copyForEverybody();
  const runner = new Runner(copy, options.tap as string | undefined);
  const uid = Deno.uid() ?? ORDINARY;
  const users = uid === 0 ? [0, ORDINARY] : [uid];
  let good = true;
  for (const [kernel, programs] of built) {
    good = await runner.run(kernel, programs, users) && good;
  }
  return good ? 0 : 1;
}

if (import.meta.main) {
  try {
    Deno.exit(await main(Deno.args));
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    console.error(error.message);
    Deno.exit(1);
  }
}
