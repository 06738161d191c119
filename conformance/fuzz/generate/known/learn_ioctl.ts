// SPDX-License-Identifier: GPL-2.0-only

/**
 * How an ioctl that succeeded changes what there is.
 *
 * @module
 */

import type { Named } from "../../../../impl/uapi/layout/roles.ts";
import type { Field } from "../../../../impl/uapi/layout/struct.ts";
import { REVISIONS } from "../../../../impl/uapi/revision.ts";
import { VFIO_DMA_UNMAP_FLAG_ALL } from "../../../../impl/uapi/vfio.ts";
import {
  VFIO_DMA_MAP_FLAG_VADDR,
  VFIO_DMA_UNMAP_FLAG_VADDR,
} from "../../../../impl/uapi/vfio/type1.ts";
import type { Done } from "./learn.ts";
import { fileOf, opened } from "./learn.ts";
import { readField, type Shape } from "./shapes.ts";
import type { Area, Context, Known, OpenFile, Thing } from "./world.ts";

/** An ioctl that succeeded. */
interface DoneIoctl extends Done {
  readonly shape: Shape;
  /** The file that it was made on. */
  readonly file: OpenFile;
  /** The iommufd that it was about. */
  readonly context: Context;
  /** All fields: those that go in as they were, those that come back as they are now. */
  readonly values: Readonly<Record<string, number | bigint>>;
}

const BYTES = { u8: 1, u16: 2, u32: 4, s32: 4, u64: 8 } as const;

/** A field of what came back, as later steps name it. */
function known(done: DoneIoctl, field: Field): Known {
  const value = readField(done.back, field);
  const { offset, type } = field;
  return {
    value,
    from: { step: done.step, field: { offset, bytes: BYTES[type] } },
  };
}

function fieldNamed({ shape }: DoneIoctl, name: string): Field {
  return shape.fields.find((field) => field.name === name)!;
}

/** The IOAS that a page table, an IOAS itself or a virtual IOMMU stands on. */
export function ioasOf(
  context: Context,
  id: number | bigint,
): Thing | undefined {
  let thing = context.thing(id);
  while (thing !== undefined && thing.of !== "IOAS") {
    thing = context.thing(thing.made.ptId ?? thing.made.hwptId ?? 0);
  }
  return thing;
}

/** Which of several types a new object has. */
function typeOf(done: DoneIoctl, of: readonly Named[]): Named {
  if (of.length === 1) return of[0]!;
  const pt = done.context.thing(done.values.ptId ?? done.values.id ?? 0);
  return pt === undefined || pt.of === "IOAS" ? of[0]! : of[1]!;
}

/** Objects and descriptors that came back. */
function learnNew(done: DoneIoctl): void {
  for (const [field, of] of done.shape.ids) {
    const id = known(done, field);
    const type = typeOf(done, of);
    if (id.value === 0 || done.context.has(type, id.value)) continue;
    const made = { ...done.values, ptId: done.values.ptId ?? done.values.id! };
    done.context.add(type, id, made);
  }
  for (const [field, kind] of done.shape.fds) {
    const fd = known(done, field);
    const pt = Number(done.values.id ?? 0);
    const flags = Number(done.values.flags ?? 0);
    const file = fileOf(kind, { context: done.context, pt, flags });
    done.process.fds.set(Number(fd.value), { fd, file, closes: true });
  }
}

/** What is mapped from now on in an IOAS. */
function mapped(
  done: DoneIoctl,
  ioas: number | bigint | undefined,
  iova: string,
  area: Partial<Area>,
): void {
  const flags = Number(done.values.flags);
  const length = done.values.length as bigint;
  done.context.thing(ioas ?? 0)?.areas.push(
    {
      flags,
      length,
      address: undefined,
      ...area,
      iova: known(done, fieldNamed(done, iova)),
    },
  );
}

function unmapped(done: DoneIoctl, ioas: number | bigint | undefined): void {
  const thing = done.context.thing(ioas ?? 0);
  if (thing === undefined) return;
  if (
    done.shape.name === "VFIO_IOMMU_UNMAP_DMA" &&
    isAbout(done, VFIO_DMA_UNMAP_FLAG_ALL)
  ) {
    thing.areas = [];
  }
  const first = done.values.iova as bigint;
  const end = first + (done.values.length as bigint);
  thing.areas = thing.areas.filter(({ iova, length }) =>
    BigInt(iova.value) < first || BigInt(iova.value) + length > end
  );
}

/** Whether a flag says that what is mapped stays so. */
function isAbout({ values }: DoneIoctl, flag: number): boolean {
  return (Number(values.flags) & flag) !== 0;
}

/** The page table that a device has from now on. */
function attached(done: DoneIoctl, id: number | bigint, field: string): void {
  const pt = known(done, fieldNamed(done, field));
  const asked = Number(done.values[field]);
  if (done.context.thing(pt.value) === undefined) {
    done.context.add("HWPT_PAGING", pt, { ptId: asked, auto: 1 });
  }
  const mock = done.context.thing(id);
  if (mock === undefined) return;
  const pasid = Number(done.values.pasid ?? 0);
  if (pasid !== 0) mock.pasids.set(pasid, Number(pt.value));
  if (pasid !== 0) return;
  mock.pt = Number(pt.value);
  const device = done.context.thing(mock.made.outIdevId ?? 0);
  if (device) device.pt = mock.pt;
}

