// SPDX-License-Identifier: GPL-2.0-only

/**
 * The tests' own tables of C structs: fields with nothing but their C types.
 *
 * @module
 */

import {
  type FieldSpec,
  type FieldType,
  type Struct,
  struct,
} from "../../impl/uapi/layout/struct.ts";

/** The C types of a struct's fields, in their order. */
export type FieldTypes<T> = Record<keyof T & string, FieldType>;

/** A field without a meaning, but that `size` is the bytes of the struct. */
function spec(name: string, type: FieldType): FieldSpec {
  const kind = name === "size" ? "size" : "number";
  return { type, role: { kind }, direction: "inout" };
}

function specs<T>(types: FieldTypes<T>): Record<keyof T & string, FieldSpec> {
  const all = {} as Record<string, FieldSpec>;
  for (const [name, type] of Object.entries<FieldType>(types)) {
    all[name] = spec(name, type);
  }
  return all as Record<keyof T & string, FieldSpec>;
}

/** Declares a struct whose fields lie where C puts them. */
export function cStruct<T extends object>(
  name: string,
  types: FieldTypes<NoInfer<T>>,
): Struct<T> {
  return struct<T>(name, specs(types));
}

/** What all operations of the selftest module have. Linux: `struct iommu_test_cmd`. */
export interface TestOp {
  /** Bytes of the struct. */
  size: number;
  /** `IOMMU_TEST_OP_*`. */
  op: number;
  /** Object the operation acts on. */
  id: number;
}

/** Declares the struct of an operation by what it has in the union. */
export function testOp<T extends TestOp>(
  types: FieldTypes<Omit<NoInfer<T>, keyof TestOp>>,
): Struct<T> {
  const all = {
    ...specs<TestOp>({ size: "u32", op: "u32", id: "u32" }),
    reserved: spec("reserved", "u32"),
    ...specs(types),
    last: { ...spec("last", "u32"), at: 64 },
  };
  return struct<T>(
    "iommu_test_cmd",
    all as Record<keyof T & string, FieldSpec>,
    8,
  );
}
