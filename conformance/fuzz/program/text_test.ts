// SPDX-License-Identifier: GPL-2.0-only

import { assert, assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  IommuIoasAlloc as IoasAlloc,
  IommuIoasMap as IoasMap,
} from "../../../impl/uapi/ioas.ts";
import { IOCTLS, VFIO_IOCTLS } from "../../../impl/uapi/ioctls.ts";
import { REVISION_NAMES } from "../../../impl/uapi/revision.ts";
import { Random } from "../../../selftests/harness/random.ts";
import { Model } from "../../../selftests/target/impl_target.ts";
import type {
  Patch,
  Program,
  Reference,
  Step,
} from "../../../selftests/target/program.ts";
import {
  type Argument,
  call,
  type Kind,
  VERBS,
} from "../../../selftests/target/verbs.ts";
import { UsageError } from "../../lib/usage_error.ts";
import { generate, PROFILES } from "../generate/generate.ts";
import { canonical } from "./canonical.ts";
import { formatProgram, parseProgram } from "./text.ts";

const WIDTHS = [1, 2, 4, 8] as const;

/** Steps of which nothing need make sense. */
class AnySteps {
  readonly #random: Random;

  constructor(seed: number) {
    this.#random = new Random(seed);
  }

  program(length: number): Program {
    return Array.from({ length }, (_, i) => this.#step(i));
  }

  #step(index: number): Step {
    const random = this.#random;
    const verb = VERBS[random.below(VERBS.length)]!;
    const process = random.below(3);
    const args = verb.args.map(([, kind]) => this.#argument(kind));
    const patches = verb.args.flatMap(([, kind], arg): Patch[] => {
      if (index === 0 || random.below(2) > 0) return [];
      const from = this.#reference(index);
      if (["number", "u64", "command", "process"].includes(kind)) {
        return [{ arg, from }];
      }
      if (kind !== "struct" && kind !== "bytes") return [];
      return Array.from({ length: 1 + random.below(2) }, () => ({
        arg,
        field: { offset: 4 * random.below(12), bytes: this.#width() },
        from: this.#reference(index),
      }));
    });
    return { process, call: { verb, args }, patches };
  }

  #width() {
    return WIDTHS[this.#random.below(4)]!;
  }

  #reference(index: number): Reference {
    const random = this.#random;
    const step = random.below(index);
    const field = { offset: 4 * random.below(8), bytes: this.#width() };
    const plus = [undefined, 0n, 0x1000n, -1n][random.below(4)];
    return {
      step,
      ...random.below(2) ? { field } : {},
      ...plus === undefined ? {} : { plus },
    };
  }

  #argument(kind: Kind): Argument {
    const random = this.#random;
    switch (kind) {
      case "text":
        return ["", "/dev/iommu", 'a "#\\\n\u2028'][random.below(3)]!;
      case "bytes":
      case "struct":
        return this.#bytes();
      case "into":
        return random.bytes(random.below(20));
      case "numbers":
        return [1, 2];
      case "process":
        return random.below(3);
      case "command": {
        const all = [...IOCTLS, ...VFIO_IOCTLS];
        return random.below(9) === 0
          ? random.below(2 ** 32)
          : all[random.below(all.length)]!.ioctl.number;
      }
      case "u64":
        return [0, 5n, 2n ** 64n - 1n, -1n][random.below(4)]!;
      case "number": {
        const numbers = [0, -1, 0x32, 2 ** 47 - 4096, 2 ** 64 - 4096];
        return random.below(2)
          ? random.below(2 ** 20)
          : numbers[random.below(5)]!;
      }
    }
  }

  /** Mostly as long as many structs, and mostly zeros. */
  #bytes(): Uint8Array {
    const random = this.#random;
    const length = [
      8,
      12,
      24,
      40,
      72,
      8 * random.below(12),
      100,
    ][random.below(7)]!;
    const bytes = new Uint8Array(length);
    for (let i = random.below(4); i > 0 && length > 0; i--) {
      bytes[random.below(length)] = random.below(256);
    }
    if (length >= 8) bytes.set([length, 0, 0, 0, random.below(24)]);
    return bytes;
  }
}

