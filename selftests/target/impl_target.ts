// SPDX-License-Identifier: GPL-2.0-only

/**
 * The model of this package as a target, in this process. Every test gets a
 * kernel of its own.
 *
 * @module
 */

import config from "../../deno.json" with { type: "json" };
import { Kernel } from "../../impl/kernel.ts";
import type { Machine } from "../../impl/kernel/interfaces/machine.ts";
import type { FrameOrder } from "../../impl/kernel/simulated/pages/frames.ts";
import type { Process } from "../../impl/kernel/simulated/process.ts";
import { CopyEngine } from "../../impl/pci/devices/copy_engine.ts";
import { Igb } from "../../impl/pci/devices/igb/igb.ts";
import type { VtdRegisters } from "../../impl/pci/iommu.ts";
import { HPAGE_SIZE, PAGE_SIZE } from "../../impl/uapi/mman.ts";
import { type RevisionName, REVISIONS } from "../../impl/uapi/revision.ts";
import { kernelCapabilities, type Need } from "./capabilities.ts";
import {
  IMPL_CALLS,
  type ImplCalls,
  type Implementation,
  invoke,
  processOf,
} from "./impl_calls.ts";
import { type Outcome, type Program, runAtOnce } from "./program.ts";
import type { Target, TargetInfo, Timing } from "./target.ts";
import { TargetFailure } from "./target_failure.ts";
import { type Call, structOf } from "./verbs.ts";

/** What the model can do in every revision. */
const CAPABILITIES: readonly string[] = [
  "hugetlb",
  "fork",
  "fail_nth",
  "setrlimit",
  "setuid",
  "files",
  "dup2",
  "passfd",
  "exec",
  "mremap",
  "time",
  "program",
];

/** Bytes of memory of a machine: as much as most tests use. Each test boots one, and each frame has a counter. */
const MEMORY = 2 ** 29;
/** What a machine with much memory has, and its bytes. */
const MUCH: readonly Need[] = ["memory_2g", "hugetlb_1g"];
const MUCH_MEMORY = 2 ** 32;

/** What `/dev/vfio/vfio` is, by the capability that says so. */
const CONTAINERS = { vfio: "iommufd", type1_container: "type1" } as const;
/** What a container is. */
type Container = typeof CONTAINERS[keyof typeof CONTAINERS];

/** How the model is set up. */
export interface ImplOptions {
  /** In which order memory is handed out; default `ordered`. */
  readonly frameOrder?: FrameOrder;
  /** Bytes of memory, a multiple of 2 MiB; default as much as the test needs. */
  readonly memory?: number;
  /** What `/dev/vfio/vfio` is; default what the test needs. */
  readonly container?: Container;
  /** It has the card, whatever a test needs: for who is not told that. Default false. */
  readonly hasOnlyCard?: boolean;
  /** What it has, whatever a test needs: the card from the beginning, copy engines in its place, or nothing. */
  readonly device?: "card" | "engines" | "none";
  /** What firmware wrote to the card's configuration space; default what the model's bus chooses. */
  readonly firmware?: Uint8Array;
  /** What the registers of the IOMMU say; default those of the model. */
  readonly vtd?: VtdRegisters;
  /** Whether mock devices can be used; default true. */
  readonly mockDevices?: boolean;
  /** Devices without an IOMMU are allowed; default where a test needs one. */
  readonly noIommu?: boolean | undefined;
  /** And there can be some; default where a test needs one. */
  readonly noIommuMode?: boolean | undefined;
  /** What each kernel runs on; default a simulated machine. */
  readonly machine?: () => Machine;
  /** What the verbs do; default {@link IMPL_CALLS}. */
  readonly calls?: ImplCalls;
}

/** Puts a device into a machine. */
type Plug = (kernel: Kernel) => void;

/** A card in a machine, as firmware left it. */
function plugCardOf({ firmware }: ImplOptions): Plug {
  return (kernel) => void kernel.addPciDevice(new Igb(), { firmware });
}

/**
 * A card that is put into the machine when it is opened first: the numbers of
 * groups, on which depends how many steps of the kernel can fail, stay those
 * of a machine without it.
 */
