// SPDX-License-Identifier: GPL-2.0-only

/**
 * A naive model of HWPTs, nesting, dirty tracking and page faults for property
 * tests: plain maps and linear searches, every rule of Linux 6.12 written down
 * once more in the simplest way. It shares no code with what it checks.
 *
 * Operations throw the errno that the kernel must give, before they change
 * anything.
 *
 * @module
 */

import {
  EADDRINUSE,
  EBUSY,
  EEXIST,
  EFAULT,
  EINVAL,
  ENOENT,
  EOPNOTSUPP,
} from "../../uapi/errno.ts";

/** Places in each IOAS that can be mapped: one at IOVA 0, where no domain reaches, and these above. */
export const SLOTS = 6;
/** The place at IOVA 0. */
export const LOW_SLOT: number = SLOTS;
/** IO pages of a place. */
export const SLOT_GRANULES = 4;
/** CPU pages of a place. */
export const SLOT_PAGES = 2;

/** Flags of HWPT_ALLOC. */
const NEST_PARENT = 1;
const DIRTY_TRACKING = 2;
const FAULT_ID_VALID = 4;
const PASID = 8;
/** Type of the mock's driver data, and their length. */
export const DATA_TYPE = 0xdead;
/** Bytes of the mock's driver data, at least and at most. */
export const DATA_LENGTH = { min: 4, max: 8 };
/** Entries of a nested domain's cache. */
const IOTLB_ENTRIES = 4;

/** An IO address space. */
export interface NaiveIoas {
  readonly kind: "ioas";
  /** Which page each place is mapped to. */
  readonly slots: (number | undefined)[];
}

/** A hardware page table of one kind. */
interface NaiveHwptOf<K> {
  readonly kind: K;
  readonly ioas: NaiveIoas;
  /** Made by attaching, and gone with its last device. */
  readonly isAuto: boolean;
  readonly isParent: boolean;
  readonly canTrack: boolean;
  isTracking: boolean;
  /** IO pages that were written, counted from the first place. */
  readonly dirty: Set<number>;
  readonly parent: NaiveHwpt | undefined;
  readonly queue: NaiveQueue | undefined;
  readonly iotlb: number[];
}

/** A hardware page table with a map. */
export type NaivePaging = NaiveHwptOf<"paging">;
/** Any hardware page table. */
export type NaiveHwpt = NaivePaging | NaiveHwptOf<"nested">;

/** A mock device. Two objects are made of it: itself, and the bound device. */
export interface NaiveDevice {
  readonly kind: "device";
  readonly noDirty: boolean;
  readonly stdevId: number;
  readonly idevId: number;
  /** The mock's number, as the driver knows it. */
  readonly number: number;
  place: NaiveHwpt;
}

/** A page fault. */
export interface NaiveFault {
  readonly device: NaiveDevice;
  readonly grpid: number;
  readonly pasid: number;
}

/** A fault queue. */
export interface NaiveQueue {
  readonly kind: "queue";
  readonly fd: number;
  isOpen: boolean;
  unread: NaiveFault[];
  readonly unanswered: Map<number, NaiveFault>;
  /** 0 from an answer to cookie 0 on that came while others waited. */
  firstCookie: number;
}

/** What an id stands for; `bound` is the second id of a device. */
type Thing =
  | NaiveIoas
  | NaivePaging
  | NaiveHwptOf<"nested">
  | NaiveDevice
  | NaiveQueue
  | { readonly kind: "bound"; readonly device: NaiveDevice };

/** Arguments of HWPT_ALLOC. */
export interface NaiveAlloc {
  readonly devId: number;
  readonly ptId: number;
  readonly flags: number;
  readonly dataType: number;
  readonly dataLen: number;
  /** False for an address where nothing is. */
  readonly dataIsThere: boolean;
  readonly iotlb: number;
  readonly faultId: number;
}

/** One invalidation request. */
export interface NaiveRequest {
  readonly flags: number;
  readonly iotlbId: number;
}

