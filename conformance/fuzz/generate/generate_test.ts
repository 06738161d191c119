// SPDX-License-Identifier: GPL-2.0-only

import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  REVISION_NAMES,
  type RevisionName,
} from "../../../impl/uapi/revision.ts";
import {
  VFIO_DEVICE_FEATURE,
  VFIO_DEVICE_FEATURE_MASK,
} from "../../../impl/uapi/vfio/feature.ts";
import { Random } from "../../../selftests/harness/random.ts";
import {
  type ImplOptions,
  Model,
} from "../../../selftests/target/impl_target.ts";
import type { Step } from "../../../selftests/target/program.ts";
import {
  generate,
  type Generated,
  type GenerateOptions,
  type Profile,
  PROFILES,
} from "./generate.ts";
import { readU32, Shapes } from "./known/shapes.ts";
import { hasSize, sizesOf } from "./ioctls/sizes.ts";
import { MACHINE } from "../run/on_model.ts";

const LENGTH = 40;

/** What makes a program beside its seed. */
type More = Partial<GenerateOptions>;

/** A program of a seed. */
function programOf(
  seed: number,
  profile: Profile = PROFILES.mixed!,
  { uapi = "7.3", ...more }: More = {},
): Generated {
  const model = new Model(uapi, MACHINE);
  const random = new Random(seed);
  return generate({ model, uapi, random, length: LENGTH, profile, ...more });
}

/** Ioctls and test operations that never succeed on this machine, and why. */
const NEVER: Readonly<Record<string, string>> = {
  IOMMU_IOAS_NOIOMMU_GET_PA: "it has no device without an IOMMU",
  VFIO_IOMMU_DIRTY_PAGES: "iommufd does not have it",
  VFIO_DEVICE_GET_PCI_HOT_RESET_INFO: "the card is on the root bus",
  VFIO_DEVICE_PCI_HOT_RESET: "the card is on the root bus",
  VFIO_MIG_GET_PRECOPY_INFO: "the card cannot be moved",
  VFIO_GROUP_GET_DEVICE_FD: "the name of the device is seldom right",
  VFIO_DEVICE_IOEVENTFD: "the card's registers are not written so",
};

/** What the ioctls of a step are called, and what they came to. */
function resultsOf(
  shapes: Shapes,
  { program, outcomes }: Generated,
): [name: string, result: number][] {
  return program.flatMap(({ call: { verb, args } }, i) => {
    const outcome = outcomes[i]!;
    if (!verb.name.startsWith("ioctl") || outcome.kind !== "returned") {
      return [];
    }
    const cmd = args[1] as number;
    const struct = args[2] instanceof Uint8Array ? args[2] : new Uint8Array(0);
    return (["iommufd", "VFIO device"] as const).flatMap((kind) => {
      const shape = shapes.of(kind, cmd, struct);
      const pair: [string, number][] = shape
        ? [[shape.name, outcome.result]]
        : [];
      return pair;
    });
  });
}

/** By ioctl or test operation, all results of some programs. */
function reached(
  uapi: RevisionName,
  profiles: readonly Profile[],
  programs: number,
): Map<string, Set<number>> {
  const shapes = new Shapes(uapi);
  const all = new Map<string, Set<number>>();
  for (const profile of profiles) {
    for (let seed = 0; seed < programs; seed++) {
      const generated = programOf(seed, profile, { uapi });
      for (const [name, result] of resultsOf(shapes, generated)) {
        const results = all.get(name) ?? new Set();
        all.set(name, results.add(Math.min(result, 0)));
      }
    }
  }
  return all;
}

/** The values that programs put into structs, 8 bytes each. */
function valuesIn({ program }: Generated): bigint[] {
  return program.flatMap(({ call: { verb, args } }) => {
    if (verb.name !== "ioctl") return [];
    const struct = (args[2] as Uint8Array).slice();
    const words = struct.subarray(0, struct.length - struct.length % 8);
    return [...new BigUint64Array(words.slice().buffer)];
  });
}

