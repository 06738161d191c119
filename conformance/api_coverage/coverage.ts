// SPDX-License-Identifier: GPL-2.0-only

/**
 * Which part of the API a run reached: ioctls and test operations by what they
 * returned, by flags and by the types of the objects that they were given.
 *
 * @module
 */

import { errnoName } from "../../impl/uapi/errno.ts";
import type { Ioctl, IoctlStruct } from "../../impl/uapi/ioctl.ts";
import { IOCTLS, testOpOf, VFIO_IOCTLS } from "../../impl/uapi/ioctls.ts";
import { cName, unknownBits } from "../../impl/uapi/layout/format.ts";
import type { Named } from "../../impl/uapi/layout/roles.ts";
import {
  type Field,
  fieldsOf,
  type Struct,
} from "../../impl/uapi/layout/struct.ts";
import {
  type Revision,
  type RevisionName,
  REVISIONS,
} from "../../impl/uapi/revision.ts";
import { existsIn } from "../../impl/uapi/revision/versions.ts";
import { TestCmd } from "../../impl/uapi/selftest.ts";
import type { Call } from "../../selftests/target/verbs.ts";
import { opened, type OpenFile, type OpenFiles } from "./open_files.ts";

/** The files whose ioctls are counted. */
export const FILES = ["iommufd", "container", "group", "device"] as const;
/** One of them. */
export type FileWithIoctls = typeof FILES[number];

/** What an ioctl that came to no errno came to. */
export const OK = "ok";
/** The row of a file for all numbers that are no ioctl of it. */
export const OTHERS = "others";

/** How often a value of a field was given, in calls that were done and in those that were refused. */
export interface Given {
  /** Done. */
  ok: number;
  /** Refused. */
  refused: number;
}

/** What a run did with an ioctl, or with an operation of the test ioctl. */
export interface Reached {
  /** On which file. */
  readonly file: FileWithIoctls;
  /** Its C name, the operation behind that of the test ioctl. */
  readonly name: string;
  /** How often it came to what: `ok`, or an errno by name. */
  readonly results: ReadonlyMap<string, number>;
  /** What its flags, choices and ids were, by the fields' C names. */
  readonly fields: ReadonlyMap<string, ReadonlyMap<string, Given>>;
}

/** An ioctl of a file, and the layout of what was sent with it. */
interface Row {
  readonly name: string;
  readonly layout?: Struct<object> | undefined;
}

const OP_PREFIX = "IOMMU_TEST_OP_";
/** Errnos that say something about the struct as a whole, before anybody looks at the operation. */
const STRUCT_ERRNOS = ["E2BIG"];

/** The ioctls of each file. */
const TABLES: Record<FileWithIoctls, readonly Ioctl[]> = {
  iommufd: IOCTLS,
  container: IOCTLS.filter(({ ioctl }) => ioctl.name.startsWith("VFIO_")),
  group: VFIO_IOCTLS.filter(({ ioctl }) =>
    ioctl.name.startsWith("VFIO_GROUP_")
  ),
  device: VFIO_IOCTLS.filter(({ ioctl }) =>
    ioctl.name.startsWith("VFIO_DEVICE_")
  ),
};

/** The ioctls of a file in a revision. */
export function ioctlsOf(file: FileWithIoctls, uapi: RevisionName): Ioctl[] {
  return TABLES[file].filter(({ ioctl }) => existsIn(uapi, ioctl));
}

/** What a run reached so far. */
export class Coverage {
  /** The revision that is run. */
  readonly uapi: RevisionName;
  readonly #revision: Revision;
  readonly #reached = new Map<string, {
    file: FileWithIoctls;
    name: string;
    results: Map<string, number>;
    fields: Map<string, Map<string, Given>>;
  }>();

  /** Nothing was reached yet. */
  constructor(uapi: RevisionName) {
    this.uapi = uapi;
    this.#revision = REVISIONS[uapi];
  }

  /** All that was reached, file by file. */
  get reached(): Reached[] {
    return FILES.flatMap((file) =>
      [...this.#reached.values()].filter((row) => row.file === file)
    );
  }

  /** Notes an ioctl as it was sent, its result, and the struct as it came back. */
  note(
    files: OpenFiles,
    process: number,
    call: Call,
    result: number,
    back: Uint8Array,
  ): void {
    const [fd, cmd, arg] = call.args;
    const open = files.get(process, fd as number);
    const file = FILES.find((file) => file === open?.kind);
    if (!open || !file) return;
    const sent = arg instanceof Uint8Array ? arg : undefined;
    const errno = result < 0 ? errnoName(result) : OK;
    const row = this.#rowOf(file, cmd as number, sent, errno);
    const reached = this.#row(file, row.name);
    const { results, fields } = reached;
    results.set(errno, (results.get(errno) ?? 0) + 1);
    files.follow(process, call, result);
    if (!row.layout || !sent) return;
    const ids: Named[] = [];
    for (const [field, value] of valuesOf(row.layout, sent, "in")) {
      for (const name of namesOf(field, value, open, ids)) {
        const given = entry(
          entry(fields, cName(field.name), () => new Map<string, Given>()),
          name,
          () => ({ ok: 0, refused: 0 }),
        );
        given[result < 0 ? "refused" : "ok"]++;
      }
    }
    if (result >= 0) follow(files, process, open, row, sent, back, ids);
  }

  #row(file: FileWithIoctls, name: string) {
    return entry(this.#reached, `${file} ${name}`, () => ({
      file,
      name,
      results: new Map<string, number>(),
      fields: new Map<string, Map<string, Given>>(),
    }));
  }

  #rowOf(
    file: FileWithIoctls,
    cmd: number,
    sent: Uint8Array | undefined,
    errno: string,
  ): Row {
    const ioctl = ioctlsOf(file, this.uapi)
      .find(({ ioctl }) => ioctl.number === cmd);
    if (!ioctl) return { name: OTHERS };
    const { name } = ioctl.ioctl;
    if (!("fields" in ioctl)) return { name };
    if (!isTest(ioctl)) return { name, layout: ioctl };
    const isRead = sent && !STRUCT_ERRNOS.includes(errno) &&
      isWhole(ioctl, sent, this.uapi);
    if (!isRead) return { name };
    const op = testOpOf(TestCmd.at(whole(ioctl, sent)).op, this.#revision);
    if (!op) return { name };
    return {
      name: `${name} ${op.op.name.slice(OP_PREFIX.length)}`,
      layout: op,
    };
  }
}

