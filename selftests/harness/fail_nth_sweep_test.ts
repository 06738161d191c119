// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertRejects } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { implTarget } from "../target/impl_target.ts";
import { EBUSY, ENOENT } from "../../impl/uapi/errno.ts";
import { NEWEST, REVISIONS } from "../../impl/uapi/revision.ts";
import { type Round, setUpSweep, sweep } from "./fail_nth_sweep.ts";
import { AssertionFailure, type Context } from "./harness.ts";
import { TargetProcess } from "../target/target.ts";

/** Sweeps a sequence on the model; returns what it notes. */
async function run(
  calls: (round: Round) => Promise<void>,
  options: { atLeast?: number; failNth?: (nth: number) => number } = {},
): Promise<string[]> {
  const { atLeast = 1, failNth = (nth) => nth } = options;
  const target = await implTarget(NEWEST);
  const process = await TargetProcess.spawn(target);
  const setFailNth = process.setFailNth.bind(process);
  process.setFailNth = (nth) => setFailNth(failNth(nth));
  const notes: string[] = [];
  const context: Context = {
    process,
    info: target.info,
    revision: REVISIONS[NEWEST],
    pageSize: 4096,
    hugePageSize: 2 ** 21,
    note: (text) => notes.push(text),
  };
  try {
    await sweep(await setUpSweep(context), {
      name: "test",
      what: "a test",
      reference: "",
      rules: [],
      points: { [NEWEST]: atLeast },
      run: calls,
    });
  } finally {
    await target.close();
  }
  return notes;
}

/** Opens an iommufd and makes an IOAS: 8 steps. */
async function openIoas(round: Round): Promise<void> {
  await round.enable();
  const io = await round.open();
  await round.step(() => io.ioasAlloc());
}

/** Asserts that a sweep finds something wrong. */
async function finds(found: Promise<unknown>, what: string): Promise<void> {
  await assertRejects(() => found, AssertionFailure, what);
}

describe("a sweep", () => {
  it("notes how many steps it made fail", async () => {
    assertEquals(await run(openIoas, { atLeast: 8 }), [
      "swept 8 injection points",
    ]);
  });

  it("wants as many steps as the sequence says", async () => {
    await finds(run(openIoas, { atLeast: 9 }), "expected 9 steps, got 8");
  });

  it("wants an end", async () => {
    const failNth = (nth: number): number => Math.min(nth, 1);
    await finds(run(openIoas, { failNth }), "fewer than 1000 steps");
  });

  it("wants the first round to succeed", async () => {
    const call = async (round: Round): Promise<void> => {
      await round.step(() => Promise.reject(failure("EINVAL")));
      await openIoas(round);
    };
    await finds(run(call), "expected success, got EINVAL");
  });

  it("wants a call to succeed unless a step of it failed", async () => {
    let rounds = 0;
    const call = async (round: Round): Promise<void> => {
      if (rounds++ === 1) {
        await round.step(() => Promise.reject(failure("ENOMEM")));
      }
      await openIoas(round);
    };
    await finds(run(call), "expected success, got ENOMEM");
  });

  it("wants the same call to succeed when it is repeated", async () => {
    const call = async (round: Round): Promise<void> => {
      await round.enable();
      let failed = false;
      await round.step(async () => {
        if (failed) throw failure("EBUSY");
        failed = true;
        const io = await round.base.reopen();
        failed = false;
        await io.process.close(io.fd);
      });
    };
    await finds(run(call), "expected success, got EBUSY");
  });

  it("wants an errno of a step that failed", async () => {
    const call = async (round: Round): Promise<void> => {
      await round.enable();
      await round.step(async () => {
        const io = await round.base.reopen().catch(() => {
          throw failure("EBUSY");
        });
        await io.process.close(io.fd);
      });
    };
    await finds(run(call), "with a step that fails: expected ENOMEM or");
  });

  it("leaves out what follows a device whose call hid the failure", async () => {
    const call = async (round: Round): Promise<void> => {
      await round.enable();
      const io = await round.device(() =>
        round.base.reopen().catch(() => undefined)
      );
      if (io === undefined) throw failure("EINVAL");
      await io.process.close(io.fd);
    };
    assertEquals(await run(call, { atLeast: 4 }), [
      "swept 4 injection points",
    ]);
  });

  it("finds a descriptor that stays open", async () => {
    let rounds = 0;
    const call = async (round: Round): Promise<void> => {
      if (rounds++ === 2) await round.base.reopen();
      await openIoas(round);
    };
    await finds(run(call), "pins and descriptors after all");
  });

  it("finds a page that stays pinned", async () => {
    let rounds = 0;
    const call = async (round: Round): Promise<void> => {
      await openIoas(round);
      if (rounds++ !== 2) return;
      const io = await round.base.reopen();
      const ioasId = await io.ioasAlloc();
      await io.mock.domain(ioasId);
      await io.map(ioasId, round.buffer, 4096);
    };
    await finds(run(call), "IOMMU_TEST_OP_MD_CHECK_REFS");
  });
});

describe("a step that can have its effect only once", () => {
  /** Maps and unmaps, where an unmap is repeated with `errno` as what it may fail with. */
  async function unmap(round: Round, errno = ENOENT): Promise<void> {
    const io = await round.open();
    const ioasId = await io.ioasAlloc();
    const iova = await io.map(ioasId, round.buffer, 4096);
    await round.enable();
    await round.stepOnce(() => io.unmap(ioasId, iova, 4096), errno);
  }

  it("may fail when it is repeated after the effect", async () => {
    assertEquals(await run(unmap), ["swept 3 injection points"]);
  });

  it("must fail with the errno that says so", async () => {
    await finds(run((round) => unmap(round, EBUSY)), "got ENOENT");
  });
});

function failure(errno: string): AssertionFailure {
  return new AssertionFailure("a call", "success", errno);
}
