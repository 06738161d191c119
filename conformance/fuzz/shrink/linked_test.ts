// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { generate, PROFILES } from "../generate/generate.ts";
import { formatProgram, parseProgram } from "../program/text.ts";
import { MACHINE, runOnModel } from "../run/on_model.ts";
import { Random } from "../../../selftests/harness/random.ts";
import { Model } from "../../../selftests/target/impl_target.ts";
import { type Program, resolve } from "../../../selftests/target/program.ts";
import { linked } from "./linked.ts";

const UAPI = "7.3";
const MODEL = new Model(UAPI, MACHINE);

function linkedText(text: string): string {
  const program = parseProgram(text, UAPI);
  const { outcomes } = runOnModel(MODEL, program);
  return formatProgram(linked(program, outcomes, UAPI), UAPI).trim();
}

describe("linked()", () => {
  it("has descriptors, ids and chosen IOVA be what gave them", () => {
    assertEquals(
      linkedText(`
mmap(0x10000, 0x1000, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_FIXED | MAP_PRIVATE, -1, 0)
open("/dev/iommu", O_RDWR)
ioctl(3, IOMMU_IOAS_ALLOC, {})
ioctl(3, IOMMU_TEST_CMD MOCK_DOMAIN, {id: 1})
ioctl(3, IOMMU_IOAS_MAP, {flags: READABLE, ioasId: 1, userVa: 0x10000, length: 0x1000})
ioctl(3, IOMMU_IOAS_UNMAP, {ioasId: 1, iova: 0x1000000, length: 0x1000})
ioctl(3, IOMMU_DESTROY, {id: 2})
close(3)`),
      `
mmap(0x10000, 0x1000, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_FIXED | MAP_PRIVATE, -1, 0)
$1 = open("/dev/iommu", O_RDWR)
$2 = ioctl($1, IOMMU_IOAS_ALLOC, {})
$3 = ioctl($1, IOMMU_TEST_CMD MOCK_DOMAIN, {id: $2.outIoasId})
$4 = ioctl($1, IOMMU_IOAS_MAP, {flags: READABLE, ioasId: $2.outIoasId, userVa: 0x10000, length: 0x1000})
ioctl($1, IOMMU_IOAS_UNMAP, {ioasId: $2.outIoasId, iova: $4.iova, length: 0x1000})
ioctl($1, IOMMU_DESTROY, {id: $3.outStdevId})
close($1)`.trim(),
    );
  });

  it("leaves numbers that nothing gave", () => {
    const text = `
close(7)
$1 = open("/dev/iommu", O_RDWR)
ioctl($1, IOMMU_DESTROY, {id: 9})`.trim();
    assertEquals(linkedText(text), text);
  });

  it("changes nothing of what any program comes to", () => {
    for (const [i, profile] of Object.values(PROFILES).entries()) {
      const random = new Random(i);
      const { program } = generate({
        model: MODEL,
        uapi: UAPI,
        random,
        length: 60,
        profile,
      });
      const ran = runOnModel(MODEL, program);
      const plain: Program = program.map((step) => ({
        process: step.process,
        call: resolve(step, ran.outcomes),
      }));
      assertEquals(runOnModel(MODEL, plain), ran);
      const again = linked(plain, ran.outcomes, UAPI);
      assertEquals(runOnModel(MODEL, again), ran);
    }
  });
});
