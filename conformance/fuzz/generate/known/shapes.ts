// SPDX-License-Identifier: GPL-2.0-only

/**
 * The ioctls and test operations of a revision in one form: what a call looks
 * like, on what it is made, and what it gives.
 *
 * @module
 */

import { IOCTLS, TEST_OPS, VFIO_IOCTLS } from "../../../../impl/uapi/ioctls.ts";
import type { Ioctl, IoctlStruct } from "../../../../impl/uapi/ioctl.ts";
import type { FileKind, Named } from "../../../../impl/uapi/layout/roles.ts";
import {
  type Field,
  fieldsOf,
  type FieldSpec,
  type Struct,
} from "../../../../impl/uapi/layout/struct.ts";
import {
  type RevisionName,
  REVISIONS,
} from "../../../../impl/uapi/revision.ts";
import {
  existsIn,
  isSince,
  type Version,
} from "../../../../impl/uapi/revision/versions.ts";
import {
  IOMMU_TEST_CMD,
  IOMMU_TEST_OP_ADD_RESERVED,
  TestCmd,
} from "../../../../impl/uapi/selftest.ts";

/** What a descriptor is open for, beyond what ioctls know. */
export type OpenKind =
  | FileKind
  | "VFIO device"
  | "VFIO group"
  | "VFIO data"
  | "type1 container"
  | "eventfd"
  | "pipe to read"
  | "pipe to write"
  | "other";

/** What an ioctl or a test operation looks like in a revision. */
export interface Shape {
  /** Its C constant. */
  readonly name: string;
  /** The number of the ioctl. */
  readonly cmd: number;
  /** On which files it is made. */
  readonly on: OpenKind;
  /** The number of the test operation in the revision; undefined for other ioctls. */
  readonly op?: number;
  /** Its struct; undefined where the argument is a plain number. */
  readonly layout?: Struct<object>;
  /** What such a number means. */
  readonly arg?: FieldSpec;
  /** Bytes of the struct in the revision, and those that a caller must provide. */
  readonly size: number;
  readonly minSize: number;
  /** The fields that the revision has. */
  readonly fields: readonly Field[];
  /** The ids of new objects that come back. */
  readonly ids: readonly (readonly [field: Field, of: readonly Named[]])[];
  /** The descriptors that come back. */
  readonly fds: readonly (readonly [field: Field, of: FileKind])[];
}

/** Ioctls of a VFIO group; those of data files are named where they are. */
const ON: Readonly<Record<string, OpenKind>> = {
  VFIO_GROUP_GET_STATUS: "VFIO group",
  VFIO_GROUP_SET_CONTAINER: "VFIO group",
  VFIO_GROUP_UNSET_CONTAINER: "VFIO group",
  VFIO_GROUP_GET_DEVICE_FD: "VFIO group",
  VFIO_MIG_GET_PRECOPY_INFO: "VFIO data",
};

/** What is the same for every struct: the fields that there are in a version, in which it has `size` bytes. */
function ofLayout(layout: Struct<object>, version: Version, size: number) {
  const fields = fieldsOf(layout).filter(({ name, offset, since }) =>
    offset < size && layout.offsetofend(name as never) <= size &&
    (since === undefined || isSince(version, since))
  );
  const ids: [Field, readonly Named[]][] = [];
  const fds: [Field, FileKind][] = [];
  for (const field of fields) {
    if (field.direction !== "out") continue;
    if (field.role.kind === "id") ids.push([field, field.role.of]);
    if (field.role.kind === "fd") fds.push([field, field.role.of]);
  }
  return { layout, fields, ids, fds };
}

function isStruct(row: Ioctl): row is IoctlStruct<object> {
  return "fields" in row;
}

function shapeOf(row: Ioctl, on: OpenKind, version: Version): Shape {
  const { name, number: cmd } = row.ioctl;
  if (!isStruct(row)) {
    const none = { size: 8, minSize: 8, fields: [], ids: [], fds: [] };
    return { name, cmd, on: ON[name] ?? on, arg: row.arg, ...none };
  }
  const size = row.sizeIn(version);
  const minSize = row.minSizeIn(version);
  const { fields, ...rest } = ofLayout(row, version, size);
  return { name, cmd, on: ON[name] ?? on, size, minSize, fields, ...rest };
}

