// SPDX-License-Identifier: GPL-2.0-only

/** A device is plugged into a program that runs, and unplugged; whatever fails in the kernel, nothing is left half done. */

import { assert, assertEquals } from "@std/assert";
import {
  inspect,
  IommufdClient,
  IommufdError,
  Kernel,
  type Process,
  VfioDevice,
} from "@iommufd/kit";
import { TouchingDevice } from "./touching_device.ts";

/** Plugs a device in: the code to test. If a step fails, those before it are undone. */
function plug(
  process: Process,
  iommufd: IommufdClient,
  path: string,
  ioasId: number,
): VfioDevice {
  const device = VfioDevice.open(process, path);
  try {
    device.bind(iommufd);
    device.attach({ ptId: ioasId });
    return device;
  } catch (error) {
    device.close(); // which detaches and unbinds it
    throw error;
  }
}

Deno.test("a device that cannot be plugged in leaves nothing behind", () => {
  const kernel = new Kernel();
  const process = kernel.spawn();
  const iommufd = IommufdClient.open(process);
  const { ioasId } = iommufd.ioasAlloc();
  // The device comes while the program runs.
  kernel.addPciDevice(new TouchingDevice());
  const path = "/dev/vfio/devices/vfio0";
  const before = inspect(kernel);

  let failures = 0;
  for (let failNth = 1;; failNth++) {
    process.setFailNth(failNth);
    try {
      const device = plug(process, iommufd, path, ioasId);
      const wasHit = process.failNthLeft() === 0;
      process.setFailNth(0);
      device.close();
      if (!wasHit) break; // there are no more steps
    } catch (error) {
      if (!(error instanceof IommufdError)) throw error;
      process.setFailNth(0);
      failures++;
    }
    assertEquals(inspect(kernel), before, `after step ${failNth} failed`);
  }
  assert(failures > 5);

  process.exit();
  assertEquals(kernel.audit(), []);
});
