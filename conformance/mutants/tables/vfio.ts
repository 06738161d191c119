// SPDX-License-Identifier: GPL-2.0-only

/**
 * Faults of VFIO devices.
 *
 * @module
 */

import { inFile, type Mutant } from "../mutant.ts";

/** See the module. */
export const VFIO_MUTANTS: readonly Mutant[] = [
  ...inFile("impl/vfio/device.ts", [{
    name: "vfio-two-owners",
    find: "if (this.#opened > 0) {",
    replace: "if (false) {",
    breaks: "A device can be bound through two descriptors",
    killer: "kit_vfio_device.one_owner",
  }, {
    name: "vfio-attach-again",
    find: "this.#attached ? idev.replace(ptId) : idev.attach(ptId)",
    replace: "idev.attach(ptId)",
    breaks: "A device that is attached cannot be attached elsewhere",
    killer: "kit_vfio_device.attach",
  }, {
    name: "vfio-close-leaves-pasid",
    find:
      "    for (const pasid of [...this.#pasids]) this.detachPasid(pasid);\n",
    replace: "",
    breaks: "A closed device stays attached for a PASID",
    killer: "kit_vfio_device.pasid",
  }]),
  ...inFile("impl/vfio/pci/config.ts", [{
    name: "vfio-bar-size",
    find: "& -bar.size | bar.flags",
    replace: "| bar.flags",
    breaks: "A BAR does not tell its size",
    killer: "kit_vfio_config.bars",
  }, {
    name: "vfio-msi-by-config",
    find: "if (!isOn) flags &= ~pci.PCI_MSI_FLAGS_ENABLE;",
    replace: "",
    breaks: "MSI can be switched on in configuration space",
    killer: "kit_vfio_config.messages",
  }, {
    name: "vfio-ids-writable",
    find: "this.#declare(pci.PCI_VENDOR_ID, 4, all, 0);",
    replace: "this.#declare(pci.PCI_VENDOR_ID, 4, all, all);",
    breaks: "A user can change the ids of a device",
    killer: "kit_vfio_config.header",
  }]),
  ...inFile("impl/vfio/pci/pci_device.ts", [{
    name: "vfio-reset-config",
    find: "    device.config.restore(before);\n    this.#open",
    replace: "    this.#open",
    breaks: "A reset takes the configuration space with it",
    killer: "kit_vfio_config.reset_keeps",
  }, {
    name: "vfio-memory-stays",
    find: "      if (bar !== undefined && !bar.isIo) bar.resize(answers);",
    replace: "",
    breaks: "Memory can be accessed by a mapping while it is off",
    killer: "kit_vfio_region.memory_off",
  }, {
    name: "vfio-power-ignored",
    find: "return state < D3HOT && ",
    replace: "return ",
    breaks: "Memory answers in D3hot",
    killer: "kit_vfio_region.power_off",
  }]),
  ...inFile("impl/vfio/pci/irqs.ts", [{
    name: "vfio-irq-undo",
    find:
      "        for (let undo = start; undo < vector; undo++) this.#disconnect(undo);\n",
    replace: "",
    breaks: "A range of vectors of which one fails stays connected",
    killer: "kit_vfio_irq.msix",
  }, {
    name: "vfio-irq-stays-on",
    find: "        if (!isOn) this.#disableMessages();\n",
    replace: "",
    breaks: "A failed call leaves messages on",
    killer: "kit_vfio_irq.msi",
  }, {
    name: "vfio-irq-two-kinds",
    find:
      "if (!isOn && this.#mode !== undefined) throw OTHER_IS_ON;\n    if (type",
    replace: "if (type",
    breaks: "MSI and MSI-X are on together",
    killer: "kit_vfio_irq.msix",
  }]),
  ...inFile("impl/vfio/pci/regions.ts", [{
    name: "vfio-msix-table",
    find: "if (hidden) part.fill(0xff);\n      else ",
    replace: "",
    breaks: "The table of MSI-X can be read",
    killer: "kit_vfio_region.access",
  }, {
    name: "vfio-mapping-loose",
    find: "open: () => void hold.get(),",
    replace: "open: () => hold,",
    breaks: "A mapping does not hold the device",
    killer: "kit_vfio_device.mapping_holds_device",
  }]),
  ...inFile("impl/vfio/device.ts", [{
    name: "vfio-pasid-beyond",
    find: "if (pasid > MOST_PASID) {",
    replace: "if (false) {",
    breaks: "A PASID of 2^31 is looked at by iommufd",
    killer: "kit_vfio_device.pasid",
  }]),
  ...inFile("impl/pci/iommu.ts", [{
    name: "pci-detached-dma",
    find: "    pci.translations.set(pasid, this);",
    replace:
      '    if (this.type !== "blocked") pci.translations.set(pasid, this);',
    breaks: "A detached device goes on with its DMA",
    killer: "kit_vfio_dma.detached",
  }]),
  ...inFile("impl/iommu/amdv1/page_table.ts", [{
    name: "dma-rights",
    find:
      "if ((high & this.#attributesOf(access) & (IR | IW)) === 0) return undefined;",
    replace: "if (high === 0) return undefined;",
    breaks: "A device writes memory that is mapped for reading",
    killer: "kit_vfio_dma.read_only",
  }]),
  ...inFile("impl/vfio/group.ts", [{
    name: "vfio-group-and-device",
    find: "    this.#blocks++;\n",
    replace: "",
    breaks: "A group can be opened while a device of it is bound",
    killer: "kit_vfio_group.one_user",
  }, {
    name: "vfio-group-twice",
    find:
      'if (this.#isOpen) throw EBUSY.because("the group is open");\n    this.#isOpen',
    replace: "this.#isOpen",
    breaks: "A group can be opened twice",
    killer: "kit_vfio_group.one_user",
  }]),
  ...inFile("impl/vfio/group_file.ts", [{
    name: "vfio-name-prefix",
    find: 'if (rest !== "" && !rest.startsWith(" ")) continue;',
    replace: "",
    breaks: "A device is found by a name that begins as its own",
    killer: "kit_vfio_group.names",
  }, {
    name: "vfio-status-owned",
    find: ": iommuGroup.ownerCnt === 0\n",
    replace: ": true\n",
    breaks: "A group that somebody owns is viable",
    killer: "kit_vfio_group.container_goes_first",
  }]),
  ...inFile("impl/vfio/pci/pci_device.ts", [{
    name: "vfio-low-power-open",
    find: " && !this.#lowPower;",
    replace: ";",
    breaks: "A BAR can be accessed in low power",
    killer: "kit_vfio_feature.low_power",
  }]),
  ...inFile("impl/vfio/pci/dma_buf.ts", [{
    name: "vfio-buffer-off",
    find:
      'if (this.#revoked) throw ENODEV.because("the device\'s memory is off");',
    replace: "",
    breaks: "A DMA buffer can be mapped while memory is off",
    killer: "kit_vfio_feature.dma_buf",
  }]),
  ...inFile("impl/vfio/pci/vf_token.ts", [{
    name: "vfio-token-any",
    find: "if (!token.equals(uuid)) throw",
    replace: "if (false) throw",
    breaks: "A virtual function is opened with any token",
    killer: "kit_vfio_token.virtual",
  }, {
    name: "vfio-token-none",
    find: 'if (uuid === undefined) throw EACCES.because("a token is needed");',
    replace: "if (uuid === undefined) return;",
    breaks: "A virtual function is opened without a token",
    killer: "kit_vfio_token.virtual",
  }, {
    name: "vfio-token-users",
    find: "physFn !== undefined || token.users > 0",
    replace: "physFn !== undefined",
    breaks: "Who opens the device takes it from the users of virtual functions",
    killer: "kit_vfio_token.physical",
  }, {
    name: "vfio-token-not-set",
    find: "} else if (uuid !== undefined) token.set(uuid);",
    replace: "}",
    breaks: "The token that the device is opened with is forgotten",
    killer: "kit_vfio_token.virtual",
  }]),
  ...inFile("impl/vfio/group_file.ts", [{
    name: "vfio-token-twice",
    find: "uuid === undefined || words.length > 1",
    replace: "uuid === undefined",
    breaks: "The name of a device has two tokens",
    killer: "kit_vfio_token.group",
  }]),
  ...inFile("impl/pci/sriov.ts", [{
    name: "sriov-too-many",
    find: "if (count > this.totalVfs) throw ERANGE;",
    replace: "",
    breaks: "A device is asked for more virtual functions than it can have",
    killer: "kit_vfio_sriov.count",
  }, {
    name: "sriov-some-more",
    find: "if (count > 0 && this.numVfs > 0) {",
    replace: "if (false) {",
    breaks: "Some virtual functions can be added to others",
    killer: "kit_vfio_sriov.all_or_none",
  }]),
  ...inFile("impl/vfio/vfio.ts", [{
    name: "sriov-file-stays",
    find: "    this.#kernel.unregisterDevice(pathOf(device));\n",
    replace: "",
    breaks: "A virtual function that is gone has a file",
    killer: "kit_vfio_sriov.come_and_go",
  }, {
    name: "sriov-asleep",
    find: "      this.deviceOf(pci)!.core.powerUp();\n",
    replace: "",
    breaks: "A device sleeps while it has virtual functions",
    killer: "kit_vfio_sriov.keeps_awake",
  }]),
  ...inFile("impl/vfio/pci/config.ts", [{
    name: "sriov-no-ids",
    find: "    if (device.function.physFn !== undefined) this.#addVirtual();\n",
    replace: "",
    breaks: "A virtual function has no ids",
    killer: "kit_vfio_sriov.config",
  }, {
    name: "sriov-sleeps",
    find: "if (state !== 0 && this.#device.function.sriov?.numVfs) return;",
    replace: "",
    breaks: "A device with virtual functions can be put to sleep",
    killer: "kit_vfio_sriov.keeps_awake",
  }]),
  ...inFile("impl/vfio/migration/next_state.ts", [{
    name: "migration-back-to-precopy",
    find: '"01131100"',
    replace: '"01131166"',
    breaks: "What has stopped and is read can be read while it runs again",
    killer: "kit_vfio_migration.states",
  }, {
    name: "migration-p2p",
    find: "(NEEDS[state]! & ~flags) === 0",
    replace: "true",
    breaks: "A device goes to states that it has not",
    killer: "kit_vfio_migration.states",
  }]),
  ...inFile("impl/vfio/migration/migration.ts", [{
    name: "migration-runs-on",
    find:
      "    if (isRunning(from) !== isRunning(to)) this.#strategy.run(isRunning(to));\n",
    replace: "",
    breaks: "A device that has stopped does DMA",
    killer: "kit_vfio_migration.stopped",
  }, {
    name: "migration-no-error",
    find: "      this.#state = VFIO_DEVICE_STATE_ERROR;\n",
    replace: "",
    breaks: "A device that cannot be what was written is not in error",
    killer: "kit_vfio_migration.bad_data",
  }, {
    name: "migration-file-stays",
    find: "    if (isSaving(from) && !isSaving(to)) this.#endFile();\n",
    replace: "",
    breaks: "A device that is not moved any more can be read",
    killer: "kit_vfio_migration.states",
  }]),
  ...inFile("impl/pci/dma_log.ts", [{
    name: "dma-log-keeps",
    find: "      this.#written.delete(page);\n",
    replace: "",
    breaks: "What a device wrote is told twice",
    killer: "kit_vfio_migration.log",
  }, {
    name: "dma-log-all",
    find: "if (this.#isWanted(page)) this",
    replace: "this",
    breaks: "Pages that nobody asked for are told",
    killer: "kit_vfio_migration.log",
  }]),
  ...inFile("impl/vfio/migration/dma_logging.ts", [{
    name: "dma-log-overlap",
    find: "if (overlaps) throw",
    replace: "if (false) throw",
    breaks: "Ranges may overlap",
    killer: "kit_vfio_migration.log_errno",
  }]),
  ...inFile("impl/vfio/group.ts", [{
    name: "noiommu-anybody",
    find: "if (this.isNoIommu && !task.capable(CAP_SYS_RAWIO)) {",
    replace: "if (false) {",
    breaks: "Anybody opens a device without an IOMMU",
    killer: "kit_vfio_noiommu.permission",
  }]),
  ...inFile("impl/vfio/group_file.ts", [{
    name: "noiommu-translates",
    find: "if (group.isNoIommu) vfioCompatSetNoIommu(file);",
    replace: "if (false) vfioCompatSetNoIommu(file);",
    breaks: "A container of a device without an IOMMU has types with one",
    killer: "kit_vfio_noiommu.group_iommufd",
  }]),
  ...inFile("impl/vfio/type1/container.ts", [{
    name: "noiommu-type1",
    find: "if (type !== VFIO_NOIOMMU_IOMMU) {",
    replace: "if (false) {",
    breaks: "A device without an IOMMU gets type1",
    killer: "kit_vfio_noiommu.group_type1",
  }, {
    name: "noiommu-ioctls",
    find: "    if (this.#isNoIommu) throw NO_IOCTL;\n",
    replace: "",
    breaks: "A container without an IOMMU has type1's ioctls",
    killer: "kit_vfio_noiommu.group_type1",
  }]),
  ...inFile("impl/pci/bus.ts", [{
    name: "noiommu-blocked",
    find:
      "else pci.translations.set(IOMMU_NO_PASID, new PassthroughDomain(this.#ops));",
    replace: "",
    breaks: "A device without an IOMMU does no DMA",
    killer: "kit_vfio_noiommu.own_dma",
  }]),
  ...inFile("impl/pci/rom.ts", [{
    name: "rom-behind-images",
    find: "const end = Math.min(offset + to.length, this.length);",
    replace: "const end = offset + to.length;",
    breaks: "What is behind the images of a ROM is read",
    killer: "kit_vfio_rom.read",
  }]),
  ...inFile("impl/vfio/pci/regions.ts", [{
    name: "rom-memory-off",
    find: "if (at < rom.length && !device.memoryEnabled) {",
    replace: "if (false) {",
    breaks: "A ROM is read while memory is off",
    killer: "kit_vfio_rom.memory_off",
  }, {
    name: "rom-no-image",
    find: "if (rom.length === 0) throw ENOMEM",
    replace: "if (false) throw ENOMEM",
    breaks: "A ROM without images is read",
    killer: "kit_vfio_rom.no_image",
  }]),
  ...inFile("impl/vfio/group.ts", [{
    name: "group-one-is-all",
    find: "    this.#blocks--;",
    replace: "    this.#blocks = 0;",
    breaks: "A group is free once one of its devices is",
    killer: "kit_vfio_groups.one_owner",
  }]),
  ...inFile("impl/vfio/type1/container.ts", [{
    name: "group-leaves-with-one-open",
    find: "if (this.#groups.get(group)! > 0) {",
    replace: "if (this.#groups.get(group)! > 1) {",
    breaks: "A group leaves its container while one of its devices is open",
    killer: "kit_vfio_groups.type1",
  }]),
  ...inFile("impl/vfio/pci/hot_reset.ts", [{
    name: "group-resets-one",
    find: "for (const pci of functions) device.group",
    replace: "for (const pci of [device.pci]) device.group",
    breaks: "A reset of a bus resets one device",
    killer: "kit_vfio_groups.reset",
  }]),
];
