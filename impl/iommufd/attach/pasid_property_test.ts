// SPDX-License-Identifier: GPL-2.0-only

/**
 * Random attaches, moves and detaches of devices in groups, for PASIDs and
 * without, against the naive model: the same errnos, ids and users, and each
 * driver is at the same HWPTs.
 */

import { assertEquals } from "@std/assert";
import fc from "fast-check";
import type {
  TestDevice,
  TestDomain,
} from "../../iommu/testing/test_driver.ts";
import { ENOSPC, Errno } from "../../uapi/errno.ts";
import {
  IOMMU_HWPT_ALLOC,
  IOMMU_HWPT_ALLOC_PASID,
  IommuHwptAlloc,
} from "../../uapi/iommufd.ts";
import { HwPagetable } from "../hwpt/hw_pagetable.ts";
import { Bench } from "../testing/bench.ts";
import { NaiveAttachments, PASIDS } from "../testing/naive_pasid.ts";
import type { IommufdDevice } from "./device.ts";

/** One operation, chosen by numbers. */
interface Step {
  readonly kind: number;
  readonly device: number;
  readonly pasid: number;
  readonly target: number;
}

const NAMES = ["a", "b", "c"] as const;

/** The value of an operation, or the errno's name. */
function resultOf(operation: () => unknown): unknown {
  try {
    return operation();
  } catch (error) {
    if (error instanceof Errno) return error.name;
    throw error;
  }
}

/** Three devices, of which `a` and `b` are a group, side by side with the model. */
class Run {
  readonly #bench = new Bench();
  readonly #ioasId = this.#bench.machine.ioas();
  readonly #devices: readonly IommufdDevice[];
  readonly #naive = new NaiveAttachments([["a", "b"], ["c"]], this.#ioasId);
  /** What happened, to know that the steps reach everything. */
  readonly #seen: Set<string>;

  constructor(seen: Set<string>) {
    this.#seen = seen;
    const { a, b, c, ops } = this.#bench;
    for (const dev of [a, b, c]) dev.maxPasids = PASIDS;
    this.#devices = [a, b, c].map((dev) => this.#bench.bind(dev));
    Object.assign(ops, {
      domainAllocPagingFlags: (dev: TestDevice) => ops.domainAllocPaging(dev),
    });
  }

