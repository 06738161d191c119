// SPDX-License-Identifier: GPL-2.0-only

/**
 * Test operations that make mock devices and attach them.
 *
 * @module
 */

import { FlatMockDomain } from "../../mock/flat_domain.ts";
import type { MockDevice } from "../../mock/mock_device.ts";
import { IommufdDevice } from "../attach/device.ts";
import { addDomain, removeDomain } from "../ioas/domains.ts";
import { HwptPaging } from "../hwpt/hw_pagetable.ts";
import { Ioas } from "../ioas/ioas.ts";
import type { IommufdCtx } from "../main.ts";
import { IommufdObject } from "../objects/object.ts";
import type {
  TestMockDomain,
  TestMockDomainReplace,
} from "../../uapi/selftest.ts";
import type { CommandBuffer } from "../objects/ucmd.ts";

/** A mock device that user space attached and owns (Linux: struct selftest_obj). */
export class SelftestDevice extends IommufdObject {
  #mock: MockDevice | undefined;
  #idev: IommufdDevice | undefined;

  /**
   * Makes the device, binds it and attaches it; returns the ids of device and
   * HWPT. If it throws, everything but the object itself is undone.
   */
  setUp(ptId: number, flags = 0): { idevId: number; hwptId: number } {
    using undo = new DisposableStack();
    const mock = this.ctx.kernel.mock.createDevice(flags);
    undo.defer(() => mock.destroy());
    const idev = IommufdDevice.bindDevice(this.ctx, mock);
    undo.defer(() => idev.unbind());
    const hwptId = idev.attach(ptId);
    undo.move();
    this.#mock = mock;
    this.#idev = idev;
    return { idevId: idev.id, hwptId };
  }

  /** The device that is bound. */
  get idev(): IommufdDevice {
    return this.#idev!;
  }

  /**
   * Detaches the device and takes it off its bus. Linux leaves PASIDs attached,
   * so that the device can never be freed. (Linux: iommufd_selftest_destroy.)
   */
  override destroy(): void {
    const idev = this.#idev;
    if (idev === undefined) return;
    for (const pasid of idev.pasids) idev.detach(pasid);
    idev.unbind();
    this.#mock!.destroy();
  }
}

/** A mock domain in an IOAS with no device at all (v3: struct selftest_obj). */
class SelftestDomain extends IommufdObject {
  #hwpt: HwptPaging | undefined;

  /**
   * Makes a HWPT of its own and fills it; returns its id. The HWPT stays when
   * this object goes, without users. (v3: iommufd_device_selftest_attach.)
   */
  setUp(ioas: Ioas): number {
    const { ctx } = this;
    const hwpt = HwptPaging.create(ctx, ioas, () => allocMockDomain(ctx));
    ctx.objects.orDestroy(hwpt, () => {
      addDomain(ioas.iopt, hwpt.domain);
    });
    hwpt.ref();
    ctx.objects.finalize(hwpt);
    this.#hwpt = hwpt;
    return hwpt.id;
  }

  /** v3: iommufd_device_selftest_detach. */
  override destroy(): void {
    const hwpt = this.#hwpt!;
    removeDomain(hwpt.ioas.iopt, hwpt.domain);
    hwpt.unref();
  }
}

function allocMockDomain(ctx: IommufdCtx): FlatMockDomain {
  ctx.kernel.step("mock.domain");
  return new FlatMockDomain({ owner: ctx.kernel.mock, huge: false });
}

/** MOCK_DOMAIN: attaches a new mock device, or where the revision has none, a mock domain. */
export function testMockDomain(ucmd: CommandBuffer, cmd: TestMockDomain): void {
  if (ucmd.ctx.kernel.revision.selftest.mockDomainBindsDevice) {
    testMockDomainFlags(ucmd, cmd);
  } else mockDomainOnly(ucmd, cmd);
}

/** MOCK_DOMAIN_FLAGS: MOCK_DOMAIN for a device with `MOCK_FLAGS_DEVICE_*`. (Linux: iommufd_test_mock_domain.) */
export function testMockDomainFlags(
  ucmd: CommandBuffer,
  cmd: TestMockDomain & { readonly devFlags?: number },
): void {
  const { ctx } = ucmd;
  const sobj = new SelftestDevice(ctx);
  ctx.objects.orDestroy(sobj, () => {
    const { idevId, hwptId } = sobj.setUp(cmd.id, cmd.devFlags);
    cmd.outStdevId = sobj.id;
    cmd.outHwptId = hwptId;
    cmd.outIdevId = idevId;
    ucmd.respond();
  });
  ctx.objects.finalize(sobj);
}

/** v3: iommufd_test_mock_domain. */
function mockDomainOnly(ucmd: CommandBuffer, cmd: TestMockDomain): void {
  const { ctx } = ucmd;
  ctx.objects.get(cmd.id, Ioas).putAfter((ioas) => {
    const sobj = new SelftestDomain(ctx);
    try {
      cmd.id = sobj.setUp(ioas);
    } catch (error) {
      ctx.objects.abort(sobj);
      throw error;
    }
    cmd.outStdevId = sobj.id;
    ctx.objects.finalize(sobj);
  });
  ucmd.respond();
}

/** MOCK_DOMAIN_REPLACE. */
export function testMockDomainReplace(
  ucmd: CommandBuffer,
  cmd: TestMockDomainReplace,
): void {
  ucmd.ctx.objects.get(cmd.id, SelftestDevice).putAfter((sobj) => {
    cmd.ptId = sobj.idev.replace(cmd.ptId);
    ucmd.respond();
  });
}
