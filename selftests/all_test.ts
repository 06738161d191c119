// SPDX-License-Identifier: GPL-2.0-only

import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { REVISION_NAMES, type RevisionName } from "../impl/uapi/revision.ts";
import { existsIn, type Lifetime } from "../impl/uapi/revision/versions.ts";
import { allTests } from "./all.ts";

/** Words that begin with one of these are of some revisions only. */
const MARKS: Readonly<Record<string, Lifetime>> = {
  "-": { until: "6.12" },
  "+": { since: "6.12" },
  "~": { since: "7.3" },
};

/** A fixture's variants and tests in the kernel's order. */
const KERNEL: readonly [string, string, string][] = [
  [
    "iommufd",
    "",
    `simple_close cmd_fail +cmd_length cmd_ex_fail global_options simple_ioctls
     unmap_cmd map_cmd info_cmd set_iommu_cmd vfio_ioas`,
  ],
  ["change_process", "~account_none ~account_user ~account_mm", "basic"],
  [
    "iommufd_ioas",
    "no_domain mock_domain two_mock_domain mock_domain_limit",
    `ioas_auto_destroy ioas_destroy +alloc_hwpt_nested +hwpt_attach
     ioas_area_destroy ioas_area_auto_destroy +get_hw_info area
     unmap_fully_contained_areas area_auto_iova ~reserved_overflow area_allowed copy_area
     iova_ranges +access_domain_destory -access +access_pin +access_pin_unmap
     access_rw access_rw_unaligned fork_gone fork_present
     ioas_option_huge_pages +ioas_iova_alloc +ioas_align_change +copy_sweep
     ~dmabuf_simple ~dmabuf_revoke`,
  ],
  [
    "iommufd_mock_domain",
    `one_domain two_domains one_domain_hugepage two_domains_hugepage
     ~one_domain_file ~one_domain_file_hugepage`,
    "basic +ro_unshare all_aligns all_aligns_copy user_copy +replace +alloc_hwpt",
  ],
  [
    "iommufd_dirty_tracking",
    `domain_dirty8k domain_dirty16k domain_dirty64k domain_dirty128k
     domain_dirty320k domain_dirty64M domain_dirty64M_huge domain_dirty128M
     domain_dirty128M_huge`,
    `+enforce_dirty +set_dirty_tracking ~pasid_set_dirty_tracking +device_dirty_capability
     +get_dirty_bitmap +get_dirty_bitmap_no_clear`,
  ],
  [
    "vfio_compat_mock_domain",
    "Ver1v2 Ver1v0",
    "simple_close option_huge_pages get_info map huge_map",
  ],
  [
    "iommufd_viommu",
    "~no_viommu ~mock_viommu",
    `viommu_auto_destroy viommu_negative_tests viommu_alloc_nested_iopf
     viommu_alloc_with_data vdevice_alloc vdevice_cache hw_queue
     vdevice_tombstone`,
  ],
  ["iommufd_device_pasid", "~no_pasid ~has_pasid", "pasid_attach"],
];

/** The words of a text that a revision has, without their marks. */
function wordsIn(uapi: RevisionName, text: string): string[] {
  return text.split(/\s+/)
    .filter((word) => existsIn(uapi, MARKS[word.charAt(0)] ?? {}))
    .map((word) => word.replace(/^[-+~]/, ""));
}

/** The ids that programs of a revision print. */
function idsOf(
  uapi: RevisionName,
  fixtures: typeof KERNEL,
): string[] {
  return fixtures.flatMap(([fixture, variants, tests]) =>
    wordsIn(uapi, variants).flatMap((variant) =>
      wordsIn(uapi, tests).map((test) =>
        [fixture, variant, test].filter(Boolean).join(".")
      )
    )
  );
}

/** The tests of the kernel's program iommufd_fail_nth, which v3 did not have yet. */
function failNthIds(uapi: RevisionName): string[] {
  const names =
    `+basic +map_domain ~map_file_domain +map_two_domains +access_rw +access_pin
    +access_pin_domain +device`;
  return wordsIn(uapi, names).map((name) => `basic_fail_nth.${name}`);
}

/** The modes in which the programs of VFIO run most of their tests. */
const MODES =
  `vfio_type1_iommu vfio_type1v2_iommu iommufd_compat_type1 iommufd_compat_type1v2
  iommufd`.split(/\s+/);

/** Modes with something behind each. */
function modesWith(...names: string[]): string {
  return names.flatMap((name) => MODES.map((mode) => `${mode}_${name}`))
    .join(" ");
}