  /** Does something to both, and compares them. */
  step(step: Step): void {
    const { kind, device, pasid, target } = step;
    const { machine } = this.#bench;
    const idev = this.#devices[device]!;
    const name = NAMES[device]!;
    const hwpts = [99, ...this.#naive.tables.map(({ id }) => id)];
    const hwpt = hwpts[target % hwpts.length]!;
    const used = this.#naive.uses(name).find(([each]) => each === pasid)?.[1];
    const choices = [this.#ioasId, used ?? hwpt, used ?? hwpt, hwpt, hwpt];
    const ptId = choices[target % choices.length]!;
    const next = this.#nextId();
    switch (kind) {
      case 0:
        return this.#allocate(step, next);
      case 1:
        return this.#compare(
          "detach",
          () => idev.detach(pasid),
          () => this.#naive.detach(name, pasid),
        );
      case 2:
        return this.#compare(
          "destroy",
          () => machine.destroy(hwpt) || undefined,
          () => this.#naive.destroy(hwpt),
        );
      case 3:
      case 4:
        return this.#compare(
          this.#isShared(pasid) ? "replace of two" : "replace",
          () => idev.replace(ptId, pasid),
          () => this.#naive.replace(name, ptId, pasid, next),
        );
      default:
        return this.#compare(
          "attach",
          () => idev.attach(ptId, pasid),
          () => this.#naive.attach(name, ptId, pasid, next),
        );
    }
  }

  /** Detaches all; nothing may be left. */
  end(): void {
    for (const idev of this.#devices) {
      for (const pasid of idev.pasids) idev.detach(pasid);
      idev.unbind();
    }
    this.#bench.end();
  }

  /** Whether both devices of the group are attached for a PASID. */
  #isShared(pasid: number): boolean {
    const [a, b] = this.#devices;
    return a!.pasids.includes(pasid) && b!.pasids.includes(pasid);
  }

  #nextId(): number {
    const taken = new Set([...this.#bench.ctx.objects].map(({ id }) => id));
    let id = 1;
    while (taken.has(id)) id++;
    return id;
  }

  /** HWPT_ALLOC; one device may not take what comes of it. */
  #allocate({ pasid, target }: Step, id: number): void {
    if (this.#naive.tables.length > 5) return;
    const { machine, ops, a, b, c } = this.#bench;
    const isForPasids = pasid > 0;
    const answer = machine.call(IOMMU_HWPT_ALLOC, IommuHwptAlloc, {
      devId: this.#devices[0]!.id,
      ptId: this.#ioasId,
      flags: isForPasids ? IOMMU_HWPT_ALLOC_PASID : 0,
    });
    assertEquals([answer.ret, answer.outHwptId], [0, id]);
    const refusing = [a, b, c][target % 9];
    const domain = ops.domains.at(-1)!;
    refusing?.refuses.set(domain, ENOSPC);
    refusing?.refusesPasid.set(domain, ENOSPC);
    const refusedBy = refusing?.name ?? "";
    this.#naive.tables.push({ id, isForPasids, isAuto: false, refusedBy });
  }

  #compare(what: string, kernel: () => unknown, model: () => unknown): void {
    const result = resultOf(kernel);
    assertEquals(result, resultOf(model), what);
    const outcome = typeof result === "string" ? result : "ok";
    this.#seen.add(`${what}: ${outcome}`);
    const { a, b, c } = this.#bench;
    for (const dev of [a, b, c]) {
      assertEquals(this.#uses(dev), this.#naive.uses(dev.name), dev.name);
    }
    for (const [i, idev] of this.#devices.entries()) {
      const own = this.#naive.attachedOf(NAMES[i]!);
      assertEquals(idev.pasids.toSorted(), own, `PASIDs of ${NAMES[i]}`);
      assertEquals(idev.users, 2 + own.length, `users of ${NAMES[i]}`);
    }
    assertEquals(
      this.#hwpts(),
      this.#naive.tables.map((table) => [
        table.id,
        1 + this.#naive.usersOf(table),
      ]).sort(([a], [b]) => a! - b!),
    );
  }

  /** Which HWPT a device's driver has for each PASID. */
  #uses(dev: TestDevice): [number, number][] {
    const domains: [number, TestDomain | undefined][] = [
      [0, dev.uses],
      ...dev.pasids,
    ];
    return domains.flatMap(([pasid, domain]): [number, number][] => {
      const hwpt = this.#objects().find((hwpt) => hwpt.domain === domain);
      return hwpt === undefined ? [] : [[pasid, hwpt.id]];
    }).sort(([a], [b]) => a - b);
  }

  #objects(): HwPagetable[] {
    return [...this.#bench.ctx.objects].filter((object) =>
      object instanceof HwPagetable
    );
  }

  #hwpts(): number[][] {
    return this.#objects().map(({ id, users }) => [id, users]);
  }
}

/** What the sequences must have come to: without it they would prove little. */
const REACHED = [
  "attach: ok",
  "attach: EBUSY",
  "attach: EINVAL",
  "attach: ENOENT",
  "attach: ENOSPC",
  "destroy: ok",
  "destroy: EBUSY",
  "destroy: ENOENT",
  "detach: ok",
  "replace: ok",
  "replace: EINVAL",
  "replace: ENOENT",
  "replace: ENOSPC",
  "replace of two: ok",
  "replace of two: EINVAL",
  "replace of two: ENOSPC",
];

Deno.test("devices are attached for each PASID as the naive model has it", () => {
  const seen = new Set<string>();
  const step: fc.Arbitrary<Step> = fc.record({
    kind: fc.nat(7),
    device: fc.nat(2),
    pasid: fc.nat(PASIDS),
    target: fc.nat(1000),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: "max" }), (steps) => {
      const run = new Run(seen);
      for (const each of steps) run.step(each);
      run.end();
    }),
    { seed: 1, numRuns: 500 },
  );
  assertEquals(REACHED.filter((each) => !seen.has(each)), []);
});
