// SPDX-License-Identifier: GPL-2.0-only

/**
 * Faults of what a user asks of a PCI device: information, regions, interrupts,
 * features.
 *
 * @module
 */

import { inFile, type Mutant } from "../mutant.ts";

/** See the module. */
export const VFIO_PCI_MUTANTS: readonly Mutant[] = [
  ...inFile("impl/vfio/pci/info.ts", [
    {
      name: "vfio-info-room",
      find: "task.mm.copyToUser(uaddr, bytes.subarray(0, cmd.argsz));",
      replace: "task.mm.copyToUser(uaddr, bytes);",
      breaks: "GET_INFO writes more than there is room for",
      killer: "kit_vfio_device.info",
    },
    {
      name: "vfio-region-room",
      find: "if (cmd.argsz < bytes.length + cap.length) {",
      replace: "if (false) {",
      breaks: "A capability of a region is written without room",
      killer: "kit_vfio_device.regions",
    },
    {
      name: "vfio-region-offset",
      find: "      cmd.capOffset = 0;\n",
      replace: "",
      breaks: "Without room, a capability is where the caller said",
      killer: "kit_vfio_device.regions",
    },
    {
      name: "vfio-region-ports",
      find: "if (!isMappable(bar)) return",
      replace: "if (false) return",
      breaks: "Ports are said to be mapped",
      killer: "kit_vfio_device.regions",
    },
    {
      name: "vfio-irq-unknown",
      find: "  if (cmd.index >= VFIO_PCI_NUM_IRQS) throw NO_IRQS;\n",
      replace: "",
      breaks: "A kind of interrupts is told of that there is not",
      killer: "kit_vfio_device.irqs",
    },
    {
      name: "vfio-irq-automasked",
      find: "return VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED;",
      replace: "return VFIO_IRQ_INFO_MASKABLE;",
      breaks: "The legacy interrupt is not said to mask itself",
      killer: "kit_vfio_device.irqs",
    },
    {
      name: "vfio-irq-range",
      find: " || start + count > max) throw NO_IRQS;",
      replace: ") throw NO_IRQS;",
      breaks: "Vectors beyond the last one are taken",
      killer: "kit_vfio_irq.errno",
    },
    {
      name: "vfio-irq-short",
      find: "  checkSize(argsz - VfioIrqSet.size, count * width);\n",
      replace: "",
      breaks: "Less data than vectors is taken",
      killer: "kit_vfio_irq.errno",
    },
  ]),
  ...inFile("impl/vfio/pci/irqs.ts", [
    {
      name: "vfio-intx-eventfd-masks",
      find: 'throw ENOTTY.because("an eventfd cannot mask");',
      replace: "return 0;",
      breaks: "An eventfd can mask the legacy interrupt",
      killer: "kit_vfio_irq.intx",
    },
    {
      name: "vfio-intx-mask-off",
      find:
        "    if (this.#mode !== VFIO_PCI_INTX_IRQ_INDEX) throw NONE_IS_ON;\n    if",
      replace: "    if",
      breaks: "An interrupt that is off can be masked",
      killer: "kit_vfio_irq.errno",
    },
    {
      name: "vfio-irq-no-vector",
      find:
        '    if (count === 0) throw ERANGE.because("no vector is asked for");\n',
      replace: "",
      breaks: "Messages are switched on without a vector",
      killer: "kit_vfio_irq.errno",
    },
    {
      name: "vfio-irq-fired-off",
      find: "    if (!isOn) throw NONE_IS_ON;\n    for",
      replace: "    for",
      breaks: "Messages are fired while they are off",
      killer: "kit_vfio_irq.msi",
    },
    {
      name: "vfio-single-negative",
      find:
        '    if (fd < -1) throw EINVAL.because("the descriptor cannot be one");\n',
      replace: "",
      breaks: "Any negative number removes an eventfd",
      killer: "kit_vfio_irq.single",
    },
    {
      name: "vfio-single-unset",
      find: "  if (!trigger.isSet) throw NONE_IS_ON;\n",
      replace: "",
      breaks: "An interrupt without eventfd is fired",
      killer: "kit_vfio_irq.single",
    },
    {
      name: "vfio-single-stays",
      find: "if (count === 0) trigger.replace(undefined);",
      replace: "if (false) trigger.replace(undefined);",
      breaks: "An eventfd of errors stays",
      killer: "kit_vfio_irq.single",
    },
    {
      name: "vfio-irq-bytes",
      find: "return type !== VFIO_IRQ_SET_DATA_BOOL || data[i] !== 0;",
      replace: "return true;",
      breaks: "A byte of 0 fires a vector",
      killer: "kit_vfio_irq.msi",
    },
    {
      name: "vfio-irq-enable-bit",
      find: "config.set(at, 2, enabled ? flags | bit : flags);",
      replace: "config.set(at, 2, flags);",
      breaks: "Configuration space does not show that messages are on",
      killer: "kit_vfio_irq.msix",
    },
    {
      name: "vfio-intx-unmask-stays",
      find: "if (fd < 0) this.#unmask.disable();",
      replace: "if (fd < 0) return 0;",
      breaks: "An eventfd that unmasks cannot be removed",
      killer: "kit_vfio_irq.intx",
    },
  ]),
  ...inFile("impl/vfio/pci/signal.ts", [
    {
      name: "vfio-unmask-twice",
      find: "if (this.#eventfd !== undefined) {\n      eventfd.put();",
      replace: "if (false) {\n      eventfd.put();",
      breaks: "Two eventfds unmask",
      killer: "kit_vfio_irq.intx",
    },
    {
      name: "vfio-waiter-forgets-count",
      find: "    if (counts()) this.#actOnce();\n",
      replace: "",
      breaks: "Nothing happens for what an eventfd counted before",
      killer: "kit_vfio_feature.ioeventfd",
    },
    {
      name: "vfio-waiter-takes-count",
      find: "    if (counts()) this.#actOnce();\n",
      replace: "    if (counts()) eventfd.take(), this.#actOnce();\n",
      breaks: "What an eventfd counted before is taken",
      killer: "kit_vfio_feature.ioeventfd",
    },
  ]),
  ...inFile("impl/vfio/pci/regions.ts", [
    {
      name: "vfio-config-beyond",
      find:
        'throw EFAULT.because("it is beyond the end of configuration space");',
      replace: "return done;",
      breaks: "An access beyond configuration space ends there",
      killer: "kit_vfio_config.length",
    },
    {
      name: "vfio-bar-beyond",
      find:
        'if (at >= bar.size) throw EINVAL.because("it is beyond the end of the BAR");',
      replace: "if (at >= bar.size) return 0;",
      breaks: "An access beyond a BAR does nothing",
      killer: "kit_vfio_region.access",
    },
    {
      name: "vfio-memory-off-errno",
      find:
        '!device.memoryEnabled) {\n      throw EIO.because("the device\'s memory is off");',
      replace:
        '!device.memoryEnabled) {\n      throw EINVAL.because("the device\'s memory is off");',
      breaks: "Memory that is off has another errno",
      killer: "kit_vfio_region.memory_off",
    },
    {
      name: "vfio-map-private",
      find:
        '  if (!shared) throw EINVAL.because("memory of a device cannot be private");\n',
      replace: "",
      breaks: "A BAR is mapped privately",
      killer: "kit_vfio_region.mmap",
    },
    {
      name: "vfio-map-beyond",
      find: "if (at + length > end) {",
      replace: "if (false) {",
      breaks: "A BAR is mapped beyond its end",
      killer: "kit_vfio_region.mmap",
    },
    {
      name: "vfio-map-ports",
      find: "return !bar.isIo;",
      replace: "return true;",
      breaks: "Ports can be mapped",
      killer: "kit_vfio_region.mmap",
    },
  ]),
  ...inFile("impl/vfio/pci/config.ts", [
    {
      name: "vfio-command-fixed",
      find:
        "this.#declare(pci.PCI_COMMAND, 2, pci.PCI_COMMAND_INTX_DISABLE, all);",
      replace:
        "this.#declare(pci.PCI_COMMAND, 2, pci.PCI_COMMAND_INTX_DISABLE, 7);",
      breaks: "Bits of the command register cannot be written",
      killer: "kit_vfio_config.header",
    },
    {
      name: "vfio-pin-writable",
      find: "this.#declare(pci.PCI_INTERRUPT_PIN, 1, all, 0);",
      replace: "this.#declare(pci.PCI_INTERRUPT_PIN, 1, all, all);",
      breaks: "The interrupt pin can be written",
      killer: "kit_vfio_config.header",
    },
    {
      name: "vfio-line-fixed",
      find: "this.#declare(pci.PCI_INTERRUPT_LINE, 1, all, all);",
      replace: "this.#declare(pci.PCI_INTERRUPT_LINE, 1, all, 0);",
      breaks: "The interrupt line cannot be written",
      killer: "kit_vfio_config.header",
    },
    {
      name: "vfio-flr-stays",
      find: "    this.#mix(devctl, 2, 0, pci.PCI_EXP_DEVCTL_BCR_FLR);\n",
      replace: "",
      breaks: "The bit that resets a function reads 1",
      killer: "kit_vfio_config.function_reset",
    },
    {
      name: "vfio-flr-ignored",
      find: "if (cap & pci.PCI_EXP_DEVCAP_FLR) this.#actions.resetFunction();",
      replace: "",
      breaks: "The bit that resets a function does nothing",
      killer: "kit_vfio_config.function_reset",
    },
    {
      name: "vfio-msi-size",
      find: "if ((flags & pci.PCI_MSI_FLAGS_QSIZE) >> 4 > log2) {",
      replace: "if (false) {",
      breaks: "More messages are set up than were switched on",
      killer: "kit_vfio_config.messages",
    },
    {
      name: "vfio-no-bar",
      find: "        store(this.#user, at, 4, 0);\n        continue;",
      replace: "        continue;",
      breaks: "A BAR that is not there keeps what is written",
      killer: "kit_vfio_config.bars",
    },
  ]),
  ...inFile("impl/vfio/cdev.ts", [
    {
      name: "vfio-bind-negative",
      find:
        '  if (cmd.iommufd < 0) throw EINVAL.because("the descriptor cannot be one");\n',
      replace: "",
      breaks: "A negative descriptor has another errno",
      killer: "kit_vfio_device.bind_errno",
    },
    {
      name: "vfio-bind-flags",
      find: "  checkFlags(cmd.flags, known);\n",
      replace: "",
      breaks: "BIND takes unknown flags",
      killer: "kit_vfio_device.bind_errno",
    },
    {
      name: "vfio-bind-tail",
      find: "if (!isZero) {",
      replace: "if (false) {",
      breaks: "BIND takes a longer struct whatever it has",
      killer: "kit_vfio_device.bind_errno",
    },
    {
      name: "vfio-bind-of-group",
      find:
        '  if (file.isOfGroup) throw EINVAL.because("the descriptor is of a group");\n',
      replace: "",
      breaks: "A device of a group can be bound",
      killer: "kit_vfio_group.device",
    },
    {
      name: "vfio-attach-untold",
      find: "    device.detach();\n    throw error;",
      replace: "    throw error;",
      breaks: "A device stays attached where the id cannot be told",
      killer: "kit_vfio_device.attach",
    },
    {
      name: "vfio-pasid-short",
      find: "    checkSize(cmd.argsz, layout.size);\n    task",
      replace: "    task",
      breaks: "A PASID is read from a struct that has none",
      killer: "kit_vfio_device.pasid",
    },
  ]),
  ...inFile("impl/vfio/pci/features.ts", [
    {
      name: "vfio-feature-ops",
      find: "if ((flags & both & ~found.ops) !== 0) {",
      replace: "if (false) {",
      breaks: "A feature is set that can only be got",
      killer: "kit_vfio_feature.errno",
    },
    {
      name: "vfio-feature-probe",
      find: "  if (probes) return 0;\n",
      replace: "",
      breaks: "To probe for a feature is to use it",
      killer: "kit_vfio_feature.probe",
    },
    {
      name: "vfio-feature-short",
      find: "  checkSize(argsz - layout.size, found.size);\n",
      replace: "",
      breaks: "A feature is used with a short struct",
      killer: "kit_vfio_feature.errno",
    },
    {
      name: "vfio-feature-neither",
      find: "if ((flags & both) === 0) {",
      replace: "if (false) {",
      breaks: "A feature is used without GET or SET",
      killer: "kit_vfio_feature.errno",
    },
    {
      name: "vfio-wakeup-negative",
      find:
        '  if (fd < 0) throw EINVAL.because("the descriptor cannot be one");\n',
      replace: "",
      breaks: "A negative descriptor is looked up",
      killer: "kit_vfio_feature.wakeup",
    },
  ]),
  ...inFile("impl/vfio/pci/hot_reset.ts", [
    {
      name: "vfio-hot-reset-flags",
      find:
        '  if (cmd.flags !== 0) throw EINVAL.because("a flag is unknown");\n',
      replace: "",
      breaks: "A reset of a bus takes unknown flags",
      killer: "kit_vfio_feature.hot_reset",
    },
    {
      name: "vfio-hot-reset-groups",
      find: "if (cmd.count > 0 !== isOfGroup) {",
      replace: "if (false) {",
      breaks: "A device with a file of its own names groups",
      killer: "kit_vfio_feature.hot_reset",
    },
    {
      name: "vfio-hot-reset-root",
      find: "if (busNumber === 0 || ",
      replace: "if (",
      breaks: "A bus without a bridge is reset",
      killer: "kit_vfio_feature.hot_reset",
    },
  ]),
  ...inFile("impl/vfio/pci/ioeventfd.ts", [
    {
      name: "vfio-ioeventfd-twice",
      find:
        'if (fd !== -1) throw EEXIST.because("there is one that writes the same");',
      replace: "",
      breaks: "Two eventfds write the same",
      killer: "kit_vfio_feature.ioeventfd",
    },
    {
      name: "vfio-ioeventfd-none",
      find:
        '    if (fd === -1) throw ENODEV.because("there is none that writes that");\n',
      replace: "",
      breaks: "An eventfd that there is not is removed in another way",
      killer: "kit_vfio_feature.ioeventfd",
    },
    {
      name: "vfio-ioeventfd-many",
      find: "if (this.#waiters.size >= MAX_IOEVENTFDS) {",
      replace: "if (false) {",
      breaks: "There is no end of eventfds",
      killer: "kit_vfio_feature.ioeventfd",
    },
    {
      name: "vfio-ioeventfd-width",
      find: "if (![1, 2, 4, 8].includes(count) || fd < -1) {",
      replace: "if (fd < -1) {",
      breaks: "Several widths are taken at once",
      killer: "kit_vfio_feature.ioeventfd",
    },
    {
      name: "vfio-ioeventfd-beyond",
      find: " || at + count > bar.size) {",
      replace: ") {",
      breaks: "An eventfd writes beyond the end of a BAR",
      killer: "kit_vfio_feature.ioeventfd",
    },
    {
      name: "vfio-ioeventfd-table",
      find: "if (at < tableEnd && at + count > tableStart) {",
      replace: "if (false) {",
      breaks: "An eventfd writes to the table of MSI-X",
      killer: "kit_vfio_feature.ioeventfd",
    },
  ]),
  ...inFile("impl/vfio/pci/dma_buf.ts", [
    {
      name: "vfio-buffer-empty",
      find: "if (nrRanges === 0 || flags !== 0) {",
      replace: "if (flags !== 0) {",
      breaks: "A buffer has no range",
      killer: "kit_vfio_feature.dma_buf_errno",
    },
    {
      name: "vfio-buffer-beyond",
      find: "if (offset + length > BigInt(bar.size)) {",
      replace: "if (false) {",
      breaks: "A buffer ends beyond its BAR",
      killer: "kit_vfio_feature.dma_buf_errno",
    },
    {
      name: "vfio-buffer-unaligned",
      find: " || offset % page !== 0n",
      replace: "",
      breaks: "A buffer begins within a page",
      killer: "kit_vfio_feature.dma_buf_errno",
    },
    {
      name: "vfio-buffer-ranges",
      find: "if (more !== undefined) {",
      replace: "if (false) {",
      breaks: "A buffer of several ranges is mapped as its first",
      killer: "kit_vfio_feature.dma_buf",
    },
  ]),
];
