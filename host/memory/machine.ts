// SPDX-License-Identifier: GPL-2.0-only

/**
 * The machine whose memory is that of the host's processes.
 *
 * @module
 */

import type { CopyStep } from "../../impl/kernel/fault_steps.ts";
import type { Machine } from "../../impl/kernel/interfaces/machine.ts";
import { KernelBug } from "../../impl/kernel/warn.ts";
import { PAGE_SIZE } from "../../impl/uapi/mman.ts";
import { O_CLOEXEC } from "../sys/structs.ts";
import { must, type Sys } from "../sys/sys.ts";
import { Copier } from "./spaces/copier.ts";
import { FileFinder } from "./shared/file_finder.ts";
import { HostFrames } from "./frames/frames.ts";
import { HostMm } from "./host_mm.ts";
import { HostObject } from "./shared/host_object.ts";
import {
  canQuery,
  ListedMappings,
  type Mapping,
  type Mappings,
  QueriedMappings,
  readAll,
} from "./spaces/mappings.ts";
import { deviceOf, Mounts } from "./spaces/mounts.ts";
import { FileQuestions, OpenFile } from "./shared/open_file.ts";
import { ProcessSpace } from "./spaces/process_space.ts";
import { type Lost, type Place, without } from "./shared/shared_pages.ts";

const O_RDWR = 2;
const MFD_CLOEXEC = 1;
const MFD_HUGETLB = 4;
const MFD_HUGE_SHIFT = 26;
/** The sizes that huge pages may have: 2 MiB and 1 GiB. */
const HUGE_PAGE_SHIFTS = [21, 30];
/** Files that nobody uses any more and that are kept open, since most are used again. */
const IDLE_MAX = 8;

/** See the module. */
export class HostMachine implements Machine {
  readonly frames: HostFrames = new HostFrames();
  readonly #sys: Sys;
  readonly #copier: Copier;
  readonly #questions: FileQuestions;
  readonly #finder: FileFinder;
  readonly #mounts: Mounts;
  readonly #mappings: (maps: number) => Mappings;
  readonly #mms = new Set<HostMm>();
  readonly #objects = new Map<string, HostObject>();
  readonly #idle = new Set<HostObject>();
  /** Processes that the kernel does not know, in which shared memory was found. */
  readonly #strangers = new Map<number, ProcessSpace>();

