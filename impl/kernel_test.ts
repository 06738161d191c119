// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { NEWEST, REVISION_NAMES } from "./uapi/revision.ts";
import { IOVA, Machine, PAGE } from "./iommufd/testing/machine.ts";
import { Kernel } from "./kernel.ts";
import { IOMMU_TEST_OP_MD_CHECK_MAP, TestCheckMap } from "./uapi/selftest.ts";

for (const name of REVISION_NAMES) {
  describe(`a machine [${name}]`, () => {
    it("maps memory into a mock domain, and leaves nothing behind", () => {
      const machine = new Machine(name);
      const { process } = machine;
      const ioasId = machine.ioas();
      const uptr = BigInt(machine.memory(4));
      const range = { iova: IOVA, length: 4n * PAGE };
      assertEquals(machine.map({ ioasId, userVa: uptr, ...range }).ret, 0);
      const { hwpt } = machine.mockDomain(ioasId);
      const check = () =>
        machine.test(IOMMU_TEST_OP_MD_CHECK_MAP, TestCheckMap, {
          id: hwpt,
          uptr,
          ...range,
        }).ret;
      assertEquals(check(), 0);
      assertEquals(machine.unmap({ ioasId, ...range }).length, 4n * PAGE);
      assertEquals(check(), "EINVAL");
      assertEquals(process.close(machine.fd), 0);
      machine.end();
    });

    it("leaves nothing behind either when a process just exits", () => {
      const machine = new Machine(name);
      const ioasId = machine.ioas();
      machine.mockDomain(ioasId);
      const userVa = BigInt(machine.memory(8));
      machine.map({ ioasId, userVa, length: 8n * PAGE });
      machine.access(ioasId);
      machine.end();
    });
  });
}

describe("kernel", () => {
  it("has the options that it was made with", () => {
    const plain = new Kernel();
    assertEquals(plain.revision.name, NEWEST);
    assertEquals(plain.options, {
      allowUnsafeInterrupts: false,
      vfioNoIommu: false,
      vfioNoIommuMode: false,
      vfioContainer: "iommufd",
      ioctls: [],
    });
    const other = new Kernel({
      allowUnsafeInterrupts: true,
      vfioNoIommu: true,
      vfioContainer: "iommufd",
    });
    assertEquals(other.options, {
      allowUnsafeInterrupts: true,
      vfioNoIommu: true,
      vfioNoIommuMode: true,
      vfioContainer: "iommufd",
      ioctls: [],
    });
  });

  it("has no more memory than the mock IOMMU can map", () => {
    assertThrows(
      () => new Kernel({ memory: 2 ** 38 + 2 ** 21 }),
      RangeError,
      "it reaches 274877906944",
    );
  });

  it("shares nothing with another one", () => {
    const [a, b] = [new Machine(), new Machine()];
    a.mockDomain(a.ioas());
    assertEquals(b.kernel.mock.devices.size, 0);
    assertEquals(b.ctx.objects.isEmpty, true);
    a.end();
    b.end();
  });

  it("tells which mock devices are left", () => {
    const kernel = new Kernel();
    const device = kernel.mock.createDevice();
    assertEquals(kernel.audit(), ["1 mock devices are left."]);
    device.destroy();
    assertEquals(kernel.audit(), []);
  });
});
