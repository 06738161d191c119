// SPDX-License-Identifier: GPL-2.0-only

/**
 * Tests of `kit_access`: what an access is refused.
 *
 * @module
 */

import {
  EBADE,
  EBADFD,
  EFAULT,
  EINVAL,
  ENOENT,
  ENOMEM,
  EOPNOTSUPP,
  EOVERFLOW,
  EPERM,
  type Errno,
} from "../../impl/uapi/errno.ts";
import {
  IOMMU_IOAS_MAP_READABLE,
  IOMMU_IOAS_MAP_WRITEABLE,
} from "../../impl/uapi/iommufd.ts";
import {
  MOCK_ACCESS_RW_SLOW_PATH,
  MOCK_ACCESS_RW_WRITE,
  MOCK_FLAGS_ACCESS_WRITE,
} from "../../impl/uapi/selftest.ts";
import { MAP_RW, U64_MAX } from "../ioctls/ioctls.ts";
import type { AccessRange } from "../ioctls/mock_ioctls.ts";
import type { IoasSelf } from "../iommufd_ioas/iommufd_ioas.ts";
import type { AccessFixture } from "./kit_access.ts";

/** What the cases of a table share: an access, and two pages at the second page of the IOVA. */
interface AccessState extends IoasSelf {
  readonly access: number;
  readonly iova: bigint;
}

/** Maps two pages and makes an access. */
async function prepareAccess(
  self: IoasSelf,
  pins: boolean,
): Promise<AccessState> {
  const { io, ioasId, baseIova } = self;
  const iova = baseIova + io.page;
  await io.mapFixed(ioasId, io.buffer, 2n * io.page, iova);
  const access = await io.mock.createAccess(ioasId, pins);
  return { ...self, access, iova };
}

/** More than the operations take. */
const TOO_LONG = 16n * 2n ** 20n + 1n;

