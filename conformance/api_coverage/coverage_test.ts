// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { IOMMU_FAULT_QUEUE_ALLOC } from "../../impl/uapi/fault.ts";
import {
  IOMMU_IOAS_MAP_READABLE,
  IommuDestroy,
  IommuIoasAlloc,
  IommuIoasMap,
  IommuVfioIoas,
} from "../../impl/uapi/ioas.ts";
import type { IoctlStruct } from "../../impl/uapi/ioctl.ts";
import { O_RDWR } from "../../impl/uapi/mman.ts";
import type { RevisionName } from "../../impl/uapi/revision.ts";
import { TestCmd, TestMockDomain } from "../../impl/uapi/selftest.ts";
import { VFIO_GET_API_VERSION } from "../../impl/uapi/vfio.ts";
import { implTarget } from "../../selftests/target/impl_target.ts";
import type { Program, Step } from "../../selftests/target/program.ts";
import { runProgram } from "../../selftests/target/program.ts";
import {
  type ArgumentsOf,
  call,
  type VerbName,
} from "../../selftests/target/verbs.ts";
import { Coverage, type FileWithIoctls } from "./coverage.ts";
import { noteProgram } from "./covered_program.ts";
import { covered } from "./covered_target.ts";

function step<N extends VerbName>(name: N, ...args: ArgumentsOf<N>): Step {
  return { process: 0, call: call(name, ...args) };
}

function ioctl<T extends object>(
  fd: number,
  row: IoctlStruct<T>,
  values: Partial<T> = {},
): Step {
  return step("ioctl", fd, row.ioctl.number, row.encode(values));
}

const OPEN = step("open", "/dev/iommu", O_RDWR);
const IOAS = ioctl(3, IommuIoasAlloc);
/** An operation of the test ioctl on the object 1. */
const MOCK = step(
  "ioctl",
  3,
  TestCmd.ioctl.number,
  TestMockDomain.encode({ op: TestMockDomain.op.number, id: 1 }),
);

/** What a program reaches when its calls are made one by one, and when it is noted afterwards. */
async function reach(
  program: Program,
  { uapi = "7.3", needs = [] }: {
    uapi?: RevisionName;
    needs?: readonly string[];
  } = {},
) {
  const target = await implTarget(uapi);
  const [live, after] = [new Coverage(uapi), new Coverage(uapi)];
  const watched = covered(target, live);
  const process = await watched.spawn(needs);
  for (const { call } of program) await watched.make(process, [copy(call)]);
  await watched.reset();
  if (needs.length === 0) {
    noteProgram(after, program, await runProgram(target, program));
    assertEquals(after.reached, live.reached);
  }
  await target.close();
  return live.reached;
}

function copy({ verb, args }: Step["call"]): Step["call"] {
  return {
    verb,
    args: args.map((arg) => typeof arg === "object" ? arg.slice() : arg),
  };
}

/** The results of one row. */
async function resultsOf(
  name: string,
  program: Program,
  file: FileWithIoctls = "iommufd",
): Promise<Record<string, number>> {
  const reached = await reach(program);
  const row = reached.find((row) => row.file === file && row.name === name);
  return Object.fromEntries(row?.results ?? []);
}

