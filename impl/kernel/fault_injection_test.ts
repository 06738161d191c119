// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { XarrayNodes } from "../lib/xarray_nodes.ts";
import { EFAULT, ENOMEM } from "../uapi/errno.ts";
import { KernelCore } from "./core.ts";
import { functionsOfStep } from "./fault_steps.ts";
import { sweepCall, sweepSteps } from "./testing/fault_sweep.ts";

const enomem = -ENOMEM.code;
const efault = -EFAULT.code;

describe("steps that can be made to fail", () => {
  it("are the two allocations of a file without a path", () => {
    assertEquals(sweepSteps((kernel) => kernel.step("file.anonymous")), [
      enomem,
      enomem,
      0,
    ]);
  });

  it("fail an allocation up to a page, which must be contiguous", () => {
    assertEquals(
      sweepSteps((kernel) => kernel.allocVirtual("selftest.data", 0)),
      [0],
    );
    assertEquals(
      sweepSteps((kernel) => kernel.allocVirtual("selftest.data", 4096)),
      [
        enomem,
        0,
      ],
    );
    assertEquals(
      sweepSteps((kernel) => kernel.allocVirtual("selftest.data", 4097)),
      [0, 0],
    );
  });

  it("are told by name as they are counted", () => {
    const kernel = new KernelCore({ memory: 2 ** 22 });
    const process = kernel.spawn();
    const names: string[] = [];
    process.faults.onStep = (name) => names.push(name);
    process.eventfd(0, 0);
    assertEquals(names, [], "nobody counts");
    process.faults.nth = 100;
    process.eventfd(0, 0);
    assertEquals(names, ["eventfd.alloc", "file.anonymous"]);
  });

  it("are none in a version that lacks them", () => {
    const of = (version: "v3" | "7.3") =>
      functionsOfStep("attach.alloc", version);
    assertEquals(of("7.3"), ["iommufd_hw_pagetable_attach"]);
    assertEquals(of("v3"), []);
  });

  it("are the nodes of an xarray, which there is a second attempt for", () => {
    const nodes = () => XarrayNodes.of([1]);
    assertEquals(sweepSteps((kernel) => kernel.allocNodes(nodes, 64, 64)), [
      0,
      0,
      0,
    ]);
    assertEquals(sweepSteps((kernel) => kernel.allocNodes(nodes, 2, 63)), [0]);
  });

  it("are copies between kernel and user, but not of single values", () => {
    const bytes = new Uint8Array(8);
    const results = sweepSteps((_kernel, { process, address }) => {
      process.mm.getUser(bytes, address);
      process.mm.copyFromUser(bytes, address);
      process.mm.putUser(address, bytes);
      process.mm.copyToUser(address, bytes);
    });
    assertEquals(results, [efault, efault, 0]);
  });

  it("strike a child's copies when the child calls", () => {
    const kernel = new KernelCore({ memory: 2 ** 22 });
    const child = kernel.spawn().fork();
    const fd = child.eventfd(1, 0);
    const bytes = new Uint8Array(8);
    assertEquals(sweepCall(child, () => child.write(fd, bytes)), [efault, 8]);
  });

  it("are those of making an open file", () => {
    const kernel = new KernelCore({ memory: 2 ** 22 });
    const process = kernel.spawn();
    const calls: [call: () => number, results: number[]][] = [
      [() => process.open("/dev/null"), [enomem, efault, enomem]],
      [
        () => process.memfdCreate("memory", 0),
        [enomem, efault, enomem, enomem, enomem],
      ],
      [() => process.eventfd(0, 0), [enomem, enomem, enomem]],
      [() => process.pipe().ret, new Array(6).fill(enomem)],
      [() => process.dup(0), []],
    ];
    for (const [call, failures] of calls) {
      const results = sweepCall(process, call);
      assertEquals(results.slice(0, -1), failures);
      assertEquals(results.at(-1)! >= 0, true);
    }
    process.exit();
    assertEquals(kernel.audit(), []);
  });
});
