// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertNotEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { modelSide } from "../../golden/testing/model_side.ts";
import { cardOf } from "./card.ts";
import { likenessOf } from "./likeness.ts";

/** An IOMMU without scalable mode, which cannot track dirty pages. */
const VTD = { flags: 1, reserved: 0, capReg: 0x2f0400n, ecapReg: 0xbn };

/** Configuration space of a card that other firmware has set up. */
async function otherFirmware(): Promise<Uint8Array> {
  const { firmware } = await cardOf(modelSide("7.3", {}));
  const bytes = firmware!.slice();
  // Errors are told; the first BAR is elsewhere; the interrupt line is 10.
  bytes.set([0x03, 0x01], 4);
  bytes.set([0, 0, 0xba, 0xfe], 0x10);
  bytes[0x3c] = 10;
  return bytes;
}

describe("likenessOf()", () => {
  it("says where no mock device can be used beside a card", async () => {
    for (const mockDevices of [true, false]) {
      const side = modelSide("6.12", { mockDevices });
      const like = await likenessOf(side);
      assertEquals(like.mockDevices ?? true, mockDevices);
      assertEquals(await likenessOf(modelSide("6.12", like)), like);
    }
  });
});

describe("cardOf()", () => {
  for (const uapi of ["6.12", "7.3"] as const) {
    it(`is told what ${uapi} knows of card and IOMMU, and makes the model like it`, async () => {
      const there = { firmware: await otherFirmware(), vtd: VTD };
      const usual = await cardOf(modelSide(uapi, {}));
      assertNotEquals(usual, there);
      const said = await cardOf(modelSide(uapi, there));
      assertEquals(said, there);
      assertEquals(await cardOf(modelSide(uapi, said)), there);
    });
  }

  it("is part of what a machine is like, also where VFIO has its own container", async () => {
    const there = { firmware: await otherFirmware(), vtd: VTD };
    for (const container of ["iommufd", "type1"] as const) {
      const like = await likenessOf(modelSide("7.3", { container, ...there }));
      assertEquals(like.firmware, there.firmware);
      assertEquals(like.vtd, VTD);
    }
  });

  it("asks nothing of a target that has no card", async () => {
    const side = { ...modelSide("7.3", {}), capabilities: [] };
    const run = () => Promise.reject(new Error("it was asked"));
    assertEquals(await cardOf({ ...side, run }), {});
  });

  it("says nothing of what does not answer", async () => {
    const side = modelSide("7.3", {});
    const run = () =>
      Promise.resolve({ failed: "crash", message: "It ended" } as const);
    assertEquals(await cardOf({ ...side, run }), {});
    const none = modelSide("7.3", { device: "none" });
    const claims = { ...none, capabilities: ["vfio_device"] };
    assertEquals(await cardOf(claims), {});
  });
});