/** A program of the generator. */
function generated(seed: number, uapi: "6.12" | "7.3"): Program {
  const model = new Model(uapi, {
    memory: 64 * 2 ** 20,
    container: "iommufd",
    hasOnlyCard: true,
  });
  const random = new Random(seed);
  const names = Object.keys(PROFILES);
  const profile = PROFILES[names[seed % names.length]!]!;
  return generate({ model, uapi, random, length: 60, profile }).program;
}

describe("programs as text", () => {
  it("are the same when they are read back, whatever their steps are", () => {
    for (let seed = 1; seed <= 300; seed++) {
      const program = new AnySteps(seed).program(30);
      for (const uapi of REVISION_NAMES) {
        const text = formatProgram(program, uapi);
        assertEquals(parseProgram(text, uapi), canonical(program), text);
      }
    }
  });

  it("are the same when they are read back, if the generator made them", () => {
    for (let seed = 1; seed <= 24; seed++) {
      for (const uapi of ["6.12", "7.3"] as const) {
        const program = generated(seed, uapi);
        const text = formatProgram(program, uapi);
        assertEquals(parseProgram(text, uapi), canonical(program), text);
      }
    }
  });

  it("come to the same in their canonical form", () => {
    for (let seed = 1; seed <= 12; seed++) {
      const program = generated(seed, "7.3");
      const [is, was] = [canonical(program), program].map((each) => {
        const model = new Model("7.3", {
          memory: 64 * 2 ** 20,
          container: "iommufd",
          hasOnlyCard: true,
        });
        return { outcomes: model.program(each), problems: model.reset() };
      });
      assertEquals(is, was);
    }
  });

  it("tell calls, constants and fields by name", () => {
    const program: Program = [
      { process: 0, call: call("open", "/dev/iommu", 2) },
      {
        process: 0,
        call: call("ioctl", 0, IoasAlloc.ioctl.number, IoasAlloc.encode()),
        patches: [{ arg: 0, from: { step: 0 } }],
      },
      { process: 0, call: call("mmap", 0x10000, 4096, 3, 0x32, -1, 0) },
      {
        process: 0,
        call: call(
          "ioctl",
          3,
          IoasMap.ioctl.number,
          IoasMap.encode({ flags: 0x1006, length: 4096n }),
        ),
        patches: [
          {
            arg: 2,
            field: { offset: 8, bytes: 4 },
            from: { step: 1, field: { offset: 8, bytes: 4 } },
          },
          {
            arg: 2,
            field: { offset: 16, bytes: 8 },
            from: { step: 2, plus: 0x800n },
          },
        ],
      },
      { process: 0, call: call("fork") },
      { process: 1, call: call("poke", 0x10000, new Uint8Array(16).fill(7)) },
      { process: 1, call: call("vmstatus", []) },
    ];
    assertEquals(
      formatProgram(program, "7.3"),
      `$0 = open("/dev/iommu", O_RDWR)
$1 = ioctl($0, IOMMU_IOAS_ALLOC, {})
$2 = mmap(0x10000, 0x1000, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_FIXED | MAP_PRIVATE, -1, 0)
ioctl(3, IOMMU_IOAS_MAP, {flags: WRITEABLE | READABLE | 0x1000, ioasId: $1.outIoasId, userVa: $2 + 2048, length: 0x1000})
fork()
P1: poke(0x10000, x"07*16")
P1: vm_status()
`,
    );
  });

  it("show in hex what does not fit a struct", () => {
    const bytes = IoasAlloc.encode({ flags: 5 });
    const tell = (struct: Uint8Array) =>
      formatProgram(
        [{ process: 0, call: call("ioctl", 3, 0x3b81, struct) }],
        "7.3",
      ).trim();
    assertEquals(
      tell(bytes.subarray(0, 8)),
      "ioctl(3, IOMMU_IOAS_ALLOC, {flags: 0x5} cut 8)".replace("0x5", "5"),
    );
    assertEquals(
      tell(Uint8Array.from([...bytes, 1, 2])),
      `ioctl(3, IOMMU_IOAS_ALLOC, {flags: 5} then x"0102")`,
    );
    assertEquals(
      tell(bytes.subarray(0, 6)),
      `ioctl(3, IOMMU_IOAS_ALLOC, {flags: 5} cut 6)`,
    );
  });

  it("name test operations, as each revision numbers them", () => {
    const text = "ioctl(3, IOMMU_TEST_CMD MOCK_DOMAIN, {id: 1})\n";
    for (const uapi of REVISION_NAMES) {
      const program = parseProgram(text, uapi);
      assertEquals(formatProgram(program, uapi), text);
    }
    const [v3, current] = (["v3", "7.3"] as const).map((uapi) =>
      (parseProgram(text, uapi)[0]!.call.args[2] as Uint8Array)[4]
    );
    assertEquals([v3, current], [1, 2]);
  });

  it("name the ioctls of a device by the descriptor that they are made on", () => {
    const text = `$0 = open("/dev/vfio/devices/vfio0", O_RDWR)
ioctl($0, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, {})
ioctl(3, VFIO_IOMMU_GET_INFO, {})
`;
    assertEquals(formatProgram(parseProgram(text, "7.3"), "7.3"), text);
  });

  it("can have labels, comments, and the process anywhere", () => {
    const program = parseProgram(
      `# A comment.
$io = open("/dev/iommu", O_RDWR)   # 3

P0: close($io)\r
`,
      "7.3",
    );
    assertEquals(
      formatProgram(program, "7.3"),
      `$0 = open("/dev/iommu", O_RDWR)\nclose($0)\n`,
    );
  });
});

