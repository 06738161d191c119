// SPDX-License-Identifier: GPL-2.0-only

/**
 * The kernels that `linux-vm:` can boot, newest last: one for each revision
 * that real Linux has. A row is all that another one takes. `linux-uml:` has the
 * same as programs of this machine.
 *
 * @module
 */

import type { RevisionName } from "../../../impl/uapi/revision.ts";
import type { KnownBug } from "../../../selftests/harness/known_bugs.ts";

/** What is wrong with User-Mode Linux where the tests need more of it than others. */
export type UmlSlip = "forces_identity" | "has_no_faults" | "stops_serial_line";

/** A slip in the kernel's source that keeps it from being tested: the build corrects it. */
export interface Mend {
  /** Which one: in the table of known bugs, or one of User-Mode Linux alone. */
  readonly bug: KnownBug | UmlSlip;
  /** The file of the kernel's source. */
  readonly file: string;
  /** What is wrong there. */
  readonly wrong: RegExp;
  /** What stands there instead; `$1` is a group of {@link wrong}. */
  readonly replacement: string;
  /** What stands there where it is right. */
  readonly right: RegExp;
}

/** What is behind `/dev/vfio/vfio`; each kernel is built with either. */
export const CONTAINERS = ["iommufd", "type1"] as const;
/** One of {@link CONTAINERS}. */
export type Container = typeof CONTAINERS[number];

/** The file of configuration that chooses it, from `conformance/` on. */
export function containerConfig(container: Container): string {
  return `linux_vm/kernels/container-${container}.config`;
}

/** What is built of a revision: kernels to boot, with either container, and one of {@link UML_KERNELS}. */
export type Flavour = Container | "uml";

/** The files of configuration that a flavour adds to those of the kernel, from `conformance/` on. */
export function flavourConfig(flavour: Flavour): string[] {
  return flavour === "uml" ? [] : [containerConfig(flavour)];
}

/** A kernel. */
export interface Kernel {
  /** The revision that it has. */
  readonly revision: RevisionName;
  /** Debian's packages with its source: the group is a number, of which the greatest wins. */
  readonly packages: RegExp;
  /** The least number. */
  readonly least: number;
  /** Its configuration: files of this folder. */
  readonly config: readonly string[];
  /** What the build corrects. */
  readonly mends: readonly Mend[];
}

/** The kernels, oldest first. */
export const KERNELS: readonly Kernel[] = [
  {
    revision: "6.12",
    packages: /^linux-source-6\.(12)$/,
    least: 12,
    config: ["kernel.config", "kernel-6.12.config"],
    mends: [],
  },
  {
    revision: "7.3",
    packages: /^linux-source-7\.(\d+)$/,
    least: 3,
    config: ["kernel.config", "kernel-7.3.config"],
    mends: [{
      bug: "drops_dmabuf_descriptor",
      file: "drivers/iommu/iommufd/selftest.c",
      wrong:
        /(\brc = dma_buf_fd\(dmabuf, \w+\);\s+if \(rc < 0\) \{[^}]*\}\s+return )0;/,
      replacement: "$1rc;",
      right:
        /\brc = dma_buf_fd\(dmabuf, \w+\);\s+if \(rc < 0\) \{[^}]*\}\s+return rc;|\breturn dma_buf_fd\(/,
    }],
  },
];

/** What the build corrects of User-Mode Linux. */
const UML_MENDS: readonly Mend[] = [
  {
    // Without the DMA API of a real machine; but the mock has a default of its own.
    bug: "forces_identity",
    file: "drivers/iommu/iommu.c",
    wrong:
      /(\breturn -1;\s+)if \(!driver_type\)\s+driver_type = IOMMU_DOMAIN_IDENTITY;\s/,
    replacement: "$1",
    right: /^(?![^]*IOMMU_DOMAIN_IDENTITY;\s+\}\s+if \(untrusted\))/,
  },
  {
    // Only drivers that it has not can ask for page faults.
    bug: "has_no_faults",
    file: "drivers/iommu/Kconfig",
    wrong: /(\bconfig IOMMU_IOPF\s+)bool\n/,
    replacement: "$1def_bool IOMMUFD_TEST\n",
    right: /\bconfig IOMMU_IOPF\s+def_bool/,
  },
  {
    // Once it was told to wait, it reads nothing any more.
    bug: "stops_serial_line",
    file: "arch/um/drivers/ssl.c",
    wrong:
      /\s\.throttle\s*= line_throttle,\s+\.unthrottle\s*= line_unthrottle,/,
    replacement: "",
    right: /^(?![^]*line_throttle)/,
  },
];

/** The kernels that `linux-uml:` can start, oldest first. */
export const UML_KERNELS: readonly Kernel[] = KERNELS.map((kernel) => ({
  ...kernel,
  config: ["uml.config", `uml-${kernel.revision}.config`],
  mends: [...kernel.mends, ...UML_MENDS],
}));

/** The newest, which `linux-vm:` boots where nothing else is said. */
export const NEWEST: Kernel = KERNELS.at(-1)!;

/** The kernel with a revision; undefined if there is none. */
export function kernelOf(
  revision: string,
  kernels: readonly Kernel[] = KERNELS,
): Kernel | undefined {
  return kernels.find((kernel) => kernel.revision === revision);
}

/** The source with the slip corrected; undefined where there is none. Throws where neither is found. */
export function mended(source: string, mend: Mend): string | undefined {
  if (mend.wrong.test(source)) {
    return source.replace(mend.wrong, mend.replacement);
  }
  if (mend.right.test(source)) return undefined;
  throw new Error(
    `Whether ${mend.file} has the slip ${mend.bug} cannot be told: neither form is in it`,
  );
}
