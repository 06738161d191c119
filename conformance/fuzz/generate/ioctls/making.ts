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
  const isDevice = name.includes("MOCK_DOMAIN");
  return of === "DEVICE" || of === "SELFTEST" ? isDevice : !isDevice;
}

/** What a nested page table is made of. */
function wantedFor(filling: Filling, of: Named): Wanted {
  if (of !== "HWPT_NESTED") return {};
  const { context } = filling;
  const parents = context.of("HWPT_PAGING").filter(({ made }) =>
    (Number(made.flags ?? 0) & IOMMU_HWPT_ALLOC_NEST_PARENT) !== 0
  );
  const parent = filling.maker.chance.maybe(parents);
  return parent ? { ptId: parent.id } : {};
}

/** Does something for the sake of something else, unless that goes too deep. */
function deeper(maker: Maker, make: () => void): void {
  if (maker.depth >= DEEPEST || maker.isFull) return;
  maker.depth++;
  make();
  maker.depth--;
}

/** Faults wait in queues until they are read. */
function readFaults({ maker, process, context }: Filling): void {
  const queues = process.open("fault queue").filter(({ file }) =>
    file.context === context
  );
  const queue = maker.chance.maybe(queues);
  if (queue === undefined) return;
  const into = new Uint8Array(40 * 4);
  maker.addOn(process, queue, [], "read", Number(queue.fd.value), into);
}

/** Has an object of a type made in the same iommufd. */
export function makeObject(filling: Filling, of: Named, wanted: Wanted): void {
  const { maker, process, on } = filling;
  if (of === "PAGE_FAULT") return readFaults(filling);
  const makers = maker.shapes.makers(of).filter((shape) => isMaker(shape, of));
  const shape = maker.chance.maybe(makers);
  if (shape === undefined) return;
  const target = shape.on === on.file.kind
    ? on
    : process.open(shape.on).find(({ file }) =>
      file.context === filling.context
    );
  if (target === undefined) return;
  deeper(maker, () => {
    const all = { ...wantedFor(filling, of), ...wanted };
    makeIoctl(maker, process, target, shape, all);
  });
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
  const { maker, process, context } = filling;
  const shape = maker.shapes.named("IOMMU_IOAS_MAP");
  const target = iommufdOf(process, context);
  if (shape === undefined || target === undefined) return;
  const flags = plain(maker.chance.weighted([[85, 7], [10, 5], [5, 6]]));
  deeper(maker, () => {
    makeIoctl(maker, process, target, shape, { ioasId: ioas.id, flags });
  });
}
