// SPDX-License-Identifier: GPL-2.0-only

import { assert, assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { IMPL_CALLS } from "../../selftests/target/impl_calls.ts";
import {
  type ImplOptions,
  implTarget,
} from "../../selftests/target/impl_target.ts";
import { EINVAL } from "../../impl/uapi/errno.ts";
import { REVISION_NAMES } from "../../impl/uapi/revision.ts";
import { IOMMU_IOAS_ALLOC } from "../../impl/uapi/ioas.ts";
import { denoHost } from "../lib/host.ts";
import { parseRevision, parseTarget } from "../targets.ts";
import type { TargetSpec } from "../targets/target_spec.ts";
import { runFuzz } from "./command.ts";
import { MACHINE } from "./run/on_model.ts";

/** The model with other calls, as a target. */
function model(options: ImplOptions): TargetSpec {
  return {
    spec: "altered:",
    revisions: () => Promise.resolve(REVISION_NAMES),
    open: (uapi) => implTarget(uapi, { ...MACHINE, ...options }),
  };
}

/** Gives EINVAL for what succeeds. */
const WRONG = {
  ...IMPL_CALLS,
  ioctl: (...args: Parameters<typeof IMPL_CALLS.ioctl>) => {
    const ret = IMPL_CALLS.ioctl(...args);
    return args[2] === IOMMU_IOAS_ALLOC && ret === 0 ? -EINVAL.code : ret;
  },
};

/** Runs the command; its exit code and what it says. */
async function run(
  args: string[],
  options?: ImplOptions,
  given: Readonly<Record<string, string>> = {},
  golden = { differ: false },
) {
  let out = "";
  let err = "";
  const files = new Map<string, string>();
  const code = await runFuzz(args, {
    host: {
      ...denoHost(),
      out: (text) => out += text,
      err: (text) => err += text,
      errIsTerminal: false,
      save: (path, text) => files.set(path, text),
      readText: (path) => files.get(path) ?? given[path],
    },
    parseTarget: options ? () => model(options) : parseTarget,
    parseRevision,
    playGolden: (side) => {
      out += `golden traces on ${side?.name ?? "the model"}\n`;
      return Promise.resolve(!golden.differ);
    },
    now: () => 0,
  });
  return { code, out, err, files };
}

/** The seconds are those of a machine. */
function withoutSpeed(out: string): string {
  return out.replace(/ in .* a second/, "");
}

describe("The fuzzer's command", () => {
  it("finds nothing between the model with its frames in order and scattered", async () => {
    for (const uapi of REVISION_NAMES) {
      const args = ["--count", "20", "--seed", "1", "--uapi", uapi];
      const { code, out } = await run(args);
      assertEquals(code, 0, out);
      assertMatch(out, /^programs +20$/m);
      assertMatch(out, /^findings +0$/m);
    }
  });

  it("finds a fault, says the seed, and finds it by that again", async () => {
    const options = { calls: WRONG };
    const args = ["--count", "20", "--target", "x:"];
    const { code, out } = await run([...args, "--seed", "5"], options);
    assertEquals(code, 1, out);
    assertMatch(out, /IOMMU_IOAS_ALLOC: 0 here, EINVAL there/);
    const [, seed] = /--seed (5\.\d+)/.exec(out)!;
    const again = await run([...args, "--seed", seed!], options);
    assertEquals(again.code, 1);
    assertMatch(again.out, /^programs +1$/m);
    assertMatch(again.out, /IOMMU_IOAS_ALLOC: 0 here, EINVAL there/);
  });

  it("finds a fault of a target that is v3", async () => {
    const args = ["--count", "20", "--target", "x:", "--uapi", "v3"];
    const { code, out } = await run([...args, "--seed", "5"], { calls: WRONG });
    assertEquals(code, 1, out);
    assertMatch(out, /IOMMU_IOAS_ALLOC: 0 here, EINVAL there/);
    const sound = await run([...args, "--seed", "5"], {});
    assertEquals(sound.code, 0, sound.out);
  });

  const machines: [string, ImplOptions][] = [
    ["a container of VFIO's own", { container: "type1" }],
    ["its card from the beginning", { device: "card" }],
    ["other devices", { device: "engines" }],
    ["no device", { device: "none" }],
  ];
  for (const [what, options] of machines) {
    it(`makes the model like a target that has ${what}`, async () => {
      const args = ["--count", "20", "--target", "x:", "--profile", "vfio"];
      const { code, out } = await run([...args, "--seed", "1"], options);
      assertEquals(code, 0, out);
    });
  }

  it("plays golden traces first, unless something is repeated", async () => {
    const first = /^golden traces on (.*)\n/;
    const args = ["--count", "1"];
    const onModel = await run(args);
    assertEquals(first.exec(onModel.out)?.[1], "the model");
    assertEquals(onModel.code, 0);
    const onTarget = await run([...args, "--target", "x:"], {});
    assertEquals(first.exec(onTarget.out)?.[1], "altered:");
    const again = await run([...args, "--seed", "1"]);
    assertEquals(first.exec(again.out), null);
    const different = await run(args, undefined, {}, { differ: true });
    assertEquals(different.code, 1);
  });

  it("runs the same for a seed again", async () => {
    const args = ["--count", "10", "--seed", "3"];
    const [first, second] = [await run(args), await run(args)];
    assertEquals(withoutSpeed(first.out), withoutSpeed(second.out));
  });

  it("finds the same with several of the target at once", async () => {
    const args = ["--count", "40", "--seed", "5", "--target", "x:"];
    const [one, three] = await Promise.all(
      ["1", "3"].map((jobs) =>
        run([...args, "--jobs", jobs], { calls: WRONG })
      ),
    );
    assertEquals(one!.code, 1);
    assertEquals(withoutSpeed(three!.out), withoutSpeed(one!.out));
  });

  it("looks at a target alone", async () => {
    const args = ["--count", "20", "--target", "x:", "--only-invariants"];
    const { code, out } = await run(args, { calls: WRONG });
    assertEquals(code, 0, out);
  });

  const wrong: [string[], RegExp][] = [
    [["--only-invariants"], /needs a --target/],
    [["--count", "0"], /number from 1/],
    [["--jobs", "0"], /number from 1/],
    [["--seed", "x"], /as in 7/],
    [["--profile", "mixd"], /Did you mean "mixed"/],
    [["--cuont", "1"], /Did you mean "--count"/],
    [["--target", "nothing"], /must begin with/],
    [["--uapi", "v3", "--target", "impl:6.12"], /is 6\.12, not v3/],
    [["more"], /Unexpected argument/],
    [["--corpus", "kept", "--unguided"], /--corpus .* excludes --unguided/],
    [["--corpus", "kept", "--seed", "1.2"], /the --seed of one program/],
  ];
  for (const [args, message] of wrong) {
    it(`refuses ${args.join(" ")}`, async () => {
      const { code, err } = await run(args);
      assertEquals(code, 2);
      assertMatch(err, message);
    });
  }

  it("says when a target does not start", async () => {
    const { code, err } = await run(["--target", "unix:/nowhere/at/all"]);
    assertEquals(code, 3);
    assertMatch(err, /Cannot start target/);
  });

  it("prints its help", async () => {
    const { code, out } = await run(["--help"]);
    assertEquals(code, 0);
    assertMatch(out, /--only-invariants/);
  });

  it("writes a finding for all who want to see it again, and runs it from there", async () => {
    const options = { calls: WRONG };
    const args = ["--target", "x:", "--out", "dir"];
    const random = ["--count", "20", "--seed", "5", ...args];
    const { out, files } = await run(random, options);
    const [path] = /^dir\/finding-\S+(?=\.\*$)/m.exec(out)!;
    const ends = [".txt", "_test.ts", ".c", ".syz", ".transcript"];
    assertEquals([...files.keys()].slice(0, 5), ends.map((end) => path + end));
    assertMatch(out, /# The first difference:\n.*IOMMU_IOAS_ALLOC/);
    for (const [option, end] of [["--replay", ".txt"], ["--import", ".syz"]]) {
      const given = { file: files.get(path + end)! };
      const again = await run([option!, "file", ...args], options, given);
      assertEquals(again.code, 1, again.err);
      assertMatch(again.out, /^programs +1$/m);
      assertMatch(again.out, /IOMMU_IOAS_ALLOC: 0 here, EINVAL there/);
      const sound = await run([option!, "file"], undefined, given);
      assertEquals(sound.code, 0, sound.out);
    }
  });

  /** How many programs a corpus has. */
  const programsIn = (text: string) => text.match(/^---$/gm)?.length ?? 0;

  it("keeps what reached something first, and runs it first the next time", async () => {
    const first = ["--count", "30", "--seed", "1", "--corpus", "kept"];
    const kept = (await run(first)).files.get("kept")!;
    const count = programsIn(kept);
    assert(count > 10, `${count}`);
    const second = ["--count", "1", "--seed", "2", "--corpus", "kept"];
    const { out, files } = await run(second, undefined, { kept });
    assertMatch(out, new RegExp(`^programs +${count + 1}$`, "m"));
    const still = programsIn(files.get("kept")!);
    assert(still > count / 2 && still <= count + 1, `${still} of ${count}`);
  });

  it("keeps a program once, of corpora that were put together", async () => {
    const first = ["--count", "30", "--seed", "1", "--corpus", "kept"];
    const kept = (await run(first)).files.get("kept")!;
    const second = ["--count", "1", "--seed", "1", "--corpus", "kept"];
    const [alone, both] = await Promise.all(
      [kept, kept + kept].map((kept) => run(second, undefined, { kept })),
    );
    assertEquals(both!.files.get("kept"), alone!.files.get("kept"));
  });

  it("loses nothing of a corpus that it has no time for", async () => {
    const first = ["--count", "30", "--seed", "1", "--corpus", "kept"];
    const kept = (await run(first)).files.get("kept")!;
    const args = ["--minutes", "0", "--seed", "1", "--corpus", "kept"];
    const { files } = await run(args, undefined, { kept });
    assertEquals(files.get("kept"), kept);
  });

  it("names a program of a corpus that shows a fault", async () => {
    const first = ["--count", "30", "--seed", "1", "--corpus", "kept"];
    const kept = (await run(first)).files.get("kept")!;
    const second = ["--count", "1", "--seed", "2", "--corpus", "kept"];
    const args = [...second, "--target", "x:", "--out", "dir"];
    const { code, out, files } = await run(args, { calls: WRONG }, { kept });
    assertEquals(code, 1);
    const [, name] = /first (corpus-\d+)$/m.exec(out)!;
    assert(files.has(`dir/finding-${name}.txt`));
  });

  it("says which program of a corpus it cannot read", async () => {
    const kept = '---\nopen("/dev/iommu", O_RDWR)\n---\nclos(0x3)\n';
    const { code, err } = await run(["--corpus", "kept"], undefined, { kept });
    assertEquals(code, 2);
    assertMatch(err, /Cannot read program 2 of "kept" for uAPI 7\.3: Line \d/);
  });

  it("says what is wrong with the file of a program", async () => {
    const cases: [string[], RegExp][] = [
      [["--replay", "none"], /^There is no file "none"\.$/m],
      [
        ["--replay", "file"],
        /Cannot read "file": Line 1, column 1: there is no call "clos"/,
      ],
      [["--import", "file"], /^file: Line 1: clos has no counterpart\.$/m],
      [["--import", "file", "--replay", "file"], /exclude each other/],
    ];
    for (const [args, message] of cases) {
      const { err } = await run(args, undefined, { file: "clos(0x3)" });
      assertMatch(err, message);
    }
  });
});
