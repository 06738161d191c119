// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { Igb } from "../../pci/devices/igb/igb.ts";
import { VFIO_PCI_MSIX_IRQ_INDEX } from "../../uapi/vfio/device.ts";
import { Bench, bytesOf, IOVA, numberFrom } from "../testing/bench.ts";

/** Registers of interrupts: causes that are set, what is let through, the causes. */
const [EICS, EIMS, EICR] = [0x1520, 0x1524, 0x1580];

describe("an 82576 whose registers are looked at", () => {
  it("forgets a cause before it lets causes through, if one look finds both", () => {
    const bench = new Bench(new Igb());
    const { device } = bench.device.pci;
    const eventfd = bench.eventfd();
    bench.connect(VFIO_PCI_MSIX_IRQ_INDEX, [eventfd]);
    bench.store(0, EICS, 4, 1);
    const { memory } = device.bars[0]!;
    memory!.write(EICR, bytesOf(2 ** 32 - 1));
    memory!.write(EIMS, bytesOf(1));
    assertEquals(device.poll(), true);
    assertEquals(bench.counted(eventfd), 0);
    memory!.write(EICS, bytesOf(1));
    device.poll();
    assertEquals(bench.counted(eventfd), 1);
    bench.end();
  });
});

/** Registers: control, status, EEPROM, PHY, the address of the port. */
const [CTRL, STATUS, EECD, EERD, MDIC, RAL, RAH] = [
  0x0000,
  0x0008,
  0x0010,
  0x0014,
  0x0020,
  0x5400,
  0x5404,
];

describe("an 82576's driver", () => {
  it("reads an EEPROM whose checksum is right, and its address", () => {
    const bench = new Bench(new Igb());
    const word = (at: number) => {
      bench.store(0, EERD, 4, at << 2 | 1);
      const value = bench.load(0, EERD);
      assertEquals(value & 0x3, 2, "done");
      return value >>> 16;
    };
    let sum = 0;
    for (let at = 0; at < 0x40; at++) sum += word(at);
    assertEquals(sum & 0xffff, 0xbaba);
    assertEquals(word(0x40), 0xffff);
    const address = [word(0), word(1), word(2)];
    assertEquals(bench.load(0, RAL), address[0]! + address[1]! * 2 ** 16);
    assertEquals(bench.load(0, RAH), address[2]! + 2 ** 31);
    assertEquals(address[2]! >> 8, bench.device.pci.devfn, "is its own");
    bench.end();
  });

  it("finds a PHY that negotiates at once", () => {
    const bench = new Bench(new Igb());
    const access = (operation: number, register: number, data = 0, phy = 1) => {
      const value = operation * 2 ** 26 + (phy << 21 | register << 16 | data);
      bench.store(0, MDIC, 4, value);
      return bench.load(0, MDIC);
    };
    const read = (register: number) => access(2, register) & 0xffff;
    assertEquals([read(2), read(3)], [0x2a8, 0x391]);
    assertEquals(access(2, 2, 0, 3) >>> 28, 5, "no PHY at another address");
    assertEquals(bench.load(0, STATUS) & 2, 0);
    access(1, 0, 0x1340);
    assertEquals(read(0), 0x1140, "it is over");
    assertEquals(bench.load(0, STATUS) & 2, 2);
    access(1, 2, 0x55);
    assertEquals(read(2), 0x2a8);
    access(1, 0x1f, 0x0100);
    access(1, 0x14, 0x1234);
    access(1, 0x1f, 0);
    assertEquals(read(0x14), 0, "another page");
    access(1, 0x1f, 0x0100);
    assertEquals(read(0x14), 0x1234);
    access(1, 0, 0x8000);
    assertEquals(read(0x14), 0, "a reset");
    bench.end();
  });

  it("has the EEPROM for itself, and stops DMA", () => {
    const bench = new Bench(new Igb());
    bench.store(0, EECD, 4, 0x40);
    assertEquals(bench.load(0, EECD) & 0x3c0, 0x3c0, "granted");
    bench.store(0, CTRL, 4, 4);
    assertEquals(bench.load(0, STATUS) >> 19 & 1, 0);
    bench.store(0, CTRL, 4, 0);
    assertEquals(bench.load(0, STATUS) >> 19 & 1, 1);
    bench.end();
  });

  it("masks causes bit by bit, and resets the PHY alone", () => {
    const bench = new Bench(new Igb());
    bench.store(0, 0xd0, 4, 5);
    bench.store(0, 0xd0, 4, 2);
    bench.store(0, 0xd8, 4, 1);
    assertEquals([bench.load(0, 0xd0), bench.load(0, 0xd8)], [6, 0]);
    bench.store(0, MDIC, 4, 2 ** 26 + (1 << 21 | 9 << 16 | 0x55));
    bench.store(0, CTRL, 4, 2 ** 31);
    bench.store(0, MDIC, 4, 2 * 2 ** 26 + (1 << 21 | 9 << 16));
    assertEquals(bench.load(0, MDIC) & 0xffff, 0x300);
    bench.store(0, EERD, 4, 4);
    assertEquals(bench.load(0, EERD), 4, "nothing was asked for");
    bench.end();
  });

  it("keeps what it stores behind a reset, if one look finds both", () => {
    const bench = new Bench(new Igb());
    const { device } = bench.device.pci;
    const { memory } = device.bars[0]!;
    bench.store(0, RDLEN, 4, 0x1000);
    memory!.write(CTRL, bytesOf(1 << 26));
    memory!.write(EERD, bytesOf(1));
    memory!.write(TDLEN, bytesOf(0x2000));
    device.poll();
    const state = [CTRL, EERD, TDLEN, RDLEN].map((at) => bench.load(0, at));
    assertEquals(state, [0, 0x4902_0002, 0x2000, 0]);
    bench.end();
  });
});