/** One context. */
export class NaiveContext {
  /** Everything that has an id. */
  readonly things = new Map<number, Thing>();
  /** What the driver was told to answer: `device:group:code`. */
  answers: string[] = [];

  /** The lowest free id, beside some that are taken but stand for nothing yet. */
  nextId(taken: readonly number[] = []): number {
    let id = 1;
    while (this.things.has(id) || taken.includes(id)) id++;
    return id;
  }

  /** All objects of a kind with their ids. */
  all<K extends Thing["kind"]>(
    kind: K,
  ): [id: number, thing: Extract<Thing, { kind: K }>][] {
    return [...this.things].filter(([, thing]) => thing.kind === kind) as [
      number,
      Extract<Thing, { kind: K }>,
    ][];
  }

  /** Devices that are attached to a HWPT. */
  devicesAt(hwpt: NaiveHwpt): NaiveDevice[] {
    return this.all("device").map(([, device]) => device).filter(({ place }) =>
      place === hwpt
    );
  }

  /** HWPTs with a map of an IOAS. */
  domainsOf(ioas: NaiveIoas): NaivePaging[] {
    return this.all("paging").map(([, hwpt]) => hwpt).filter((hwpt) =>
      hwpt.ioas === ioas
    );
  }

  /** How often each page is pinned. */
  pins(pages: number): number[] {
    const pins = new Array<number>(pages).fill(0);
    for (const [, ioas] of this.all("ioas")) {
      if (this.domainsOf(ioas).length === 0) continue;
      for (const page of ioas.slots) {
        if (page === undefined) continue;
        for (let i = 0; i < SLOT_PAGES; i++) pins[page + i]!++;
      }
    }
    return pins;
  }

  /** The id of an object. */
  idOf(object: Thing): number {
    return [...this.things].find(([, thing]) => thing === object)![0];
  }

