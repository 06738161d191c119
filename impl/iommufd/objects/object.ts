// SPDX-License-Identifier: GPL-2.0-only

/**
 * The objects of a context that user space names by an id.
 *
 * Linux: `struct iommufd_object` and its functions in main.c.
 *
 * @module
 */

import { IdTable } from "../../lib/id_table.ts";
import { XarrayNodes } from "../../lib/xarray_nodes.ts";
import { EBUSY, ENOENT, type Errno } from "../../uapi/errno.ts";
import type { IommufdCtx } from "../main.ts";

/** A class of objects, for {@link ObjectTable.get}; its constructor may be private. */
export interface ObjectClass<T extends IommufdObject> extends NewableFunction {
  /** The prototype of its objects. */
  readonly prototype: T;
  /** What {@link ObjectTable.get} throws where there is none. */
  readonly notFound: Errno;
}

/**
 * An object with an id. Constructing one reserves the id; nobody can look it
 * up before {@link ObjectTable.finalize}.
 *
 * Two counts keep it alive. `users` are all who hold it, the table being the
 * first; with more than that one, IOMMU_DESTROY is EBUSY. `waitCnt` are those of
 * them whom its driver waits for when it destroys it: who give it back before
 * their ioctl returns, and who let go when {@link IommufdObject.preDestroy}
 * asks them to.
 */
export abstract class IommufdObject {
  /** Where there is none; most classes have a word of their own. */
  static readonly notFound: Errno = ENOENT.because(
    "there is no such object with this id",
  );
  /** The context that it belongs to. */
  readonly ctx: IommufdCtx;
  /** What user space calls it. */
  readonly id: number;
  /** Who holds it, the table included. 0 means it is being destroyed. */
  users = 1;
  /** Who will give it back without being waited for in vain, biased by 1 while it is in the table. */
  waitCnt = 1;

  /** Reserves the lowest free id (Linux: _iommufd_object_alloc). Throws ENOMEM, or EBUSY when all ids are taken. */
  constructor(ctx: IommufdCtx) {
    this.ctx = ctx;
    this.id = ctx.objects.reserve();
  }

  /** What a message calls it. */
  get called(): string {
    return "an object";
  }

  /** The objects of which it is a user, as long as it is in the table. */
  get uses(): readonly (IommufdObject | undefined)[] {
    return [];
  }

  /** Who else than objects of the table may use it, for a message. */
  get user(): string {
    return "its driver";
  }

  /** Takes it apart: it is out of the table and nobody holds it (Linux: iommufd_object_ops.destroy). */
  abstract destroy(): void;

  /** Takes it apart before it was published (Linux: iommufd_object_ops.abort, and of an object with a file, file_offset). */
  abort(): void {
    this.destroy();
  }

  /** Its driver destroys it and others hold it: those who can are to let go (Linux: iommufd_object_ops.pre_destroy). */
  preDestroy(): void {}

  /** Becomes a long-term user: it cannot be destroyed until {@link unref} (Linux: refcount_inc of users). */
  ref(): void {
    this.users++;
  }

  /** Gives up a long-term use. The table is a user too, so this is never the last (Linux: refcount_dec of users). */
  unref(): void {
    this.ctx.kernel.warnings.on(
      --this.users < 1,
      `iommufd: object ${this.id} was given back more often than taken`,
    );
  }

  /** Takes both counts if it can still be used (Linux: iommufd_lock_obj). */
  lock(): boolean {
    if (this.users === 0 || this.waitCnt === 0) return false;
    this.users++;
    this.waitCnt++;
    return true;
  }

  /** Gives back what {@link lock} or {@link ObjectTable.get} took (Linux: iommufd_put_object). */
  put(): void {
    this.unref();
    this.waitCnt--;
  }

  /** What `body` makes of it; it is {@link put} when that ends, also by a throw. */
  putAfter<Result>(body: (object: this) => Result): Result {
    try {
      return body(this);
    } finally {
      this.put();
    }
  }
}

/** All objects of one context by id (Linux: iommufd_ctx.objects). */
export class ObjectTable {
  readonly #ctx: IommufdCtx;
  readonly #ids: IdTable<IommufdObject>;
  /** Ids that are in use for good, and have no object. */
  #tombstones = 0;

  /** An empty table; ids start at 1, the lowest free one is given out next. */
  constructor(ctx: IommufdCtx) {
    this.#ctx = ctx;
    const { maxId } = ctx.kernel.revision.objects;
    this.#ids = new IdTable({ first: 1, max: maxId });
  }

  /** True if there is no object and no reserved id. */
  get isEmpty(): boolean {
    return this.#ids.isEmpty;
  }