function isTest(row: IoctlStruct<object>): boolean {
  return row.ioctl.number === TestCmd.ioctl.number;
}

/** Whether the kernel can read a struct as far as the ioctl needs it. */
function isWhole(
  row: IoctlStruct<object>,
  sent: Uint8Array,
  uapi: RevisionName,
): boolean {
  if (sent.length < row.minSizeIn(uapi)) return false;
  const { size } = TestCmd.at(whole(row, sent));
  return size >= row.minSizeIn(uapi) && size <= sent.length;
}

/** A struct with zeros where it is shorter than its layout. */
function whole(layout: Struct<object>, bytes: Uint8Array): Uint8Array {
  if (bytes.length >= layout.size) return bytes;
  const longer = new Uint8Array(layout.size);
  longer.set(bytes);
  return longer;
}

/** The fields of a struct that go in or come out, as far as the bytes go, with their values. */
function valuesOf(
  layout: Struct<object>,
  bytes: Uint8Array,
  way: "in" | "out",
): [Field, bigint][] {
  const values = layout.at(whole(layout, bytes)) as Record<
    string,
    number | bigint
  >;
  return fieldsOf(layout)
    .filter(({ direction, offset }) =>
      (direction === way || direction === "inout") && offset < bytes.length
    )
    .map((field) => [field, BigInt(values[field.name]!)]);
}

/** What is counted of a field: flags, choices, and the types of the objects, which `ids` is given too. */
function namesOf(
  { role }: Field,
  value: bigint,
  { objects }: OpenFile,
  ids: Named[],
): string[] {
  switch (role.kind) {
    case "flags": {
      const names = Object.keys(role.bits)
        .filter((name) => BigInt(role.bits[name]!) & value);
      if (unknownBits(role.bits, value) !== 0n) names.push("unknown");
      return names.length > 0 ? names : ["none"];
    }
    case "choice":
      return [
        Object.keys(role.values)
          .find((name) => BigInt(role.values[name]!) === value) ?? "unknown",
      ];
    case "id": {
      const type = objects.get(Number(value));
      if (type) ids.push(type);
      return [type ?? (value === 0n ? "0" : "nothing")];
    }
    default:
      return [];
  }
}

/** Notes which objects and files an ioctl made. */
function follow(
  files: OpenFiles,
  process: number,
  open: OpenFile,
  { name, layout }: Row,
  sent: Uint8Array,
  back: Uint8Array,
  ids: readonly Named[],
): void {
  const isNested = ids.includes("HWPT_PAGING") || ids.includes("VIOMMU");
  if (name === "IOMMU_DESTROY") {
    for (const [, id] of valuesOf(layout!, sent, "in").slice(1)) {
      open.objects.delete(Number(id));
    }
  }
  for (const [{ role, direction }, value] of valuesOf(layout!, back, "out")) {
    if (role.kind === "fd" && direction === "out") {
      files.set(process, Number(value), opened(role.of));
    }
    if (role.kind !== "id" || direction !== "out") continue;
    const [type = "IOAS", other = type] = role.of;
    // That is a number of the access, not of the iommufd.
    if (type === "ACCESS_PAGES") continue;
    if (role.of.length > 1 && open.objects.has(Number(value))) continue;
    open.objects.set(Number(value), isNested ? other : type);
  }
  if (name !== "VFIO_DEVICE_BIND_IOMMUFD") return;
  for (const [{ role }, fd] of valuesOf(layout!, sent, "in")) {
    if (role.kind !== "fd") continue;
    const bound = files.get(process, Number(fd));
    if (bound) open.objects = bound.objects;
  }
}

function entry<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) map.set(key, value = make());
  return value;
}
