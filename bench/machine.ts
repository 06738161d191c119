// SPDX-License-Identifier: GPL-2.0-only

/**
 * A machine to time operations on: the model with one process, set up with the
 * helpers of the selftests.
 *
 * @module
 */

import { ImplProcess } from "../conformance/impl_target.ts";
import { Kernel } from "../impl/kernel.ts";
import type { FrameOrder } from "../impl/kernel/frames.ts";
import type { Process } from "../impl/kernel/process.ts";
import {
  HPAGE_SIZE,
  MAP_ANONYMOUS,
  MAP_HUGETLB,
  MAP_POPULATE,
  MAP_PRIVATE,
  PAGE_SIZE,
  PROT_READ,
  PROT_WRITE,
} from "../impl/uapi/mman.ts";
import { REVISIONS } from "../impl/uapi/revision.ts";
import { assertOk, type Context } from "../selftests/harness.ts";
import { Iommufd } from "../selftests/ioctls.ts";
import { hwptAlloc } from "../selftests/hwpt_ioctls.ts";
import { Program } from "./program.ts";
import type { Step } from "./steps.ts";

/** The revision that is timed. */
const REVISION = "6.12";

/** What an IOAS with domains consists of. */
export interface Ioas {
  /** The IOAS. */
  readonly ioasId: number;
  /** The mock device, 0 without domain. */
  readonly stdevId: number;
  /** The bound device, 0 without domain. */
  readonly idevId: number;
}

/** One process with an open iommufd. */
export class Machine {
  /** The model. */
  readonly kernel: Kernel;
  /** The process whose calls are timed. */
  readonly process: Process;
  /** Its iommufd, to set up with. */
  readonly io: Iommufd;

  private constructor(kernel: Kernel, process: Process, io: Iommufd) {
    this.kernel = kernel;
    this.process = process;
    this.io = io;
  }

  /** Boots. */
  static async boot(frameOrder: FrameOrder = "ordered"): Promise<Machine> {
    const kernel = new Kernel({ revision: REVISION, frameOrder });
    const process = kernel.spawn();
    const context: Context = {
      process: new ImplProcess(process),
      info: {
        name: "model",
        version: "",
        uapi: REVISION,
        pageSize: PAGE_SIZE,
        hugePageSize: HPAGE_SIZE,
        capabilities: [],
      },
      revision: REVISIONS[REVISION],
      pageSize: PAGE_SIZE,
      hugePageSize: HPAGE_SIZE,
      note: () => {},
    };
    return new Machine(kernel, process, await Iommufd.open(context));
  }

  /** Steps, ready to be timed. */
  compile(steps: readonly Step[]): Program {
    return new Program(this.process, steps);
  }

  /**
   * Private memory that is there already, as the memory of a guest is when a
   * VMM maps it.
   */
  async memory(length: number, huge = false): Promise<number> {
    const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE |
      (huge ? MAP_HUGETLB : 0);
    const ret = await this.io.process.mmap(
      0,
      length,
      PROT_READ | PROT_WRITE,
      flags,
    );
    return assertOk(ret, "mmap");
  }

  /**
   * An IOAS that maps into 0, 1 or 2 mock domains. A second device would share
   * the domain of the first, so HWPT_ALLOC makes the second one.
   */
  async ioas(domains: number): Promise<Ioas> {
    const { io } = this;
    const ioasId = await io.ioasAlloc();
    if (domains === 0) return { ioasId, stdevId: 0, idevId: 0 };
    const { stdevId, idevId } = await io.mock.domain(ioasId);
    for (let i = 1; i < domains; i++) {
      await hwptAlloc(io, { devId: idevId, ptId: ioasId });
    }
    return { ioasId, stdevId, idevId };
  }

  /** Ends the process. Throws an Error if it left something behind: then what was timed was not what was meant. */
  shutDown(): void {
    this.process.exit();
    const problems = this.kernel.audit();
    if (problems.length > 0) throw new Error(problems.join(" "));
  }
}