function whenOpened(plug: Plug): Plug {
  const path = "/dev/vfio/devices/vfio0";
  return (kernel) =>
    kernel.registerDevice(path, (task, access) => {
      plug(kernel);
      return kernel.openPath(path, task, access);
    });
}

/** 4 KiB with an image in the first 1536 bytes, each of which is the lowest byte of its number where nothing else is. */
function romWithImage(): Uint8Array {
  const bytes = Uint8Array.from({ length: 4096 }, (_, i) => i);
  bytes.set([0x55, 0xaa]);
  bytes.set([0x40, 0], 24);
  bytes.set(new TextEncoder().encode("PCIR"), 0x40);
  bytes.set([3, 0], 0x50);
  bytes[0x55] = 0x80;
  return bytes;
}

/** Two devices that can be moved, and note what they write: the first has a ROM, the other one without images. */
function plugCopyEngines(kernel: Kernel): void {
  for (const rom of [romWithImage(), new Uint8Array(2048)]) {
    kernel.addPciDevice(new CopyEngine({ rom }));
  }
}

/** Two functions of a device that the IOMMU cannot tell from each other, on a bus that can be reset. */
function plugGroup(kernel: Kernel): void {
  const [first, second] = ["0000:01:00.0", "0000:01:00.1"];
  const { pci } = kernel.addPciDevice(new CopyEngine(), { address: first! });
  const place = { address: second!, groupWith: pci };
  kernel.addPciDevice(new CopyEngine(), place);
}

/** Whether a test wants a device that has no IOMMU. */
function isWithoutIommu(needs: readonly string[]): boolean {
  return needs.includes("noiommu_device") || needs.includes("noiommu_engine");
}

/** A device without an IOMMU. */
function plugWithoutIommu(kernel: Kernel): void {
  kernel.addPciDevice(new CopyEngine(), { iommu: false });
}

/** Devices that a machine has in place of the card, by what a test needs. */
const OTHER_DEVICES: Readonly<
  Partial<Record<Need, Plug>>
> = {
  noiommu_device: plugWithoutIommu,
  noiommu_engine: plugWithoutIommu,
  vfio_group_of_two: plugGroup,
  copy_engines: plugCopyEngines,
  vfio_rom: plugCopyEngines,
};

/** The devices that a machine has, by the capability that says so. */
function devicesOf(options: ImplOptions) {
  const { hasOnlyCard, device } = options;
  const plugCard = plugCardOf(options);
  const all = Object.entries(OTHER_DEVICES);
  const card = ["vfio_device", "vfio_sriov"];
  switch (device) {
    case "card":
      return { plug: plugCard, card, others: [] };
    case "none":
      return { plug: () => {}, card: [], others: [] };
    case "engines": {
      const others = all.filter(([, plug]) => plug === plugCopyEngines);
      return { plug: plugCopyEngines, card: [], others };
    }
    default:
      return {
        plug: whenOpened(plugCard),
        card,
        others: hasOnlyCard ? [] : all,
      };
  }
}

/** The container of a test: type1's where it needs that, or any. */
function containerFor(needs: readonly string[]): Container {
  const any: Need[] = ["type1_container", "vfio_container"];
  return any.some((need) => needs.includes(need)) ? "type1" : "iommufd";
}

/** The capabilities that say which container there can be. */
function containersOf({ container }: ImplOptions): string[] {
  return Object.entries(CONTAINERS).flatMap(([name, kind]) =>
    container === undefined || container === kind ? [name] : []
  );
}

/** The model behind the table of verbs: one machine, another one after each reset. */
export class Model {
  /** What it is. */
  readonly info: TargetInfo;
  readonly #boot: (needs: readonly string[]) => Kernel;
  readonly #calls: ReadonlyMap<string, Implementation>;
  #kernel: Kernel | undefined;

