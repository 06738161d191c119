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

import { checkedAdd } from "../../lib/u64.ts";
import { EINVAL, EOPNOTSUPP } from "../../uapi/errno.ts";
import {
  IOMMU_TEST_CMD,
  IOMMU_TEST_OP_ACCESS_PAGES,
  IOMMU_TEST_OP_ACCESS_REPLACE_IOAS,
  IOMMU_TEST_OP_ACCESS_RW,
  IOMMU_TEST_OP_ADD_RESERVED,
  IOMMU_TEST_OP_CREATE_ACCESS,
  IOMMU_TEST_OP_DESTROY_ACCESS_PAGES,
  IOMMU_TEST_OP_DIRTY,
  IOMMU_TEST_OP_MD_CHECK_IOTLB,
  IOMMU_TEST_OP_MD_CHECK_MAP,
  IOMMU_TEST_OP_MD_CHECK_REFS,
  IOMMU_TEST_OP_MOCK_DOMAIN,
  IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS,
  IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE,
  IOMMU_TEST_OP_SET_TEMP_MEMORY_LIMIT,
  IOMMU_TEST_OP_TRIGGER_IOPF,
  TestCmd,
} from "../../uapi/selftest.ts";
import { Ioas } from "../ioas/ioas.ts";
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
import { TestViews } from "./selftest_cmd.ts";
import {
  testMockDomain,
  testMockDomainFlags,
  testMockDomainReplace,
} from "./selftest_device.ts";
import { testDirty } from "./selftest_dirty.ts";
import { testTriggerIopf } from "./selftest_fault.ts";
import { type IoctlOp, Ucmd } from "../objects/ucmd.ts";

/** Bytes that one run of frames needs in a batch; less memory holds none. */
const BATCH_ELEMENT_SIZE = 12;

/** What each operation does, by its number in 6.12. */
const OPERATIONS: Readonly<Record<number, (ucmd: Ucmd<TestViews>) => void>> = {
  [IOMMU_TEST_OP_ADD_RESERVED]: addReserved,
  [IOMMU_TEST_OP_MOCK_DOMAIN]: testMockDomain,
  [IOMMU_TEST_OP_MD_CHECK_MAP]: testCheckMap,
  [IOMMU_TEST_OP_MD_CHECK_REFS]: testCheckRefs,
  [IOMMU_TEST_OP_CREATE_ACCESS]: testCreateAccess,
  [IOMMU_TEST_OP_DESTROY_ACCESS_PAGES]: testDestroyAccessPages,
  [IOMMU_TEST_OP_ACCESS_PAGES]: testAccessPages,
  [IOMMU_TEST_OP_ACCESS_RW]: testAccessRw,
  [IOMMU_TEST_OP_SET_TEMP_MEMORY_LIMIT]: setTempMemoryLimit,
  [IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE]: testMockDomainReplace,
  [IOMMU_TEST_OP_ACCESS_REPLACE_IOAS]: testAccessReplaceIoas,
  [IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS]: testMockDomainFlags,
  [IOMMU_TEST_OP_MD_CHECK_IOTLB]: testCheckIotlb,
  [IOMMU_TEST_OP_DIRTY]: testDirty,
  [IOMMU_TEST_OP_TRIGGER_IOPF]: testTriggerIopf,
};

/** IOMMU_TEST_CMD: the struct has the revision's size, the operation its number. */
export const testOp: IoctlOp = {
  number: IOMMU_TEST_CMD,
  minSize: ({ selftest }) => selftest.cmd.minSize,
  prepare(ctx) {
    const { size } = ctx.kernel.revision.selftest.cmd;
    const bytes = new Uint8Array(TestCmd.size).subarray(0, size);
    return new Ucmd(ctx, bytes, (all) => new TestViews(all), test);
  },
};

/** Linux: iommufd_test. */
function test(ucmd: Ucmd<TestViews>): void {
  const { firstOp, ops } = ucmd.ctx.kernel.revision.selftest.cmd;
  const index = ucmd.cmd.header.op - firstOp;
  const operation = index < ops
    ? OPERATIONS[index + IOMMU_TEST_OP_ADD_RESERVED]
    : undefined;
  if (operation === undefined) throw EOPNOTSUPP;
  operation(ucmd);
}

/** ADD_RESERVED: reserves IOVA for nobody, until the IOAS goes. */
function addReserved({ ctx, cmd }: Ucmd<TestViews>): void {
  const { id, start, length } = cmd.addReserved;
  let last = BigInt.asUintN(64, start + length - 1n);
  if (ctx.kernel.revision.selftest.opsValidate) {
    if (length === 0n) throw EINVAL;
    last = checkedAdd(start, length - 1n);
  }
  const ioas = ctx.objects.get(id, Ioas);
  try {
    // As posted, v3 would put a range that ends before it starts into its tree.
    if (last < start) throw EINVAL;
    ioas.iopt.reserveIova(start, last, null);
  } finally {
    ioas.put();
  }
}

/** SET_TEMP_MEMORY_LIMIT: of the whole kernel. */
function setTempMemoryLimit({ ctx, cmd }: Ucmd<TestViews>): void {
  const { limit } = cmd.memoryLimit;
  if (ctx.kernel.revision.selftest.opsValidate && limit < BATCH_ELEMENT_SIZE) {
    throw EINVAL;
  }
  ctx.kernel.tempMemoryLimit = limit;
}