/** Adds the tests to the fixture. */
export function registerErrors(f: AccessFixture): void {
  f.table("rw_errno", {
    description: "ACCESS_RW refuses bad ranges, descriptors and memory",
    rules: ["P13.7", "S25"],
    prepare: (self) => prepareAccess(self, false),
    async finish(state) {
      await readWith(state, {});
      await state.io.mock.destroyAccess(state.access);
    },
  }, (t, _variant, { selftest }) => {
    type Values = (state: AccessState) => Partial<AccessRange>;
    const rows: [string, Errno, Values][] = [
      ["length 0", EINVAL, () => ({ length: 0 })],
      ["length 0, from where no memory can be", EINVAL, () => ({
        length: 0,
        uptr: 2 ** 47,
        flags: MOCK_ACCESS_RW_WRITE,
      })],
      ["IOVA 2^64-1", EOVERFLOW, () => ({ iova: U64_MAX })],
      ["a range that begins before", ENOENT, ({ iova }) => ({
        iova: iova - 1n,
      })],
      ["a range that ends behind", ENOENT, ({ io, iova }) => ({
        iova: iova + io.page + 1n,
      })],
      ["memory that is not there for reading", EFAULT, () => ({ uptr: 0 })],
      ["memory that is not there for writing", EFAULT, () => ({
        uptr: 0,
        flags: MOCK_ACCESS_RW_WRITE,
      })],
    ];
    if (selftest.opsValidate) {
      rows.push(
        ["a length over the limit", ENOMEM, () => ({ length: TOO_LONG })],
        ["an unknown flag", EOPNOTSUPP, () => ({ flags: 2 })],
      );
      t.case(
        "an unknown flag before the descriptor",
        (state) =>
          readWith({ ...state, access: 999 }, { flags: 2 }, EOPNOTSUPP),
      );
    }
    for (const [what, errno, valuesOf] of rows) {
      t.case(what, (state) => readWith(state, valuesOf(state), errno));
    }
    t.case(
      "another descriptor",
      (state) => readWith({ ...state, access: state.io.fd }, {}, EBADFD),
    );
    t.case(
      "a descriptor of nothing",
      (state) => readWith({ ...state, access: 999 }, {}, EBADFD),
    );
  });

  f.table("pin_errno", {
    description: "ACCESS_PAGES refuses bad ranges, descriptors and memory",
    rules: ["P13.4", "S25"],
    prepare: (self) => prepareAccess(self, true),
    async finish({ io, access, stdevId }) {
      await io.mock.checkRefs(io.buffer, 2n * io.page, stdevId ? 1 : 0);
      await io.mock.destroyAccess(access);
    },
  }, (t, { mockDomains }, { selftest, access, pages }) => {
    type Values = (state: AccessState) => Partial<AccessRange>;
    const atEnd = pages.pinChecksOverflow ? EOVERFLOW : EFAULT;
    const rows: [string, Errno, Values][] = [
      ["length 0", EINVAL, () => ({ length: 0 })],
      ["the last page of all to compare with", atEnd, ({ io }) => ({
        uptr: U64_MAX - io.page + 1n,
      })],
      ["a range that wraps", EOVERFLOW, ({ io }) => ({
        iova: U64_MAX - io.page + 1n,
        length: 2n * io.page,
      })],
      ["a range that is not mapped", ENOENT, ({ io, iova }) => ({
        iova: iova - io.page,
      })],
      ["a range that ends behind", ENOENT, ({ io }) => ({
        length: 3n * io.page,
      })],
      ["a range that is not aligned", EINVAL, ({ iova }) => ({
        iova: iova + 1n,
      })],
      ["an unknown flag", EOPNOTSUPP, () => ({ flags: 2 })],
      ["other memory", EBADE, ({ io }) => ({ uptr: io.scratch })],
    ];
    if (selftest.opsValidate) {
      rows.push(["a length over the limit", ENOMEM, () => ({
        length: TOO_LONG,
      })]);
    }
    for (const [what, errno, valuesOf] of rows) {
      t.case(what, (state) => pinWith(state, valuesOf(state), errno));
    }
    t.case(
      "an unknown flag before the descriptor",
      (state) => pinWith({ ...state, access: 999 }, { flags: 2 }, EOPNOTSUPP),
    );
    t.case(
      "another descriptor",
      (state) => pinWith({ ...state, access: state.io.fd }, {}, EBADFD),
    );
    t.case(
      "a descriptor of nothing",
      (state) => pinWith({ ...state, access: 999 }, {}, EBADFD),
    );
    t.case(
      "an id to unpin that nothing has",
      ({ io, access }) => io.mock.destroyAccessPages(access, 0, ENOENT),
    );
    t.case(
      "another descriptor to unpin",
      ({ io }) => io.mock.destroyAccessPages(io.fd, 0, EBADFD),
    );
    if (access.needsPinPages) {
      t.case("an access that does not pin", async (state) => {
        const { io, ioasId } = state;
        const reader = await io.mock.createAccess(ioasId, false);
        await pinWith({ ...state, access: reader }, {}, EOPNOTSUPP);
        await io.mock.destroyAccess(reader);
      });
    }
    if (mockDomains > 0) return;
    t.case("memory that is not there", async (state) => {
      const { io, ioasId } = state;
      const iova = state.iova + 8n * io.page;
      await io.mapFixed(ioasId, 2n ** 31n, io.page, iova);
      await pinWith(state, { iova }, EFAULT);
      await io.unmap(ioasId, iova, io.page);
    });
  });

  registerRights(f);
  registerRightsAcross(f);
}

/** ACCESS_RW of a page to private memory, unless told otherwise. */
async function readWith(
  { io, access, iova }: AccessState,
  values: Partial<AccessRange>,
  errno?: Errno,
): Promise<void> {
  const good = { iova, length: io.page, uptr: io.scratch };
  await io.mock.accessRw(access, { ...good, ...values }, errno);
}

/** ACCESS_PAGES of a page of the buffer, unless told otherwise; returns the id. */
function pinWith(
  { io, access, iova }: AccessState,
  values: Partial<AccessRange>,
  errno?: Errno,
): Promise<number> {
  const good = { iova, length: io.page, uptr: io.buffer };
  return io.mock.accessPages(access, { ...good, ...values }, errno);
}