  /** The model with the behaviour of a revision. */
  constructor(uapi: RevisionName, options: ImplOptions = {}) {
    const { frameOrder = "ordered", machine, calls = IMPL_CALLS } = options;
    const hasDevice = REVISIONS[uapi].vfio.hasDeviceFiles;
    const { plug: usual, card, others } = devicesOf(options);
    this.#boot = (needs) => {
      const needsMuch = MUCH.some((need) => needs.includes(need));
      const enough = needsMuch ? MUCH_MEMORY : MEMORY;
      const { memory = enough, container = containerFor(needs) } = options;
      const kernel = new Kernel({
        revision: uapi,
        vfioContainer: container,
        vfioNoIommu: options.noIommu ?? isWithoutIommu(needs),
        vfioNoIommuMode: options.noIommuMode ?? isWithoutIommu(needs),
        vtd: options.vtd,
        mockDevices: options.mockDevices,
        ...machine ? { machine: machine() } : { frameOrder, memory },
      });
      const [, plug = usual] = others.find(([need]) => needs.includes(need)) ??
        [];
      if (hasDevice) plug(kernel);
      return kernel;
    };
    this.#calls = new Map(Object.entries(calls));
    this.info = {
      name: "iommufd-kit model",
      version: config.version,
      uapi,
      pageSize: PAGE_SIZE,
      hugePageSize: HPAGE_SIZE,
      capabilities: [
        ...CAPABILITIES,
        ...kernelCapabilities(uapi).flatMap((need) =>
          need === "vfio" ? containersOf(options) : need
        ),
        ...(options.memory ?? MUCH_MEMORY) >= MUCH_MEMORY ? MUCH : [],
        ...hasDevice ? [...card, ...others.map(([need]) => need)] : [],
      ],
    };
  }

  /** The machine; booted when it is needed. */
  get kernel(): Kernel {
    return this.#kernel ??= this.#boot([]);
  }

  /** Makes a process; its number. The machine is booted for what its test needs. */
  spawn(needs: readonly string[] = []): number {
    this.#kernel ??= this.#boot(needs);
    return this.#kernel.spawn().pid;
  }

  /** The process of a number. Throws {@link TargetFailure} where there is none. */
  process(number: number): Process {
    return processOf(this.kernel, number);
  }

  /** Makes calls; their results. */
  make(number: number, calls: readonly Call[]): number[] {
    const process = this.process(number);
    return calls.map((call) => invoke(this.#how(call), process, call.args));
  }

  /** Carries out a program in processes of its own. */
  program(program: Program): Outcome[] {
    return runAtOnce(this, program);
  }

  /** Makes calls again and again, and takes their times. */
  time(number: number, times: number, calls: readonly Call[]): Timing {
    const process = this.process(number);
    const timed = calls.map((call) => {
      const struct = structOf(call);
      const { args } = call;
      return { how: this.#how(call), args, struct, sent: struct?.slice() };
    });
    const milliseconds = new Float64Array(calls.length);
    const results = new Array<number>(calls.length);
    for (let left = times; left > 0; left--) {
      for (const [i, { how, args, struct, sent }] of timed.entries()) {
        if (sent !== undefined) struct?.set(sent);
        const start = performance.now();
        results[i] = invoke(how, process, args);
        milliseconds[i]! += performance.now() - start;
      }
    }
    const nanoseconds = Array.from(
      milliseconds,
      (each) => Math.round(each * 1e6),
    );
    return { nanoseconds, results };
  }

  /** Ends all processes; says what they left. The next ones get a machine of their own. */
  reset(): string[] {
    const kernel = this.#kernel;
    this.#kernel = undefined;
    if (kernel === undefined) return [];
    for (const process of [...kernel.processes]) process.exit();
    return kernel.audit();
  }

  #how({ verb }: Call): Implementation {
    const how = this.#calls.get(verb.name);
    if (how !== undefined) return how;
    throw new TargetFailure("error", `The model has no ${verb.name}`);
  }
}

/** The model with the behaviour of a revision, as a target. */
export function implTarget(
  uapi: RevisionName,
  options: ImplOptions = {},
): Promise<Target> {
  return Promise.resolve(targetOf(new Model(uapi, options)));
}

/** A model as a target: what a call throws becomes a rejection. */
export function targetOf(model: Model): Target {
  return {
    info: model.info,
    spawn: (needs) => Promise.try(() => model.spawn(needs)),
    make: (process, calls) => Promise.try(() => model.make(process, calls)),
    program: (program) => Promise.try(() => model.program(program)),
    time: (process, times, calls) =>
      Promise.try(() => model.time(process, times, calls)),
    reset: () => Promise.try(() => model.reset()),
    close: () => Promise.resolve(),
  };
}