const [RDLEN, TDLEN] = [0x2808, 0x3808];
/** Where the rings and the frames are. */
const [SENT, RECEIVED, FRAMES] = [IOVA, IOVA + 0x1000, IOVA + 0x2000];
/** What a descriptor to be sent says: advanced data, the frame ends, and is reported. */
const [DATA, END, REPORT] = [0x2030_0000, 1 << 24, 1 << 27];

/** A controller with a ring of 8 each way, whose wire leads back. */
class Rings {
  readonly bench: Bench = new Bench(new Igb({ wire: "loop" }));
  #tail = 0;

  constructor() {
    const registers = {
      0x2800: RECEIVED,
      [RDLEN]: 0x80,
      0x280c: 1,
      0x3800: SENT,
      [TDLEN]: 0x80,
      0x3828: 1 << 25,
      0x2828: 1 << 25,
      0x100: 2,
      0x400: 2,
    };
    for (const [at, value] of Object.entries(registers)) {
      this.bench.store(0, Number(at), 4, value);
    }
    this.ready(8);
    this.bench.store(0, 0x2818, 4, 7);
  }

  /** Makes the first of the buffers ready to be filled, once more. */
  ready(count: number): void {
    for (let i = 0; i < count; i++) {
      this.#poke(RECEIVED + 16 * i, [FRAMES + 0x4000 + 0x400 * i, 0]);
    }
  }

  /** Sends what descriptors say, each as two words of 64 bits. */
  send(...descriptors: [address: number, command: number][]): void {
    for (const [address, command] of descriptors) {
      this.#poke(SENT + 16 * this.#tail, [address, command]);
      this.#tail = (this.#tail + 1) % 8;
    }
    this.bench.store(0, 0x3818, 4, this.#tail);
  }

  /** The status of a descriptor that was sent. */
  status(index: number): number {
    return this.#word(SENT + 16 * index + 12);
  }

  /** Status and length of a descriptor that was received. */
  received(index: number): number[] {
    const at = RECEIVED + 16 * index;
    return [this.#word(at + 8), this.#word(at + 12)];
  }

  /** Fills memory with a byte. */
  fill(iova: number, length: number, byte: number): void {
    const bytes = new Uint8Array(length).fill(byte);
    this.bench.process.poke(this.bench.memory + iova - IOVA, bytes);
  }

  /** Bytes of memory. */
  bytes(iova: number, length: number): number[] {
    const { process, memory } = this.bench;
    return [...process.peek(memory + iova - IOVA, length)];
  }

  #word(iova: number): number {
    return numberFrom(new Uint8Array(this.bytes(iova, 4)));
  }

  #poke(iova: number, words: readonly number[]): void {
    for (const [i, word] of words.entries()) {
      const at = this.bench.memory + iova - IOVA + 8 * i;
      this.bench.process.poke(at, bytesOf(word, 8));
    }
  }
}

