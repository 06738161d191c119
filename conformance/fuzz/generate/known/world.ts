// SPDX-License-Identifier: GPL-2.0-only

/**
 * What there is at a point of a program, as far as its steps told: processes,
 * what they have open and mapped, objects of iommufds, and what is mapped in
 * IO address spaces. `learn.ts` keeps it up to date.
 *
 * @module
 */

import type { Named } from "../../../../impl/uapi/layout/roles.ts";
import type { Reference } from "../../../../selftests/target/program.ts";
import type { OpenKind } from "./shapes.ts";

/** A value that is known, and which step it came from; undefined where it is plain. */
export interface Known {
  readonly value: number | bigint;
  readonly from?: Reference | undefined;
}

/** What is mapped in an IO address space. */
export interface Area {
  readonly iova: Known;
  readonly length: bigint;
  /** Where its memory is in the process that mapped it; undefined for other memory. */
  readonly address: number | undefined;
  /** The flags that it was mapped with. */
  readonly flags: number;
}

/** An object of an iommufd. */
export interface Thing {
  readonly of: Named;
  readonly id: Known;
  /** The fields of the struct that made it. */
  readonly made: Readonly<Record<string, number | bigint>>;
  /** Of an IOAS: what is mapped. */
  areas: Area[];
  /** Of a device and its mock: what it is attached to. */
  pt: number;
  /** Of a mock device: what it is attached to for PASIDs. */
  readonly pasids: Map<number, number>;
  /** Of a page table: whether its dirty bits are kept. */
  tracks: boolean;
}

/** An iommufd, however many descriptors it has. */
export class Context {
  /** Its objects. */
  things: Thing[] = [];
  /** The ids of those that are no more. */
  readonly gone: Known[] = [];
  /** The IOAS of the container. */
  compat = 0;

  /** Adds an object. */
  add(of: Named, id: Known, made: Thing["made"] = {}): void {
    const state = { areas: [], pt: 0, pasids: new Map(), tracks: false };
    this.things.push({ of, id, made, ...state });
  }

  /** Takes an object away. */
  forget(thing: Thing): void {
    this.things = this.things.filter((other) => other !== thing);
    this.gone.push(thing.id);
  }

  /** Takes away what is no object but has an id: pages of an access. */
  drop(of: Named, id: number | bigint): void {
    const thing = this.things.find((thing) =>
      thing.of === of && thing.id.value === Number(id)
    );
    if (thing) this.things = this.things.filter((other) => other !== thing);
  }

  /** The object with an id. */
  thing(id: number | bigint): Thing | undefined {
    return this.things.find((thing) =>
      thing.id.value === Number(id) && isObject(thing)
    );
  }

  /** Whether an id names an object, or pages of an access where it is such. */
  has(of: Named, id: number | bigint): boolean {
    return of === "ACCESS_PAGES"
      ? this.things.some((thing) => thing.of === of && thing.id.value === id)
      : this.thing(id) !== undefined;
  }

  /** The objects of some types; of all where none is named. */
  of(...types: readonly Named[]): Thing[] {
    if (types.length === 0) return this.things.filter(isObject);
    return this.things.filter(({ of }) => types.includes(of));
  }
}

/** Whether it has an id that DESTROY knows. */
function isObject({ of }: Thing): boolean {
  return of !== "ACCESS_PAGES";
}

/** What a container of VFIO's own has mapped is in an IOAS that nobody can name. */
export function ofContainer(): Context {
  const context = new Context();
  context.add("IOAS", { value: context.compat = -1 });
  return context;
}

/** An open file, however many descriptors it has. */
export interface OpenFile {
  readonly kind: OpenKind;
  /** The iommufd that it is, or belongs to. */
  context: Context | undefined;
  /** Of an access: its IOAS. Of a VFIO device: what it is attached to. Of a container of VFIO's own: its type. */
  pt: number;
  /** Of an access: how it was made. */
  readonly flags: number;
  /** Of a fault queue: the cookies of faults that were read and want an answer. */
  readonly cookies: Known[];
  /** Bytes of memory, or that can be read from a pipe. */
  length: number;
  /** Whether it is made of huge pages. */
  readonly huge: boolean;
  /** Of the end of a pipe that is written: the other one. */
  readonly other?: OpenFile;
}

/** A descriptor. */
export interface Fd {
  readonly fd: Known;
  readonly file: OpenFile;
  /** Whether exec closes it. */
  closes: boolean;
}

/** Memory of a process. */
export interface Mapping {
  readonly start: number;
  readonly end: number;
  readonly prot: number;
  readonly shared: boolean;
  readonly huge: boolean;
  /** Whether it is registers of a device, of which each machine's has its own values. */
  readonly registers: boolean;
}

/** A process. */
export class Proc {
  /** Its number in the program. */
  readonly number: number;
  /** What it has open. */
  readonly fds: Map<number, Fd>;
  /** Its memory, in order. */
  memory: Mapping[];
  isAlive = true;
  /** It may not open as many files as others, so that it had better not fork. */
  isShort = false;

  /** A process with that number, descriptors and memory. */
  constructor(
    number: number,
    fds: ReadonlyMap<number, Fd> = new Map(),
    memory: readonly Mapping[] = [],
  ) {
    this.number = number;
    this.fds = new Map(fds);
    this.memory = [...memory];
  }

  /** Its descriptors of a kind. */
  open(kind: OpenKind): Fd[] {
    const found: Fd[] = [];
    for (const fd of this.fds.values()) {
      if (fd.file.kind === kind) found.push(fd);
    }
    return found;
  }

  /** Takes a range out of its memory; gives what was there. */
  cut(start: number, end: number): Mapping[] {
    const kept: Mapping[] = [];
    const taken: Mapping[] = [];
    for (const mapping of this.memory) {
      if (mapping.end <= start || mapping.start >= end) {
        kept.push(mapping);
        continue;
      }
      if (mapping.start < start) kept.push({ ...mapping, end: start });
      taken.push({
        ...mapping,
        start: Math.max(start, mapping.start),
        end: Math.min(end, mapping.end),
      });
      if (mapping.end > end) kept.push({ ...mapping, start: end });
    }
    this.memory = kept;
    return taken;
  }

  /** Puts memory where nothing is. */
  add(mapping: Mapping): void {
    this.memory.push(mapping);
    this.memory.sort((a, b) => a.start - b.start);
  }

  /** Whether a range is memory with some rights. */
  has(start: number, length: number, prot: number): boolean {
    let at = start;
    for (const mapping of this.memory) {
      if (mapping.end <= at || mapping.start > at) continue;
      if ((mapping.prot & prot) !== prot) return false;
      at = mapping.end;
      if (at >= start + length) return true;
    }
    return at >= start + length;
  }
}

/** All of it. */
export class World {
  /** The processes by their numbers. */
  readonly processes: Proc[] = [new Proc(0)];
  /** What `/dev/vfio/vfio` opens. */
  readonly container: OpenKind;

  /** With one process, on a machine with such a container. */
  constructor(container: OpenKind = "iommufd") {
    this.container = container;
  }

  /** Those that can make calls. */
  get alive(): Proc[] {
    return this.processes.filter(({ isAlive }) => isAlive);
  }

  /** All iommufds that somebody has open. */
  get contexts(): Set<Context> {
    const contexts = new Set<Context>();
    for (const { fds, isAlive } of this.processes) {
      if (!isAlive) continue;
      for (const { file: { context } } of fds.values()) {
        if (context) contexts.add(context);
      }
    }
    return contexts;
  }
}
