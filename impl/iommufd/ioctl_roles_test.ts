// SPDX-License-Identifier: GPL-2.0-only

/**
 * The roles of fields are true: the model treats each field as its role says.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { errnoName } from "../uapi/errno.ts";
import { IOCTLS, TEST_OPS } from "../uapi/ioctls.ts";
import {
  IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
  IOMMU_HWPT_ALLOC_NEST_PARENT,
  IOMMU_HWPT_DIRTY_TRACKING_ENABLE,
  IOMMU_HWPT_SET_DIRTY_TRACKING,
  IOMMU_VFIO_IOAS,
  IOMMU_VFIO_IOAS_SET,
  IommuHwptSetDirtyTracking,
  IommuHwQueueAlloc,
  IommuVfioIoas,
} from "../uapi/iommufd.ts";
import { REVISION_NAMES, type RevisionName } from "../uapi/revision.ts";
import { existsIn } from "../uapi/revision/versions.ts";
import type { FileKind, Named, Role } from "../uapi/layout/roles.ts";
import {
  encodeTestOp,
  IOMMU_HW_QUEUE_TYPE_SELFTEST,
  IOMMU_VIOMMU_TYPE_SELFTEST,
  TestCmd,
  TestDmabufGet,
} from "../uapi/selftest.ts";
import { type Field, fieldsOf, type Struct } from "../uapi/layout/struct.ts";
import { HwptBench } from "./testing/hwpt_bench.ts";
import { IOVA, Machine, PAGE } from "./testing/machine.ts";
import { ViommuBench } from "./testing/viommu_bench.ts";

type Values = Record<string, number | bigint>;

/** Bits that no flag has, an id that no object has, an address without memory. */
const UNKNOWN_BITS = 1 << 30;
const UNKNOWN_ID = 0x7fff_0000;
const NOWHERE = 0x1234_0000n;

/** A machine with an object of each type, one page mapped, and tracking of dirty pages on. */
interface World {
  readonly machine: Machine;
  readonly ids: Readonly<Partial<Record<Named, number>>>;
  readonly fds: Readonly<Record<FileKind, number>>;
  readonly memory: bigint;
}

function makeWorld(revision: RevisionName): World {
  const machine = new Machine(revision);
  const memory = BigInt(machine.memory(4));
  const ids = revision === "v3" ? oldObjects(machine) : objects(machine);
  const userVa = memory;
  assertEquals(machine.map({ ioasId: ids.IOAS, userVa }).ret, 0);
  machine.call(IOMMU_VFIO_IOAS, IommuVfioIoas, {
    op: IOMMU_VFIO_IOAS_SET,
    ioasId: ids.IOAS,
  });
  return { machine, memory, fds: openFiles(machine, ids.IOAS), ids };
}

/** A descriptor of each kind that the revision has. */
function openFiles(machine: Machine, ioas: number): World["fds"] {
  const { process, fd, kernel } = machine;
  const file = process.memfdCreate("", 0);
  assertEquals(process.ftruncate(file, 4 * Number(PAGE)), 0);
  const get = { length: 4 * Number(PAGE) };
  const bytes = encodeTestOp(TestDmabufGet, kernel.revision, get);
  const buffer = process.ioctlStruct(fd, TestCmd.ioctl.number, bytes);
  const access = machine.access(ioas);
  return {
    access,
    file,
    "DMA buffer": buffer,
    "fault queue": -1,
    "event queue": -1,
    iommufd: fd,
  };
}

function oldObjects(machine: Machine) {
  const IOAS = machine.ioas();
  const { hwpt, stdev } = machine.mockDomain(IOAS);
  return { IOAS, HWPT_PAGING: hwpt, SELFTEST: stdev };
}

function objects(machine: Machine) {
  const { name } = machine.kernel.revision;
  const bench = existsIn(name, IommuHwQueueAlloc.ioctl)
    ? new ViommuBench(machine)
    : new HwptBench(0, machine);
  const { ioas: IOAS, dev: DEVICE, stdev: SELFTEST } = bench;
  const flags = IOMMU_HWPT_ALLOC_NEST_PARENT | IOMMU_HWPT_ALLOC_DIRTY_TRACKING;
  const HWPT_PAGING = bench.alloc({ flags }).outHwptId;
  const HWPT_NESTED = bench.nested(HWPT_PAGING);
  machine.call(IOMMU_HWPT_SET_DIRTY_TRACKING, IommuHwptSetDirtyTracking, {
    hwptId: HWPT_PAGING,
    flags: IOMMU_HWPT_DIRTY_TRACKING_ENABLE,
  });
  const ids = { IOAS, DEVICE, SELFTEST, HWPT_PAGING, HWPT_NESTED };
  return bench instanceof ViommuBench
    ? { ...ids, ...viommuObjects(bench) }
    : ids;
}