describe("frames of an 82576", () => {
  it("come back, and are reported where that is wanted", () => {
    const rings = new Rings();
    rings.fill(FRAMES, 60, 0xab);
    rings.send([FRAMES, DATA | END | 60], [FRAMES, DATA | END | REPORT | 60]);
    assertEquals([rings.status(0), rings.status(1)], [0, 1]);
    assertEquals(rings.received(0), [3, 60]);
    assertEquals(rings.received(1), [3, 60]);
    assertEquals(rings.received(2), [0, 0]);
    assertEquals(rings.bytes(FRAMES + 0x4400, 61), [
      ...new Array(60).fill(0xab),
      0,
    ]);
    const { bench } = rings;
    assertEquals(bench.load(0, 0x4080), 2, "sent");
    assertEquals(bench.load(0, 0x4074), 2, "received");
    assertEquals(bench.load(0, 0x4088), 120, "bytes");
    bench.end();
  });

  it("lie in several buffers, behind what only describes them", () => {
    const rings = new Rings();
    rings.fill(FRAMES, 1000, 1);
    rings.fill(FRAMES + 0x800, 500, 2);
    rings.send(
      [0, 0x2020_0000 | REPORT | 0x402],
      [FRAMES, DATA | 1000],
      [FRAMES + 0x800, DATA | END | REPORT | 500],
    );
    assertEquals([0, 1, 2].map((i) => rings.status(i)), [1, 0, 1]);
    assertEquals(rings.received(0), [1, 1024]);
    assertEquals(rings.received(1), [3, 476]);
    assertEquals(rings.bytes(FRAMES + 0x4000 + 998, 4), [1, 1, 2, 2]);
    assertEquals(rings.bytes(FRAMES + 0x4400 + 474, 4), [2, 2, 0, 0]);
    rings.bench.end();
  });

  it("are sent by a driver of older descriptors too", () => {
    const rings = new Rings();
    rings.send([FRAMES, END | REPORT | 64]);
    assertEquals([rings.status(0), ...rings.received(0)], [1, 3, 64]);
    rings.bench.end();
  });

  it("are lost where memory is not mapped, and the next one is not", () => {
    const rings = new Rings();
    rings.send([2 ** 40, DATA | END | REPORT | 60]);
    rings.send([FRAMES, DATA | END | REPORT | 64]);
    assertEquals([rings.status(0), rings.status(1)], [0, 1]);
    assertEquals(rings.received(0), [3, 64]);
    rings.bench.end();
  });

  it("are missed where there is no buffer, or not enough", () => {
    const rings = new Rings();
    const { bench } = rings;
    bench.store(0, 0x2818, 4, 1);
    rings.send([FRAMES, DATA | END | 1025], [FRAMES, DATA | END | 60]);
    assertEquals(rings.received(0), [3, 60]);
    rings.send([FRAMES, DATA | END | 60]);
    assertEquals(rings.received(1), [0, 0]);
    assertEquals(bench.load(0, 0x4010), 2);
    bench.end();
  });

  it("interrupt by the vectors of their queues", () => {
    const rings = new Rings();
    const { bench } = rings;
    const eventfds = [bench.eventfd(), bench.eventfd(), bench.eventfd()];
    bench.connect(VFIO_PCI_MSIX_IRQ_INDEX, eventfds);
    bench.store(0, 0x1700, 4, 0x8281);
    bench.store(0, EIMS, 4, 0xff);
    rings.send([FRAMES, DATA | END | 60]);
    const counted = () => eventfds.map((each) => bench.counted(each));
    assertEquals(counted(), [0, 1, 0]);
    rings.send([FRAMES, DATA | END | REPORT | 60]);
    assertEquals(counted(), [0, 1, 1]);
    bench.end();
  });

  it("come back around the end of the ring", () => {
    const rings = new Rings();
    const { bench } = rings;
    const frame: [number, number] = [FRAMES, DATA | END | 60];
    rings.send(frame, frame, frame, frame, frame);
    assertEquals(rings.received(4), [3, 60]);
    rings.ready(4);
    bench.store(0, 0x2818, 4, 4);
    rings.send(frame, frame, frame, [FRAMES, DATA | END | 1100]);
    const all = [4, 5, 6, 7, 0, 1, 2].map((i) => rings.received(i));
    assertEquals(all, [
      [3, 60],
      [3, 60],
      [3, 60],
      [3, 60],
      [1, 1024],
      [3, 76],
      [0, 0],
    ]);
    bench.end();
  });

  it("are sent by each queue that is on", () => {
    const rings = new Rings();
    const { bench } = rings;
    bench.store(0, 0x3a00, 4, SENT);
    bench.store(0, 0x3a08, 4, 0x80);
    rings.send([FRAMES, DATA | END | REPORT | 60]);
    bench.store(0, 0x3a18, 4, 1);
    assertEquals(rings.received(1), [0, 0]);
    bench.store(0, 0x3a28, 4, 1 << 25);
    bench.store(0, 0x3a18, 4, 1);
    assertEquals(rings.received(1), [3, 60]);
    bench.end();
  });
});
