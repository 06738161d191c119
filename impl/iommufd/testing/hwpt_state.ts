// SPDX-License-Identifier: GPL-2.0-only

/**
 * The state of a kernel and of the naive model of HWPTs in the same words, to
 * be compared after each step of a random run.
 *
 * @module
 */

import { type Pfn, plus, toIova } from "../../lib/brands.ts";
import { MockDomain } from "../../mock/mock_domain.ts";
import type { MockNestedDomain } from "../../mock/mock_nested_domain.ts";
import { PAGE_SIZE } from "../../uapi/mman.ts";
import { IommufdDevice } from "../attach/device.ts";
import { IommufdFault } from "../events/fault.ts";
import { HwPagetable, type HwptPaging } from "../hwpt/hw_pagetable.ts";
import { HwptNested } from "../hwpt/hwpt_nested.ts";
import { Ioas } from "../ioas/ioas.ts";
import type { IommufdObject } from "../objects/object.ts";
import { IOVA, type Machine, PAGE } from "./machine.ts";
import {
  LOW_SLOT,
  type NaiveContext,
  type NaiveHwpt,
  type NaiveIoas,
  SLOT_GRANULES,
  SLOT_PAGES,
} from "./naive_hwpt.ts";

/** Bytes of a place that can be mapped. */
export const SLOT_LENGTH: bigint = BigInt(SLOT_PAGES) * PAGE;
const GRANULE = 2048;

/** IOVA of place 0: in the middle of a page, so that each IO page has an entry of its own. */
export const FIRST_IOVA: bigint = IOVA + BigInt(GRANULE);

/** IOVA of a place. */
export function slotIova(slot: number): bigint {
  return slot === LOW_SLOT ? 0n : FIRST_IOVA + BigInt(slot) * SLOT_LENGTH;
}

/** What a kernel looks like. */
export function stateOfKernel(
  { kernel, ctx }: Machine,
  frames: readonly number[],
): string {
  const pins = frames.map((frame) => kernel.frames.pins(frame as Pfn));
  const all = [...ctx.objects];
  const objects = all.map((object) => `${object.id} ${describe(object, all)}`);
  return [`pins ${pins}`, ...kernel.warnings.list, ...objects].join("\n");
}

/** One object of a kernel. */
function describe(
  object: IommufdObject,
  all: readonly IommufdObject[],
): string {
  if (object instanceof Ioas) return `IOAS ${areasOf(object)}`;
  if (object instanceof IommufdDevice) {
    const { group } = object.dev;
    const place = all.find((other) =>
      other instanceof HwPagetable && other.domain === group?.domain
    );
    return `bound, at ${place?.id}`;
  }
  if (object instanceof IommufdFault) {
    const { unread, unanswered } = object;
    return `queue, ${unread.size} unread, ${unanswered.size} unanswered`;
  }
  if (!(object instanceof HwPagetable)) return "device";
  if (object instanceof HwptNested) {
    const { paging, fault, domain: { iotlb } } = object as HwptNested & {
      domain: MockNestedDomain;
    };
    return `nested on ${paging.id}, faults to ${fault?.id}, ${iotlb}`;
  }
  return describePaging(object.paging);
}

/** A HWPT with a map. */
function describePaging(
  { ioas, autoDomain, nestParent, domain }: HwptPaging,
): string {
  if (!(domain instanceof MockDomain)) throw new Error("Not a mock domain");
  return paging({
    ioas: ioas.id,
    isAuto: autoDomain,
    isParent: nestParent,
    tracks: domain.dirtyOps?.tracksDirty,
    entries: areasOf(ioas).flatMap((start) =>
      Array.from(
        { length: SLOT_GRANULES },
        (_, i) => domain.iovaToPhys(plus(toIova(start), i * GRANULE)) / GRANULE,
      )
    ),
    count: domain.mappedBytes / GRANULE,
  });
}

/** A HWPT with a map, in words. */
function paging(facts: {
  readonly ioas: number;
  readonly isAuto: boolean;
  readonly isParent: boolean;
  readonly tracks: boolean | undefined;
  readonly entries: readonly number[];
  readonly count: number;
}): string {
  return `paging ${JSON.stringify(facts)}`;
}

/** Where an IOAS has maps. */
function areasOf({ iopt }: Ioas): bigint[] {
  return [...iopt.areas].map(({ iova }) => iova);
}

/** What the model looks like. */
export function stateOfModel(
  naive: NaiveContext,
  frames: readonly number[],
): string {
  const objects = [...naive.things.keys()].sort((a, b) => a - b).map((id) =>
    `${id} ${describeNaive(naive, id, frames)}`
  );
  return [`pins ${naive.pins(frames.length)}`, ...objects].join("\n");
}

/** One object of the model. */
function describeNaive(
  naive: NaiveContext,
  id: number,
  frames: readonly number[],
): string {
  const thing = naive.things.get(id)!;
  switch (thing.kind) {
    case "ioas":
      return `IOAS ${mappedSlots(thing).map(slotIova)}`;
    case "bound":
      return `bound, at ${naive.idOf(thing.device.place)}`;
    case "queue":
      return `queue, ${thing.unread.length} unread, ${thing.unanswered.size} unanswered`;
    case "device":
      return "device";
    case "nested": {
      const { parent, queue, iotlb } = thing;
      const faults = queue && naive.idOf(queue);
      return `nested on ${naive.idOf(parent!)}, faults to ${faults}, ${iotlb}`;
    }
    case "paging": {
      const { ioas, isAuto, isParent, canTrack, isTracking } = thing;
      const entries = naiveEntries(thing, frames);
      return paging({
        ioas: naive.idOf(ioas),
        isAuto,
        isParent,
        tracks: canTrack ? isTracking : undefined,
        entries,
        count: entries.length,
      });
    }
  }
}

/** The places of an IOAS that are mapped, by IOVA. */
function mappedSlots({ slots }: NaiveIoas): number[] {
  return [LOW_SLOT, ...slots.keys()].filter((slot, i) =>
    slots[slot] !== undefined && (slot !== LOW_SLOT || i === 0)
  );
}

/** Numbers of the IO pages that a HWPT maps to. */
function naiveEntries(
  { ioas }: NaiveHwpt,
  frames: readonly number[],
): number[] {
  const perPage = PAGE_SIZE / GRANULE;
  return mappedSlots(ioas).flatMap((slot) =>
    Array.from({ length: SLOT_GRANULES }, (_, i) => {
      const page = ioas.slots[slot]! + Math.floor(i / perPage);
      return frames[page]! * perPage + i % perPage;
    })
  );
}
