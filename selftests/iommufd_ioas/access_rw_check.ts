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
  /** The calls: one access, then a look at the memory that it wrote to. */
  readonly calls: readonly Call[];
  /** That memory afterwards. */
  readonly seen: Uint8Array;
  /** What must be there. */
  readonly expected: Uint8Array;
}

/** Where an access is. */
interface Place {
  readonly io: Iommufd;
  /** The struct of an access, but for what follows and `flags`. */
  readonly template: Uint8Array;
  /** Where to make the struct of this one. */
  readonly args: Uint8Array;
  readonly iova: bigint;
  readonly offset: number;
  readonly length: number;
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
  // What is in the buffer is known: it need not be asked for.
  const content = random.bytes(io.memory.bufferSize);
  await io.process.poke(io.buffer, content);
  const template = encodeTestCmd(
    io.revision,
    TestAccessRw,
    IOMMU_TEST_OP_ACCESS_RW,
    { id: access, uptr: BigInt(io.scratch) },
  );
  for (let offset = pageSize - 50; offset < pageSize + 50; offset++) {
    const steps: Step[] = [];
    const bytes = random.bytes(2 * TMP_SIZE);
    // One allocation for all, since there are many.
    const structs = new Uint8Array(2 * TMP_SIZE * TestAccessRw.size);
    for (let length = 1; length < TMP_SIZE; length++) {
      const args = structs.subarray(2 * length * TestAccessRw.size);
      const place = { io, template, args, iova, offset, length };
      const before = content.slice(offset, offset + length);
      steps.push(readStep(place, flags, before));
      const tmp = bytes.subarray(length, length + TMP_SIZE);
      content.set(tmp.subarray(0, length), offset);
      steps.push(writeStep(place, flags, tmp));
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

/** The access itself; its struct is made at `at`. */
function accessCall(
  { io, template, args, iova, offset, length }: Place,
  at: number,
  flags: number,
): Call {
  const arg = args.subarray(at, at + TestAccessRw.size);
  arg.set(template);
  const cmd = TestAccessRw.at(arg);
  cmd.iova = iova + BigInt(offset);
  cmd.length = BigInt(length);
  cmd.flags = flags;
  const bytes = arg.subarray(0, template.length);
  return call("ioctl", io.fd, IOMMU_TEST_CMD, bytes);
}

/** Reads what is in the buffer. */
function readStep(place: Place, flags: number, expected: Uint8Array): Step {
  const { io, offset, length } = place;
  const seen = new Uint8Array(length);
  return {
    what: `ACCESS_RW read of ${length} bytes at offset ${offset}`,
    seen,
    expected,
    calls: [accessCall(place, 0, flags), call("peek", io.scratch, seen)],
  };
}

/** Writes the first of the bytes of `tmp` to the buffer. */
function writeStep(place: Place, flags: number, tmp: Uint8Array): Step {
  const { io, offset, length } = place;
  const seen = new Uint8Array(length);
  return {
    what: `ACCESS_RW write of ${length} bytes at offset ${offset}`,
    seen,
    expected: tmp.subarray(0, length),
    calls: [
      call("poke", io.scratch, tmp),
      accessCall(place, TestAccessRw.size, flags | MOCK_ACCESS_RW_WRITE),
      call("peek", io.buffer + offset, seen),
    ],
  };
}

/** Runs all steps in one round trip and checks each. */
async function runSteps(io: Iommufd, steps: readonly Step[]): Promise<void> {
  const results = await io.process.batch(steps.flatMap((step) => step.calls));
  let index = 0;
  for (const { what, calls, seen, expected } of steps) {
    for (const { verb } of calls) {
      const ret = results[index++]!;
      if (ret !== 0) assertResult(ret, undefined, `${what}, ${verb.name}`);
    }
    assertBytes(seen, expected, what);
  }
}