/** All that can be called in a revision. */
export class Shapes {
  /** The revision. */
  readonly uapi: RevisionName;
  /** All of them. */
  readonly all: readonly Shape[];
  readonly #byName: ReadonlyMap<string, Shape>;
  readonly #byNumber = new Map<number, Shape>();
  readonly #ofDevices = new Map<number, Shape>();
  readonly #byOp = new Map<number, Shape>();

  /** Those of a revision. */
  constructor(uapi: RevisionName) {
    this.uapi = uapi;
    const { selftest, vfio } = REVISIONS[uapi];
    const here = ({ ioctl }: Ioctl) => existsIn(uapi, ioctl);
    const plain = IOCTLS.filter(here).filter(({ ioctl }) =>
      ioctl.number !== IOMMU_TEST_CMD
    );
    const ops = TEST_OPS.filter(({ op }) => existsIn(uapi, op)).map((row) => ({
      name: row.op.name,
      cmd: IOMMU_TEST_CMD,
      on: "iommufd" as const,
      op: row.op.number - IOMMU_TEST_OP_ADD_RESERVED + selftest.firstOp,
      size: TestCmd.sizeIn(uapi),
      minSize: TestCmd.minSizeIn(uapi),
      ...ofLayout(row, uapi, TestCmd.sizeIn(uapi)),
    }));
    const ofDevices = vfio.hasDeviceFiles ? VFIO_IOCTLS.filter(here) : [];
    this.all = [
      ...plain.map((row) => shapeOf(row, "iommufd", uapi)),
      ...ops,
      ...ofDevices.map((row) => shapeOf(row, "VFIO device", uapi)),
    ];
    this.#byName = new Map(this.all.map((shape) => [shape.name, shape]));
    for (const shape of this.all) {
      if (shape.op !== undefined) this.#byOp.set(shape.op, shape);
      else if (shape.on === "iommufd") this.#byNumber.set(shape.cmd, shape);
      else this.#ofDevices.set(shape.cmd, shape);
    }
  }

  /** That with a name; undefined where the revision has none. */
  named(name: string): Shape | undefined {
    return this.#byName.get(name);
  }

  /** That which a call is, made on such a file with this struct. */
  of(kind: OpenKind, cmd: number, struct: Uint8Array): Shape | undefined {
    if (cmd === IOMMU_TEST_CMD && kind === "iommufd") {
      const op = struct.length >= 8 ? readU32(struct, 4) : -1;
      return this.#byOp.get(op);
    }
    const isDevice = kind !== "iommufd" && kind !== "type1 container";
    return (isDevice ? this.#ofDevices : this.#byNumber).get(cmd);
  }

  /** Those that make objects of a type, or descriptors of a kind. */
  makers(what: Named | FileKind): readonly Shape[] {
    return this.all.filter(({ ids, fds }) =>
      ids.some(([, of]) => (of as readonly string[]).includes(what)) ||
      fds.some(([, of]) => of === what)
    );
  }
}

const byRevision = new Map<RevisionName, Shapes>();

/** All that can be called in a revision, which is found out once. */
export function shapesOf(uapi: RevisionName): Shapes {
  let shapes = byRevision.get(uapi);
  if (shapes === undefined) {
    shapes = new Shapes(uapi);
    byRevision.set(uapi, shapes);
  }
  return shapes;
}

/** A little-endian u32. */
export function readU32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | bytes[at + 1]! << 8 | bytes[at + 2]! << 16 |
    bytes[at + 3]! << 24) >>> 0;
}

/** A little-endian u64; 0 where there are not so many bytes. */
export function readU64(bytes: Uint8Array, at: number): bigint {
  if (at + 8 > bytes.length) return 0n;
  return BigInt(readU32(bytes, at)) | BigInt(readU32(bytes, at + 4)) << 32n;
}

/** The value of a field; 0 where it lies behind the end. */
export function readField(bytes: Uint8Array, field: Field): number | bigint {
  const { offset, type } = field;
  if (type === "u64") return readU64(bytes, offset);
  if (offset + (type === "u8" ? 1 : type === "u16" ? 2 : 4) > bytes.length) {
    return 0;
  }
  if (type === "u8") return bytes[offset]!;
  if (type === "u16") return bytes[offset]! | bytes[offset + 1]! << 8;
  const value = readU32(bytes, offset);
  return type === "s32" ? value | 0 : value;
}
