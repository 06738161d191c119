// SPDX-License-Identifier: GPL-2.0-only

/**
 * A program that does anything at all with VFIO's files and iommufd: calls with
 * wild arguments, with good ones often enough that something comes of them, and
 * closes in any order.
 *
 * @module
 */

import type { Kernel } from "../../kernel.ts";
import {
  BusError,
  SegmentationFault,
} from "../../kernel/interfaces/process_memory.ts";
import type { Process } from "../../kernel/simulated/process.ts";
import { errnoOf } from "../../uapi/errno.ts";
import {
  MAP_ANONYMOUS,
  MAP_SHARED,
  PAGE_SIZE,
  PROT_READ,
  PROT_WRITE,
} from "../../uapi/mman.ts";
import { REGION_STRIDE } from "../pci/regions.ts";
import { bytesOf, IOVA } from "./bench.ts";
import { oneOf, type Random, value } from "./random.ts";

/** The first and the last ioctl of VFIO, and those of iommufd. */
const VFIO = [0x3b64, 0x3b7b] as const;
const IOMMUFD = [0x3b80, 0x3b95] as const;
/** Regions, pages of memory, descriptors at most. */
const REGIONS = 9;
const PAGES = 16;
const MAX_FDS = 48;

/** Kinds of files. */
type Kind = "iommufd" | "container" | "device" | "group" | "eventfd" | "other";

/** A word of a struct: a number, an address, an id, a small number, or a descriptor. */
type Word = number | "address" | "id" | "small" | Kind;

/** Calls with arguments that are good. */
const GOOD: readonly (readonly [Kind, number, readonly Word[]])[] = [
  ["device", 0x3b76, [16, 0, "iommufd", 0]], // BIND
  ["device", 0x3b76, [16, 0, "iommufd", 0]],
  ["device", 0x3b77, [12, 0, "id"]], // ATTACH
  ["device", 0x3b77, [12, 0, "id"]],
  ["device", 0x3b77, [16, 1, "id", "small"]], // … with a PASID
  ["device", 0x3b78, [8, 0]], // DETACH
  ["device", 0x3b78, [12, 1, "small"]],
  ["device", 0x3b6e, [24, 0x24, "small", 0, 1, "eventfd"]], // SET_IRQS: an eventfd
  ["device", 0x3b6e, [28, 0x24, "small", "small", 2, "eventfd", "eventfd"]],
  ["device", 0x3b6e, [24, 0x14, 0, 0, 1, "eventfd"]], // … that unmasks
  ["device", 0x3b6e, [20, 0x21, "small", 0, 0]], // … off
  ["device", 0x3b6e, [20, 0x21, "small", 0, 1]], // … fire
  ["device", 0x3b6f, []], // RESET
  ["device", 0x3b71, [16, 0, 1, "group"]], // HOT_RESET
  ["device", 0x3b71, [12, 0, 0]],
  ["device", 0x3b70, [12 + 12 * 4, 0, 0, ...new Array<number>(12).fill(0)]],
  ["device", 0x3b74, [40, 4, 8, 0, 0x100, 0, "eventfd", 0]], // IOEVENTFD
  ["device", 0x3b75, [40, 0x1000b, 0, 2, 0, 1, 0, 0, 4096, 0]], // DMA buffer
  ["device", 0x3b75, [8, 0x20003]], // low power
  ["device", 0x3b75, [16, 0x20004, "eventfd", 0]],
  ["device", 0x3b75, [8, 0x20005]],
  ["device", 0x3b75, [16, 0x20002, "small", -1]], // migration
  ["device", 0x3b75, [32, 0x20006, 4096, 0, 1, 0, "address", 0]], // log of DMA
  ["device", 0x3b75, [8, 0x20007]],
  ["group", 0x3b69, []], // UNSET_CONTAINER
  ["container", 0x3b71, [32, 3, "address", 0, IOVA, 0, 4096, 0]], // MAP_DMA
  ["container", 0x3b71, [32, 3, "address", 0, IOVA + 4096, 0, 4096, 0]],
  ["container", 0x3b72, [24, 2, 0, 0, 0, 0]], // UNMAP_DMA: all
  ["container", 0x3b72, [24, 0, IOVA, 0, 4096, 0]],
  ["iommufd", 0x3b81, [12, 0, 0]], // IOAS_ALLOC
  ["iommufd", 0x3b85, [40, 7, "id", 0, "address", 0, 4096, 0, IOVA, 0]], // IOAS_MAP
  ["iommufd", 0x3b85, [40, 7, "id", 0, "address", 0, 4096, 0, 0, 0]],
  ["iommufd", 0x3b86, [24, "id", 0, 0, -1, -1]], // IOAS_UNMAP: all
  ["iommufd", 0x3b8f, [40, 7, "id", "other", 0, 0, 4096, 0, 0, 0]], // IOAS_MAP_FILE
  ["iommufd", 0x3b80, [8, "id"]], // DESTROY
  ["iommufd", 0x3b89, [48, 0, "id", "id", ...new Array<number>(8).fill(0)]], // HWPT_ALLOC
  ["iommufd", 0x3b89, [48, 8, "id", "id", ...new Array<number>(8).fill(0)]],
  ["iommufd", 0x3b89, [48, 4, "id", "id", 0, 0, 0, 0, 0, 0, "id", 0]], // … with faults
  ["iommufd", 0x3b8e, [16, 0, 0, 0]], // FAULT_QUEUE_ALLOC
  ["iommufd", 0x3b88, [16, 0, 1, "id"]], // VFIO_IOAS
];

