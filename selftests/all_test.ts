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

/** The ids that the kernel's suite of a revision prints. */
function kernelIds(uapi: RevisionName): string[] {
  return KERNEL.flatMap(([fixture, variants, tests]) =>
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

for (
  const [uapi, count, failNth] of [
    ["v3", 100, 0],
    ["6.12", 190, 7],
    ["7.3", 246, 8],
  ] as const
) {
  describe(`allTests("${uapi}")`, () => {
    it("starts with the kernel's tests, all of them in its order", () => {
      const tests = allTests(uapi);
      const main = tests.slice(0, count);
      assertEquals(main.map(({ id }) => id), kernelIds(uapi));
      const sweeps = tests.slice(count, count + failNth);
      assertEquals(sweeps.map(({ id }) => id), failNthIds(uapi));
      assert(main.every(({ program }) => program === "iommufd"));
      assert(sweeps.every(({ program }) => program === "iommufd_fail_nth"));
      assert([...main, ...sweeps].every(({ upstream }) => upstream));
    });

    it("has tests of our own after them", () => {
      const own = allTests(uapi).slice(count + failNth);
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
