// SPDX-License-Identifier: GPL-2.0-only

/**
 * DMA: what a copy engine is told to do with memory that is mapped.
 *
 * @module
 */

import { PAGE_SIZE } from "../../../../impl/uapi/mman.ts";
import { IommuIoasNoiommuGetPa } from "../../../../impl/uapi/ioas.ts";
import {
  COPY_COMMAND_COPY,
  COPY_COMMAND_FILL,
  COPY_COMMAND_INTERRUPT,
} from "../../../../impl/pci/devices/copy_engine.ts";
import type { Patch } from "../../../../selftests/target/program.ts";
import { plain } from "../ioctls/filling.ts";
import { ioasOf } from "../known/learn_ioctl.ts";
import { makeIoctl } from "../ioctls/ioctl.ts";
import { partOf } from "../ioctls/places.ts";
import type { Area, Context, Fd, Known, Proc, Thing } from "../known/world.ts";
import type { Maker } from "../maker.ts";
import type { Action } from "./files.ts";
import { enable, readAt, writeAt } from "./registers.ts";
import { someDevice } from "./vfio.ts";

/** Where its registers are: the command, and what it is about. */
const COMMAND = 0x08;
const SOURCE = 0x10;
const [TARGET_AT, LENGTH_AT, ABOUT] = [8, 16, 24];
/** The status, the command and what it was about, where it stopped, how many there were. */
const [STATUS, ANSWER] = [0x04, 0x30];

/** Something mapped, and where. */
interface Mapped {
  readonly ioas: Thing;
  readonly area: Area;
  /** The iommufd, whose ioctls know the IOAS. */
  readonly iommufd: Fd | undefined;
}

/** What is mapped for a device, or for others. */
function someArea(maker: Maker, process: Proc, on: Fd): Mapped | undefined {
  const all = [...process.fds.values()].flatMap((fd) => {
    const { kind, context } = fd.file;
    const isContainer = kind === "iommufd" || kind === "type1 container";
    const iommufd = kind === "iommufd" ? fd : undefined;
    return isContainer
      ? areasOf(context).map((at) => ({ ...at, iommufd }))
      : [];
  });
  const { context, pt } = on.file;
  const reached = context && ioasOf(context, pt);
  const own = all.filter(({ ioas }) => ioas === reached);
  const chosen = maker.chance.percent(85) ? maker.chance.maybe(own) : undefined;
  return chosen ?? maker.chance.maybe(all);
}

function areasOf(context: Context | undefined) {
  return (context?.of("IOAS") ?? []).flatMap((ioas) =>
    ioas.areas.map((area) => ({ ioas, area }))
  );
}

/** Attaches the device to an IOAS in which something is mapped, if it is to none. */
function attach(maker: Maker, process: Proc, on: Fd): void {
  const { context, pt } = on.file;
  const shape = maker.shapes.named("VFIO_DEVICE_ATTACH_IOMMUFD_PT");
  const iommufd = process.open("iommufd").find(({ file }) =>
    file.context === context
  );
  if (!context || !shape || !iommufd || pt !== 0) return;
  const map = maker.shapes.named("IOMMU_IOAS_MAP")!;
  if (areasOf(context).length === 0) {
    makeIoctl(maker, process, iommufd, map, {});
  }
  const ioas = areasOf(context)[0]?.ioas;
  if (ioas) makeIoctl(maker, process, on, shape, { ptId: ioas.id });
}

/** The address in memory of what is mapped, for who has no IOMMU. */
function inMemory(
  maker: Maker,
  process: Proc,
  { iommufd, ioas, area }: Mapped,
): Known | undefined {
  const shape = maker.shapes.named("IOMMU_IOAS_NOIOMMU_GET_PA");
  if (iommufd === undefined || shape === undefined) return undefined;
  const wanted = {
    ioasId: ioas.id,
    iova: area.iova,
    length: plain(area.length),
  };
  const got = makeIoctl(maker, process, iommufd, shape, wanted);
  if (got === undefined || got.result < 0) return undefined;
  const { offset } = IommuIoasNoiommuGetPa.fields.outPhys;
  const value = IommuIoasNoiommuGetPa.decode(got.back).outPhys;
  const step = maker.steps.length - 1;
  return { value, from: { step, field: { offset, bytes: 8 } } };
}

/** An address of DMA: mostly one that is mapped. */
function someAddress(maker: Maker, process: Proc, on: Fd): Known {
  const mapped = someArea(maker, process, on);
  if (mapped === undefined || maker.chance.percent(5)) return plain(0x100000);
  const known = maker.devices.areWithoutIommu
    ? inMemory(maker, process, mapped)
    : partOf(maker.chance, mapped.area).iova;
  return known ?? mapped.area.iova;
}

/** Has an engine copy or fill memory, and asks what came of it. */
function copy(maker: Maker, process: Proc): void {
  const { chance, devices } = maker;
  const on = someDevice(maker, process);
  if (on === undefined || !devices.areEngines) return;
  attach(maker, process, on);
  if (chance.percent(60)) enable(maker, process, on);
  const about = new Uint8Array(ABOUT);
  const view = new DataView(about.buffer);
  const patches: Patch[] = [];
  for (const offset of [0, TARGET_AT]) {
    const { value, from } = someAddress(maker, process, on);
    view.setBigUint64(offset, BigInt(value), true);
    const field = { offset, bytes: 8 as const };
    if (from !== undefined) patches.push({ arg: 1, field, from });
  }
  const length = chance.percent(60)
    ? chance.between(1, 64)
    : PAGE_SIZE * chance.between(1, 4);
  view.setUint32(LENGTH_AT, length, true);
  const number = Number(on.fd.value);
  maker.addOn(process, on, patches, "pwrite", number, about, SOURCE);
  const how = chance.weighted([
    [45, COPY_COMMAND_COPY],
    [50, COPY_COMMAND_FILL],
    [5, 99],
  ]) | (chance.percent(15) ? COPY_COMMAND_INTERRUPT : 0);
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, how, true);
  writeAt(maker, process, on, COMMAND, bytes);
  readAt(maker, process, on, STATUS, ANSWER);
}

/** What a process does with engines, by the names that profiles have. */
export const ENGINE_ACTIONS: Readonly<Record<string, Action>> = { copy };