describe("mistakes in a program's text", () => {
  const cases: readonly [string, RegExp][] = [
    [
      "clos(3)",
      /Line 1, column 1: there is no call "clos". Did you mean "close"\?/,
    ],
    ["\nclose(3", /Line 2, column 8: close needs "\)" here\./],
    ["close()", /FD must be a number, a constant or a value such as \$0/],
    ["close(3) x", /nothing is expected behind the call/],
    ["close($0)", /there is no step \$0 before this one/],
    ["close($io)", /there is no step \$io before this one/],
    ['open("/dev", O_RDRW)', /no constant "O_RDRW". Did you mean "O_RDWR"/],
    ["open(/dev, 0)", /PATH must be a text in quotes/],
    [
      "ioctl(3, IOMMU_IOAS_ALOC, {})",
      /no ioctl "IOMMU_IOAS_ALOC". Did you mean/,
    ],
    [
      "ioctl(3, 5, {})",
      /the fields of this ioctl are not known: it needs bytes/,
    ],
    [
      "ioctl(3, IOMMU_DESTROY, {idd: 1})",
      /no field of IOMMU_DESTROY "idd": it must be size, id. Did you mean "id"\?/,
    ],
    [
      "ioctl(3, IOMMU_DESTROY, {id: 0x100000000})",
      /id must be a number from -0x80000000 to 0xffffffff/,
    ],
    ["ioctl(3, IOMMU_TEST_CMD DIRT, {})", /no test operation "DIRT"/],
    [
      "ioctl(3, IOMMU_DESTROY, {} cut 9)",
      /the length must be a number from 0x0 to 0x8/,
    ],
    [
      "poke(0, 00)",
      /BYTES must be bytes in lower-case hex, as in x"00ff 01\*16"/,
    ],
    ['poke(0, x"0")', /BYTES must be bytes/],
    [
      'poke(0, x"") with FOO@0.4 = $0',
      /no argument with bytes "FOO": it must be BYTES/,
    ],
    ["peek(0, 0x10000000)", /LENGTH must be a number from 0x0 to/],
    ["close(0x20000000000001)", /FD must be a number of at most 53 bits/],
    [
      "pipe()\nclose($0.fd)",
      /Line 2, .* no field of what pipe gives "fd": it must be readfd, writefd/,
    ],
    ["pass_fd(3, child)", /no constant "child"/],
  ];
  for (const [text, message] of cases) {
    it(`are named with their line: ${JSON.stringify(text)}`, () => {
      const error = assertThrows(() => parseProgram(text, "7.3"), UsageError);
      assert(message.test(error.message), error.message);
    });
  }
});
