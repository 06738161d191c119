// SPDX-License-Identifier: GPL-2.0-only

/**
 * The union of the test ioctl: one struct seen in the ways of its operations.
 *
 * @module
 */

import {
  TestAccessPages,
  TestAccessReplaceIoas,
  TestAccessRw,
  TestAddReserved,
  TestCheckIotlb,
  TestCheckMap,
  TestCheckRefs,
  TestCmd,
  TestCreateAccess,
  TestDestroyAccessPages,
  TestDirty,
  TestMemoryLimit,
  TestMockDomain,
  TestMockDomainReplace,
  TestTriggerIopf,
} from "../../uapi/selftest.ts";

/** All operations' views of the same bytes. */
export class TestViews {
  /** What all operations have. */
  readonly header: TestCmd;
  /** ADD_RESERVED. */
  readonly addReserved: TestAddReserved;
  /** MOCK_DOMAIN and MOCK_DOMAIN_FLAGS. */
  readonly mockDomain: TestMockDomain;
  /** MOCK_DOMAIN_REPLACE. */
  readonly mockDomainReplace: TestMockDomainReplace;
  /** MD_CHECK_MAP. */
  readonly checkMap: TestCheckMap;
  /** MD_CHECK_REFS. */
  readonly checkRefs: TestCheckRefs;
  /** CREATE_ACCESS. */
  readonly createAccess: TestCreateAccess;
  /** DESTROY_ACCESS_PAGES. */
  readonly destroyAccessPages: TestDestroyAccessPages;
  /** ACCESS_PAGES. */
  readonly accessPages: TestAccessPages;
  /** ACCESS_RW. */
  readonly accessRw: TestAccessRw;
  /** SET_TEMP_MEMORY_LIMIT. */
  readonly memoryLimit: TestMemoryLimit;
  /** ACCESS_REPLACE_IOAS. */
  readonly accessReplaceIoas: TestAccessReplaceIoas;
  /** MD_CHECK_IOTLB. */
  readonly checkIotlb: TestCheckIotlb;
  /** TRIGGER_IOPF. */
  readonly triggerIopf: TestTriggerIopf;
  /** DIRTY. */
  readonly dirty: TestDirty;

  /** Views of a buffer that is as long as the longest revision's struct. */
  constructor(bytes: Uint8Array) {
    this.header = TestCmd.at(bytes);
    this.addReserved = TestAddReserved.at(bytes);
    this.mockDomain = TestMockDomain.at(bytes);
    this.mockDomainReplace = TestMockDomainReplace.at(bytes);
    this.checkMap = TestCheckMap.at(bytes);
    this.checkRefs = TestCheckRefs.at(bytes);
    this.createAccess = TestCreateAccess.at(bytes);
    this.destroyAccessPages = TestDestroyAccessPages.at(bytes);
    this.accessPages = TestAccessPages.at(bytes);
    this.accessRw = TestAccessRw.at(bytes);
    this.memoryLimit = TestMemoryLimit.at(bytes);
    this.accessReplaceIoas = TestAccessReplaceIoas.at(bytes);
    this.checkIotlb = TestCheckIotlb.at(bytes);
    this.triggerIopf = TestTriggerIopf.at(bytes);
    this.dirty = TestDirty.at(bytes);
  }
}