describe("generate", () => {
  it("makes the same program of a seed, and another of another", () => {
    assertEquals(programOf(1), programOf(1));
    assert(Deno.inspect(programOf(1)) !== Deno.inspect(programOf(2)));
  });

  it("refers to nothing but earlier steps", () => {
    let patched = 0;
    for (let seed = 0; seed < 50; seed++) {
      const { program } = programOf(seed);
      for (const [index, { patches = [] }] of program.entries()) {
        for (const { from } of patches) assert(from.step < index);
        patched += patches.length;
      }
    }
    assert(patched > 1000, `only ${patched} values of earlier steps`);
  });

  it("gives the outcomes that the program has when it is run again", () => {
    for (const profile of Object.values(PROFILES)) {
      for (const uapi of ["v3", "6.12", "7.3"] as const) {
        const { program, outcomes, problems } = programOf(7, profile, { uapi });
        const model = new Model(uapi, MACHINE);
        assertEquals(model.program(program), outcomes);
        assertEquals(model.reset(), problems);
      }
    }
  });

  for (const uapi of REVISION_NAMES) {
    it(`has every ioctl and test operation of ${uapi} succeed and fail`, () => {
      const { mixed, vfio, viommu, pasid } = PROFILES;
      const all = [mixed!, vfio!, viommu!, pasid!];
      const results = reached(uapi, all, 150);
      const { all: shapes } = new Shapes(uapi);
      const missing = shapes.map(({ name }) => name).filter((name) =>
        !(name in NEVER) && !results.get(name)?.has(0)
      );
      assertEquals(missing, []);
      const unfailing = shapes.filter(({ name, layout }) =>
        layout !== undefined && !(name in NEVER) &&
        results.get(name)!.size < 3
      );
      assertEquals(unfailing.map(({ name }) => name), []);
    });
  }

  it("tries all sizes of each ioctl in its turn", () => {
    const tried = new Set<string>();
    const shapes = new Shapes("7.3");
    for (const profile of [PROFILES.mixed!, PROFILES.vfio!]) {
      const sized = shapes.all.filter((shape) =>
        shape.name in profile.actions && hasSize(shape)
      );
      // Every fourth program takes a turn; what it needs is not always there.
      for (let turn = 0; turn < 4 * sized.length; turn++) {
        const made = programOf(turn, profile, { number: 4 * turn, length: 60 });
        for (const { call: { verb, args } } of made.program) {
          if (verb.name !== "ioctl") continue;
          const [, cmd, struct] = args as [number, number, Uint8Array];
          const bytes = readU32(struct, 0);
          const tail = struct.length > bytes ? 0 : struct.at(-1)! & 1;
          for (const kind of ["iommufd", "VFIO device"] as const) {
            const shape = shapes.of(kind, cmd, struct);
            if (shape) tried.add(`${shape.name} ${bytes} ${tail}`);
          }
        }
      }
    }
    const missing = shapes.all.filter((shape) =>
      hasSize(shape) && shape.on !== "VFIO data"
    ).flatMap((shape) =>
      sizesOf(shape).map(({ bytes, tail }) =>
        `${shape.name} ${bytes} ${bytes > shape.size ? tail : 0}`
      )
    ).filter((size) => !tried.has(size));
    assertEquals(missing, []);
  });

  /** How often an ioctl succeeded on a machine, by a name that its struct has; undefined for one that has none. */
  function succeeded(
    profile: Profile,
    options: ImplOptions,
    nameOf: (cmd: number, struct: Uint8Array) => string | undefined,
  ): Map<string, number> {
    const counts = new Map<string, number>();
    const model = new Model("7.3", { ...MACHINE, ...options });
    for (let seed = 0; seed < 250; seed++) {
      const { program, outcomes } = programOf(seed, profile, { model });
      for (const [i, { call: { verb, args } }] of program.entries()) {
        const outcome = outcomes[i]!;
        const done = outcome.kind === "returned" && outcome.result >= 0;
        if (verb.name !== "ioctl" || !done) continue;
        const name = nameOf(args[1] as number, args[2] as Uint8Array);
        if (name) counts.set(name, (counts.get(name) ?? 0) + 1);
      }
    }
    return counts;
  }

  it("has each feature of VFIO devices got and set with its data", () => {
    const got = succeeded(
      PROFILES.vfio!,
      { device: "engines" },
      (cmd, struct) => {
        const flags = readU32(struct, 4);
        return cmd === VFIO_DEVICE_FEATURE
          ? `${flags & VFIO_DEVICE_FEATURE_MASK} ${flags >>> 16}`
          : undefined;
      },
    );
    const [get, set] = [1, 2];
    const both = [[1, get], [2, get], [2, set], [3, set], [4, set], [5, set]]
      .concat([[6, set], [7, set], [8, get], [9, get], [11, get], [12, set]]);
    const missing = both.map((pair) => pair.join(" "))
      .filter((name) => !got.has(name));
    assertEquals(missing, []);
  });

  it("has containers of VFIO's own mapped, unmapped, asked for what is dirty", () => {
    const got = succeeded(
      PROFILES.container!,
      { container: "type1" },
      (cmd, struct) => `${cmd.toString(16)} ${readU32(struct, 4)}`,
    );
    const [map, unmap, dirty] = ["3b71", "3b72", "3b75"];
    const wanted = [
      ...[3, 4].map((flags) => `${map} ${flags}`),
      ...[0, 1, 2, 4, 6].map((flags) => `${unmap} ${flags}`),
      ...[1, 2, 4].map((flags) => `${dirty} ${flags}`),
    ];
    assertEquals(wanted.filter((name) => !got.has(name)), []);
  });

  /** What some programs about registers came to: how their steps that succeeded are written, without spaces. */
  function ofRegisters(options: ImplOptions, more: More = {}): string[] {
    const model = new Model("7.3", { ...MACHINE, ...options });
    const profile = PROFILES.registers!;
    return Array.from({ length: 120 }, (_, seed) => {
      const { program, outcomes } = programOf(seed, profile, {
        model,
        ...more,
      });
      return program.flatMap(({ call: { verb, args } }, i) => {
        const outcome = outcomes[i]!;
        const done = outcome.kind === "returned" && outcome.result >= 0;
        return done ? `${verb.name} ${args.join(" ")} ${outcome.back}` : [];
      });
    }).flat();
  }

  it("has copy engines carry out commands", () => {
    const done = ofRegisters({ device: "engines" });
    // The status, and that it has no command any more.
    const answers = done.filter((text) => / 4 1,0,0,0,0,0,0,0,/.test(text));
    assert(answers.length > 20, `${answers.length} commands were done`);
  });

  it("has virtual functions on a machine of its own alone", () => {
    const isCount = (text: string) => text.includes("sriov_numvfs");
    const isVirtual = (text: string) =>
      text.startsWith("open /dev/vfio/devices/vfio1 ");
    const alone = ofRegisters({ device: "card" }, { isAlone: true });
    assert(alone.some(isCount) && alone.some(isVirtual));
    assertEquals(ofRegisters({ device: "card" }).filter(isCount), []);
  });

  it("has what means something succeed, and what is wrong fail", () => {
    const share = (wrong: number) => {
      const results = Array.from({ length: 60 }, (_, seed) =>
        resultsOf(
          new Shapes("7.3"),
          programOf(seed, { ...PROFILES.ioas!, wrong }),
        )).flat();
      return results.filter(([, result]) => result >= 0).length /
        results.length;
    };
    assert(share(0) > 0.55, `${share(0)} of what is right succeeds`);
    assert(share(100) < share(0) - 0.2, `${share(100)} of what is wrong`);
  });

  it("comes to where numbers are different", () => {
    const values = new Set<bigint>();
    for (let seed = 0; seed < 150; seed++) {
      for (const value of valuesIn(programOf(seed))) values.add(value);
    }
    const edges = [2n ** 64n - 1n, 2n ** 63n, 2n ** 31n, 2048n];
    assertEquals(edges.filter((edge) => !values.has(edge)), []);
  });

  it("does what its profile has, and what that needs, alone", () => {
    const verbs = new Set<string>();
    for (let seed = 0; seed < 50; seed++) {
      const { program } = programOf(seed, PROFILES.dirty!);
      for (const { call: { verb } } of program) verbs.add(verb.name);
    }
    assertEquals(verbs.has("fork") || verbs.has("setuid"), false);
    assertEquals(verbs.has("ioctl"), true);
  });

  it("leaves out the steps that it is told to", () => {
    const before = (_model: Model, _run: unknown, { call }: Step) =>
      call.verb.name !== "mmap";
    const { program } = programOf(3, PROFILES.memory!, { before });
    assertEquals(program.some(({ call }) => call.verb.name === "mmap"), false);
    assert(program.length > LENGTH);
  });

  it("goes on from a program", () => {
    const start = programOf(4, PROFILES.hwpt!).program.slice(0, 20);
    const { program } = programOf(5, PROFILES.hwpt!, { start });
    assertEquals(program.slice(0, 20), start);
    assert(program.length > LENGTH);
  });
});