/** The program. */
export class HostileProgram {
  readonly #kernel: Kernel;
  readonly #process: Process;
  readonly #random: Random;
  readonly #memory: number;
  readonly #fds: { readonly fd: number; readonly kind: Kind }[] = [];
  readonly #maps: [address: number, length: number][] = [];
  /** Calls that succeeded. */
  succeeded = 0;

  /** One that begins to be hostile. */
  constructor(kernel: Kernel, random: Random, process = kernel.spawn()) {
    this.#kernel = kernel;
    this.#random = random;
    this.#process = process;
    const prot = PROT_READ | PROT_WRITE;
    const flags = MAP_SHARED | MAP_ANONYMOUS;
    this.#memory = process.mmap(0, PAGES * PAGE_SIZE, prot, flags);
  }

  /** Does something. */
  step(): void {
    const { length } = this.#fds;
    const random = this.#random;
    const what = random(100);
    if (length < 4 || (what < 8 && length < MAX_FDS)) this.#open();
    else if (what < 11) this.#close();
    else if (what < 50) this.#goodCall();
    else if (what < 62) this.#wildCall();
    else if (what < 82) this.#access();
    else if (what < 90) this.#map();
    else if (what < 96) this.#store();
    else if (what < 98) this.#changeFunctions();
    else this.#respond();
  }

