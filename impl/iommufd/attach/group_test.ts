// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { KernelBug } from "../../kernel/warn.ts";
import { EINVAL } from "../../uapi/errno.ts";
import { Bench, region } from "../testing/bench.ts";
import { outcome, PAGE } from "../testing/machine.ts";

const MAX = 2n ** 64n - 1n;

describe("device replace", () => {
  it("moves the whole group and frees the HWPT that is left", () => {
    const bench = new Bench();
    const [ioas, other] = [bench.machine.ioas(), bench.machine.ioas()];
    bench.a.resv.push(region("reserved", 0n));
    bench.b.resv.push(region("reserved", 8n * PAGE));
    const [a, b] = [bench.bind(bench.a), bench.bind(bench.b)];
    const hwpt = a.attach(ioas);
    b.attach(ioas);
    const next = b.replace(other);
    assertEquals([bench.uses(bench.a), bench.uses(bench.b)], [1, 1]);
    assertEquals(bench.machine.destroy(hwpt), "ENOENT");
    assertEquals(bench.ranges(ioas), [[0n, MAX]]);
    assertEquals(bench.ranges(other), [[PAGE, 8n * PAGE - 1n], [
      9n * PAGE,
      MAX,
    ]]);
    assertEquals(a.replace(next), next);
    assertEquals(a.replace(other), next);
    for (const idev of [a, b]) idev.detach();
    assertEquals(bench.machine.destroy(next), "ENOENT");
    for (const idev of [a, b]) idev.unbind();
    bench.end();
  });

  it("needs a device that is attached: EINVAL", () => {
    const bench = new Bench();
    const [ioas, other] = [bench.machine.ioas(), bench.machine.ioas()];
    const [a, b] = [bench.bind(bench.a), bench.bind(bench.b)];
    assertEquals(outcome(() => a.replace(ioas)), "EINVAL");
    a.attach(ioas);
    assertEquals(outcome(() => b.replace(other)), "EINVAL");
    assertEquals(outcome(() => a.replace(99)), "ENOENT");
    assertEquals(outcome(() => a.replace(b.id)), "EINVAL");
    assertEquals(bench.machine.destroy(other), 0);
    a.detach();
    for (const idev of [a, b]) idev.unbind();
    bench.end();
  });

  it("changes nothing when it fails", () => {
    const bench = new Bench();
    const { machine } = bench;
    const [ioas, other] = [machine.ioas(), machine.ioas()];
    machine.map({
      ioasId: other,
      userVa: BigInt(machine.memory(1)),
      iova: PAGE,
    });
    bench.a.resv.push(region("reserved", 0n));
    bench.b.resv.push(region("reserved", PAGE));
    const [a, b] = [bench.bind(bench.a), bench.bind(bench.b)];
    const hwpt = a.attach(ioas);
    b.attach(ioas);
    const before = bench.ranges(ioas);
    assertEquals(outcome(() => a.replace(other)), "EADDRINUSE");
    assertEquals([bench.uses(bench.a), bench.uses(bench.b)], [0, 0]);
    assertEquals(bench.ranges(ioas), before);
    assertEquals(bench.ranges(other), [[0n, MAX]]);
    assertEquals(machine.destroy(other), 0);
    assertEquals(machine.destroy(hwpt), "EBUSY");
    for (const idev of [a, b]) idev.detach();
    for (const idev of [a, b]) idev.unbind();
    bench.end();
  });

  it("keeps the regions of the IOAS when a HWPT of the same IOAS does not fit", () => {
    const bench = new Bench();
    const ioas = bench.machine.ioas();
    bench.a.resv.push(region("reserved", 0n));
    const [a, c] = [bench.bind(bench.a), bench.bind(bench.c)];
    a.attach(ioas);
    bench.c.refuses.set(bench.ops.domains[0]!, EINVAL);
    const hwpt = c.attach(ioas);
    bench.a.refuses.set(bench.ops.domains[1]!, EINVAL);
    assertEquals(outcome(() => a.replace(hwpt)), "EINVAL");
    assertEquals(bench.ranges(ioas), [[PAGE, MAX]]);
    for (const idev of [a, c]) idev.detach();
    for (const idev of [a, c]) idev.unbind();
    bench.end();
  });

  it("does not exist in v3", () => {
    const bench = new Bench("v3");
    const ioasId = bench.machine.ioas();
    const idev = bench.bind(bench.a);
    idev.attach(ioasId);
    assertThrows(() => idev.replace(ioasId), KernelBug);
    idev.detach();
    idev.unbind();
    bench.end();
  });
});
