// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fault queues as typed, asserting calls: making devices fault, reading
 * faults, answering them.
 *
 * @module
 */

import type { Errno } from "../../impl/uapi/errno.ts";
import {
  IOMMU_PGFAULT_PERM_READ,
  IOMMUFD_PAGE_RESP_SUCCESS,
  IommuHwptPageResponse,
  IommuHwptPgfault,
} from "../../impl/uapi/iommufd.ts";
import {
  IOMMU_TEST_OP_TRIGGER_IOPF,
  TestTriggerIopf,
} from "../../impl/uapi/selftest.ts";
import { POLLIN } from "../../impl/uapi/mman.ts";
import { assertEq, assertErrno, assertOk } from "../harness/harness.ts";
import type { Iommufd } from "./ioctls.ts";

/** Bytes of one fault. */
export const FAULT_SIZE: number = IommuHwptPgfault.size;
/** Bytes of one answer. */
export const ANSWER_SIZE: number = IommuHwptPageResponse.size;

/** TRIGGER_IOPF: a device reports that it wants a page, in a group of its own. */
export async function trigger(
  io: Iommufd,
  devId: number,
  values: Partial<TestTriggerIopf> = {},
  errno?: Errno,
): Promise<void> {
  await io.mock.call(
    "TRIGGER_IOPF",
    TestTriggerIopf,
    IOMMU_TEST_OP_TRIGGER_IOPF,
    { devId, perm: IOMMU_PGFAULT_PERM_READ, ...values },
    errno,
  );
}

/** Reads with room for `room` faults; returns those that came. */
export async function readFaults(
  io: Iommufd,
  fd: number,
  room = 16,
): Promise<IommuHwptPgfault[]> {
  const bytes = new Uint8Array(room * FAULT_SIZE);
  const got = await io.process.read(fd, bytes);
  assertOk(got, "read");
  assertEq(got % FAULT_SIZE, 0, "bytes read, beside whole faults");
  return Array.from(
    { length: got / FAULT_SIZE },
    (_, i) => IommuHwptPgfault.decode(bytes.subarray(i * FAULT_SIZE)),
  );
}

/** Asserts that these faults are unread: their cookies and addresses, in this order. */
export async function expectFaults(
  io: Iommufd,
  fd: number,
  expected: readonly (readonly [cookie: number, addr: bigint])[],
  room?: number,
): Promise<void> {
  const faults = await readFaults(io, fd, room);
  assertEq(
    faults.map(({ cookie, addr }) => `${cookie} at ${addr}`).join(", "),
    expected.map(([cookie, addr]) => `${cookie} at ${addr}`).join(", "),
    "faults read",
  );
}

/** Reads with room for `room` faults, which must fail. */
export async function readFails(
  io: Iommufd,
  fd: number,
  bytes: number,
  errno: Errno,
): Promise<void> {
  const got = await io.process.read(fd, new Uint8Array(bytes));
  assertErrno(got, errno, `read of ${bytes} bytes`);
}

/** Answers; asserts how many answers are taken. */
export async function answer(
  io: Iommufd,
  fd: number,
  cookies: readonly number[],
  taken: number = cookies.length,
): Promise<void> {
  const got = await io.process.write(fd, answers(cookies));
  assertOk(got, "answer");
  assertEq(got, taken * ANSWER_SIZE, "bytes of answers taken");
}

/** Answers, which must fail. */
export async function answerFails(
  io: Iommufd,
  fd: number,
  cookies: readonly number[],
  errno: Errno,
  code?: number,
): Promise<void> {
  const got = await io.process.write(fd, answers(cookies, code));
  assertErrno(got, errno, `answer to ${cookies.join(", ")}`);
}

/** The bytes of answers. */
function answers(
  cookies: readonly number[],
  code: number = IOMMUFD_PAGE_RESP_SUCCESS,
): Uint8Array {
  const bytes = new Uint8Array(cookies.length * ANSWER_SIZE);
  for (const [i, cookie] of cookies.entries()) {
    const response = IommuHwptPageResponse.encode({ cookie, code });
    bytes.set(response, i * ANSWER_SIZE);
  }
  return bytes;
}

/** Asserts whether poll says that there is something to read. */
export async function expectReadable(
  io: Iommufd,
  fd: number,
  readable: boolean,
): Promise<void> {
  const events = await io.process.poll(fd, POLLIN);
  assertEq(events, readable ? POLLIN : 0, "poll for POLLIN");
}
