// SPDX-License-Identifier: GPL-2.0-only

import { assert, assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { REVISION_NAMES } from "../../../impl/uapi/revision.ts";
import { kernelOf, KERNELS, mended, NEWEST } from "./kernels.ts";

const SLIP = `
	rc = dma_buf_fd(dmabuf, flags);
	if (rc < 0) {
		give_up();
		return rc;
	}
	return 0;
`;

describe("the kernels", () => {
  it("are in the order of their revisions, each of which is offered", () => {
    const names = KERNELS.map(({ revision }) => revision);
    const all = REVISION_NAMES.filter((name) => names.includes(name));
    assertEquals(names, all);
    for (const kernel of KERNELS) {
      assertEquals(kernelOf(kernel.revision), kernel);
    }
    assertEquals(kernelOf("1.0"), undefined);
  });

  it("come from packages of their own", () => {
    for (const { packages, least, revision } of KERNELS) {
      const [, number] = packages.exec(`linux-source-${revision}`) ?? [];
      assertEquals(Number(number), least);
      const others = KERNELS.filter((each) => each.revision !== revision);
      for (const { revision } of others) {
        assert(!packages.test(`linux-source-${revision}`));
      }
      assert(!packages.test(`linux-source-${revision}-rt`));
    }
  });
});

describe("a slip of the kernel", () => {
  const [mend] = NEWEST.mends;

  it("is mended where it is, and nothing else changes", () => {
    const right = SLIP.replace("return 0", "return rc");
    assertEquals(mended(`a${SLIP}b`, mend!), `a${right}b`);
  });

  it("is let alone where it is gone", () => {
    const right = SLIP.replace("return 0", "return rc");
    assertEquals(mended(right, mend!), undefined);
    assertEquals(mended("return dma_buf_fd(dmabuf, 0);", mend!), undefined);
  });

  it("is not guessed at where neither form is found", () => {
    const why = "neither form";
    assertThrows(() => mended("return 0;", mend!), Error, why);
    const other = SLIP.replace("return 0", "return fd");
    assertThrows(() => mended(other, mend!), Error, why);
  });
});
