// SPDX-License-Identifier: GPL-2.0-only

/**
 * IO page faults: fault queues: what they hand out, how they are answered, and
 * what ends them (eventq.c).
 *
 * @module
 */

import type { Rule } from "./rule.ts";

/** The rules by code. */
export const FAULT_RULES = {
  "C0.5": {
    level: "uapi",
    since: "6.11",
    says:
      "A fault says by its flags whether it has a PASID and whether it is the last of its group; a fault by itself is the last.",
    where: "eventq.c iommufd_compose_fault_message",
  },
  "C0.6": {
    level: "uapi",
    since: "6.11",
    says:
      "A fault has the id of the device that it is of, its PASID, group, rights and address. Devices that share a HWPT share its queue, under their own ids.",
    where: "eventq.c iommufd_compose_fault_message",
  },
  "C0.11": {
    level: "uapi",
    since: "6.11",
    says:
      "An answer is a cookie and a code, SUCCESS or INVALID; any other code is EINVAL, and the fault still waits.",
    where: "eventq.c iommufd_fault_fops_write",
  },
  "C0.12": {
    level: "uapi",
    since: "6.11",
    says:
      "Only faults of this queue that were read and not answered yet can be answered: another cookie is EINVAL.",
    where: "eventq.c iommufd_fault_fops_write",
  },
  "C0.13": {
    level: "uapi",
    since: "6.11",
    says:
      "The kernel makes a cookie for each group of faults, by which it is answered.",
    where: "eventq.c iommufd_fault_fops_read",
  },
  "C0.20": {
    level: "uapi",
    since: "6.11",
    says:
      "FAULT_QUEUE_ALLOC makes an object and a descriptor; without a free descriptor it is EMFILE, and one that cannot be told of does not exist.",
    where: "eventq.c iommufd_fault_alloc",
  },
  "C0.21": {
    level: "uapi",
    since: "6.11",
    says:
      "A queue is held by its descriptor, until the last copy of it is closed, and by each HWPT that has it: DESTROY is EBUSY. The descriptor keeps the context alive.",
    where: "eventq.c iommufd_fault_alloc, iommufd_eventq_fops_release",
  },
  "C0.22": {
    level: "uapi",
    since: "6.11",
    says:
      "A read gives whole groups of faults, the oldest first, as many as there is room for. It never waits: 0 bytes where there is none. A length that is no multiple of a fault's, or a file position, is ESPIPE, and too little room for the first group EINVAL.",
    where: "eventq.c iommufd_fault_fops_read",
  },
  "C0.23": {
    level: "kernel",
    since: "6.11",
    says:
      "A cookie is the lowest free number from 1 on, given out when the fault is read.",
    where: "eventq.c iommufd_fault_fops_read",
  },
  "C0.24": {
    level: "kernel",
    since: "6.11",
    says:
      "Cookie 0 is not given out, until an answer to it comes while another one waits.",
    where: "eventq.c iommufd_fault_fops_write",
  },
  "C0.25": {
    level: "uapi",
    since: "6.11",
    says:
      "A write takes answers in order up to the first that is wrong; if there are any before it, it returns their bytes. A length that is no multiple of an answer's is ESPIPE.",
    where: "eventq.c iommufd_fault_fops_write",
  },
  "C0.26": {
    level: "uapi",
    since: "6.11",
    says:
      "poll() says that a queue can always be written, and read while there is a fault that nobody has read.",
    where: "eventq.c iommufd_eventq_fops_poll",
  },
  "C0.27": {
    level: "uapi",
    since: "6.11",
    says:
      "A device that leaves its HWPT has its faults answered for it, INVALID, unread ones too, even if it goes to a HWPT with the same queue. Those of other devices stay, and a move that fails changes nothing.",
    where:
      "eventq.c iommufd_auto_response_faults; device.c iommufd_hwpt_replace_device, iommufd_device_do_replace",
  },
  "C0.28": {
    level: "uapi",
    since: "6.11",
    says: "What is left in a queue when the context is closed is answered.",
    where: "eventq.c iommufd_fault_destroy; main.c iommufd_fops_release",
  },
  "C0.29": {
    level: "uapi",
    since: "6.11",
    says:
      "HWPT_ALLOC takes a fault queue that exists (ENOENT) for a nested HWPT, and since 6.14 for one of an IOAS that is not to be a parent.",
    where: "hw_pagetable.c iommufd_hwpt_alloc, iommufd_hwpt_paging_alloc",
  },
  "C0.31": {
    level: "kernel",
    since: "6.11",
    says:
      "A fault without a PASID goes to the queue of the device's HWPT, one with a PASID to that of what the PASID is attached to, or, if it is not attached, to that of the device's HWPT if that is nested. Where nobody handles it the device is told INVALID.",
    where:
      "io-pgfault.c find_fault_handler; selftest.c iommufd_test_trigger_iopf",
  },
  "C0.33": {
    level: "kernel",
    since: "6.11",
    says:
      "TRIGGER_IOPF makes a fault that is the last of its group, with a PASID if that is not 0; that nobody handles it is no error.",
    where: "selftest.c iommufd_test_trigger_iopf",
  },
  "C0.34": {
    level: "uapi",
    since: "6.15",
    says:
      "A fault of a PASID tells it, and comes to an end as others do when the PASID is detached or moved, read or not.",
    where:
      "eventq.c iommufd_compose_fault_message, iommufd_auto_response_faults; device.c iommufd_hwpt_replace_device; iommu.c iommu_replace_device_pasid",
  },
  "C0.35": {
    level: "kernel",
    since: "6.15",
    says:
      "A device can fault as long as itself or one of its PASIDs has a queue.",
    where: "selftest.c mock_dev_enable_iopf, mock_dev_disable_iopf",
  },
} as const satisfies Readonly<Record<string, Rule>>;