/** What an access may do. */
function registerRights(f: AccessFixture): void {
  f.table("rights", {
    description: "An access can do to an area what the area was mapped for",
    rules: ["P13.4", "P13.7"],
    async prepare(self) {
      const { io, ioasId, baseIova } = self;
      const { page, buffer } = io;
      const areas = {
        readable: baseIova + page,
        writeable: baseIova + 3n * page,
      };
      const read = IOMMU_IOAS_MAP_READABLE;
      const write = IOMMU_IOAS_MAP_WRITEABLE;
      await io.mapFixed(ioasId, buffer, page, areas.readable, undefined, read);
      await io.mapFixed(
        ioasId,
        buffer,
        page,
        areas.writeable,
        undefined,
        write,
      );
      const access = await io.mock.createAccess(ioasId, true);
      return { io, areas, access };
    },
    finish: ({ io, access }) => io.mock.destroyAccess(access),
  }, (t) => {
    for (const area of ["readable", "writeable"] as const) {
      for (const write of [false, true]) {
        const errno = write === (area === "writeable") ? undefined : EPERM;
        const verb = write ? "write" : "read";
        for (const path of [0, MOCK_ACCESS_RW_SLOW_PATH]) {
          const how = path ? ", the slow way" : "";
          t.case(
            `${verb} a ${area} area${how}`,
            ({ io, areas, access }) =>
              io.mock.accessRw(access, {
                iova: areas[area],
                length: 8,
                uptr: io.scratch,
                flags: path | (write ? MOCK_ACCESS_RW_WRITE : 0),
              }, errno),
          );
        }
        t.case(`pin a ${area} area to ${verb}`, async (state) => {
          const { io, areas, access } = state;
          const item = await io.mock.accessPages(access, {
            iova: areas[area],
            length: io.page,
            uptr: io.buffer,
            flags: write ? MOCK_FLAGS_ACCESS_WRITE : 0,
          }, errno);
          if (!errno) await io.mock.destroyAccessPages(access, item);
        });
      }
    }
  });
}

/** What an access may do with an area behind another. */
function registerRightsAcross(f: AccessFixture): void {
  f.table("rights_across", {
    description:
      "An access needs the right to each area that it crosses, and pins none without",
    rules: ["P13.4", "P13.7"],
    async prepare(self) {
      const { io, ioasId, baseIova } = self;
      const { page, buffer } = io;
      const iova = baseIova + page;
      // For both, for reading, for both, for writing.
      const rights = [
        MAP_RW,
        IOMMU_IOAS_MAP_READABLE,
        MAP_RW,
        IOMMU_IOAS_MAP_WRITEABLE,
      ];
      for (const [index, right] of rights.entries()) {
        const offset = BigInt(index) * page;
        const memory = BigInt(buffer) + offset;
        await io.mapFixed(
          ioasId,
          memory,
          page,
          iova + offset,
          undefined,
          right,
        );
      }
      const access = await io.mock.createAccess(ioasId, true);
      return { ...self, iova, access };
    },
    async finish({ io, access, stdevId }) {
      await io.mock.checkRefs(io.buffer, 4n * io.page, stdevId ? 1 : 0);
      await io.mock.destroyAccess(access);
    },
  }, (t) => {
    for (const [right, first] of [["read", 0n], ["write", 2n]] as const) {
      for (const verb of ["read", "write"]) {
        const errno = verb === right ? undefined : EPERM;
        const write = verb === "write";
        for (const path of [0, MOCK_ACCESS_RW_SLOW_PATH]) {
          const how = path ? ", the slow way" : "";
          t.case(`${verb} into one for ${right}ing${how}`, (state) => {
            const { io, iova, access } = state;
            return io.mock.accessRw(access, {
              iova: iova + first * io.page + 8n,
              length: io.page,
              uptr: io.scratch,
              flags: path | (write ? MOCK_ACCESS_RW_WRITE : 0),
            }, errno);
          });
        }
        t.case(`pin to ${verb} into one for ${right}ing`, async (state) => {
          const { io, iova, access } = state;
          const offset = first * io.page;
          const item = await io.mock.accessPages(access, {
            iova: iova + offset,
            length: 2n * io.page,
            uptr: BigInt(io.buffer) + offset,
            flags: write ? MOCK_FLAGS_ACCESS_WRITE : 0,
          }, errno);
          if (!errno) await io.mock.destroyAccessPages(access, item);
        });
      }
    }
  });
}
