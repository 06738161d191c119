// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixtures of the kernel's VFIO selftests, which are seven programs.
 *
 * @module
 */

import {
  type Context,
  type Fixture,
  fixture,
  type Test,
} from "../harness/harness.ts";
import type { Need } from "../target/capabilities.ts";
import { IOMMU_MODES, type IommuMode, needsOf, TestIommu } from "./iommu.ts";
import { TestDevice } from "./pci_device.ts";

/** The kernel's programs, in its Makefile's order. */
export const VFIO_PROGRAMS = [
  "vfio_dma_mapping_test",
  "vfio_dma_mapping_mmio_test",
  "vfio_iommufd_setup_test",
  "vfio_pci_device_test",
  "vfio_pci_device_init_perf_test",
  "vfio_pci_driver_test",
  "vfio_pci_sriov_uapi_test",
] as const;

/** One of them. */
export type VfioProgram = typeof VFIO_PROGRAMS[number];

/** A variant that is about a mode of the IOMMU. */
export interface ModeVariant {
  /** It. */
  readonly mode: IommuMode;
}

/** A variant for each mode, by its name. */
export const MODE_VARIANTS: Readonly<Record<string, ModeVariant>> = Object
  .fromEntries(
    Object.entries(IOMMU_MODES).map(([name, mode]) => [name, { mode }]),
  );

/** What tests of an open device share. */
export interface DeviceSelf {
  /** What it is attached to. */
  readonly iommu: TestIommu;
  /** The device. */
  readonly device: TestDevice;
  /** The test's context. */
  readonly context: Context;
}

/** How a fixture of a program is built. */
export interface ProgramFixture<V, S> {
  /** The program that has it. */
  readonly program: VfioProgram;
  /** Its variants. */
  readonly variants?: Readonly<Record<string, V>>;
  /** What its tests need beside a device. */
  needs?(variant: V): readonly Need[];
  /** Prepares one test. */
  setup(context: Context, variant: V): Promise<S>;
  /** Cleans up after it. */
  teardown(self: S): Promise<void>;
}

/** A fixture of one of the kernel's programs, for a device. */
export function programFixture<V, S>(
  registry: Test[],
  name: string,
  options: ProgramFixture<V, S>,
): Fixture<V, S> {
  return fixture(registry, name, {
    ...options,
    since: "7.3",
    upstream: true,
    folder: "vfio",
    needs: (variant) => ["vfio_device", ...options.needs?.(variant) ?? []],
  });
}

/** Opens the IOMMU and the device. */
export async function setUpDevice(
  context: Context,
  mode: IommuMode,
): Promise<DeviceSelf> {
  const iommu = await TestIommu.open(context.process, mode);
  return { iommu, device: await TestDevice.init(iommu), context };
}

/** Closes the device and the IOMMU. */
export async function tearDownDevice(
  { iommu, device }: DeviceSelf,
): Promise<void> {
  await device.cleanup();
  await iommu.close();
}

/** A fixture with a variant for each mode, whose tests get an open device. */
export function deviceFixture<V extends ModeVariant>(
  registry: Test[],
  name: string,
  program: VfioProgram,
  variants: Readonly<Record<string, V>>,
  needs: (variant: V) => readonly Need[] = () => [],
): Fixture<V, DeviceSelf> {
  return programFixture(registry, name, {
    program,
    variants,
    needs: (variant) => [...needsOf(variant.mode), ...needs(variant)],
    setup: (context, { mode }) => setUpDevice(context, mode),
    teardown: tearDownDevice,
  });
}
