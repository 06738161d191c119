// SPDX-License-Identifier: GPL-2.0-only

/**
 * The stage for tests of what an error says about its cause.
 *
 * @module
 */

import { assertStringIncludes, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { Kernel } from "../../kernel.ts";
import type { Process } from "../../kernel/simulated/process.ts";
import * as uapi from "../../uapi/mod.ts";
import { IommufdClient } from "../client.ts";
import { IommufdError } from "../error.ts";

/** Bytes of a page. */
export const PAGE: number = uapi.PAGE_SIZE;
/** The first IOVA of a mock domain. */
export const IOVA: number = uapi.MOCK_APERTURE_START;

/** What a scenario starts with: an IOAS without domain and one with, and 16 pages. */
export class Bench {
  readonly process: Process = new Kernel().spawn();
  readonly io = IommufdClient.open(this.process);
  readonly ioasId = this.io.ioasAlloc().ioasId;
  readonly ptId = this.io.ioasAlloc().ioasId;
  readonly device = this.io.mock.mockDomain({ ptId: this.ptId });
  readonly devId = this.device.idevId!;
  readonly userVa = this.process.mmap(
    0,
    16 * PAGE,
    uapi.PROT_READ | uapi.PROT_WRITE,
    uapi.MAP_SHARED | uapi.MAP_ANONYMOUS,
  );

  /** Maps a page of the memory at the first IOVA of a domain. */
  map(options: { ioasId?: number; [name: string]: unknown } = {}): void {
    const { ioasId, userVa } = this;
    const page = { ioasId, userVa, length: PAGE, iova: IOVA };
    this.io.ioasMap({ ...page, ...options });
  }

  /** A HWPT that can be a parent, and one that is nested on it. */
  nest(faultId?: number): { readonly parent: number; readonly nested: number } {
    const { io: { hwpt }, devId, ptId } = this;
    const flags = uapi.IOMMU_HWPT_ALLOC_NEST_PARENT;
    const parent = hwpt.alloc({ devId, ptId, flags }).hwptId;
    const nested = hwpt.alloc({
      devId,
      ptId: parent,
      dataType: uapi.IOMMU_HWPT_DATA_SELFTEST,
      data: new Uint8Array(4),
      ...faultId === undefined ? {} : { faultId },
    });
    return { parent, nested: nested.hwptId };
  }
}

/** How the message goes on behind the call, and what fails so. */
export type Scenario = readonly [string, (bench: Bench) => unknown];

/** A test for each scenario, of errors `of` something. */
export function describeReasons(
  of: string,
  scenarios: readonly Scenario[],
): void {
  describe(`an error of ${of}`, () => {
    for (const [message, fail] of scenarios) {
      it(`says ${message}`, () => {
        const bench = new Bench();
        const error = assertThrows(() => fail(bench), IommufdError);
        assertStringIncludes(`${error.message} (`, ` failed with ${message} (`);
      });
    }
  });
}