/** A virtual IOMMU, its device, which reports events, and a queue for them. */
function viommuObjects(bench: ViommuBench) {
  const VDEVICE = bench.vdeviceAlloc().outVdeviceId;
  const VEVENTQ = bench.veventqAlloc().outVeventqId;
  bench.attachNested();
  return { VIOMMU: bench.viommu, VDEVICE, VEVENTQ };
}

/** An ioctl or a test operation, and a call of it in a world of its own that differs from a plain one. */
interface Subject {
  readonly name: string;
  readonly layout: Struct<object>;
  call(changes: (world: World) => Values): string | number;
}

/** Where a plain call needs something else than the roles say. */
const SPECIAL: Readonly<Record<string, Values>> = {
  IOMMU_HWPT_ALLOC: { dataLen: 0 },
  IOMMU_VIOMMU_ALLOC: { type: IOMMU_VIOMMU_TYPE_SELFTEST },
  IOMMU_HW_QUEUE_ALLOC: { type: IOMMU_HW_QUEUE_TYPE_SELFTEST },
  VFIO_IOMMU_MAP_DMA: { iova: IOVA + 16n * PAGE },
};

/** What is looked at with a flag only. */
const NEEDS_FLAG = "IOMMU_GET_HW_INFO.outDataType";

function subjects(revision: RevisionName): Subject[] {
  const ioctls = IOCTLS.flatMap((row) =>
    "fields" in row && row.name !== TestCmd.name &&
      existsIn(revision, row.ioctl)
      ? [{ name: row.ioctl.name, cmd: row.ioctl.number, layout: row }]
      : []
  );
  const ops = TEST_OPS.filter(({ op }) => existsIn(revision, op)).map((
    layout,
  ) => ({ name: layout.op.name, cmd: TestCmd.ioctl.number, layout }));
  return [...ioctls, ...ops].map(({ name, cmd, layout }) => ({
    name,
    layout,
    call(changes) {
      const world = makeWorld(revision);
      const { process, fd, kernel } = world.machine;
      const values = {
        ...plainValues(layout, world),
        ...SPECIAL[name],
        ...changes(world),
      };
      const bytes = "op" in layout
        ? encodeTestOp(layout, kernel.revision, values)
        : layout.encode(values);
      const ret = process.ioctlStruct(fd, cmd, bytes);
      process.exit();
      return ret < 0 ? errnoName(ret) : ret;
    },
  }));
}

/** What the roles say of the fields of a call that makes sense. */
function plainValues(layout: Struct<object>, world: World): Values {
  const values: Values = {};
  for (const field of fieldsOf(layout)) {
    const value = field.direction === "out" ? 0 : plainValue(field, world);
    if (value) values[field.name] = value;
  }
  return values;
}

function plainValue(
  { role, type, direction }: Field,
  { ids, fds, memory }: World,
): number | bigint | undefined {
  switch (role.kind) {
    case "id":
      return role.optional ? 0 : ids[role.of[0] ?? "SELFTEST"];
    case "fd":
      return fds[role.of];
    case "pointer":
      return memory;
    case "iova":
      // What is mapped; for a new map, what is not.
      return direction === "in" ? IOVA : IOVA + 16n * PAGE;
    case "length":
      return type === "u64" ? PAGE : 8;
    case "alignment":
      return PAGE;
    case "count":
      return 1;
    case "flags":
      return Number(role.bits.READABLE ?? 0);
    case "choice":
      return Object.values(role.values)[0];
    default:
      return 0;
  }
}

