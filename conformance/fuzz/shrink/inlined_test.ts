// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { formatProgram, parseProgram } from "../program/text.ts";
import { inlined } from "./inlined.ts";

const UAPI = "7.3";

/** The programs with the bytes of a step in them, each without the lines that all have. */
function inlinedTexts(text: string, index: number): string[] {
  return inlined(parseProgram(text, UAPI), index)
    .map((program) => formatProgram(program, UAPI).trim())
    .toArray();
}

const MEMORY =
  "mmap(0, 0x1000, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0)";

describe("inlined()", () => {
  it("has an ioctl come with what was written where its argument is", () => {
    const [first, second] = inlinedTexts(
      `
$0 = ${MEMORY}
$1 = open("/dev/vfio/0", O_RDWR)
$2 = open("/dev/vfio/vfio", O_RDWR)
poke($0 + 16, x"01020304")
poke($0 + 16, x"00000000") with BYTES@0.4 = $2
ioctl($1, VFIO_GROUP_SET_CONTAINER, $0 + 16)`,
      5,
    );
    assertEquals(
      first,
      `
${MEMORY}
$1 = open("/dev/vfio/0", O_RDWR)
$2 = open("/dev/vfio/vfio", O_RDWR)
ioctl($1, VFIO_GROUP_SET_CONTAINER, x"00000000") with STRUCT@0.4 = $2`.trim(),
    );
    assertEquals(second!.match(/^poke/mg)?.length, 2);
  });

  it("takes no values that were written over, and nothing of other memory or processes", () => {
    const [first] = inlinedTexts(
      `
$0 = ${MEMORY}
$1 = open("/dev/vfio/0", O_RDWR)
fork()
poke($0, x"00000000") with BYTES@0.4 = $1
poke($0, x"05")
poke($0 + 4096, x"06")
poke(0x10000, x"07")
P1: poke($0, x"08")
ioctl($1, VFIO_GROUP_SET_CONTAINER, $0)`,
      8,
    );
    assertEquals(
      first!.split("\n").at(-1),
      'ioctl($1, VFIO_GROUP_SET_CONTAINER, x"05000000")',
    );
    assertEquals(first!.match(/poke/g)?.length, 3);
  });

  it("tries as many bytes as a text has with its end, as there are by their first number, and many", () => {
    const lengths = inlinedTexts(
      `
poke(0x10000, x"1800000001")
ioctl(3, VFIO_IOMMU_GET_INFO, 0x10000)`,
      1,
    ).map((text) => text.split("\n"))
      .filter(({ length }) => length === 1)
      .map(([line]) => parseProgram(line!, UAPI)[0]!.call.args[2])
      .map((bytes) => (bytes as Uint8Array).length);
    assertEquals(lengths, [8, 24, 256]);
  });

  it("leaves what is no ioctl, one with bytes already, and one without an address", () => {
    for (
      const text of [
        "dup(0x10000)",
        'ioctl(3, VFIO_IOMMU_GET_INFO, x"00")',
        "ioctl(3, VFIO_IOMMU_GET_INFO, 0)",
      ]
    ) {
      assertEquals(inlinedTexts(text, 0), []);
    }
  });
});