  /** Closes everything, in any order, and ends. */
  end(): void {
    for (const [address, length] of this.#maps) {
      if (this.#random(2) === 0) this.#process.munmap(address, length);
    }
    while (this.#fds.length > 0) this.#close();
    this.#process.exit();
  }

  /** Is killed: nothing is closed before. */
  kill(): void {
    this.#process.exit();
  }

  #open(): void {
    const random = this.#random;
    const { devices } = this.#kernel.vfio;
    const device = oneOf(random, [...devices]);
    const open = (path: string) => this.#process.open(path);
    const ways: [Kind, () => number][] = [
      ["iommufd", () => open("/dev/iommu")],
      ["container", () => open("/dev/vfio/vfio")],
      ["device", () => open(`/dev/vfio/devices/vfio${device.index}`)],
      ["group", () => open(`/dev/vfio/${device.pci.group!.id}`)],
      ["eventfd", () => this.#process.eventfd(random(2), 0)],
    ];
    const [kind, way] = oneOf(random, ways);
    this.#took(way(), kind);
    if (this.#fds.length === 0 || random(6) !== 0) return;
    const one = oneOf(random, this.#fds);
    this.#took(this.#process.dup(one.fd), one.kind);
  }

  #took(fd: number, kind: Kind): void {
    const isKnown = this.#fds.some((one) => one.fd === fd);
    if (fd >= 0 && !isKnown) this.#fds.push({ fd, kind });
  }

  #close(): void {
    const at = this.#random(this.#fds.length);
    this.#process.close(this.#fds[at]!.fd);
    this.#fds.splice(at, 1);
  }

  /** A descriptor, most often of a kind if there is one. */
  #fd(kind?: Kind): number {
    const random = this.#random;
    const fitting = random(12)
      ? this.#fds.filter((one) => one.kind === kind)
      : [];
    return oneOf(random, fitting.length > 0 ? fitting : this.#fds).fd;
  }

  #word(word: Word): number {
    const random = this.#random;
    if (random(60) === 0) return value(random);
    switch (word) {
      case "address":
        return this.#memory + random(PAGES) * PAGE_SIZE;
      case "id":
        return 1 + random(5);
      case "small":
        return random(5);
      default:
        if (typeof word === "number") return word;
        return random(16) === 0 ? -1 : this.#fd(word);
    }
  }

  #goodCall(): void {
    const random = this.#random;
    const [kind, cmd, words] = oneOf(random, GOOD);
    const bytes = Int32Array.from(words, (word) => this.#word(word) | 0);
    this.#call(kind, cmd, new Uint8Array(bytes.buffer));
    if (random(4) !== 0) return;
    // What a group goes through.
    const container = random(3) ? "container" : "iommufd";
    const fd = bytesOf(this.#fd(container));
    const { name } = oneOf(random, [...this.#kernel.vfio.devices]).pci;
    this.#call("group", 0x3b68, fd);
    const type = oneOf(random, [1, 3, 8]);
    this.#call("container", 0x3b66, new Uint8Array(0), type);
    this.#call("group", 0x3b6a, new TextEncoder().encode(`${name}\0`));
  }

  #wildCall(): void {
    const random = this.#random;
    const [first, last] = oneOf(random, [VFIO, IOMMUFD]);
    const cmd = first + random(last - first + 1);
    const words = Uint32Array.from(
      { length: 2 + random(16) },
      () => random(3) ? random(40) : value(random),
    );
    words[0] = oneOf(random, [words.length * 4, 8, 12, 16, 24, 40, words[0]!]);
    const arg = random(8) === 0 ? value(random) : undefined;
    const kinds = ["iommufd", "container", "device", "group"] as const;
    const kind = oneOf(random, kinds);
    this.#call(kind, cmd, new Uint8Array(words.buffer), arg);
  }

  /** A call with a struct, sometimes one that a page's end cuts. */
  #call(kind: Kind, cmd: number, bytes: Uint8Array, arg?: number): void {
    const random = this.#random;
    const end = this.#memory + PAGES * PAGE_SIZE;
    const cut = random(16) === 0 ? random(bytes.length + 1) : 0;
    const at = end - bytes.length + cut;
    this.#process.poke(at, bytes.subarray(0, bytes.length - cut));
    const fd = random(50) === 0 ? value(random) : this.#fd(kind);
    const ret = this.#process.ioctl(fd, cmd, arg ?? at);
    if (ret < 0) return;
    this.succeeded++;
    if (cmd === 0x3b6a) this.#took(ret, "device");
    if (cmd === 0x3b75 && ret > 0) this.#took(ret, "other");
    if (cmd === 0x3b8e && cut === 0) {
      const queue = this.#process.peek(at, 16);
      this.#took(new DataView(queue.buffer).getInt32(12, true), "other");
    }
  }

  /** Reads or writes a region, most often the registers or the configuration. */
  #access(): void {
    const random = this.#random;
    const region = oneOf(random, [0, 0, 7, random(REGIONS)]);
    const size = oneOf(random, [0x40, 256, 4096, 0x4000]);
    const count = oneOf(random, [1, 2, 4, 8, random(64)]);
    const offset = region * REGION_STRIDE + random(size / 4) * 4;
    const at = this.#memory;
    if (random(3) === 0) {
      this.#process.readTo(this.#fd("device"), at, count, offset);
      return;
    }
    const given = region === 7 && random(3) ? 6 : value(random);
    this.#process.poke(at, bytesOf(given, 8));
    const place = region === 7 && random(3) ? 7 * REGION_STRIDE + 4 : offset;
    this.#process.writeFrom(this.#fd("device"), at, count, place);
  }

  /** Maps a region, or takes a mapping away. */
  #map(): void {
    const random = this.#random;
    if (this.#maps.length > 0 && random(2) === 0) {
      const [[address, length]] = this.#maps.splice(
        random(this.#maps.length),
        1,
      ) as [[number, number]];
      this.#process.munmap(address, length);
      return;
    }
    const length = PAGE_SIZE * (1 + random(4));
    const offset = random(REGIONS) * REGION_STRIDE;
    const prot = PROT_READ | PROT_WRITE;
    const address = this.#process.mmap(
      0,
      length,
      prot,
      MAP_SHARED,
      this.#fd("device"),
      random(2) * offset,
    );
    if (address > 0) this.#maps.push([address, length]);
  }

  /** Stores to a mapping, or to memory that devices may reach. */
  #store(): void {
    const random = this.#random;
    const [address, length] = oneOf(random, [
      ...this.#maps,
      [this.#memory, PAGES * PAGE_SIZE],
    ]);
    const at = address + random(Math.min(length, 0x2000) / 4) * 4;
    try {
      this.#process.poke(at, bytesOf(value(random)));
    } catch (error) {
      const isSignal = error instanceof BusError ||
        error instanceof SegmentationFault;
      if (!isSignal) throw error;
    }
  }

  /** Virtual functions come and go. */
  #changeFunctions(): void {
    const sriov = oneOf(this.#random, [...this.#kernel.vfio.devices]).pci.sriov;
    if (sriov === undefined) return;
    errnoOf(() => sriov.setNumVfs(this.#random(4)));
  }

  /** Reads page faults, and answers something. */
  #respond(): void {
    const fd = this.#fd("other");
    const at = this.#memory;
    this.#process.readTo(fd, at, 64);
    this.#process.poke(at, bytesOf(this.#random(4), 8));
    this.#process.writeFrom(fd, at, 8);
  }
}