  #ioas(id: number): NaiveIoas {
    const thing = this.things.get(id);
    if (thing?.kind !== "ioas") throw ENOENT;
    return thing;
  }

  #paging(id: number): NaivePaging {
    const thing = this.things.get(id);
    if (thing?.kind !== "paging") throw ENOENT;
    return thing;
  }

  #bound(id: number): NaiveDevice {
    const thing = this.things.get(id);
    if (thing?.kind !== "bound") throw ENOENT;
    return thing.device;
  }

  /** IOAS_ALLOC. */
  ioasAlloc(): number {
    const id = this.nextId();
    const slots = new Array<number | undefined>(SLOTS + 1).fill(undefined);
    this.things.set(id, { kind: "ioas", slots });
    return id;
  }

  /** MAP of a place. */
  map(id: number, slot: number, page: number): void {
    const ioas = this.#ioas(id);
    const hasDomain = this.domainsOf(ioas).length > 0;
    if (slot === LOW_SLOT && hasDomain) throw EINVAL;
    if (ioas.slots[slot] !== undefined) throw EEXIST;
    ioas.slots[slot] = page;
  }

  /** UNMAP of a place. */
  unmap(id: number, slot: number): void {
    const ioas = this.#ioas(id);
    if (ioas.slots[slot] === undefined) throw ENOENT;
    ioas.slots[slot] = undefined;
    const first = slot * SLOT_GRANULES;
    for (const { dirty } of this.domainsOf(ioas)) {
      for (let i = 0; i < SLOT_GRANULES; i++) dirty.delete(first + i);
    }
  }

  /** A HWPT of an IOAS, if its map fits. */
  #newPaging(
    ioas: NaiveIoas,
    flags: number,
    isAuto: boolean,
    queueOf: () => NaiveQueue | undefined = () => undefined,
  ): NaivePaging {
    if (ioas.slots[LOW_SLOT] !== undefined) throw EADDRINUSE;
    return {
      kind: "paging",
      ioas,
      isAuto,
      isParent: (flags & NEST_PARENT) !== 0,
      canTrack: (flags & DIRTY_TRACKING) !== 0,
      isTracking: false,
      dirty: new Set(),
      parent: undefined,
      queue: queueOf(),
      iotlb: [],
    };
  }

  /** HWPT_ALLOC; the id. */
  hwptAlloc(args: NaiveAlloc): number {
    if ((args.dataType !== 0) !== (args.dataLen !== 0)) throw EINVAL;
    const device = this.#bound(args.devId);
    const pt = this.things.get(args.ptId);
    if (pt?.kind !== "ioas" && pt?.kind !== "paging") throw EINVAL;
    const hwpt = pt.kind === "ioas"
      ? this.#allocPaging(pt, device, args)
      : this.#allocNested(pt, args);
    const id = this.nextId();
    this.things.set(id, hwpt);
    return id;
  }

  #allocPaging(
    ioas: NaiveIoas,
    device: NaiveDevice,
    args: NaiveAlloc,
  ): NaiveHwpt {
    const { flags } = args;
    const known = NEST_PARENT | DIRTY_TRACKING | FAULT_ID_VALID | PASID;
    if (flags & ~known) throw EOPNOTSUPP;
    if (flags & DIRTY_TRACKING && device.noDirty) throw EOPNOTSUPP;
    if (flags & FAULT_ID_VALID && flags & NEST_PARENT) throw EOPNOTSUPP;
    if (args.dataLen !== 0) checkData(args);
    return this.#newPaging(ioas, flags, false, () => this.#queueOf(args));
  }

  /** The queue that a HWPT is to have. */
  #queueOf({ flags, faultId }: NaiveAlloc): NaiveQueue | undefined {
    if (!(flags & FAULT_ID_VALID)) return undefined;
    const thing = this.things.get(faultId);
    if (thing?.kind !== "queue") throw ENOENT;
    return thing;
  }

  #allocNested(parent: NaivePaging, args: NaiveAlloc): NaiveHwpt {
    const { flags, dataLen, iotlb } = args;
    if (flags & ~(FAULT_ID_VALID | PASID) || dataLen === 0) throw EOPNOTSUPP;
    if (parent.isAuto || !parent.isParent) throw EINVAL;
    checkData(args);
    return {
      kind: "nested",
      ioas: parent.ioas,
      isAuto: false,
      isParent: false,
      canTrack: false,
      isTracking: false,
      dirty: new Set(),
      parent,
      queue: this.#queueOf(args),
      iotlb: new Array<number>(IOTLB_ENTRIES).fill(iotlb),
    };
  }

  /** Where a device gets that attaches to an object; the HWPT is new if it has no id. `fresh`: not one that an IOAS has. */
  #placeFor(ptId: number, noDirty: boolean, fresh: boolean): NaiveHwpt {
    const pt = this.things.get(ptId);
    if (pt === undefined) throw ENOENT;
    if (pt.kind === "ioas") {
      const shared = this.domainsOf(pt).find(({ isAuto }) => isAuto);
      return shared && !fresh ? shared : this.#newPaging(pt, 0, true);
    }
    if (pt.kind !== "paging" && pt.kind !== "nested") throw EINVAL;
    if (noDirty && pt.canTrack) throw EINVAL;
    return pt;
  }

  /** Gives a HWPT an id unless it has one. */
  #publish(hwpt: NaiveHwpt): void {
    if ([...this.things.values()].includes(hwpt)) return;
    this.things.set(this.nextId(), hwpt);
  }

  /** MOCK_DOMAIN_FLAGS. `fresh`: attached to a new HWPT of the IOAS in any case. */
  deviceCreate(ptId: number, noDirty: boolean, fresh = false): NaiveDevice {
    const stdevId = this.nextId();
    const idevId = this.nextId([stdevId]);
    // The bound device is there already, the other one is not.
    if (ptId === idevId) throw EINVAL;
    const place = this.#placeFor(ptId, noDirty, fresh);
    const numbers = this.all("device").map(([, { number }]) => number);
    let number = 0;
    while (numbers.includes(number)) number++;
    const device: NaiveDevice = {
      kind: "device",
      noDirty,
      stdevId,
      idevId,
      number,
      place,
    };
    this.things.set(stdevId, device);
    this.things.set(idevId, { kind: "bound", device });
    this.#publish(place);
    return device;
  }

  /** MOCK_DOMAIN_REPLACE; the id of the HWPT. `fresh` as in {@link deviceCreate}. */
  replace(stdevId: number, ptId: number, fresh = false): number {
    const device = this.things.get(stdevId);
    if (device?.kind !== "device") throw ENOENT;
    const place = this.#placeFor(ptId, device.noDirty, fresh);
    const old = device.place;
    if (place !== old) {
      this.#publish(place);
      this.#endFaults(device);
      device.place = place;
      this.#dropAuto(old);
    }
    return this.idOf(place);
  }

  /** An automatic HWPT goes with its last device. */
  #dropAuto(hwpt: NaiveHwpt): void {
    if (!hwpt.isAuto || this.devicesAt(hwpt).length > 0) return;
    this.things.delete(this.idOf(hwpt));
  }

  /** The faults of a device that leaves its HWPT are answered INVALID: unread ones first. */
  #endFaults(device: NaiveDevice): void {
    const { queue } = device.place;
    if (!queue) return;
    const unread = queue.unread.filter((fault) => fault.device === device);
    queue.unread = queue.unread.filter((fault) => fault.device !== device);
    const read = [...queue.unanswered].filter(([, fault]) =>
      fault.device === device
    ).sort(([a], [b]) => a - b);
    for (const [cookie] of read) queue.unanswered.delete(cookie);
    for (const fault of [...unread, ...read.map(([, fault]) => fault)]) {
      this.#tell(fault, 1);
    }
  }

  #tell({ device, grpid }: NaiveFault, code: number): void {
    this.answers.push(`${device.number}:${grpid}:${code}`);
  }

  /** DESTROY. */
  destroy(id: number): void {
    const thing = this.things.get(id);
    if (thing === undefined) throw ENOENT;
    if (this.#isUsed(thing)) throw EBUSY;
    this.things.delete(id);
    if (thing.kind !== "device") return;
    this.#endFaults(thing);
    this.things.delete(thing.idevId);
    this.#dropAuto(thing.place);
  }

  #isUsed(thing: Thing): boolean {
    const hwpts = [...this.all("paging"), ...this.all("nested")].map(([, h]) =>
      h
    );
    switch (thing.kind) {
      case "ioas":
        return this.domainsOf(thing).length > 0;
      case "paging":
      case "nested":
        return this.devicesAt(thing).length > 0 ||
          hwpts.some(({ parent }) => parent === thing);
      case "queue":
        return thing.isOpen || hwpts.some(({ queue }) => queue === thing);
      case "bound":
        return true;
      case "device":
        return false;
    }
  }

  /** HWPT_SET_DIRTY_TRACKING. */
  setTracking(id: number, enable: boolean): void {
    const hwpt = this.#paging(id);
    if (!hwpt.canTrack) throw EOPNOTSUPP;
    if (enable) hwpt.dirty.clear();
    hwpt.isTracking = enable;
  }

  /** Test operation DIRTY; how many bits were set. */
  markDirty(id: number, granules: readonly number[]): number {
    const hwpt = this.#paging(id);
    if (!hwpt.isTracking) throw EINVAL;
    const mapped = granules.filter((granule) => isMapped(hwpt.ioas, granule));
    for (const granule of mapped) hwpt.dirty.add(granule);
    return granules.length;
  }

  /** HWPT_GET_DIRTY_BITMAP from one IO page on; the bits. It ends at a hole, and says nothing of it. */
  readDirty(
    id: number,
    first: number,
    count: number,
    clear: boolean,
  ): number[] {
    const hwpt = this.#paging(id);
    if (!hwpt.canTrack) throw EOPNOTSUPP;
    const bits: number[] = [];
    for (let bit = 0; bit < count; bit++) {
      const granule = first + bit;
      if (!isMapped(hwpt.ioas, granule)) break;
      if (hwpt.dirty.has(granule)) bits.push(bit);
      if (clear) hwpt.dirty.delete(granule);
    }
    return bits;
  }

  /**
   * HWPT_INVALIDATE: how many requests were carried out, and the errno's name
   * of the next one, or 0. Throws it if it is that of the first one.
   */
  invalidate(
    id: number,
    requests: readonly NaiveRequest[],
  ): { handled: number; ret: string | number } {
    const hwpt = this.things.get(id);
    if (hwpt === undefined) throw ENOENT;
    if (hwpt.kind !== "nested") throw EINVAL;
    for (const [handled, { flags, iotlbId }] of requests.entries()) {
      const errno = flags > 1
        ? EOPNOTSUPP
        : iotlbId >= IOTLB_ENTRIES
        ? EINVAL
        : undefined;
      if (errno && handled === 0) throw errno;
      if (errno) return { handled, ret: errno.name };
      if (flags === 1) hwpt.iotlb.fill(0);
      else hwpt.iotlb[iotlbId] = 0;
    }
    return { handled: requests.length, ret: 0 };
  }

  /** FAULT_QUEUE_ALLOC; the id. */
  queueAlloc(fd: number): number {
    const id = this.nextId();
    this.things.set(id, {
      kind: "queue",
      fd,
      isOpen: true,
      unread: [],
      unanswered: new Map(),
      firstCookie: 1,
    });
    return id;
  }

  /** TRIGGER_IOPF. `isLost`: the kernel cannot keep the fault, and answers FAILURE. */
  trigger(
    idevId: number,
    { pasid, grpid }: { pasid: number; grpid: number },
    isLost = false,
  ): void {
    const device = this.#bound(idevId);
    const { kind, queue } = device.place;
    const fault = { device, grpid, pasid };
    const isHandled = kind === "nested" || pasid === 0;
    if (!isHandled || !queue) this.#tell(fault, 1);
    else if (isLost) this.#tell(fault, 2);
    else queue.unread.push(fault);
  }

  /** Reads a queue with room for some faults; `cookie:bound device:group:pasid` of each. */
  read(queue: NaiveQueue, room: number): string[] {
    if (room === 0 && queue.unread.length > 0) throw EINVAL;
    return queue.unread.splice(0, room).map((fault) => {
      let cookie = queue.firstCookie;
      while (queue.unanswered.has(cookie)) cookie++;
      queue.unanswered.set(cookie, fault);
      const { device, grpid, pasid } = fault;
      return `${cookie}:${device.idevId}:${grpid}:${pasid}`;
    });
  }

  /** Answers; how many were taken. */
  answer(
    queue: NaiveQueue,
    cookies: readonly number[],
    code: number,
  ): number {
    for (const [taken, cookie] of cookies.entries()) {
      const fault = queue.unanswered.get(cookie);
      if (code <= 1 && cookie === 0 && queue.unanswered.size > 0) {
        queue.firstCookie = 0;
      }
      if (code > 1 || !fault) {
        if (taken === 0) throw EINVAL;
        return taken;
      }
      queue.unanswered.delete(cookie);
      this.#tell(fault, code);
    }
    return cookies.length;
  }
}

/** Throws as the mock does for driver data. */
function checkData({ dataType, dataLen, dataIsThere }: NaiveAlloc): void {
  if (dataType !== DATA_TYPE) throw EOPNOTSUPP;
  if (dataLen < DATA_LENGTH.min || dataLen > DATA_LENGTH.max) throw EINVAL;
  if (!dataIsThere) throw EFAULT;
}

/** True if an IO page of the places has a map. */
function isMapped(ioas: NaiveIoas, granule: number): boolean {
  const slot = Math.floor(granule / SLOT_GRANULES);
  return slot < SLOTS && ioas.slots[slot] !== undefined;
}