describe("API coverage", () => {
  it("counts an ioctl by what it came to", async () => {
    const program = [OPEN, IOAS, IOAS, ioctl(3, IommuIoasAlloc, { flags: 1 })];
    assertEquals(await resultsOf("IOMMU_IOAS_ALLOC", program), {
      ok: 2,
      EOPNOTSUPP: 1,
    });
  });

  it("counts an operation of the test ioctl by itself", async () => {
    assertEquals(
      await resultsOf("IOMMU_TEST_CMD MOCK_DOMAIN", [OPEN, IOAS, MOCK]),
      { ok: 1 },
    );
  });

  it("counts what is wrong with a struct before its operation is read for the test ioctl", async () => {
    const short = TestMockDomain.encode({
      size: 8,
      op: TestMockDomain.op.number,
    });
    const long = new Uint8Array(TestCmd.size + 1).fill(1);
    long.set(TestMockDomain.encode({
      size: long.length,
      op: TestMockDomain.op.number,
    }));
    const program = [short, long]
      .map((struct) => step("ioctl", 3, TestCmd.ioctl.number, struct));
    assertEquals(await resultsOf("IOMMU_TEST_CMD", [OPEN, ...program]), {
      EINVAL: 1,
      E2BIG: 1,
    });
  });

  it("counts a number that the file has no ioctl for with the others", async () => {
    const program = [OPEN, step("ioctlarg", 3, 0x1234, 0)];
    assertEquals(await resultsOf("others", program), { ENOTTY: 1 });
    const [row] = await reach(
      [OPEN, step("ioctlarg", 3, IOMMU_FAULT_QUEUE_ALLOC, 0)],
      { uapi: "v3" },
    );
    assertEquals(row?.name, "others");
  });

  it("counts flags, and apart those of calls that were refused", async () => {
    const flags = IOMMU_IOAS_MAP_READABLE;
    const [, row] = await reach([
      OPEN,
      IOAS,
      step("mmap", 0x10000, 4096, 3, 0x32, -1, 0),
      ioctl(3, IommuIoasMap, {
        ioasId: 1,
        flags,
        userVa: 0x10000n,
        length: 4096n,
      }),
      ioctl(3, IommuIoasMap, { ioasId: 1, flags: flags | 0x100 }),
    ]);
    assertEquals(Object.fromEntries(row!.fields.get("flags")!), {
      READABLE: { ok: 1, refused: 1 },
      unknown: { ok: 0, refused: 1 },
    });
  });

  it("counts the types of the objects that ids name", async () => {
    const destroy = (id: number) => ioctl(3, IommuDestroy, { id });
    const reached = await reach([
      OPEN,
      IOAS,
      MOCK,
      ...[2, 3, 1, 1, 0].map(destroy),
    ]);
    const row = reached.find(({ name }) => name === "IOMMU_DESTROY");
    assertEquals(Object.fromEntries(row!.fields.get("id")!), {
      SELFTEST: { ok: 1, refused: 0 },
      nothing: { ok: 0, refused: 1 },
      DEVICE: { ok: 0, refused: 1 },
      IOAS: { ok: 1, refused: 0 },
      0: { ok: 0, refused: 1 },
    });
  });

  it("follows descriptors through dup, fork and passfd, and forgets what was closed", async () => {
    const coverage = new Coverage("7.3");
    const target = await implTarget("7.3");
    const program: Program = [
      OPEN,
      step("dup", 3),
      step("fork"),
      { ...ioctl(4, IommuIoasAlloc), process: 1 },
      step("close", 4),
      ioctl(4, IommuIoasAlloc),
      { ...step("passfd", 3, 0), process: 1 },
      ioctl(4, IommuIoasAlloc),
      step("close", 4),
      step("memfd", "memory", 0),
      ioctl(4, IommuIoasAlloc),
    ];
    noteProgram(coverage, program, await runProgram(target, program));
    assertEquals(coverage.reached.map(({ results }) => [...results]), [
      [["ok", 2]],
    ]);
    await target.reset();
    await target.close();
  });

  it("tells VFIO's own container from an iommufd", async () => {
    const program = [
      step("open", "/dev/vfio/vfio", O_RDWR),
      step("ioctlarg", 3, VFIO_GET_API_VERSION, 0),
      ioctl(3, IommuVfioIoas),
    ];
    const names = async (need: string) =>
      (await reach(program, { needs: [need] }))
        .map(({ file, name }) => `${file} ${name}`);
    assertEquals(await names("vfio"), [
      "iommufd VFIO_GET_API_VERSION",
      "iommufd IOMMU_VFIO_IOAS",
    ]);
    assertEquals(await names("type1_container"), [
      "container VFIO_GET_API_VERSION",
      "container others",
    ]);
  });
});
