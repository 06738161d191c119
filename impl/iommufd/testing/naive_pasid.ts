// SPDX-License-Identifier: GPL-2.0-only

/**
 * Attachments as simply as they can be thought of: which device is at which
 * HWPT for which PASID. Operations throw the errno that the kernel must give,
 * before they change anything.
 *
 * @module
 */

import { EBUSY, EINVAL, ENOENT, ENOSPC } from "../../uapi/errno.ts";

/** How many PASIDs the devices have, 0 included. */
export const PASIDS = 4;

/** A HWPT. */
export interface NaiveTable {
  readonly id: number;
  /** It was allocated for PASIDs. */
  readonly isForPasids: boolean;
  /** Made by attaching to the IOAS, and gone with its last device. */
  readonly isAuto: boolean;
  /** The device whose driver does not take it; none if there is no such device. */
  readonly refusedBy: string;
}

/** Devices by the groups that they are in. */
export class NaiveAttachments {
  /** HWPTs, oldest first. */
  readonly tables: NaiveTable[] = [];
  readonly #groups: readonly (readonly string[])[];
  /** Where each device is for each PASID that it is attached for. */
  readonly #places = new Map<string, Map<number, NaiveTable>>();
  readonly #ioasId: number;

  /** Devices that are bound and not attached, and an IOAS without HWPTs. */
  constructor(groups: readonly (readonly string[])[], ioasId: number) {
    this.#groups = groups;
    this.#ioasId = ioasId;
    for (const device of groups.flat()) this.#places.set(device, new Map());
  }

  /** Which HWPT each device uses for each PASID: all of a group do that have one attached. */
  uses(device: string): [pasid: number, hwpt: number][] {
    const used = Array.from({ length: PASIDS }, (_, pasid) => {
      const place = this.#placeOf(device, pasid);
      return place === undefined ? [] : [[pasid, place.id]];
    });
    return used.flat() as [number, number][];
  }

  /** The PASIDs that a device itself is attached for. */
  attachedOf(device: string): number[] {
    return [...this.#places.get(device)!.keys()].sort((a, b) => a - b);
  }

  /** How many attachments a HWPT has. */
  usersOf(table: NaiveTable): number {
    return [...this.#places.values()].flatMap((places) => [...places.values()])
      .filter((place) => place === table).length;
  }

  /** Attaches; the HWPT. `newId` is the id of one that is made. */
  attach(device: string, ptId: number, pasid: number, newId: number): number {
    return this.#change(ptId, newId, (table) => {
      if (this.#places.get(device)!.has(pasid)) throw EBUSY;
      const present = this.#placeOf(device, pasid);
      if (present !== undefined && present !== table) throw EINVAL;
      if (present === undefined) this.#checkMove(device, table, pasid);
      this.#places.get(device)!.set(pasid, table);
    });
  }

  /** Moves a device and its group; the HWPT. */
  replace(device: string, ptId: number, pasid: number, newId: number): number {
    return this.#change(ptId, newId, (table) => {
      const old = this.#places.get(device)!.get(pasid);
      if (old === undefined) throw EINVAL;
      if (old === table) return;
      this.#checkMove(device, table, pasid);
      for (const other of this.#groupOf(device)) {
        const places = this.#places.get(other)!;
        if (places.has(pasid)) places.set(pasid, table);
      }
      this.#dropUnused(old);
    });
  }

  /** Detaches, if it is attached. */
  detach(device: string, pasid: number): void {
    const places = this.#places.get(device)!;
    const table = places.get(pasid);
    places.delete(pasid);
    if (table !== undefined) this.#dropUnused(table);
  }

  /** DESTROY of a HWPT. */
  destroy(id: number): void {
    const table = this.tables.find((each) => each.id === id);
    if (table === undefined) throw ENOENT;
    if (this.usersOf(table) > 0) throw EBUSY;
    this.#remove(table);
  }

  #groupOf(device: string): readonly string[] {
    return this.#groups.find((group) => group.includes(device))!;
  }

  #placeOf(device: string, pasid: number): NaiveTable | undefined {
    return this.#groupOf(device)
      .map((other) => this.#places.get(other)!.get(pasid))
      .find((place) => place !== undefined);
  }

  /** Whether a group can go to a HWPT. */
  #checkMove(device: string, table: NaiveTable, pasid: number): void {
    const group = this.#groupOf(device);
    const pasids = group.flatMap((other) => [
      ...this.#places.get(other)!.keys(),
    ]);
    if ([pasid, ...pasids].some((each) => each !== 0)) {
      const own = pasid === 0 ? table : this.#placeOf(device, 0) ?? table;
      if (!table.isForPasids || !own.isForPasids) throw EINVAL;
    }
    if (pasid >= PASIDS) throw EINVAL;
    if (group.includes(table.refusedBy)) throw ENOSPC;
  }

  /** Changes to a HWPT, or to one of the IOAS that will do, or to a new one. */
  #change(
    ptId: number,
    newId: number,
    to: (table: NaiveTable) => void,
  ): number {
    if (ptId !== this.#ioasId) {
      const table = this.tables.find(({ id }) => id === ptId);
      if (table === undefined) throw ENOENT;
      to(table);
      return ptId;
    }
    for (const table of this.tables.filter(({ isAuto }) => isAuto)) {
      try {
        to(table);
        return table.id;
      } catch (error) {
        if (error !== EINVAL) throw error;
      }
    }
    const table = {
      id: newId,
      isForPasids: false,
      isAuto: true,
      refusedBy: "",
    };
    to(table);
    this.tables.push(table);
    return table.id;
  }

  #dropUnused(table: NaiveTable): void {
    if (table.isAuto && this.usersOf(table) === 0) this.#remove(table);
  }

  #remove(table: NaiveTable): void {
    this.tables.splice(this.tables.indexOf(table), 1);
  }
}
