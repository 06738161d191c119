// SPDX-License-Identifier: GPL-2.0-only

/**
 * Makes an ioctl: its struct filled in with what means something, or with one
 * thing wrong.
 *
 * @module
 */

import type { Returned } from "../known/learn.ts";
import { Filled, type Filling, plain } from "./filling.ts";
import { IOMMU_VFIO_IOAS_SET } from "../../../../impl/uapi/iommufd.ts";
import { make, type Wanted } from "./making.ts";
import type { Maker } from "../maker.ts";
import { fillGood } from "./roles.ts";
import type { Shape } from "../known/shapes.ts";
import { sizesOf, withSize } from "./sizes.ts";
import { spoil, type Spoiled } from "./spoil.ts";
import { Context, type Fd, type Proc } from "../known/world.ts";

/** The most steps of the kernel of which the last one is made to fail. */
const MOST_STEPS = 24;

/** An ioctl with a good struct. */
function filled(
  maker: Maker,
  process: Proc,
  on: Fd,
  shape: Shape,
  wanted: Wanted,
): Filling {
  const filling: Filling = {
    maker,
    process,
    shape,
    on,
    context: on.file.context ?? new Context(),
    into: new Filled(shape.size),
    wanted,
    things: new Map(),
    place: undefined,
  };
  const op = shape.fields.find(({ name }) => name === "op");
  if (shape.op !== undefined && op) filling.into.put(op, plain(shape.op));
  prepareContainer(filling);
  fillGood(filling);
  return filling;
}

/** Makes the call. */
function send(
  maker: Maker,
  process: Proc,
  { fd, cmd, bytes, patches, address }: Spoiled,
): Returned | undefined {
  const number = Number(fd.value);
  if (address !== undefined) {
    return maker.addOn(process, { fd }, [], "ioctlarg", number, cmd, address);
  }
  return maker.addOn(process, { fd }, patches, "ioctl", number, cmd, bytes);
}

/** The same with a step of the kernel made to fail, and asks whether it came to that. */
function sendFailing(maker: Maker, process: Proc, call: Spoiled): void {
  const nth = maker.chance.between(1, MOST_STEPS);
  maker.add(process, [], "failnth", nth);
  send(maker, process, call);
  maker.add(process, [], "failnthleft");
  maker.add(process, [], "failnth", 0);
}

/** Ioctls of the container want an IOAS that is its own. */
function prepareContainer(filling: Filling): void {
  const { maker: { chance }, shape, context, on } = filling;
  const isOfContainer = on.file.kind === "iommufd" &&
    shape.name.startsWith("VFIO");
  if (!isOfContainer || context.compat !== 0 || chance.percent(15)) return;
  make(filling, "IOMMU_VFIO_IOAS", { op: plain(IOMMU_VFIO_IOAS_SET) });
}

/** The argument of an ioctl that has no struct. */
function plainArgument(maker: Maker, { arg }: Shape): bigint {
  const { chance } = maker;
  if (arg?.role.kind === "choice" && chance.percent(80)) {
    return BigInt(chance.maybe(Object.values(arg.role.values)) ?? 0);
  }
  return BigInt(chance.below(16));
}

/** Makes an ioctl of which all is as it should be, as far as that is known. */
export function makeIoctl(
  maker: Maker,
  process: Proc,
  on: Fd,
  shape: Shape,
  wanted: Wanted,
): Returned | undefined {
  const { into } = filled(maker, process, on, shape, wanted);
  const patches = into.patches(shape.fields);
  return send(maker, process, {
    fd: on.fd,
    cmd: shape.cmd,
    bytes: into.bytes,
    patches,
  });
}

/** Makes an ioctl with each of the lengths that its struct can be said to have. */
export function trySizes(
  maker: Maker,
  process: Proc,
  on: Fd,
  shape: Shape,
): void {
  for (const size of sizesOf(shape)) {
    const filling = filled(maker, process, on, shape, {});
    send(maker, process, {
      fd: on.fd,
      cmd: shape.cmd,
      bytes: withSize(filling, size),
      patches: filling.into.patches(shape.fields),
    });
  }
}

/** Makes an ioctl, of which something is wrong in so many of a hundred cases. */
export function tryIoctl(
  maker: Maker,
  process: Proc,
  on: Fd,
  shape: Shape,
  percentWrong: number,
): void {
  const { chance } = maker;
  const filling = filled(maker, process, on, shape, {});
  if (shape.layout === undefined) {
    const argument = plainArgument(maker, shape);
    const number = Number(on.fd.value);
    maker.addOn(process, on, [], "ioctlarg", number, shape.cmd, argument);
    return;
  }
  const { into } = filling;
  const good = () => ({
    fd: on.fd,
    cmd: shape.cmd,
    bytes: into.bytes,
    patches: into.patches(shape.fields),
  });
  const call = chance.percent(percentWrong) ? spoil(filling) : good();
  if (chance.percent(maker.failNth)) sendFailing(maker, process, call);
  else send(maker, process, call);
}
