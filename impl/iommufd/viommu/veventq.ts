// SPDX-License-Identifier: GPL-2.0-only

/**
 * Queues of the events that a virtual IOMMU reports.
 *
 * Events have sequence numbers. A queue that is full takes no more: what comes
 * then is lost, which takes a number all the same. As long as nothing else has
 * come since, a header without an event is the last in the queue and says so;
 * a later event that finds room takes its place, and the gap in the numbers
 * tells.
 *
 * Linux: struct iommufd_veventq, eventq.c.
 *
 * @module
 */

import type { Task } from "../../kernel/interfaces/task.ts";
import {
  EEXIST,
  EINVAL,
  ENOENT,
  ENOMEM,
  EOPNOTSUPP,
  Errno,
} from "../../uapi/errno.ts";
import {
  IOMMU_VEVENTQ_FLAG_LOST_EVENTS,
  IOMMU_VEVENTQ_TYPE_DEFAULT,
  IommufdVeventHeader,
  type IommuVeventqAlloc,
} from "../../uapi/iommufd.ts";
import {
  EventQueue,
  EventQueueFile,
  openEventQueue,
} from "../events/event_queue.ts";
import { RESERVED_FIELD, UNKNOWN_FLAG } from "../objects/refusals.ts";
import type { IommufdObject } from "../objects/object.ts";
import type { Ucmd } from "../objects/ucmd.ts";
import { IommufdViommu } from "./viommu.ts";

/** Events that a queue may hold at most. */
const MAX_DEPTH = 1 << 19;
/** Sequence numbers begin again behind this. */
const MAX_SEQUENCE = 2 ** 31 - 1;

const NO_TYPE = EOPNOTSUPP.because("the events have no type");
const NO_ROOM = EINVAL.because("there is no room for the first event");

/** An event that user space has not read (Linux: struct iommufd_vevent). */
interface Vevent {
  readonly sequence: number;
  /** What the driver reported; undefined for the header that stands for lost events. */
  readonly data: Uint8Array | undefined;
}

/** A queue of events (Linux: struct iommufd_veventq). It is a user of its virtual IOMMU. */
export class Veventq extends EventQueue {
  /** Where there is none. */
  static override readonly notFound: Errno = ENOENT.because(
    "there is no vEVENTQ with this id",
  );
  /** Events of this type. */
  readonly type: number;
  /** Events that it holds at most. */
  readonly depth: number;
  /** Its virtual IOMMU. */
  readonly viommu: IommufdViommu;
  /** Oldest first; only the last one can be without data. */
  readonly #unread: Vevent[] = [];
  /** Number of the next event. */
  sequence = 0;

  /** An empty queue, which its virtual IOMMU knows. */
  constructor(viommu: IommufdViommu, type: number, depth: number) {
    super(viommu.ctx);
    this.viommu = viommu;
    this.type = type;
    this.depth = depth;
    viommu.ref();
    viommu.veventqs.set(type, this);
  }

  /** For a message. */
  override get called(): string {
    return "a vEVENTQ";
  }

  /** For a message. */
  override get uses(): readonly (IommufdObject | undefined)[] {
    return [this.viommu];
  }

  /** Whether there is an event, or the header that tells of lost ones. */
  override get isReadable(): boolean {
    return this.#unread.length > 0;
  }

  /** Events that it holds; those that were lost do not count. */
  get count(): number {
    return this.#unread.length - (this.#tellsOfLost ? 1 : 0);
  }

