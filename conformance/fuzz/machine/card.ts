// SPDX-License-Identifier: GPL-2.0-only

/**
 * What a machine's card says of itself, and of the IOMMU in front of it.
 *
 * @module
 */

import { HwInfoVtd } from "../../../impl/pci/iommu.ts";
import {
  IOMMU_HW_INFO_TYPE_INTEL_VTD,
  IommuHwInfo,
} from "../../../impl/uapi/iommufd.ts";
import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  O_RDWR,
  PROT_READ,
  PROT_WRITE,
} from "../../../impl/uapi/mman.ts";
import {
  VFIO_PCI_CONFIG_REGION_INDEX,
  VFIO_PCI_OFFSET_SHIFT,
  VfioDeviceBindIommufd as Bind,
} from "../../../impl/uapi/vfio/device.ts";
import type { ImplOptions } from "../../../selftests/target/impl_target.ts";
import {
  type Outcome,
  type Program,
  readValue,
} from "../../../selftests/target/program.ts";
import { call } from "../../../selftests/target/verbs.ts";
import { isFailure, type Side } from "../run/side.ts";

/** Where the IOMMU's answer is stored. */
const AT = 2 ** 40;
const PAGE = 4096;
const CONFIG = VFIO_PCI_CONFIG_REGION_INDEX * 2 ** VFIO_PCI_OFFSET_SHIFT;
/** Bytes of configuration space. */
const CONFIG_SIZE = 4096;

const [ON_DEVICE, ON_IOMMUFD] = [0, 1].map((step) => ({
  arg: 0,
  from: { step },
}));

function place({ offset }: { readonly offset: number }) {
  return { offset, bytes: 4 as const };
}

/** Binds the card, reads its configuration space, and asks what its IOMMU can do. */
const ASK: Program = [
  { call: call("open", "/dev/vfio/devices/vfio0", O_RDWR), patches: [] },
  { call: call("open", "/dev/iommu", O_RDWR), patches: [] },
  {
    call: call("ioctl", 0, Bind.ioctl.number, Bind.encode({})),
    patches: [ON_DEVICE!, {
      arg: 2,
      field: place(Bind.fields.iommufd),
      from: { step: 1 },
    }],
  },
  {
    call: call("pread", 0, new Uint8Array(CONFIG_SIZE), CONFIG),
    patches: [ON_DEVICE!],
  },
  {
    call: call(
      "mmap",
      AT,
      PAGE,
      PROT_READ | PROT_WRITE,
      MAP_ANONYMOUS | MAP_PRIVATE | MAP_FIXED,
      -1,
      0,
    ),
    patches: [],
  },
  {
    call: call(
      "ioctl",
      0,
      IommuHwInfo.ioctl.number,
      IommuHwInfo.encode({ dataLen: HwInfoVtd.size, dataUptr: BigInt(AT) }),
    ),
    patches: [ON_IOMMUFD!, {
      arg: 2,
      field: place(IommuHwInfo.fields.devId),
      from: { step: 2, field: place(Bind.fields.outDevid) },
    }],
  },
  { call: call("peek", AT, new Uint8Array(HwInfoVtd.size)), patches: [] },
].map((step) => ({ process: 0, ...step }));

/** What a card, and its IOMMU, are in a machine. */
type CardLikeness = Pick<ImplOptions, "firmware" | "vtd">;

/** What a side's card says; nothing where it has none, or does not tell. */
export async function cardOf(side: Side): Promise<CardLikeness> {
  if (!side.capabilities.includes("vfio_device")) return {};
  const ran = await side.run(ASK);
  if (isFailure(ran)) return {};
  const { outcomes } = ran;
  const config = backOf(outcomes[3]);
  const info = backOf(outcomes[5]);
  const registers = backOf(outcomes[6]);
  const { outDataType } = IommuHwInfo.fields;
  const isVtd = info !== undefined && registers !== undefined &&
    readValue(info, place(outDataType)) ===
      BigInt(IOMMU_HW_INFO_TYPE_INTEL_VTD);
  return {
    ...config?.length === CONFIG_SIZE && { firmware: config },
    ...isVtd && { vtd: HwInfoVtd.decode(registers) },
  };
}

/** What came back of a step that succeeded. */
function backOf(outcome: Outcome | undefined): Uint8Array | undefined {
  if (outcome?.kind !== "returned" || outcome.result < 0) return undefined;
  return outcome.back;
}
