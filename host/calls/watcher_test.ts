// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { Kernel } from "../../mod.ts";
import { type Watcher, watchers } from "./watcher.ts";

describe("watchers()", () => {
  it("passes on to all what they want to know, in order", () => {
    const told: string[] = [];
    const process = new Kernel().spawn();
    const all = (name: string): Watcher => ({
      enter: () => told.push(`${name} enter`),
      leave: (_, result) => told.push(`${name} leave ${result}`),
      began: (_, parent) => told.push(`${name} began ${parent === undefined}`),
      exec: (_, path) => told.push(`${name} exec ${path}`),
      closing: (_, path, ends) => told.push(`${name} closing ${path} ${ends}`),
      ended: (_, status) => told.push(`${name} ended ${status}`),
    });
    const both = watchers([all("a"), {}, all("b")]);
    const call = { process, tid: 1, name: "close", args: [], path: undefined };
    both.began!(process, undefined);
    both.enter!(call);
    both.leave!(call, 3);
    both.exec!(process, "/x");
    process.open("/dev/iommu");
    both.closing!(process.files.get(3)!, "/dev/iommu", true);
    both.ended!(process, 0);
    const each = [
      "began true",
      "enter",
      "leave 3",
      "exec /x",
      "closing /dev/iommu true",
      "ended 0",
    ];
    assertEquals(told, each.flatMap((what) => [`a ${what}`, `b ${what}`]));
  });

  it("wants to know nothing that nobody does", () => {
    const both = watchers([{ closing() {} }, {}]);
    assertEquals(Object.keys(both), ["closing"]);
    assertEquals(watchers([]), {});
  });
});
