// SPDX-License-Identifier: GPL-2.0-only

/** What a user of the package may write, for the compiler: nothing of it runs. */

import { IommufdClient, Kernel } from "@iommufd/kit";
import { main } from "@iommufd/kit/cli";
import type { KernelCore } from "@iommufd/kit/internals";
import type { Target } from "@iommufd/kit/target";
import { IommuIoasMap } from "@iommufd/kit/uapi";

/** Uses something of each entry point. */
export async function useAll(target: Target): Promise<number> {
  const kernel: KernelCore & Kernel = new Kernel();
  using iommufd = IommufdClient.open(kernel.spawn());
  const { ioasId } = iommufd.ioasAlloc();
  const { iova } = IommuIoasMap.decode(IommuIoasMap.encode({ ioasId }));
  await target.close();
  return iova === 0n ? 0 : await main(["--list"]);
}
