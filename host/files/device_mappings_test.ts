// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  MAP_SHARED,
  PAGE_SIZE,
  PROT_READ,
  PROT_WRITE,
} from "../../impl/uapi/mman.ts";
import { HostMachine } from "../memory/machine.ts";
import { must, Sys } from "../sys/sys.ts";
import { DeviceMappings } from "./device_mappings.ts";

const sys = Sys.shared;

/** Memory of a device, and how often it counts as mapped. */
function device() {
  const machine = new HostMachine(sys);
  const object = machine.createObject();
  object.truncate(PAGE_SIZE);
  const count = { now: 0 };
  const owner = {
    open: () => void count.now++,
    close: () => void count.now--,
  };
  const free = () => {
    object.put();
    machine.close();
  };
  return { object, owner, count, free };
}

function map(fd: number): number {
  const prot = PROT_READ | PROT_WRITE;
  const { mmap } = sys.nr;
  return must(sys.call(mmap, 0, PAGE_SIZE, prot, MAP_SHARED, fd, 0), "mmap");
}

describe("the mappings of a device", () => {
  it("are there as long as anybody has them, each by itself", () => {
    const { object, owner, count, free } = device();
    const mappings = new DeviceMappings(sys);
    const addresses = [1, 2].map(() => {
      const fd = mappings.open(object, owner);
      const address = map(fd);
      sys.close(fd);
      return address;
    });
    mappings.settle();
    assertEquals(count.now, 2);
    sys.unmap(addresses[0]!, PAGE_SIZE);
    mappings.settle();
    assertEquals(count.now, 1);
    sys.unmap(addresses[1]!, PAGE_SIZE);
    mappings.settle();
    assertEquals(count.now, 0);
    free();
  });

  it("are gone if they were never made", () => {
    const { object, owner, count, free } = device();
    const mappings = new DeviceMappings(sys);
    const fd = mappings.open(object, owner);
    mappings.settle();
    assertEquals(count.now, 1);
    sys.close(fd);
    mappings.settle();
    assertEquals(count.now, 0);
    free();
  });

  it("are all given back at the end", () => {
    const { object, owner, count, free } = device();
    const mappings = new DeviceMappings(sys);
    const fd = mappings.open(object, owner);
    mappings.releaseAll();
    assertEquals(count.now, 0);
    sys.close(fd);
    free();
  });
});