function destroyed({ context, values }: DoneIoctl): void {
  const thing = context.thing(values.id!);
  if (thing === undefined) return;
  context.forget(thing);
  const device = context.thing(thing.made.outIdevId ?? 0);
  if (thing.of === "SELFTEST" && device) context.forget(device);
}

/** A mock device: it and its mock are attached to what came back. In v3 there is none: a page table of its own comes back in the place of the IOAS. */
function mocked(done: DoneIoctl): void {
  if (!REVISIONS[done.shapes.uapi].selftest.mockDomainBindsDevice) {
    const hwpt = known(done, fieldNamed(done, "id"));
    done.context.add("HWPT_PAGING", hwpt, { ptId: done.values.id! });
    return;
  }
  for (const name of ["outStdevId", "outIdevId"]) {
    const thing = done.context.thing(done.values[name] ?? 0);
    if (thing) thing.pt = Number(done.values.outHwptId);
  }
}

/** What single ioctls change beside what they give. */
const LEARN: Readonly<Record<string, (done: DoneIoctl) => unknown>> = {
  IOMMU_DESTROY: destroyed,
  IOMMU_IOAS_MAP: (done) =>
    mapped(done, done.values.ioasId, "iova", {
      address: Number(done.values.userVa),
    }),
  IOMMU_IOAS_MAP_FILE: (done) => mapped(done, done.values.ioasId, "iova", {}),
  IOMMU_IOAS_COPY: (done) => mapped(done, done.values.dstIoasId, "dstIova", {}),
  VFIO_IOMMU_MAP_DMA: (done) =>
    isAbout(done, VFIO_DMA_MAP_FLAG_VADDR) ||
    mapped(done, done.context.compat, "iova", {
      address: Number(done.values.vaddr),
    }),
  IOMMU_IOAS_UNMAP: (done) => unmapped(done, done.values.ioasId),
  VFIO_IOMMU_UNMAP_DMA: (done) =>
    isAbout(done, VFIO_DMA_UNMAP_FLAG_VADDR) ||
    unmapped(done, done.context.compat),
  IOMMU_VFIO_IOAS: (done) => {
    const [set, clear] = [1, 2];
    if (done.values.op === set) {
      done.context.compat = Number(done.values.ioasId);
    }
    if (done.values.op === clear) done.context.compat = 0;
  },
  IOMMU_TEST_OP_MOCK_DOMAIN: mocked,
  IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS: mocked,
  IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE: (done) =>
    attached(done, done.values.id!, "ptId"),
  IOMMU_TEST_OP_PASID_ATTACH: (done) => attached(done, done.values.id!, "ptId"),
  IOMMU_TEST_OP_PASID_REPLACE: (done) =>
    attached(done, done.values.id!, "ptId"),
  IOMMU_TEST_OP_PASID_DETACH: ({ context, values }) => {
    context.thing(values.id!)?.pasids.delete(Number(values.pasid));
  },
  IOMMU_HWPT_SET_DIRTY_TRACKING: ({ context, values }) => {
    const hwpt = context.thing(values.hwptId!);
    if (hwpt) hwpt.tracks = values.flags === 1;
  },
  IOMMU_TEST_OP_ACCESS_REPLACE_IOAS: (done) => {
    const access = done.process.fds.get(Number(done.values.id));
    if (access) access.file.pt = Number(done.values.ioasId);
  },
  IOMMU_TEST_OP_DESTROY_ACCESS_PAGES: (done) =>
    done.context.drop("ACCESS_PAGES", done.values.accessPagesId!),
  IOMMU_TEST_OP_DMABUF_GET: (done) =>
    opened(
      done,
      fileOf("DMA buffer", {
        context: done.context,
        length: Number(done.values.length),
      }),
    ),
  VFIO_DEVICE_BIND_IOMMUFD: (done) => {
    done.file.context = done.context;
  },
  VFIO_DEVICE_ATTACH_IOMMUFD_PT: (done) => {
    done.file.pt = Number(done.values.ptId);
  },
};

/** The iommufd that an ioctl is about: that of the file, or that which a field names. */
function contextOf({ process, args }: Done, shape: Shape, file: OpenFile) {
  if (shape.name !== "VFIO_DEVICE_BIND_IOMMUFD") return file.context;
  const field = shape.fields.find(({ name }) => name === "iommufd")!;
  const fd = readField(args[2] as Uint8Array, field);
  return process.fds.get(Number(fd))?.file.context;
}

/** The values of all fields after the call. */
function valuesOf(
  { fields }: Shape,
  sent: Uint8Array,
  back: Uint8Array,
): Record<string, number | bigint> {
  const values: Record<string, number | bigint> = {};
  for (const field of fields) {
    const bytes = field.direction === "out" ? back : sent;
    values[field.name] = readField(bytes, field);
  }
  return values;
}

/** Notes what an ioctl gave and changed. */
export function learnIoctl(done: Done): void {
  const [fd, cmd, struct] = done.args as [number, number, Uint8Array];
  const file = done.process.fds.get(fd)?.file;
  const shape = file && done.shapes.of(file.kind, cmd, struct);
  if (file === undefined || shape === undefined) return;
  const change = LEARN[shape.name];
  if (!change && shape.ids.length === 0 && shape.fds.length === 0) return;
  const context = contextOf(done, shape, file);
  if (context === undefined) return;
  const values = valuesOf(shape, struct, done.back);
  const all = { ...done, shape, file, context, values };
  learnNew(all);
  change?.(all);
}
