// SPDX-License-Identifier: GPL-2.0-only

/**
 * Has what an ioctl needs made: objects, descriptors, mapped memory, by the
 * ioctls that give them.
 *
 * @module
 */

import type { FileKind, Named } from "../../../../impl/uapi/layout/roles.ts";
import { IOMMU_HWPT_ALLOC_NEST_PARENT } from "../../../../impl/uapi/iommufd.ts";
import { O_RDWR } from "../../../../impl/uapi/mman.ts";
import { makeFile } from "../verbs/files.ts";
import { type Filling, plain } from "./filling.ts";
import { makeIoctl } from "./ioctl.ts";
import type { Maker } from "../maker.ts";
import type { Shape } from "../known/shapes.ts";
import type { Fd, Known, Proc, Thing } from "../known/world.ts";

/** How deep makers of objects are made for each other. */
const DEEPEST = 5;

/** Values of the fields of an ioctl that are asked for. */
export type Wanted = Readonly<Record<string, Known>>;

/** Ioctls that only look for an object of a type by the way, or make it for a certain purpose. */
function isMaker({ name }: Shape, of: Named): boolean {
  return name.includes("MOCK_DOMAIN") === isDevice(of);
}

function hasField({ fields }: Shape, name: string): boolean {
  return fields.some((field) => field.name === name);
}

/** An IOAS, which is made if there is none. */
function someIoas(filling: Filling): Wanted {
  const { context, maker: { chance } } = filling;
  if (context.of("IOAS").length === 0) makeObject(filling, "IOAS", {});
  const ioas = chance.maybe(context.of("IOAS"));
  return ioas ? { ptId: ioas.id } : {};
}

/** What a page table is made of. */
function wantedFor(filling: Filling, of: Named): Wanted {
  if (of === "HWPT_PAGING") return someIoas(filling);
  if (of !== "HWPT_NESTED") return {};
  const { context } = filling;
  const parents = context.of("HWPT_PAGING").filter(({ made }) =>
    (Number(made.flags ?? 0) & IOMMU_HWPT_ALLOC_NEST_PARENT) !== 0
  );
  if (parents.length > 0) {
    return { ptId: filling.maker.chance.maybe(parents)!.id };
  }
  const flags = plain(IOMMU_HWPT_ALLOC_NEST_PARENT);
  const before = context.things.length;
  makeObject(filling, "HWPT_PAGING", { flags });
  return context.things.length > before
    ? { ptId: context.things.at(-1)!.id }
    : {};
}

/** Does something for the sake of something else, unless that goes too deep. */
function deeper(maker: Maker, make: () => void): void {
  if (maker.depth >= DEEPEST || maker.isFull) return;
  maker.depth++;
  make();
  maker.depth--;
}

/** Has an object of a type made in the same iommufd. */
export function makeObject(filling: Filling, of: Named, wanted: Wanted): void {
  const { maker, process, on } = filling;
  const all = maker.shapes.makers(of);
  const makers = all.filter((shape) => isMaker(shape, of));
  // v3 has no other page tables than those that its mock domains bring.
  const fit = (makers.length > 0 ? makers : all).filter((shape) =>
    Object.keys(wanted).every((name) => hasField(shape, name))
  );
  const shape = maker.chance.maybe(fit);
  if (shape === undefined) return;
  const target = shape.on === on.file.kind
    ? on
    : process.open(shape.on).find(({ file }) =>
      file.context === filling.context
    );
  if (target === undefined) return;
  deeper(maker, () => {
    const all = { ...wantedFor(filling, of), ...wanted };
    const made = makeIoctl(maker, process, target, shape, all);
    if (made === undefined || made.result >= 0 || !isDevice(of)) return;
    // The IOAS has what a device cannot have mapped.
    if (!make(filling, "IOMMU_IOAS_ALLOC", {})) return;
    const { id } = filling.context.things.at(-1)!;
    makeIoctl(maker, process, target, shape, { ...all, id });
  });
}

function isDevice(of: Named): boolean {
  return of === "DEVICE" || of === "SELFTEST";
}

/** Makes an ioctl with some values in the same iommufd; whether it succeeded. */
export function make(filling: Filling, name: string, wanted: Wanted): boolean {
  const { maker, process, context } = filling;
  const shape = maker.shapes.named(name);
  const target = iommufdOf(process, context);
  if (shape === undefined || target === undefined) return false;
  let isDone = false;
  deeper(maker, () => {
    const returned = makeIoctl(maker, process, target, shape, wanted);
    isDone = returned !== undefined && returned.result >= 0;
  });
  return isDone;
}

/** Has a descriptor of a kind opened. */
export function makeDescriptor(filling: Filling, kind: FileKind): void {
  const { maker, process, context } = filling;
  if (kind === "file") return makeFile(maker, process);
  if (kind === "iommufd") {
    maker.add(process, [], "open", "/dev/iommu", O_RDWR);
    return;
  }
  const shape = kind === "DMA buffer"
    ? maker.shapes.named("IOMMU_TEST_OP_DMABUF_GET")
    : maker.shapes.makers(kind)[0];
  const target = iommufdOf(process, context);
  if (shape === undefined || target === undefined) return;
  deeper(maker, () => makeIoctl(maker, process, target, shape, {}));
}

function iommufdOf(process: Proc, context: Filling["context"]): Fd | undefined {
  return process.open("iommufd").find(({ file }) => file.context === context);
}

/** Has something mapped in an IOAS. */
export function makeArea(filling: Filling, ioas: Thing): void {
  const { maker, process, on } = filling;
  const ofType1 = maker.shapes.named("VFIO_IOMMU_MAP_DMA");
  if (on.file.kind === "type1 container" && ofType1) {
    deeper(maker, () => makeIoctl(maker, process, on, ofType1, {}));
    return;
  }
  const flags = plain(maker.chance.weighted([[85, 7], [10, 5], [5, 6]]));
  make(filling, "IOMMU_IOAS_MAP", { ioasId: ioas.id, flags });
}