  get #tellsOfLost(): boolean {
    return this.#unread.length > 0 && this.#unread.at(-1)!.data === undefined;
  }

  /** Queues an event, or loses it if there are {@link depth}. Throws ENOMEM, with the event lost. (Linux: iommufd_viommu_report_event.) */
  report(data: Uint8Array): void {
    const noMemory = this.ctx.kernel.fails("vevent.alloc");
    const isLost = noMemory || this.count === this.depth;
    if (this.#tellsOfLost) this.#unread.pop();
    this.#unread.push({
      sequence: this.sequence,
      data: isLost ? undefined : data.slice(),
    });
    this.sequence = this.sequence === MAX_SEQUENCE ? 0 : this.sequence + 1;
    this.file?.pollChanged();
    if (noMemory) throw ENOMEM.because("there is no memory for the event");
  }

  /**
   * Stores the oldest events, as many as fit, and forgets them; the last one's
   * header may tell of lost ones. Returns the bytes, 0 if there are none: it
   * never waits. Throws EINVAL for less room than a header needs, or than the
   * first event does; EFAULT if that cannot be stored. Events that were not
   * stored stay. (Linux: iommufd_veventq_fops_read.)
   */
  read(process: Task, uaddr: number, count: number): number {
    if (count < IommufdVeventHeader.size) {
      throw EINVAL.because("there is no room for the header of an event");
    }
    let done = 0;
    let taken = 0;
    try {
      for (const event of this.#unread) {
        const bytes = encode(event);
        if (bytes.length > count - done) {
          if (done === 0) throw NO_ROOM;
          break;
        }
        this.#store(process, uaddr + done, bytes);
        done += bytes.length;
        taken++;
      }
    } catch (error) {
      if (done === 0 || !(error instanceof Errno)) throw error;
    } finally {
      this.#unread.splice(0, taken);
      this.file?.pollChanged();
    }
    return done;
  }

  /** Linux: iommufd_veventq_destroy, and iommufd_veventq_abort. */
  override destroy(): void {
    this.viommu.veventqs.delete(this.type);
    this.viommu.unref();
  }

  /** Copies header and data to the user one after the other, as Linux does. Throws EFAULT. */
  #store({ mm }: Task, uaddr: number, bytes: Uint8Array): void {
    const { size } = IommufdVeventHeader;
    mm.copyToUser(uaddr, bytes.subarray(0, size));
    if (bytes.length > size) mm.copyToUser(uaddr + size, bytes.subarray(size));
  }
}

/** The bytes of an event: its header, and what the driver reported. */
function encode({ sequence, data }: Vevent): Uint8Array {
  const flags = data === undefined ? IOMMU_VEVENTQ_FLAG_LOST_EVENTS : 0;
  const header = IommufdVeventHeader.encode({ flags, sequence });
  if (data === undefined) return header;
  const bytes = new Uint8Array(header.length + data.length);
  bytes.set(header);
  bytes.set(data, header.length);
  return bytes;
}

/** A queue of events as an open file, which can only be read. */
class VeventqFile extends EventQueueFile {
  readonly #queue: Veventq;

  constructor(queue: Veventq) {
    super(queue);
    this.#queue = queue;
  }

  override get label(): string {
    return "anon_inode:[iommufd-viommu-event]";
  }

  override read(process: Task, uaddr: number, count: number): number {
    return this.#queue.read(process, uaddr, count);
  }
}

/**
 * IOMMU_VEVENTQ_ALLOC: a queue for a type of events, and a descriptor to read
 * them from. Whether the driver ever reports that type is not asked. Throws
 * EOPNOTSUPP for flags, a reserved field, and no type; EINVAL for a depth of 0
 * or more than 2^19; ENOENT without such a vIOMMU, EEXIST if it has a queue of
 * the type; ENOMEM, EMFILE, EFAULT. (Linux: iommufd_veventq_alloc.)
 */
export function veventqAlloc(ucmd: Ucmd<IommuVeventqAlloc>): void {
  const { ctx, cmd } = ucmd;
  const { type, veventqDepth } = cmd;
  if (cmd.flags !== 0) throw UNKNOWN_FLAG;
  if (cmd.reserved !== 0) throw RESERVED_FIELD;
  if (type === IOMMU_VEVENTQ_TYPE_DEFAULT) throw NO_TYPE;
  if (veventqDepth === 0 || veventqDepth > MAX_DEPTH) {
    throw EINVAL.because("a queue holds 1 to 2^19 events");
  }
  ctx.objects.get(cmd.viommuId, IommufdViommu).putAfter((viommu) => {
    if (viommu.veventqs.has(type)) {
      throw EEXIST.because("the vIOMMU has a queue of the type");
    }
    const queue = new Veventq(viommu, type, veventqDepth);
    ucmd.newObject = queue;
    openEventQueue(ucmd, () => new VeventqFile(queue), (fd) => {
      cmd.outVeventqId = queue.id;
      cmd.outVeventqFd = fd;
    });
  });
}
