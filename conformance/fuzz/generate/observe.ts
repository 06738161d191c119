// SPDX-License-Identifier: GPL-2.0-only

/**
 * What is asked at the end of any program, so that what calls do not say shows
 * too: accounting, what descriptors are ready for, memory, ranges.
 *
 * @module
 */

import {
  IOMMU_IOAS_IOVA_RANGES,
  IommuIoasIovaRanges,
} from "../../../impl/uapi/iommufd.ts";
import { PROT_READ } from "../../../impl/uapi/mman.ts";
import type { Patch, Step } from "../../../selftests/target/program.ts";
import { type Call, call } from "../../../selftests/target/verbs.ts";
import { patchOf } from "./maker.ts";
import type { Fd, Proc, World } from "./known/world.ts";

/** Descriptors of a process that are asked for at most. */
const MOST_FDS = 12;
/** Mappings of a process, of each of which some bytes are read. */
const MOST_MAPPINGS = 12;
/** Bytes of each. */
const SAMPLE = 16;
const POLL_ALL = 0x1ff;

function step(process: Proc, call: Call, patches: Patch[] = []): Step {
  return patches.length > 0
    ? { process: process.number, call, patches }
    : { process: process.number, call };
}

/** What can be mapped in the address spaces of an iommufd. */
function ranges(process: Proc, { fd, file }: Fd): Step[] {
  const all = file.kind === "iommufd" ? file.context?.of("IOAS") ?? [] : [];
  return all.map(({ id }) => {
    const bytes = IommuIoasIovaRanges.encode({ ioasId: Number(id.value) });
    const { offset } = IommuIoasIovaRanges.fields.ioasId;
    const into = { offset, bytes: 4 as const };
    const patches: Patch[] = id.from === undefined
      ? []
      : [{ arg: 2, field: into, from: id.from }];
    const number = Number(fd.value);
    const made = call("ioctl", number, IOMMU_IOAS_IOVA_RANGES, bytes);
    return step(process, made, [...patchOf(0, fd), ...patches]);
  });
}

function ofProcess(process: Proc): Step[] {
  const fds = [...process.fds.values()].slice(0, MOST_FDS);
  const polls = fds.map(({ fd }) =>
    step(process, call("poll", Number(fd.value), POLL_ALL), patchOf(0, fd))
  );
  const memory = process.memory.filter(({ prot, registers }) =>
    (prot & PROT_READ) !== 0 && !registers
  )
    .slice(0, MOST_MAPPINGS).map(({ start }) =>
      step(process, call("peek", start, new Uint8Array(SAMPLE)))
    );
  return [step(process, call("vmstatus", [0, 0])), ...polls, ...memory];
}

/** Steps to append to a program that leaves such a state. */
export function observe(world: World): Step[] {
  const seen = new Set<unknown>();
  const steps: Step[] = [];
  for (const process of world.alive) {
    steps.push(...ofProcess(process));
    for (const fd of process.fds.values()) {
      if (seen.has(fd.file)) continue;
      seen.add(fd.file);
      steps.push(...ranges(process, fd));
    }
  }
  return steps;
}
