// SPDX-License-Identifier: GPL-2.0-only

/**
 * On which machines each program is run, and what comes of it there.
 *
 * @module
 */

import type { RevisionName } from "../../impl/uapi/revision.ts";
import { IOMMU } from "./sources.ts";

/** A machine for a program. */
export interface Setting {
  /** What it is called where there are more; else empty. */
  readonly name: string;
  /** Options of `deno task run`. */
  readonly options: readonly string[];
  /** Arguments of the program. */
  readonly args: readonly string[];
  /** Tests that fail there on real Linux too. */
  readonly fails: readonly string[];
  /** Which tests may say that they are not applicable. */
  readonly skips: RegExp;
  /** Whether nothing else runs meanwhile. */
  readonly isAlone: boolean;
}

/** Where the devices are that programs are told of. */
const PLACES = ["0000:00:04.0", "0000:00:05.0"] as const;
/** Tests that need a huge page of 1 GiB, which few machines have. */
const HUGEST = /_1gb\./;
/** Programs that know themselves what they cannot test. */
const ANY = /^/;
/** The program that maps one. */
const TAKES_HUGEST = "vfio_dma_mapping_test";
/** Programs that take as many devices as there are. */
const TAKES_MORE = new Set(["vfio_pci_device_init_perf_test"]);

/** Tests that map a BAR through a type1 container, which iommufd's refuses. */
const MAPS_BARS = ["vfio_type1_iommu", "vfio_type1v2_iommu"].flatMap((mode) =>
  ["map_full_bar", "map_partial_bar", "map_bar_misaligned"].map((test) =>
    `vfio_dma_mapping_mmio_test.${mode}.${test}`
  )
);

/** The machines on which a program of a revision is run. */
export function settingsOf(
  program: string,
  revision: RevisionName,
): readonly Setting[] {
  const uapi = ["--uapi", revision];
  if (IOMMU.programs.includes(program)) {
    return [{
      name: "",
      options: uapi,
      args: [],
      fails: [],
      skips: ANY,
      isAlone: true,
    }];
  }
  const places = TAKES_MORE.has(program) ? PLACES : PLACES.slice(0, 1);
  const devices = places.flatMap(() => ["--device", "igb"]);
  return ["type1", "iommufd"].map((container) => ({
    name: container,
    options: [...uapi, "--container", container, ...devices],
    args: places,
    fails: container === "iommufd" && program === "vfio_dma_mapping_mmio_test"
      ? MAPS_BARS
      : [],
    skips: HUGEST,
    isAlone: program === TAKES_HUGEST,
  }));
}
