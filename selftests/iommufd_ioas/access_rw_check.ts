// SPDX-License-Identifier: GPL-2.0-only

/**
 * Reads and writes through an access around a page boundary, byte by byte:
 * what the C tests call check_access_rw.
 *
 * @module
 */

import {
  IOMMU_TEST_CMD,
  IOMMU_TEST_OP_ACCESS_RW,
  MOCK_ACCESS_RW_WRITE,
  TestAccessRw,
} from "../../impl/uapi/selftest.ts";
import { assertBytes } from "../harness/harness.ts";
import { assertResult, type Iommufd } from "../ioctls/ioctls.ts";
import { encodeTestCmd } from "../ioctls/mock_ioctls.ts";
import { Random } from "../harness/random.ts";
import { type Call, call } from "../target/verbs.ts";

/** Bytes of the C test's `tmp` array. */
const TMP_SIZE = 64;

/** One access of a batch and what it must come to. */
interface Step {
  /** For messages. */
  readonly what: string;
  /** The calls: one access, then a look at both memories. */
  readonly calls: readonly Call[];
  /** The test buffer afterwards. */
  readonly mapped: Uint8Array;
  /** The process's own copy afterwards. */
  readonly own: Uint8Array;
}

/**
 * Reads and writes 1 to 63 bytes at each of 100 offsets around the second
 * page of the test buffer, which is mapped at `iova`, comparing after each
 * call; then reads the whole buffer. 12,601 ioctls.
 */
export async function checkAccessRw(
  io: Iommufd,
  access: number,
  iova: bigint,
  flags: number,
): Promise<void> {
  const random = new Random(Number(iova & 0xffffffn) + flags);
  const { pageSize } = io.context;
  await io.process.poke(io.buffer, random.bytes(io.memory.bufferSize));
  for (let offset = pageSize - 50; offset < pageSize + 50; offset++) {
    const steps: Step[] = [];
    for (let length = 1; length < TMP_SIZE; length++) {
      const range = { io, access, iova, offset, length };
      steps.push(step("read", flags, range));
      const poke = call("poke", io.scratch, random.bytes(TMP_SIZE));
      steps.push(step("write", flags | MOCK_ACCESS_RW_WRITE, range, poke));
    }
    await runSteps(io, steps);
  }

  const whole = { iova, length: io.bufferSize, uptr: io.scratch, flags };
  await io.mock.accessRw(access, whole);
  assertBytes(
    await io.process.peek(io.scratch, io.memory.bufferSize),
    await io.process.peek(io.buffer, io.memory.bufferSize),
    "the whole buffer",
  );
}

/** One read or write of `length` bytes at `offset`, with the calls that look at its outcome. */
function step(
  name: string,
  flags: number,
  { io, access, iova, offset, length }: {
    io: Iommufd;
    access: number;
    iova: bigint;
    offset: number;
    length: number;
  },
  before?: Call,
): Step {
  const arg = encodeTestCmd(
    io.revision,
    TestAccessRw,
    IOMMU_TEST_OP_ACCESS_RW,
    {
      id: access,
      iova: iova + BigInt(offset),
      length: BigInt(length),
      uptr: BigInt(io.scratch),
      flags,
    },
  );
  const mapped = new Uint8Array(length);
  const own = new Uint8Array(length);
  return {
    what: `ACCESS_RW ${name} of ${length} bytes at offset ${offset}`,
    mapped,
    own,
    calls: [
      ...before ? [before] : [],
      call("ioctl", io.fd, IOMMU_TEST_CMD, arg),
      call("peek", io.buffer + offset, mapped),
      call("peek", io.scratch, own),
    ],
  };
}

/** Runs all steps in one round trip and checks each. */
async function runSteps(io: Iommufd, steps: readonly Step[]): Promise<void> {
  const results = await io.process.batch(steps.flatMap((step) => step.calls));
  let index = 0;
  for (const { what, calls, mapped, own } of steps) {
    for (const { verb } of calls) {
      assertResult(results[index++]!, undefined, `${what}, ${verb.name}`);
    }
    assertBytes(own, mapped, what);
  }
}
