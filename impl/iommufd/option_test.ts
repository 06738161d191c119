// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  IOMMU_OPTION,
  IOMMU_OPTION_HUGE_PAGES,
  IOMMU_OPTION_OP_GET,
  IOMMU_OPTION_OP_SET,
  IOMMU_OPTION_RLIMIT_MODE,
  IommuOption,
} from "../uapi/iommufd.ts";
import { CAP_SYS_RESOURCE, PAGE_SIZE } from "../uapi/mman.ts";
import { REVISION_NAMES } from "../uapi/revision.ts";
import { Machine } from "./testing/machine.ts";

const SET = IOMMU_OPTION_OP_SET;
const GET = IOMMU_OPTION_OP_GET;

function ask(
  machine: Machine,
  values: Partial<IommuOption>,
): [string | number, bigint] {
  const { ret, val64 } = machine.call(IOMMU_OPTION, IommuOption, values);
  return [ret, val64];
}

/** Requests that fail on a context with one IOAS, whose id is 1. */
const BAD: {
  readonly what: string;
  readonly values: Partial<IommuOption>;
  readonly v3: string | number;
  readonly linux: string;
}[] = [
  {
    what: "an unknown option",
    values: { optionId: 2 },
    v3: "EOPNOTSUPP",
    linux: "EOPNOTSUPP",
  },
  {
    what: "an unknown operation",
    values: { op: 2 },
    v3: "EOPNOTSUPP",
    linux: "EOPNOTSUPP",
  },
  {
    what: "an unknown operation on an IOAS",
    values: { optionId: 1, op: 2, objectId: 1 },
    v3: "EOPNOTSUPP",
    linux: "EOPNOTSUPP",
  },
  {
    what: "a reserved field",
    values: { op: GET, reserved: 1 },
    v3: 0,
    linux: "EOPNOTSUPP",
  },
  {
    what: "RLIMIT_MODE of an object",
    values: { op: GET, objectId: 1 },
    v3: 0,
    linux: "EOPNOTSUPP",
  },
  {
    what: "RLIMIT_MODE once there is an object",
    values: { op: SET, val64: 9n },
    v3: "EBUSY",
    linux: "EBUSY",
  },
  {
    what: "HUGE_PAGES of no object",
    values: { optionId: 1, op: GET },
    v3: "ENOENT",
    linux: "ENOENT",
  },
  {
    what: "HUGE_PAGES 2",
    values: { optionId: 1, op: SET, objectId: 1, val64: 2n },
    v3: "EINVAL",
    linux: "EINVAL",
  },
];

for (const name of REVISION_NAMES) {
  describe(`IOMMU_OPTION [${name}]`, () => {
    for (const { what, values, v3, linux } of BAD) {
      const ret = name === "v3" ? v3 : linux;
      it(`with ${what} answers ${ret}`, () => {
        const machine = new Machine(name);
        assertEquals(machine.ioas(), 1);
        assertEquals(ask(machine, values)[0], ret);
        machine.end();
      });
    }

    it("RLIMIT_MODE is set on an empty context with CAP_SYS_RESOURCE", () => {
      const machine = new Machine(name);
      const optionId = IOMMU_OPTION_RLIMIT_MODE;
      assertEquals(ask(machine, { optionId, op: GET, val64: 7n }), [0, 0n]);
      assertEquals(ask(machine, { optionId, op: SET, val64: 2n })[0], "EINVAL");
      assertEquals(ask(machine, { optionId, op: SET, val64: 1n })[0], 0);
      assertEquals(ask(machine, { optionId, op: GET }), [0, 1n]);
      assertEquals(ask(machine, { optionId, op: SET, val64: 0n })[0], 0);
      assertEquals(ask(machine, { optionId, op: GET, val64: 7n }), [0, 0n]);
      machine.process.dropCapability(CAP_SYS_RESOURCE);
      machine.ioas();
      assertEquals(ask(machine, { optionId, op: SET, val64: 9n })[0], "EPERM");
      assertEquals(ask(machine, { optionId, op: GET, val64: 7n }), [0, 0n]);
      machine.end();
    });

    it("HUGE_PAGES is on, and can be changed while nothing is mapped in a domain", () => {
      const machine = new Machine(name);
      const objectId = machine.ioas();
      const optionId = IOMMU_OPTION_HUGE_PAGES;
      const option = { optionId, objectId };
      assertEquals(ask(machine, { ...option, op: GET }), [0, 1n]);
      assertEquals(ask(machine, { ...option, op: SET, val64: 0n })[0], 0);
      assertEquals(ask(machine, { ...option, op: GET, val64: 7n }), [0, 0n]);
      assertEquals(ask(machine, { ...option, op: SET, val64: 1n })[0], 0);
      machine.mockDomain(objectId);
      machine.map({ ioasId: objectId, userVa: BigInt(machine.memory(1)) });
      assertEquals(
        ask(machine, { ...option, op: SET, val64: 0n })[0],
        "EINVAL",
      );
      assertEquals(ask(machine, { ...option, op: GET }), [0, 1n]);
      machine.end();
    });

    it("writes back the value only", () => {
      const machine = new Machine(name);
      const memory = machine.memory(2);
      // The value has a page of its own, the rest is read-only.
      const at = memory + PAGE_SIZE - 16;
      machine.process.poke(at, IommuOption.encode({ op: GET, val64: 7n }));
      machine.process.mprotect(memory, PAGE_SIZE, 1);
      assertEquals(machine.callArg(IOMMU_OPTION, at), 0);
      assertEquals(IommuOption.decode(machine.process.peek(at, 24)).val64, 0n);
      machine.process.mprotect(memory + PAGE_SIZE, PAGE_SIZE, 1);
      assertEquals(machine.callArg(IOMMU_OPTION, at), "EFAULT");
      machine.end();
    });
  });
}