/** The programs of VFIO: fixtures, with variants and tests in the kernel's order. */
const VFIO: Readonly<Record<string, readonly [string, string, string][]>> = {
  vfio_dma_mapping_test: [
    [
      "vfio_dma_mapping_test",
      modesWith(
        "anonymous",
        "anonymous_hugetlb_2mb",
        "anonymous_hugetlb_1gb",
      ),
      "dma_map_unmap",
    ],
    [
      "vfio_dma_map_limit_test",
      MODES.join(" "),
      "unmap_range unmap_all overflow",
    ],
  ],
  vfio_dma_mapping_mmio_test: [[
    "vfio_dma_mapping_mmio_test",
    MODES.join(" "),
    "map_full_bar map_partial_bar map_bar_misaligned",
  ]],
  vfio_iommufd_setup_test: [[
    "vfio_cdev",
    "",
    `bind get_info_without_bind_fails bind_bad_iommufd_fails repeated_bind_fails
     attach_detatch_pt attach_invalid_pt_fails`,
  ]],
  vfio_pci_device_test: [
    [
      "vfio_pci_device_test",
      "",
      "config_space_read_write validate_bars reset",
    ],
    ["vfio_pci_irq_test", "msi msix", "enable_trigger_disable"],
  ],
  vfio_pci_device_init_perf_test: [
    ["vfio_pci_device_init_perf_test", MODES.join(" "), "init"],
  ],
  vfio_pci_driver_test: [[
    "vfio_pci_driver_test",
    MODES.join(" "),
    `init_remove memcpy_success memcpy_from_unmapped_iova
     memcpy_to_unmapped_iova send_msi mix_and_match memcpy_storm`,
  ]],
  vfio_pci_sriov_uapi_test: [[
    "vfio_pci_sriov_uapi_test",
    modesWith("same_uuid", "diff_uuid", "null_uuid"),
    "init_token_match pf_early_close override_token",
  ]],
};

for (
  const [uapi, count, failNth, vfio] of [
    ["v3", 100, 0, 0],
    ["6.12", 190, 7, 0],
    ["7.3", 246, 8, 141],
  ] as const
) {
  describe(`allTests("${uapi}")`, () => {
    it("starts with the kernel's tests, all of them in its order", () => {
      const tests = allTests(uapi);
      const main = tests.slice(0, count);
      assertEquals(main.map(({ id }) => id), idsOf(uapi, KERNEL));
      const sweeps = tests.slice(count, count + failNth);
      assertEquals(sweeps.map(({ id }) => id), failNthIds(uapi));
      assert(main.every(({ program }) => program === "iommufd"));
      assert(sweeps.every(({ program }) => program === "iommufd_fail_nth"));
      assert([...main, ...sweeps].every(({ upstream }) => upstream));
    });

    it("goes on with the kernel's programs of VFIO", () => {
      const tests = allTests(uapi)
        .slice(count + failNth, count + failNth + vfio);
      const expected = Object.entries(VFIO).flatMap(([program, fixtures]) =>
        idsOf(uapi, fixtures).map((id) => `${program} ${id}`)
      );
      assertEquals(
        tests.map(({ id, program }) => `${program} ${id}`),
        vfio === 0 ? [] : expected,
      );
      assert(tests.every(({ upstream }) => upstream));
    });

    it("has tests of our own after them", () => {
      const own = allTests(uapi).slice(count + failNth + vfio);
      assert(own.length > 100);
      for (const { id, upstream, program } of own) {
        assert(/^kit_/.test(id), id);
        assertEquals([upstream, program], [false, undefined]);
      }
    });

    it("names and describes every test once", () => {
      const ids = new Set<string>();
      for (const { id, description, reference, uapi: has } of allTests(uapi)) {
        assert(!ids.has(id), `${id} is there twice`);
        assert(description.length > 10 && !description.endsWith("."), id);
        assert(reference.length > 5, id);
        assert(has.includes(uapi), id);
        ids.add(id);
      }
    });
  });
}

/** All files in a folder and the folders in it. */
function* filesBelow(folder: URL): Generator<URL> {
  for (const { name, isDirectory } of Deno.readDirSync(folder)) {
    if (isDirectory) yield* filesBelow(new URL(`${name}/`, folder));
    else yield new URL(name, folder);
  }
}

describe("test files", () => {
  it("hand every fixture to deno test, once", async () => {
    const fixtures = new Set<string>();
    for (const uapi of REVISION_NAMES) {
      for (const { fixture } of allTests(uapi)) fixtures.add(fixture);
    }
    const handed: string[] = [];
    for (const url of filesBelow(new URL(".", import.meta.url))) {
      if (!url.pathname.endsWith("_test.ts")) continue;
      const source = await Deno.readTextFile(url);
      const call = /^await denoTests\((.*)\);$/m.exec(source);
      handed.push(...call?.[1]?.match(/\w+/g) ?? []);
    }
    assertEquals(handed.sort(), [...fixtures].sort());
  });
});
