// SPDX-License-Identifier: GPL-2.0-only

/**
 * The ioctl of the kernel's selftests: mock devices, accesses, and looks
 * behind the scenes.
 *
 * Each group of operations has a file: selftest_device.ts, selftest_check.ts
 * and selftest_access.ts.
 *
 * Linux: drivers/iommu/iommufd/selftest.c, from iommufd_test() down.
 *
 * @module
 */

import { EINVAL, EOPNOTSUPP } from "../../uapi/errno.ts";
import { testOpOf } from "../../uapi/ioctls.ts";
import * as uapi from "../../uapi/selftest.ts";
import { Ioas } from "../ioas/ioas.ts";
import { lastIova } from "../ioas/iova_alloc.ts";
import { NO_LENGTH } from "../objects/refusals.ts";
import {
  testAccessPages,
  testAccessReplaceIoas,
  testAccessRw,
  testCreateAccess,
  testDestroyAccessPages,
} from "./selftest_access.ts";
import {
  testCheckIotlb,
  testCheckMap,
  testCheckRefs,
} from "./selftest_check.ts";
import {
  testMockDomain,
  testMockDomainFlags,
  testMockDomainReplace,
} from "./selftest_device.ts";
import { testDmabufGet, testDmabufRevoke } from "./selftest_dmabuf.ts";
import { testDirty } from "./selftest_dirty.ts";
import { testTriggerIopf } from "./selftest_fault.ts";
import { testDevCheckCache, testTriggerVevent } from "./selftest_viommu.ts";
import {
  testPasidAttach,
  testPasidCheckHwpt,
  testPasidDetach,
  testPasidReplace,
} from "./selftest_pasid.ts";
import { CommandBuffer, type IoctlOp } from "../objects/ucmd.ts";

/** Bytes that one run of frames needs in a batch; less memory holds none. */
const BATCH_ELEMENT_SIZE = 12;

/** A test operation, and what makes it of a buffer. */
type Operation = readonly [
  uapi.TestOp<uapi.TestCmd>,
  (ucmd: CommandBuffer) => () => void,
];

function operation<T extends uapi.TestCmd>(
  layout: uapi.TestOp<T>,
  execute: (ucmd: CommandBuffer, cmd: T) => void,
): Operation {
  return [layout, (ucmd) => {
    const cmd = layout.at(ucmd.bytes);
    return () => execute(ucmd, cmd);
  }];
}

/** What each operation does. */
const OPERATIONS: ReadonlyMap<
  uapi.TestOp<uapi.TestCmd> | undefined,
  Operation[1]
> = new Map([
  operation(uapi.TestAddReserved, addReserved),
  operation(uapi.TestMockDomain, testMockDomain),
  operation(uapi.TestCheckMap, testCheckMap),
  operation(uapi.TestCheckRefs, testCheckRefs),
  operation(uapi.TestCreateAccess, testCreateAccess),
  operation(uapi.TestDestroyAccessPages, testDestroyAccessPages),
  operation(uapi.TestAccessPages, testAccessPages),
  operation(uapi.TestAccessRw, testAccessRw),
  operation(uapi.TestMemoryLimit, setTempMemoryLimit),
  operation(uapi.TestMockDomainReplace, testMockDomainReplace),
  operation(uapi.TestAccessReplaceIoas, testAccessReplaceIoas),
  operation(uapi.TestMockDomainFlags, testMockDomainFlags),
  operation(uapi.TestDirty, testDirty),
  operation(uapi.TestCheckIotlb, testCheckIotlb),
  operation(uapi.TestTriggerIopf, testTriggerIopf),
  operation(uapi.TestDevCheckCache, testDevCheckCache),
  operation(uapi.TestTriggerVevent, testTriggerVevent),
  operation(uapi.TestPasidAttach, testPasidAttach),
  operation(uapi.TestPasidReplace, testPasidReplace),
  operation(uapi.TestPasidDetach, testPasidDetach),
  operation(uapi.TestPasidCheckHwpt, testPasidCheckHwpt),
  operation(uapi.TestDmabufGet, testDmabufGet),
  operation(uapi.TestDmabufRevoke, testDmabufRevoke),
]);

/** IOMMU_TEST_CMD: an ioctl for each operation. */
export const testOp: IoctlOp = {
  struct: uapi.TestCmd,
  prepare: (ctx) => new TestBuffer(ctx, uapi.TestCmd),
};

const UNKNOWN_TEST = EOPNOTSUPP.because(
  "this revision does not have the operation",
);

/** The union: one struct seen in the ways of the operations that were asked for. */
class TestBuffer extends CommandBuffer {
  readonly #cmd = uapi.TestCmd.at(this.bytes);
  readonly #prepared: Map<number, () => void> = new Map();

  /** Linux: iommufd_test. */
  override execute(): void {
    const { op } = this.#cmd;
    const execute = this.#prepared.get(op) ?? this.#prepare(op);
    execute();
  }

  #prepare(number: number): () => void {
    const layout = testOpOf(number, this.ctx.kernel.revision);
    const prepare = OPERATIONS.get(layout);
    if (prepare === undefined) throw UNKNOWN_TEST;
    const execute = prepare(this);
    this.#prepared.set(number, execute);
    return execute;
  }
}

/** ADD_RESERVED: reserves IOVA for nobody, until the IOAS goes. */
function addReserved({ ctx }: CommandBuffer, cmd: uapi.TestAddReserved): void {
  const { id, start, length } = cmd;
  let last = BigInt.asUintN(64, start + length - 1n);
  if (ctx.kernel.revision.selftest.opsValidate) {
    if (length === 0n) throw NO_LENGTH;
    last = lastIova(start, length);
  }
  ctx.objects.get(id, Ioas).putAfter((ioas) => {
    // As posted, v3 would put a range that ends before it starts into its tree.
    if (last < start) {
      throw EINVAL.because("the range ends before it starts");
    }
    ioas.iopt.reserveIova(start, last, null);
  });
}

/** SET_TEMP_MEMORY_LIMIT: of the whole kernel. */
function setTempMemoryLimit(
  { ctx }: CommandBuffer,
  { limit }: uapi.TestMemoryLimit,
): void {
  if (ctx.kernel.revision.selftest.opsValidate && limit < BATCH_ELEMENT_SIZE) {
    throw EINVAL.because("the limit is less than 12 bytes");
  }
  ctx.kernel.tempMemoryLimit = limit;
}