  /** Reserves an id. For the constructor of {@link IommufdObject}. */
  reserve(): number {
    const { kernel } = this.#ctx;
    kernel.step("object.alloc");
    const id = this.#ids.alloc();
    kernel.allocNodes(
      () =>
        XarrayNodes.of(
          [...this.#ids.ids()].filter((other) => other !== id),
          { rootHoldsEntry: false },
        ),
      id,
      id,
    );
    return id;
  }

  /** Publishes an object: from here on it can be looked up, and creating it can no longer fail (Linux: iommufd_object_finalize). */
  finalize(object: IommufdObject): void {
    this.#ids.publish(object.id, object);
  }

  /** Gives back the id of an object that was not published (Linux: iommufd_object_abort). */
  abort(object: IommufdObject): void {
    this.#ctx.kernel.warnings.on(
      this.#ids.erase(object.id) !== undefined,
      `iommufd: object ${object.id} was aborted after it was published`,
    );
  }

  /** Destroys an object that was set up in full but not published (Linux: iommufd_object_abort_and_destroy). */
  abortAndDestroy(object: IommufdObject): void {
    object.abort();
    this.abort(object);
  }

  /** What `body` makes of an object that is set up but not published; if it throws, the object is destroyed. */
  orDestroy<Result>(object: IommufdObject, body: () => Result): Result {
    try {
      return body();
    } catch (error) {
      this.abortAndDestroy(object);
      throw error;
    }
  }

  /**
   * Looks up an object of a class and takes it until
   * {@link IommufdObject.put}. Throws ENOENT if there is none, if it is not
   * published yet or if it is of another class. `IommufdObject` itself stands
   * for any class. (Linux: iommufd_get_object.)
   */
  get<T extends IommufdObject>(id: number, type: ObjectClass<T>): T {
    this.#ctx.kernel.step("object.get");
    const object = this.#ids.get(id);
    if (!(object instanceof type) || !object.lock()) throw type.notFound;
    return object;
  }

  /** All published objects, by id. */
  *[Symbol.iterator](): Generator<IommufdObject> {
    for (const [, object] of this.#ids) yield object;
  }

  /** IOMMU_DESTROY: throws ENOENT without such an object, EBUSY if somebody else holds it (Linux: iommufd_destroy). */
  remove(id: number): void {
    const object = this.#ids.get(id);
    if (object === undefined) throw IommufdObject.notFound;
    if (object.users !== 1) {
      throw EBUSY.because(() => `${this.#userOf(object)} uses the object`);
    }
    this.#destroy(object);
  }

  /**
   * Destroys an object for the driver that is its last long-term user; others
   * let go first, if they can. Linux waits a minute for ioctls that still use
   * it; here those could only be below us on the stack, where the wait would
   * time out for certain. (Linux: iommufd_object_destroy_user.)
   */
  destroyUser(object: IommufdObject): void {
    this.#destroyUser(object, (id) => this.#ids.erase(id));
  }

  /**
   * As {@link destroyUser}, and the id is never given out again: who knows it
   * does not find another object under it. (Linux:
   * iommufd_object_tombstone_user.)
   */
  tombstoneUser(object: IommufdObject): void {
    this.#destroyUser(object, (id) => {
      this.#ids.retire(id);
      this.#tombstones++;
    });
  }

  #destroyUser(object: IommufdObject, forget: (id: number) => void): void {
    if (object.waitCnt > 1) object.preDestroy();
    object.unref();
    const inUse = this.#ctx.kernel.warnings.on(
      object.waitCnt > 1 || object.users > 1,
      `iommufd: object ${object.id} is still in use when its driver destroys it`,
    );
    if (!inUse) this.#destroy(object, forget);
  }

  /** Gives up a long-term use and destroys the object if nobody else holds it; returns whether (Linux: iommufd_object_put_and_try_destroy). */
  putAndTryDestroy(object: IommufdObject): boolean {
    object.unref();
    if (object.users !== 1) return false;
    this.#destroy(object);
    return true;
  }

  /**
   * Destroys everything, leaves of the graph of users first: each pass takes
   * those that only the table holds. Ids that were retired stay as they are.
   * (Linux: iommufd_fops_release.)
   */
  releaseAll(): void {
    while (this.#ids.size > this.#tombstones) {
      let destroyed = 0;
      for (const [, object] of this.#ids) {
        if (object.users !== 1) continue;
        destroyed++;
        this.#destroy(object);
      }
      const stuck = this.#ctx.kernel.warnings.on(
        destroyed === 0,
        "iommufd: objects hold each other when their context is released",
      );
      if (stuck) break;
    }
  }

  /** Who keeps an object from being destroyed, for a message. */
  #userOf(object: IommufdObject): string {
    for (const [, other] of this.#ids) {
      if (other.uses.includes(object)) return other.called;
    }
    return object.user;
  }

  #destroy(
    object: IommufdObject,
    forget: (id: number) => void = (id) => this.#ids.erase(id),
  ): void {
    object.users = 0;
    object.waitCnt = 0;
    forget(object.id);
    object.destroy();
  }
}
