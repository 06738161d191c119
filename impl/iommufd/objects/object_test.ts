// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertStrictEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { errnoOf } from "../../uapi/errno.ts";
import type { IommufdCtx } from "../main.ts";
import { IommufdObject } from "./object.ts";
import { Machine, outcome } from "../testing/machine.ts";

/** An object that notes when it is destroyed and may hold another. */
class Thing extends IommufdObject {
  readonly holds: Thing | undefined;
  readonly log: number[];

  constructor(ctx: IommufdCtx, log: number[], holds?: Thing) {
    super(ctx);
    this.log = log;
    this.holds = holds;
    holds?.ref();
  }

  override destroy(): void {
    this.log.push(this.id);
    this.holds?.unref();
  }
}

class Other extends IommufdObject {
  override destroy(): void {}
}

function setup(): { machine: Machine; ctx: IommufdCtx; log: number[] } {
  const machine = new Machine();
  return { machine, ctx: machine.ctx, log: [] };
}

function publish<T extends IommufdObject>(object: T): T {
  object.ctx.objects.finalize(object);
  return object;
}

describe("object table", () => {
  it("gives out the lowest free id from 1 on", () => {
    const { machine, ctx, log } = setup();
    const things = [1, 2, 3].map(() => publish(new Thing(ctx, log)));
    assertEquals(things.map((thing) => thing.id), [1, 2, 3]);
    ctx.objects.remove(2);
    assertEquals(publish(new Thing(ctx, log)).id, 2);
    assertEquals(publish(new Thing(ctx, log)).id, 4);
    machine.end();
  });

  it("looks for the user of a busy object only when somebody asks why", () => {
    const { machine, ctx, log } = setup();
    let asked = 0;
    class Holder extends Thing {
      override get called(): string {
        return "a holder";
      }
      override get uses(): readonly (IommufdObject | undefined)[] {
        asked++;
        return [this.holds];
      }
    }
    const held = publish(new Thing(ctx, log));
    publish(new Holder(ctx, log, held));
    const errno = errnoOf(() => ctx.objects.remove(held.id));
    assertEquals([errno?.name, asked], ["EBUSY", 0]);
    assertEquals([errno?.why(), asked], ["a holder uses the object", 1]);
    machine.end();
  });

  it("finds an object only when it is published and of the class", () => {
    const { machine, ctx, log } = setup();
    const thing = new Thing(ctx, log);
    assertEquals(outcome(() => ctx.objects.get(thing.id, Thing)), "ENOENT");
    publish(thing);
    assertEquals(outcome(() => ctx.objects.get(thing.id, Other)), "ENOENT");
    assertEquals(outcome(() => ctx.objects.get(99, Thing)), "ENOENT");
    assertEquals(outcome(() => ctx.objects.get(0, Thing)), "ENOENT");
    assertStrictEquals(ctx.objects.get(thing.id, Thing), thing);
    assertStrictEquals(ctx.objects.get(thing.id, IommufdObject), thing);
    thing.put();
    thing.put();
    machine.end();
  });

  it("keeps an object that somebody else holds: EBUSY", () => {
    const { machine, ctx, log } = setup();
    const held = publish(new Thing(ctx, log));
    const holder = publish(new Thing(ctx, log, held));
    assertEquals(outcome(() => ctx.objects.remove(held.id)), "EBUSY");
    ctx.objects.remove(holder.id);
    ctx.objects.remove(held.id);
    assertEquals(log, [holder.id, held.id]);
    assertEquals(outcome(() => ctx.objects.remove(held.id)), "ENOENT");
    machine.end();
  });

  it("does not destroy what is not published: ENOENT", () => {
    const { machine, ctx, log } = setup();
    const thing = new Thing(ctx, log);
    assertEquals(outcome(() => ctx.objects.remove(thing.id)), "ENOENT");
    ctx.objects.abort(thing);
    assertEquals(log, []);
    assertEquals(new Thing(ctx, log).id, thing.id);
    ctx.objects.abort(thing);
    machine.end();
  });

  it("aborts an object that was set up by destroying it", () => {
    const { machine, ctx, log } = setup();
    ctx.objects.abortAndDestroy(new Thing(ctx, log));
    assertEquals(log, [1]);
    assertEquals(ctx.objects.isEmpty, true);
    machine.end();
  });

  it("leaves the id of a tombstone in use, also at the release", () => {
    const { machine, ctx, log } = setup();
    const things = [1, 2, 3].map(() => publish(new Thing(ctx, log)));
    things[1]!.ref();
    ctx.objects.tombstoneUser(things[1]!);
    assertEquals(log, [2]);
    assertEquals(outcome(() => ctx.objects.get(2, Thing)), "ENOENT");
    assertEquals(outcome(() => ctx.objects.remove(2)), "ENOENT");
    assertEquals(publish(new Thing(ctx, log)).id, 4);
    for (const id of [1, 3, 4]) ctx.objects.remove(id);
    assertEquals(ctx.objects.isEmpty, false);
    machine.end();
  });

  it("has those let go who can, when a driver destroys an object", () => {
    const { machine, ctx, log } = setup();
    const holder = { thing: undefined as Thing | undefined };
    class Patient extends Thing {
      override preDestroy(): void {
        holder.thing?.put();
      }
    }
    for (const lets of [true, false]) {
      const thing = publish(new Patient(ctx, log));
      thing.ref();
      thing.lock();
      holder.thing = lets ? thing : undefined;
      ctx.objects.destroyUser(thing);
      if (!lets) thing.put();
    }
    assertEquals(log, [1]);
    machine.end([
      "iommufd: object 1 is still in use when its driver destroys it",
    ]);
  });

  it("releases a graph of objects from the leaves on", () => {
    const { machine, ctx, log } = setup();
    const root = publish(new Thing(ctx, log));
    const middle = publish(new Thing(ctx, log, root));
    const leaf = publish(new Thing(ctx, log, middle));
    machine.end();
    assertEquals(log, [leaf.id, middle.id, root.id]);
  });

  it("warns and stops when objects hold each other at release", () => {
    const { machine, ctx, log } = setup();
    publish(new Thing(ctx, log)).ref();
    machine.end([
      "iommufd: objects hold each other when their context is released",
    ]);
    assertEquals(log, []);
  });

  it("counts a reserved id as an object left at release", () => {
    const { machine, ctx, log } = setup();
    const thing = new Thing(ctx, log);
    assertEquals(ctx.objects.isEmpty, false);
    machine.end([
      "iommufd: objects hold each other when their context is released",
    ]);
    assertEquals(thing.log, []);
  });

  it("lets the driver destroy its object only when nobody else holds it", () => {
    const { machine, ctx, log } = setup();
    const thing = publish(new Thing(ctx, log));
    thing.ref();
    ctx.objects.destroyUser(thing);
    assertEquals(log, [thing.id]);

    const held = publish(new Thing(ctx, log));
    held.ref();
    const holder = publish(new Thing(ctx, log, held));
    ctx.objects.destroyUser(held);
    assertEquals(log, [thing.id]);
    ctx.objects.remove(holder.id);
    machine.end([
      `iommufd: object ${held.id} is still in use when its driver destroys it`,
    ]);
  });

  it("does not destroy for a driver what an ioctl on the stack uses", () => {
    const { machine, ctx, log } = setup();
    const thing = publish(new Thing(ctx, log));
    thing.ref();
    ctx.objects.get(thing.id, Thing);
    ctx.objects.destroyUser(thing);
    assertEquals(log, []);
    thing.put();
    ctx.objects.remove(thing.id);
    assertEquals(log, [thing.id]);
    machine.end([
      `iommufd: object ${thing.id} is still in use when its driver destroys it`,
    ]);
  });

  it("cannot be locked once it is being destroyed", () => {
    const { machine, ctx, log } = setup();
    const thing = publish(new Thing(ctx, log));
    assertEquals(thing.lock(), true);
    thing.put();
    ctx.objects.remove(thing.id);
    assertEquals(thing.lock(), false);
    machine.end();
  });

  it("warns when an object is given back more often than taken", () => {
    const { machine, ctx, log } = setup();
    const thing = new Thing(ctx, log);
    thing.unref();
    ctx.objects.abort(thing);
    machine.end(["iommufd: object 1 was given back more often than taken"]);
  });

  it("fails a lookup with ENOENT under fault injection", () => {
    const { machine, ctx, log } = setup();
    const thing = publish(new Thing(ctx, log));
    // The first step is the copy of the struct.
    machine.process.setFailNth(2);
    assertEquals(machine.unmap({ ioasId: thing.id, length: 1n }).ret, "ENOENT");
    assertEquals(machine.process.failNthLeft(), 0);
    machine.end();
  });

  it("limits ids by revision", () => {
    assertEquals(new Machine("v3").kernel.revision.objects.maxId, 2 ** 32 - 1);
    assertEquals(
      new Machine().kernel.revision.objects.maxId,
      2 ** 31 - 1,
    );
  });
});
