// SPDX-License-Identifier: GPL-2.0-only

/**
 * Test operations that attach mock devices for their DMA with a PASID.
 *
 * @module
 */

import { EINVAL } from "../../uapi/errno.ts";
import type {
  TestPasidAttach,
  TestPasidCheckHwpt,
  TestPasidDetach,
} from "../../uapi/selftest.ts";
import { HwPagetable } from "../hwpt/hw_pagetable.ts";
import { IommufdObject } from "../objects/object.ts";
import type { CommandBuffer } from "../objects/ucmd.ts";
import { SelftestDevice } from "./selftest_device.ts";

/** PASID_ATTACH: an attachment that cannot be told of is taken back (Linux: iommufd_test_pasid_attach). */
export function testPasidAttach(
  ucmd: CommandBuffer,
  cmd: TestPasidAttach,
): void {
  ucmd.ctx.objects.get(cmd.id, SelftestDevice).putAfter(({ idev }) => {
    const { pasid } = cmd;
    cmd.ptId = idev.attach(cmd.ptId, pasid);
    try {
      ucmd.respond();
    } catch (error) {
      idev.detach(pasid);
      throw error;
    }
  });
}

/** PASID_REPLACE: what cannot be told of stays (Linux: iommufd_test_pasid_replace). */
export function testPasidReplace(
  ucmd: CommandBuffer,
  cmd: TestPasidAttach,
): void {
  ucmd.ctx.objects.get(cmd.id, SelftestDevice).putAfter(({ idev }) => {
    cmd.ptId = idev.replace(cmd.ptId, cmd.pasid);
    ucmd.respond();
  });
}

/** PASID_DETACH: of something that is not attached, too (Linux: iommufd_test_pasid_detach). */
export function testPasidDetach(
  { ctx }: CommandBuffer,
  { id, pasid }: TestPasidDetach,
): void {
  ctx.objects.get(id, SelftestDevice).putAfter(({ idev }) => {
    idev.detach(pasid);
  });
}

/**
 * PASID_CHECK_HWPT: throws EINVAL unless the HWPT is attached, or nothing if it
 * is 0. (Linux: iommufd_test_pasid_check_hwpt.)
 */
export function testPasidCheckHwpt(
  { ctx }: CommandBuffer,
  { id, pasid, hwptId }: TestPasidCheckHwpt,
): void {
  ctx.objects.get(id, SelftestDevice).putAfter(({ idev }) => {
    const attached = idev.dev.group?.pasidArray.get(pasid)?.domain;
    if (hwptId === 0) {
      if (attached) throw EINVAL.because("something is attached");
      return;
    }
    ctx.objects.get(hwptId, IommufdObject).putAfter((hwpt) => {
      if (!(hwpt instanceof HwPagetable)) {
        throw EINVAL.because("the object is no HWPT");
      }
      if (hwpt.domain !== attached) {
        throw EINVAL.because("the HWPT is not attached");
      }
    });
  });
}