  /** Nothing of any process yet. `mapFiles` is false to do without /proc/PID/map_files, as for an ordinary user: for tests. */
  constructor(sys: Sys, mapFiles = true) {
    this.#sys = sys;
    this.#copier = new Copier(sys);
    this.#questions = new FileQuestions(sys);
    this.#finder = new FileFinder(this.#questions, mapFiles);
    this.#mounts = new Mounts(() =>
      String(sys.readFile(-1, "/proc/self/mountinfo"))
    );
    this.#mappings = mappingsOf(this.#copier, this.#questions, this.#mounts);
  }

  /** Throws: a real process brings its memory, see {@link openMm}. */
  createMm(): never {
    throw new KernelBug("Processes of this machine are the host's");
  }

  /** Memory that programs can map: `HostObject.fd`. */
  createObject(pageSize: number = PAGE_SIZE): HostObject {
    const { nr } = this.#sys;
    const name = this.#sys.text("iommufd-kit");
    const fd = this.#sys.call(nr.memfd_create, name, MFD_CLOEXEC);
    const file = OpenFile.of(this.#questions, must(fd, "memfd_create"))!;
    const object = this.#newObject(file.key, pageSize, true);
    object.open(file);
    return object;
  }

  /** The memory of the process of a thread. Throws EFAULT where it is not to be had. */
  openMm(tid: number, step: CopyStep): HostMm {
    const mm = new HostMm({
      space: this.#openSpace(tid),
      frames: this.frames,
      objectOf: (space, mapping) => this.#objectOf(space, mapping),
      isMemory: (file) => this.#mounts.isMemory(file),
      step,
    });
    this.#mms.add(mm);
    return mm;
  }

  /** Nobody has this memory any more: what is pinned of it lives on. Idempotent. */
  closeMm(mm: HostMm): void {
    if (!this.#mms.delete(mm)) return;
    mm.alive = false;
    const { space } = mm;
    space.tid = 0;
    this.frames.keep(mm.pages, 0, Infinity);
    this.losePlaces({ space, start: 0, end: Infinity });
    space.close();
    this.dropIdle();
  }

  /**
   * The memory of a file by a descriptor of ours, which is closed or taken
   * over: the same as that of its mappings. Undefined if its pages cannot be
   * pinned by their place in it.
   */
  objectOfFd(fd: number): HostObject | undefined {
    if (!OpenFile.of(this.#questions, fd)?.isPinnable) {
      this.#sys.close(fd);
      return undefined;
    }
    const file = OpenFile.of(this.#questions, this.#toWrite(fd))!;
    const object = this.#objects.get(file.key) ??
      this.#newObject(file.key, file.pageSize, false);
    if (object.file === undefined) object.open(file);
    else this.#sys.close(file.fd);
    return object.own ? undefined : object;
  }

  /** The memory of a file if anything of it is in use; `file` is a `fileKey`. */
  objectOfFile(file: string): HostObject | undefined {
    return this.#objects.get(file);
  }

  /** Which file is at a path, as a `fileKey`, if anything is pinned that it could matter to. */
  fileAtPath(path: string): string | undefined {
    if (this.frames.used === 0) return undefined;
    return this.#questions.status(-1, path)?.key;
  }

  /** The memory of all processes that are known. */
  get mms(): Iterable<HostMm> {
    return this.#mms;
  }

  /** A process is about to lose what it has at some addresses: what is pinned there of files that nobody else maps lives on. */
  losePlaces(lost: Lost): void {
    for (const object of this.#objects.values()) {
      object.pages.losePlaces(lost, (first, end) => object.letGo(first, end));
    }
  }

  /** A process may be about to leave its memory: copies what is pinned of it and nowhere else. */
  remember(mm: HostMm): void {
    mm.pages.remember();
    const all = { space: mm.space, start: 0, end: Infinity };
    for (const { pages } of this.#objects.values()) pages.remember(all);
  }

  /** It did not. */
  forget(mm: HostMm): void {
    mm.pages.forget();
    for (const { pages } of this.#objects.values()) pages.forget();
  }

  /** A process has moved what it had at some addresses to `to`. */
  movePlaces(moved: Lost, to: number): void {
    for (const { pages } of this.#objects.values()) pages.movePlaces(moved, to);
  }

  /** Whether a process is known to share something at some addresses that is to be had in no other way. */
  hasPlaces(lost: Lost): boolean {
    const objects = [...this.#objects.values()];
    return objects.some(({ pages }) => pages.hasPlaces(lost));
  }

  /** Closes files that nobody uses any more: from now on a program can seal them, and what only we hold is freed. */
  dropIdle(except?: HostObject): void {
    for (const object of this.#idle) {
      if (object === except) continue;
      this.#idle.delete(object);
      if (!object.isIdle) continue;
      object.close();
      this.#objects.delete(object.key);
    }
    if (this.#objects.size > 0) return;
    for (const space of this.#strangers.values()) space.close();
    this.#strangers.clear();
  }

  /** Closes everything: nothing may be pinned any more. */
  close(): void {
    for (const mm of [...this.#mms]) this.closeMm(mm);
    this.dropIdle();
  }

  #openSpace(tid: number): ProcessSpace {
    const mappings = this.#mappings;
    return new ProcessSpace({ copier: this.#copier, tid, mappings });
  }

  #objectOf(space: ProcessSpace, mapping: Mapping): HostObject {
    const { file, pageSize } = mapping;
    const known = this.#objects.get(file);
    const object = known ?? this.#newObject(file, pageSize, false);
    if (known === undefined) {
      const found = this.#finder.open(space.tid, mapping);
      if (found !== undefined) object.open(found);
    }
    if (object.file === undefined) {
      object.pages.addPlace(placeOf(space, mapping));
    }
    return object;
  }

  /** A descriptor that can write what another is of, if that can be: how a file was opened does not matter to pins. */
  #toWrite(fd: number): number {
    const path = `/proc/self/fd/${fd}`;
    const again = this.#sys.openat(-1, path, O_RDWR | O_CLOEXEC);
    if (again < 0) return fd;
    this.#sys.close(fd);
    return again;
  }

  #newObject(key: string, pageSize: number, own: boolean): HostObject {
    const object = new HostObject({
      copier: this.#copier,
      frames: this.frames,
      key,
      pageSize,
      own,
      find: (lost) => this.#findPlaces(key, lost),
      onIdle: (object) => this.#onIdle(object),
    });
    this.#objects.set(key, object);
    // Until something of it is in use.
    if (!own) this.#onIdle(object);
    return object;
  }

  #onIdle(object: HostObject): void {
    this.#idle.add(object);
    if (object.own) this.dropIdle();
    else if (this.#idle.size > IDLE_MAX) this.dropIdle(object);
  }

  /** Where processes have a file mapped. */
  #findPlaces(key: string, lost?: Lost): Place[] {
    const known = [...this.#mms].map(({ space }) => space);
    const tids = new Set([Deno.pid, ...known.map(({ tid }) => tid)]);
    const strangers = [...this.#finder.processesWith(key)]
      .filter((pid) => !this.#isOfAny(pid, tids))
      .map((pid) => this.#stranger(pid));
    const places = [...known, ...strangers].flatMap((space) =>
      placesIn(space, key)
    );
    return lost === undefined
      ? places
      : places.flatMap((place) => without(place, lost));
  }

  /** Whether a process is one of some, or has its memory from one, as after vfork: that is lost with it. */
  #isOfAny(pid: number, tids: ReadonlySet<number>): boolean {
    return tids.has(pid) ||
      [...tids].some((tid) => this.#sys.haveSameMemory(pid, tid));
  }

  #stranger(pid: number): ProcessSpace {
    let space = this.#strangers.get(pid);
    if (space === undefined) {
      space = this.#openSpace(pid);
      this.#strangers.set(pid, space);
    }
    return space;
  }
}

/** What a mapping says of its file's pages. */
function placeOf(space: ProcessSpace, mapping: Mapping): Place {
  return {
    space,
    page: mapping.offset / PAGE_SIZE,
    address: mapping.start,
    npages: (mapping.end - mapping.start) / PAGE_SIZE,
  };
}

/** Where a process has a file mapped. */
function placesIn(space: ProcessSpace, file: string): Place[] {
  return [...space.mappingsIn(0, Infinity)]
    .filter((mapping) => mapping.shared && mapping.file === file)
    .map((mapping) => placeOf(space, mapping));
}

/** How mappings are found on this Linux. */
function mappingsOf(
  copier: Copier,
  questions: FileQuestions,
  mounts: Mounts,
): (maps: number) => Mappings {
  const { sys } = copier;
  const own = must(sys.openat(-1, "/proc/self/maps", O_CLOEXEC), "open");
  const query = canQuery(sys, own);
  sys.close(own);
  if (query) {
    const room = QueriedMappings.room(sys);
    return (maps) => new QueriedMappings(sys, maps, room);
  }
  const unmounted = hugePagesUnmounted(questions);
  const pageSizeOf = (file: string) =>
    unmounted.get(deviceOf(file)) ?? mounts.hugePageSize(file) ?? PAGE_SIZE;
  return (maps) => new ListedMappings(() => readAll(copier, maps), pageSizeOf);
}

/** The file systems of huge pages that are mounted nowhere, with the bytes of a page: the kernel has one for each size. */
function hugePagesUnmounted(questions: FileQuestions): Map<string, number> {
  const { sys } = questions;
  const found = new Map<string, number>();
  for (const shift of HUGE_PAGE_SHIFTS) {
    const flags = MFD_CLOEXEC | MFD_HUGETLB | shift << MFD_HUGE_SHIFT;
    const fd = sys.call(sys.nr.memfd_create, sys.text("iommufd-kit"), flags);
    if (fd < 0) continue;
    found.set(deviceOf(questions.status(fd)!.key), 2 ** shift);
    sys.close(fd);
  }
  return found;
}
