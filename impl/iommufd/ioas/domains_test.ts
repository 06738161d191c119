// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { TestDomain } from "../../iommu/testing/test_driver.ts";
import { addDomain, removeDomain } from "./domains.ts";
import { Ioas } from "./ioas.ts";
import { Bench } from "../testing/bench.ts";
import { IOVA, outcome, PAGE } from "../testing/machine.ts";

/** An IOAS with a page mapped, and how to make domains for it. */
function setup(): {
  bench: Bench;
  ioas: Ioas;
  domain(pageSize: bigint): TestDomain;
  done(warnings?: readonly string[]): void;
} {
  const bench = new Bench();
  const { machine } = bench;
  const ioasId = machine.ioas();
  const userVa = BigInt(machine.memory(2));
  assertEquals(machine.map({ ioasId, userVa, length: 2n * PAGE }).ret, 0);
  const ioas = bench.ctx.objects.get(ioasId, Ioas);
  ioas.put();
  return {
    bench,
    ioas,
    domain: (pgsizeBitmap) =>
      new TestDomain({ owner: bench.ops, pgsizeBitmap }, "paging"),
    done: (warnings) => bench.end(warnings),
  };
}

describe("the domains of an IO page table", () => {
  it("are filled when they come, and empty when they go", () => {
    const { ioas: { iopt }, domain, done } = setup();
    const first = domain(PAGE);
    const second = domain(PAGE);
    addDomain(iopt, first);
    addDomain(iopt, second);
    const at = Number(IOVA);
    assertEquals(first.iovaToPhys(at) !== 0, true);
    assertEquals(second.iovaToPhys(at), first.iovaToPhys(at));
    removeDomain(iopt, first);
    assertEquals([...iopt.domains], [second]);
    assertEquals(first.iovaToPhys(at), 0);
    removeDomain(iopt, second);
    assertEquals([...iopt.domains], []);
    done();
  });

  it("are there once: EEXIST, with a warning", () => {
    const { ioas: { iopt }, domain, done } = setup();
    const one = domain(PAGE);
    addDomain(iopt, one);
    assertEquals(outcome(() => addDomain(iopt, one)), "EEXIST");
    assertEquals([...iopt.domains], [one]);
    removeDomain(iopt, one);
    done(["iopt_table_add_domain: the domain is there already"]);
  });

  it("have IO pages that are no larger than a CPU page: EINVAL", () => {
    const { ioas: { iopt }, domain, done } = setup();
    const large = domain(2n * PAGE);
    assertEquals(outcome(() => addDomain(iopt, large)), "EINVAL");
    assertEquals([...iopt.domains], []);
    assertEquals(iopt.iovaAlignment, 1);
    const both = domain(PAGE | 2n ** 30n);
    addDomain(iopt, both);
    assertEquals(iopt.iovaAlignment, Number(PAGE));
    removeDomain(iopt, both);
    assertEquals(iopt.iovaAlignment, 1);
    done();
  });

  it("stay when one goes that is not there, with a warning", () => {
    const { ioas: { iopt }, domain, done } = setup();
    const one = domain(PAGE);
    addDomain(iopt, one);
    removeDomain(iopt, domain(PAGE));
    assertEquals([...iopt.domains], [one]);
    removeDomain(iopt, one);
    done(["iopt_table_remove_domain: the domain is not there"]);
  });
});