/** Calls `check` for each field of a kind that the kernel reads; says how many there are. */
function eachField<Kind extends Role["kind"]>(
  revision: RevisionName,
  kind: Kind,
  check: (
    what: string,
    role: Extract<Role, { kind: Kind }>,
    ask: (value: number | bigint) => string | number,
    subject: Subject,
  ) => void,
): void {
  let seen = 0;
  for (const subject of subjects(revision)) {
    for (const { name, role, type, direction } of fieldsOf(subject.layout)) {
      if (direction === "out" || role.kind !== kind) continue;
      const own = role as Extract<Role, { kind: Kind }>;
      const ask = (value: number | bigint) =>
        subject.call(() => ({
          [name]: type === "u64" ? BigInt(value) : Number(value),
        }));
      check(`${subject.name}.${name}`, own, ask, subject);
      seen++;
    }
  }
  assert(seen > 0, kind);
}

/** What is EOPNOTSUPP in the end too, as there is no device without an IOMMU. */
const NEVER_SUPPORTED = "IOMMU_IOAS_NOIOMMU_GET_PA.";

for (const revision of REVISION_NAMES) {
  describe(`a field in its role [${revision}]`, () => {
    it("reserved: must be zero where that is looked at", () => {
      eachField(revision, "reserved", (what, { checked }, ask) => {
        if (what.startsWith(NEVER_SUPPORTED)) return;
        const plain = ask(0);
        assert(plain !== "EOPNOTSUPP", what);
        const there = existsIn(revision, checked);
        assertEquals(ask(1), there ? "EOPNOTSUPP" : plain, what);
      });
    });

    it("unused: does not matter", () => {
      eachField(revision, "unused", (what, _role, ask) => {
        if (!what.endsWith(".last")) assertEquals(ask(1), ask(0), what);
      });
    });

    it("flags: refused if unknown", () => {
      eachField(revision, "flags", (what, { bits }, ask, { layout }) => {
        // Some operations let bits through, v3's more of them.
        if ("op" in layout || what.startsWith(NEVER_SUPPORTED)) return;
        const errno = what.startsWith("VFIO") ? "EINVAL" : "EOPNOTSUPP";
        const right = bits.READABLE ?? bits.READ ?? 0;
        assert(ask(Number(right)) !== errno, what);
        assertEquals(ask(UNKNOWN_BITS), errno, what);
      });
    });

    it("choice: refused if it is none of them", () => {
      eachField(revision, "choice", (what, { values }, ask) => {
        // No driver is asked which events it has.
        if (what === "IOMMU_VEVENTQ_ALLOC.type" || what === NEEDS_FLAG) return;
        const none = Math.max(...Object.values(values)) + 1;
        const ret = ask(none);
        assert(ret === "EINVAL" || ret === "EOPNOTSUPP", `${what}: ${ret}`);
      });
    });

    it("id: of an object of these types only", () => {
      eachField(
        revision,
        "id",
        (what, { of, optional, missing }, ask, subject) => {
          if (optional) return;
          assertEquals(ask(UNKNOWN_ID), missing.name, what);
          const field = what.split(".")[1]!;
          for (const type of Object.keys(makeWorld(revision).ids) as Named[]) {
            const ret = subject.call(({ ids }) => ({ [field]: ids[type]! }));
            const refused = ret === "ENOENT" || ret === "EINVAL";
            const known = of.length === 0 || of.includes(type);
            if (!known) assert(refused, `${what} of ${type}: ${ret}`);
            else if (revision !== "v3") {
              assert(ret !== "ENOENT", `${what}: ${ret}`);
            }
          }
        },
      );
    });

    it("fd: of an open file of the kind", () => {
      eachField(revision, "fd", (what, { of }, ask) => {
        const isAccess = of === "access";
        assertEquals(ask(UNKNOWN_ID), isAccess ? "EBADFD" : "EBADF", what);
        assertEquals(ask(0), isAccess ? "EBADFD" : "EINVAL", what);
      });
    });

    it("pointer: to memory of the caller", () => {
      eachField(revision, "pointer", (what, { count }, ask, subject) => {
        assert(subject.call(() => ({})) !== "EFAULT", what);
        // Where nothing is counted, nothing is looked at; dirty bits that have no place are lost.
        const isUnseen = SPECIAL[subject.name]?.[count] === 0 ||
          what === "IOMMU_HWPT_GET_DIRTY_BITMAP.data";
        assertEquals(ask(NOWHERE), isUnseen ? 0 : "EFAULT", what);
      });
    });
  });
}
