// SPDX-License-Identifier: GPL-2.0-only

/**
 * A typed client of a group of VFIO's: it is put into a container, and opens
 * its devices by their names.
 *
 * @module
 */

import type { Process } from "../kernel/simulated/process.ts";
import * as uapi from "../uapi/vfio/device.ts";
import { ClientFile, descriptorOf, openPath } from "./client_file.ts";
import { check, ScratchMemory } from "./descriptor.ts";
import { VfioDevice } from "./vfio_device.ts";

/**
 * An open group of a process. The container is `/dev/iommu` or
 * `/dev/vfio/vfio`: `IommufdClient.open` opens either, and its `vfio` has the
 * ioctls of both. A call that fails throws an `IommufdError`, which says why.
 *
 * @example
 * ```ts
 * import { CopyEngine, IommufdClient, Kernel, VfioGroup } from "@iommufd/kit";
 *
 * const kernel = new Kernel({ vfioContainer: "type1" });
 * const { pci } = kernel.addPciDevice(new CopyEngine());
 * const process = kernel.spawn();
 * using container = IommufdClient.open(process, "/dev/vfio/vfio");
 * using group = VfioGroup.open(process, pci.group!.id);
 * group.setContainer(container);
 * container.vfio.setIommu(3);
 * using device = group.device(pci.name);
 * console.log(device.load(0, 0)); // 826363204: "DMA1"
 * ```
 */
export class VfioGroup extends ClientFile {
  readonly #descriptor = descriptorOf(this);

  /** Opens a group by its number. Throws ENOENT without such a group, EBUSY while it is open, or a device of it is bound. */
  static open(process: Process, number: number): VfioGroup {
    return new VfioGroup(process, openPath(process, `/dev/vfio/${number}`));
  }

  /** VFIO_GROUP_GET_STATUS: whether its devices can be used, and whether it is in a container. */
  status(): { isViable: boolean; hasContainer: boolean } {
    const { flags } = this.#descriptor.call(uapi.VfioGroupStatus, {});
    return {
      isViable: (flags & uapi.VFIO_GROUP_FLAGS_VIABLE) !== 0,
      hasContainer: (flags & uapi.VFIO_GROUP_FLAGS_CONTAINER_SET) !== 0,
    };
  }

  /** VFIO_GROUP_SET_CONTAINER. Throws EINVAL if it is in one, EBADFD for another file, EPERM or EBUSY if somebody else has its DMA. */
  setContainer(container: { readonly fd: number }): void {
    const bytes = new Uint8Array(Int32Array.of(container.fd).buffer);
    this.#withBytes(uapi.VfioGroupSetContainer.ioctl, bytes, {
      fd: container.fd,
    });
  }

  /** VFIO_GROUP_UNSET_CONTAINER. Throws EINVAL if it is in none, EBUSY where devices of it are open. */
  unsetContainer(): void {
    this.#descriptor.callNumber(uapi.VfioGroupUnsetContainer, "arg", 0);
  }

  /**
   * VFIO_GROUP_GET_DEVICE_FD: opens a device by its name, as `0000:00:04.0`; a
   * virtual function, and the device of open ones, with their token. Throws
   * ENODEV for another name, EINVAL without a container or its type, EACCES for
   * another token.
   */
  device(name: string, options: { readonly token?: string } = {}): VfioDevice {
    const { token } = options;
    const text = token === undefined ? name : `${name} vf_token=${token}`;
    const bytes = new TextEncoder().encode(`${text}\0`);
    const { ioctl } = uapi.VfioGroupGetDeviceFd;
    const fd = this.#withBytes(ioctl, bytes, { name: text });
    return new VfioDevice(this.process, fd);
  }

  /** An ioctl with the address of bytes; returns its result. */
  #withBytes(
    { name, number }: { readonly name: string; readonly number: number },
    bytes: Uint8Array,
    args: Parameters<typeof check>[3],
  ): number {
    const { process, fd } = this;
    using scratch = new ScratchMemory(process, bytes.length);
    scratch.store(bytes);
    return check(
      process,
      process.ioctl(fd, number, scratch.address),
      name,
      args,
    );
  }
}
