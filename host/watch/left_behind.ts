// SPDX-License-Identifier: GPL-2.0-only

/**
 * What programs leave behind: what the kernel has to clean up after them.
 *
 * @module
 */

import { Ioas } from "../../impl/iommufd/ioas/ioas.ts";
import { IommufdCtx } from "../../impl/iommufd/main.ts";
import {
  ACCOUNT_MM,
  ACCOUNT_USER,
} from "../../impl/iommufd/pages/accounting.ts";
import type { IoptPages } from "../../impl/iommufd/pages/pages.ts";
import { kindOf } from "../../impl/inspect/names.ts";
import { bytes, count } from "../../impl/inspect/units.ts";
import type { Kernel } from "../../impl/kernel.ts";
import type { File } from "../../impl/kernel/files/file.ts";
import { Type1Container } from "../../impl/vfio/type1/container.ts";
import type { Watcher } from "../calls/watcher.ts";

/** Objects that are named. */
const MAX_OBJECTS = 12;

/** Notes what contexts hold that a process did not close before it ended. */
export class LeftBehind implements Watcher {
  readonly #found: string[] = [];

  closing(file: File, path: string, ends: boolean): void {
    if (!ends) return;
    if (file instanceof Type1Container) this.#found.push(...mapped(file, path));
    if (!(file instanceof IommufdCtx)) return;
    const objects = [...file.objects];
    if (objects.length === 0) return;
    const names = objects.slice(0, MAX_OBJECTS)
      .map((object) => `${kindOf(object)} ${object.id}`);
    if (objects.length > names.length) names.push("…");
    this.#found.push(
      `${path} was left open with ${count(objects.length, "object")}: ${
        names.join(", ")
      }.`,
      ...pinned(objects.filter((object) => object instanceof Ioas)),
    );
  }

  /** A sentence for each thing found, at the end also of what the kernel itself still has. */
  report(kernel: Kernel): string[] {
    return [...this.#found, ...kernel.audit()];
  }
}

/** The mappings of a container. */
function mapped({ mappings }: Type1Container, path: string): string[] {
  const lengths = Array.from(mappings, ({ length }) => length);
  if (lengths.length === 0) return [];
  const sum = lengths.reduce((sum, length) => sum + length, 0n);
  const what = `${count(lengths.length, "mapping")}, ${bytes(sum)}`;
  return [`${path} was left open with ${what}.`];
}

/** The areas of IOASes, and the pages that they have pinned. */
function pinned(all: readonly Ioas[]): string[] {
  const pages = new Set<IoptPages>();
  let areas = 0;
  for (const { iopt } of all) {
    areas += iopt.areas.size;
    for (const area of iopt.areas) if (area.pages) pages.add(area.pages);
  }
  if (areas === 0) return [];
  const charges = new Map<string, number>();
  for (const each of pages) {
    const to = charged(each);
    charges.set(to, (charges.get(to) ?? 0) + each.npinned);
  }
  const pins = [...charges].filter(([, npinned]) => npinned > 0)
    .map(([to, npinned]) => `${count(npinned, "page")} pinned, ${to}`);
  const what = pins.length > 0 ? pins.join("; ") : "no page pinned";
  return [`IOVA was mapped in ${count(areas, "area")}: ${what}.`];
}

function charged({ accountMode, owner }: IoptPages): string {
  switch (accountMode) {
    case ACCOUNT_USER:
      return `charged to user ${owner.user.uid}`;
    case ACCOUNT_MM:
      return `charged to process ${owner.task.pid}`;
    default:
      return "charged to nobody";
  }
}
