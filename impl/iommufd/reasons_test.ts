// SPDX-License-Identifier: GPL-2.0-only

/**
 * Whatever an ioctl fails for, it says what: nothing that user space can do
 * ends in an errno without a reason.
 */

import { assert, assertEquals } from "@std/assert";
import { it } from "@std/testing/bdd";
import fc from "fast-check";
import { IOCTLS, TEST_OPS } from "../uapi/ioctls.ts";
import type { FieldSpec, Struct } from "../uapi/layout/struct.ts";
import { REVISION_NAMES } from "../uapi/revision.ts";
import { existsIn } from "../uapi/revision/versions.ts";
import { encodeTestOp, TestCmd } from "../uapi/selftest.ts";
import { IOVA, Machine, PAGE } from "./testing/machine.ts";

/** Values of fields, likely ones first: ids, flags, addresses, lengths, limits. */
const VALUES = [
  0n,
  1n,
  2n,
  3n,
  4n,
  5n,
  6n,
  7n,
  8n,
  16n,
  PAGE,
  IOVA,
  IOVA + PAGE,
]
  .concat([100n, 2048n, 0xdeadn, 1n << 31n, 1n << 63n, 2n ** 64n - 1n]);

const MEMORY = BigInt(new Machine().memory(4));

/** A struct whose fields are numbers chosen from `VALUES`. */
function anyValues(layout: Struct<object>): fc.Arbitrary<object> {
  const fields = Object.entries(layout.fields) as [string, FieldSpec][];
  const value = ({ type }: FieldSpec) =>
    fc.constantFrom(...VALUES, MEMORY, MEMORY).map((value) =>
      type === "u64" ? value : Number(BigInt.asUintN(32, value))
    );
  return fc.record(
    Object.fromEntries(
      fields.filter(([name]) => name !== "size" && name !== "op")
        .map(([name, spec]) => [name, value(spec)]),
    ),
  );
}

for (const revision of REVISION_NAMES) {
  it(`an ioctl that fails says why: ${revision}`, () => {
    const { kernel } = new Machine(revision);
    const ioctls = IOCTLS.flatMap((row) =>
      "fields" in row && row.name !== TestCmd.name &&
        existsIn(revision, row.ioctl)
        ? [
          anyValues(row).map((values) => ({
            cmd: row.ioctl.number,
            bytes: row.encode(values),
          })),
        ]
        : []
    );
    const ops = TEST_OPS.filter(({ op }) => existsIn(revision, op)).map((op) =>
      anyValues(op).map((values) => ({
        cmd: TestCmd.ioctl.number,
        bytes: encodeTestOp(op, kernel.revision, values),
      }))
    );
    const errnos = new Set<string>();
    fc.assert(
      fc.property(
        fc.array(fc.oneof(...ioctls, ...ops), { maxLength: 60, size: "max" }),
        (calls) => {
          const machine = new Machine(revision);
          assertEquals(BigInt(machine.memory(4)), MEMORY);
          for (let i = 0; i < 3; i++) machine.ioas();
          for (const { cmd, bytes } of calls) {
            const ret = machine.process.ioctlStruct(machine.fd, cmd, bytes);
            if (ret >= 0) continue;
            const errno = machine.kernel.lastErrno!;
            assertEquals(errno.code, -ret);
            assert(errno.why() !== errno.message, `${errno} without a reason`);
            errnos.add(`${errno}: ${errno.why()}`);
          }
        },
      ),
      { seed: 1, numRuns: 400 },
    );
    assert(errnos.size > 30, [...errnos].join("\n"));
  });
}
