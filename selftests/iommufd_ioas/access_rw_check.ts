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

/** An access, which is made at one place after the other. There are so many that each has its bytes once. */
interface Step {
  /** `read` or `write`, for messages. */
  readonly kind: string;
  /** Its struct as it is passed. */
  readonly struct: Uint8Array;
  /** The same, to change it. */
  readonly cmd: TestAccessRw;
  /** What is seen afterwards of the memory that it wrote to. */
  readonly seen: Uint8Array;
  /** What must be there. */
  readonly expected: Uint8Array;
}

/** The accesses of one length: a read, then a write of the first bytes of `tmp`. */
interface Pair {
  readonly read: Step;
  readonly write: Step;
  readonly tmp: Uint8Array;
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
  const bytes = new Uint8Array(2 * TMP_SIZE);
  const pairs = Array.from({ length: TMP_SIZE - 1 }, (_, i): Pair => {
    const length = i + 1;
    const tmp = bytes.subarray(length, length + TMP_SIZE);
    const wanted = tmp.subarray(0, length);
    return {
      read: step("read", template, flags, new Uint8Array(length)),
      write: step("write", template, flags | MOCK_ACCESS_RW_WRITE, wanted),
      tmp,
    };
  });
  for (let offset = pageSize - 50; offset < pageSize + 50; offset++) {
    bytes.set(random.bytes(2 * TMP_SIZE));
    const calls: Call[] = [];
    for (const { read, write, tmp } of pairs) {
      copyTo(read.expected, content, offset);
      content.set(write.expected, offset);
      read.cmd.iova = write.cmd.iova = iova + BigInt(offset);
      calls.push(
        accessCall(io, read),
        call("peek", io.scratch, read.seen),
        call("poke", io.scratch, tmp),
        accessCall(io, write),
        call("peek", io.buffer + offset, write.seen),
      );
    }
    checkResults(await io.process.batch(calls), calls, offset);
    for (const { read, write } of pairs) {
      checkSeen(read, offset);
      checkSeen(write, offset);
    }
  }

  const whole = { iova, length: io.bufferSize, uptr: io.scratch, flags };
  await io.mock.accessRw(access, whole);
  assertBytes(
    await io.process.peek(io.scratch, io.memory.bufferSize),
    await io.process.peek(io.buffer, io.memory.bufferSize),
    "the whole buffer",
  );
}

function step(
  kind: string,
  template: Uint8Array,
  flags: number,
  expected: Uint8Array,
): Step {
  const { length } = expected;
  const bytes = new Uint8Array(TestAccessRw.size);
  bytes.set(template);
  const cmd = TestAccessRw.at(bytes);
  cmd.length = BigInt(length);
  cmd.flags = flags;
  const struct = bytes.subarray(0, template.length);
  return { kind, struct, cmd, seen: new Uint8Array(length), expected };
}

function accessCall({ fd }: Iommufd, { struct }: Step): Call {
  return call("ioctl", fd, IOMMU_TEST_CMD, struct);
}

/** Fills `to` from byte `offset` of `from` on. */
function copyTo(to: Uint8Array, from: Uint8Array, offset: number): void {
  for (let i = 0; i < to.length; i++) to[i] = from[offset + i]!;
}

function checkResults(
  results: readonly number[],
  calls: readonly Call[],
  offset: number,
): void {
  for (let i = 0; i < results.length; i++) {
    if (results[i] === 0) continue;
    const what = `ACCESS_RW at offset ${offset}, ${calls[i]!.verb.name}`;
    assertResult(results[i]!, undefined, what);
  }
}

function checkSeen({ kind, seen, expected }: Step, offset: number): void {
  for (let i = 0; i < seen.length; i++) {
    if (seen[i] === expected[i]) continue;
    const what =
      `ACCESS_RW ${kind} of ${seen.length} bytes at offset ${offset}`;
    assertBytes(seen, expected, what);
  }
}
