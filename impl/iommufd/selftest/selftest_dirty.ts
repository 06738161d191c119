// SPDX-License-Identifier: GPL-2.0-only

/**
 * The test operation that stands for a device's writes.
 *
 * @module
 */

import { MockDomain } from "../../mock/mock_domain.ts";
import { EINVAL, EOVERFLOW } from "../../uapi/errno.ts";
import type { TestDirty } from "../../uapi/selftest.ts";
import { HwptPaging } from "../hwpt/hw_pagetable.ts";
import { NO_LENGTH } from "../objects/refusals.ts";
import type { CommandBuffer } from "../objects/ucmd.ts";

/** Most bits of a bitmap: 16 MiB of them. */
const MAX_BITS = BigInt(2 ** 24 * 8);

/**
 * DIRTY: marks the IOPTEs whose bit is set in the user's bitmap. How many are
 * counted is the mock's affair. (Linux: iommufd_test_dirty.)
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
    const pages = { iova, pageSize, count, bits };
    cmd.outNrDirty = BigInt(domain.markDirty(pages));
    ucmd.respond();
  });
}
