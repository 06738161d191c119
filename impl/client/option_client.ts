// SPDX-License-Identifier: GPL-2.0-only

/**
 * IOMMU_OPTION of the typed client.
 *
 * @module
 */

import * as uapi from "../uapi/iommufd.ts";
import { describe, toBoolean, toU32 } from "./arguments.ts";
import type { Descriptor } from "./descriptor.ts";

/** Who is charged for pinned memory: the user, as io_uring does, or the process, as VFIO does. */
export type RlimitMode = "user" | "process";

/** The modes in the order of their values. */
const RLIMIT_MODES: readonly RlimitMode[] = ["user", "process"];

/** IOMMU_OPTION on an open iommufd; see `IommufdClient.option`. */
export class OptionClient {
  readonly #descriptor: Descriptor;

  /** For `IommufdClient`. */
  constructor(descriptor: Descriptor) {
    this.#descriptor = descriptor;
  }

  /** HUGE_PAGES: whether an IOAS may map contiguous pages as one large IO page. Throws ENOENT without such an IOAS. */
  getHugePages(ioasId: number): boolean {
    const { val64 } = this.#descriptor.call(uapi.IommuOption, {
      optionId: uapi.IOMMU_OPTION_HUGE_PAGES,
      op: uapi.IOMMU_OPTION_OP_GET,
      objectId: toU32("ioasId", ioasId),
    });
    return val64 === 1n;
  }

  /**
   * HUGE_PAGES: allows or forbids large IO pages. Throws ENOENT without such
   * an IOAS; to forbid them EINVAL when a domain has areas already, EADDRINUSE
   * when an area is not aligned to CPU pages.
   */
  setHugePages(ioasId: number, on: boolean): void {
    this.#descriptor.call(uapi.IommuOption, {
      optionId: uapi.IOMMU_OPTION_HUGE_PAGES,
      op: uapi.IOMMU_OPTION_OP_SET,
      objectId: toU32("ioasId", ioasId),
      val64: toBoolean("on", on) ? 1n : 0n,
    });
  }

  /** RLIMIT_MODE: who is charged for pinned memory. */
  getRlimitMode(): RlimitMode {
    const { val64 } = this.#descriptor.call(uapi.IommuOption, {
      optionId: uapi.IOMMU_OPTION_RLIMIT_MODE,
      op: uapi.IOMMU_OPTION_OP_GET,
    });
    return RLIMIT_MODES[Number(val64)]!;
  }

  /** RLIMIT_MODE: sets who is charged. Throws EPERM without CAP_SYS_RESOURCE, EBUSY once there are objects. */
  setRlimitMode(mode: RlimitMode): void {
    const value = RLIMIT_MODES.indexOf(mode);
    if (value < 0) {
      const given = describe(mode);
      throw new TypeError(`mode must be "user" or "process", not ${given}`);
    }
    this.#descriptor.call(uapi.IommuOption, {
      optionId: uapi.IOMMU_OPTION_RLIMIT_MODE,
      op: uapi.IOMMU_OPTION_OP_SET,
      val64: BigInt(value),
    });
  }
}
