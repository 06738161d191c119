// SPDX-License-Identifier: GPL-2.0-only

/**
 * The test operation that stands for a device's writes.
 *
 * @module
 */

import { U64_MAX } from "../../lib/u64.ts";
import { MockDomain } from "../../mock/mock_domain.ts";
import { EINVAL, EOVERFLOW } from "../../uapi/errno.ts";
import type { TestDirty } from "../../uapi/selftest.ts";
import { HwptPaging } from "../hwpt/hw_pagetable.ts";
import { NO_LENGTH } from "../objects/refusals.ts";
import type { CommandBuffer } from "../objects/ucmd.ts";

/** Most bits of a bitmap: 16 MiB of them. */
const MAX_BITS = BigInt(2 ** 24 * 8);

/**
 * DIRTY: marks the IOPTEs whose bit is set in the user's bitmap, and returns
 * how many. (Linux: iommufd_test_dirty.)
 */
export function testDirty(ucmd: CommandBuffer, cmd: TestDirty): void {
  const { ctx, process } = ucmd;
  const { iova, length, pageSize, uptr } = cmd;
  if (pageSize === 0n) throw EINVAL.because("the page size is 0");
  if (length === 0n) throw NO_LENGTH;
  if (iova % pageSize || length % pageSize) {
    throw EINVAL.because("IOVA or length is not a multiple of the page size");
  }
  if (uptr === 0n) throw EINVAL.because("the address of the bitmap is 0");
  if (length / pageSize > MAX_BITS) {
    throw EOVERFLOW.because("the range has more than 2^27 pages");
  }

  ctx.objects.get(cmd.id, HwptPaging).putAfter((hwpt) => {
    const { domain } = hwpt;
    if (!(domain instanceof MockDomain) || !domain.tracksDirty) {
      throw EINVAL.because("the HWPT does not track writes now");
    }
    const count = Number(length / pageSize);
    // Linux's bitmap consists of words.
    ctx.kernel.allocVirtual("selftest.bitmap", Math.ceil(count / 64) * 8);
    const bits = new Uint8Array(Math.ceil(count / 8));
    process.mm.copyFromUser(bits, Number(uptr));
    cmd.outNrDirty = BigInt(mark(domain, cmd, count, bits));
    ucmd.respond();
  });
}

/**
 * Marks the entries with number `IOVA / pageSize`, which is that IOVA's own
 * entry only when the page size is the mock's. A range that goes past the end
 * of the IOVA space goes on at entry 0.
 */
function mark(
  domain: MockDomain,
  { iova, pageSize }: TestDirty,
  count: number,
  bits: Uint8Array,
): number {
  const untilWrap = Number((U64_MAX - iova) / pageSize + 1n);
  const before = Math.min(count, untilWrap);
  const marked = domain.markDirty(Number(iova / pageSize), before, bits, 0);
  return marked + domain.markDirty(0, count - before, bits, before);
}
