// SPDX-License-Identifier: GPL-2.0-only

/**
 * VFIO_DEVICE_FEATURE: each feature with the data that it has, got, set or
 * asked for.
 *
 * @module
 */

import { O_CLOEXEC, O_RDWR, PAGE_SIZE } from "../../../../impl/uapi/mman.ts";
import {
  VFIO_DEVICE_FEATURE,
  VFIO_DEVICE_FEATURE_DMA_BUF,
  VFIO_DEVICE_FEATURE_GET,
  VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY,
  VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP,
  VFIO_DEVICE_FEATURE_LOW_POWER_EXIT,
  VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOV2,
  VFIO_DEVICE_FEATURE_PCI_VF_TOKEN,
  VFIO_DEVICE_FEATURE_PROBE,
  VFIO_DEVICE_FEATURE_SET,
  VfioDeviceFeature,
  VfioDeviceFeatureDmaBuf,
  VfioRegionDmaRange,
} from "../../../../impl/uapi/vfio/feature.ts";
import {
  VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_START,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP,
  VFIO_DEVICE_FEATURE_MIG_DATA_SIZE,
  VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE,
  VFIO_DEVICE_FEATURE_MIGRATION,
  VFIO_DEVICE_STATE_PRE_COPY,
  VFIO_DEVICE_STATE_RESUMING,
  VFIO_DEVICE_STATE_RUNNING,
  VFIO_DEVICE_STATE_STOP,
  VFIO_DEVICE_STATE_STOP_COPY,
  VfioDeviceFeatureDmaLoggingControl,
  VfioDeviceFeatureDmaLoggingRange,
  VfioDeviceFeatureDmaLoggingReport,
  VfioDeviceFeatureMigState,
} from "../../../../impl/uapi/vfio/migration.ts";
import type { Patch } from "../../../../selftests/target/program.ts";
import { Wheel } from "../chance.ts";
import type { Fd, Known, Proc } from "../known/world.ts";
import type { Maker } from "../maker.ts";
import { placeForData, storeData } from "./arena.ts";
import { someToken } from "./tokens.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** Bytes of a bitmap of 128 pages. */
const BITMAP = 16;

/** The data of a feature, the descriptor that its first bytes are, and where something comes back. */
interface Data {
  readonly bytes: Bytes;
  readonly at?: number;
  readonly fd?: Known | undefined;
}

/** A feature, what can be done with it, and its data. */
interface Feature {
  readonly number: number;
  readonly ops: number;
  readonly data: (maker: Maker, process: Proc, on: Fd) => Data;
  /** What is done when it succeeded. */
  readonly after?: (maker: Maker, process: Proc, on: Fd, data: Data) => void;
  /** Without which it can do nothing. */
  readonly needs?: Feature;
}

const GET = VFIO_DEVICE_FEATURE_GET;
const SET = VFIO_DEVICE_FEATURE_SET;
const PROBE = VFIO_DEVICE_FEATURE_PROBE;
/** A bit that means nothing. */
const UNKNOWN = 1 << 19;

/** States that lead somewhere. */
const STATES = [
  VFIO_DEVICE_STATE_STOP,
  VFIO_DEVICE_STATE_RUNNING,
  VFIO_DEVICE_STATE_STOP_COPY,
  VFIO_DEVICE_STATE_RESUMING,
  VFIO_DEVICE_STATE_PRE_COPY,
];

const room = (size: number) => (): Data => ({ bytes: new Uint8Array(size) });

/** IOVA that a device may write: where something is mapped, or near each other. */
function iovaNear({ chance }: Maker, { file: { context } }: Fd): bigint {
  const areas = context?.of("IOAS").flatMap(({ areas }) => areas) ?? [];
  const area = chance.percent(70) ? chance.maybe(areas) : undefined;
  if (area !== undefined) return BigInt(area.iova.value);
  const at = BigInt(PAGE_SIZE * chance.below(64));
  return chance.percent(90) ? at : 2n ** 64n - 4096n + at;
}

/** Of whole pages, mostly. */
function lengthOf({ chance }: Maker): bigint {
  return BigInt(
    PAGE_SIZE * chance.below(64) + (chance.percent(10) ? 100 : 0),
  );
}

/** Structs, one behind the other. */
function array(count: number, make: (index: number) => Bytes): Bytes {
  const all = Array.from({ length: count }, (_, index) => make(index));
  return new Uint8Array(all.flatMap((bytes) => [...bytes]));
}

/** A state to go to: all there are, and one that there is not; mostly those that each device has that can be moved. */
function migrationState({ chance }: Maker): Data {
  const deviceState = chance.percent(30)
    ? chance.below(9)
    : chance.maybe(STATES)!;
  return { bytes: VfioDeviceFeatureMigState.encode({ deviceState }) };
}

/** An eventfd for when the power is back. */
function wakeup({ chance }: Maker, process: Proc): Data {
  const fd = chance.percent(85)
    ? chance.maybe(process.open("eventfd"))?.fd
    : chance.maybe([...process.fds.values()])?.fd;
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setInt32(0, Number(fd?.value ?? -1), true);
  return { bytes, fd };
}

/** Ranges that follow each other, or that overlap. */
function loggingStart(maker: Maker, process: Proc, on: Fd): Data {
  const { chance } = maker;
  const numRanges = chance.weighted([[6, 0], [60, 1], [30, 2], [4, 257]]);
  const apart = chance.percent(80) ? 2n ** 20n : 0n;
  const ranges = array(
    Math.min(numRanges, 2),
    (index) =>
      VfioDeviceFeatureDmaLoggingRange.encode({
        iova: BigInt.asUintN(64, iovaNear(maker, on) + apart * BigInt(index)),
        length: lengthOf(maker),
      }),
  );
  const at = chance.percent(95) ? storeData(maker, process, ranges) : 8;
  const bytes = VfioDeviceFeatureDmaLoggingControl.encode({
    pageSize: chance.weighted([[90, 4096n], [5, 0n], [5, 2n ** 21n]]),
    numRanges,
    ranges: BigInt(at),
  });
  return { bytes };
}

/** A bitmap of some pages. */
function loggingReport(maker: Maker, process: Proc, on: Fd): Data {
  const { chance } = maker;
  const at = placeForData(maker, process, BITMAP);
  const bytes = VfioDeviceFeatureDmaLoggingReport.encode({
    iova: iovaNear(maker, on),
    length: lengthOf(maker),
    pageSize: chance.weighted([[85, 4096n], [5, 0n], [5, 512n], [5, 8192n]]),
    bitmap: BigInt(chance.percent(95) ? at : 8),
  });
  return { bytes, at };
}

/** Reads a bitmap, and asks again sometimes. */
function readBitmap(maker: Maker, process: Proc, on: Fd, { at }: Data): void {
  maker.add(process, [], "peek", at!, new Uint8Array(BITMAP));
  if (maker.chance.percent(30)) feature(maker, process, on, LOGGING_REPORT);
}

/** Goes on from a state: by what the device's file has, and to the next one. */
function goOn(maker: Maker, process: Proc, on: Fd): void {
  const { chance } = maker;
  const data = chance.maybe(process.open("VFIO data"));
  if (data !== undefined && chance.percent(40)) {
    const number = Number(data.fd.value);
    const bytes = new Uint8Array(8);
    const verb = chance.percent(50) ? "read" : "write";
    maker.addOn(process, data, [], verb, number, bytes);
  }
  if (chance.percent(65)) feature(maker, process, on, DEVICE_STATE);
}

/** Parts of a BAR of memory, or of what is none. */
function dmaBuf({ chance }: Maker): Data {
  const nrRanges = chance.weighted([[80, 1], [14, 2], [6, 0]]);
  const head = VfioDeviceFeatureDmaBuf.encode({
    regionIndex: chance.weighted([[75, 0], [10, 3], [10, 2], [5, 9]]),
    openFlags: O_RDWR | (chance.percent(40) ? O_CLOEXEC : 0),
    flags: chance.percent(95) ? 0 : 1,
    nrRanges,
  });
  const ranges = array(nrRanges, () =>
    VfioRegionDmaRange.encode({
      offset: BigInt(PAGE_SIZE * (chance.percent(70) ? 0 : chance.below(8))),
      length: chance.weighted([[80, 4096n], [8, 8192n], [6, 0n], [6, 100n]]),
    }));
  return { bytes: new Uint8Array([...head, ...ranges]) };
}

const LOGGING_START: Feature = {
  number: VFIO_DEVICE_FEATURE_DMA_LOGGING_START,
  ops: SET,
  data: loggingStart,
};

const LOGGING_REPORT: Feature = {
  number: VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT,
  ops: GET,
  data: loggingReport,
  after: readBitmap,
  needs: LOGGING_START,
};

const DEVICE_STATE: Feature = {
  number: VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE,
  ops: GET | SET,
  data: migrationState,
  after: goOn,
};

const FEATURES: readonly (readonly [weight: number, Feature])[] = [
  [4, {
    number: VFIO_DEVICE_FEATURE_PCI_VF_TOKEN,
    ops: SET,
    data: (maker) => ({ bytes: someToken(maker) }),
  }],
  [4, { number: VFIO_DEVICE_FEATURE_MIGRATION, ops: GET, data: room(8) }],
  [16, DEVICE_STATE],
  [8, {
    number: VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY,
    ops: SET,
    data: room(0),
  }],
  [8, {
    number: VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP,
    ops: SET,
    data: wakeup,
  }],
  [8, { number: VFIO_DEVICE_FEATURE_LOW_POWER_EXIT, ops: SET, data: room(0) }],
  [10, LOGGING_START],
  [4, {
    number: VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP,
    ops: SET,
    data: room(0),
  }],
  [10, LOGGING_REPORT],
  [4, { number: VFIO_DEVICE_FEATURE_MIG_DATA_SIZE, ops: GET, data: room(8) }],
  [16, { number: VFIO_DEVICE_FEATURE_DMA_BUF, ops: GET, data: dmaBuf }],
  [4, {
    number: VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOV2,
    ops: SET,
    data: room(0),
  }],
  // The bus master of other buses, and what nobody knows.
  [2, { number: 10, ops: SET, data: room(4) }],
  [2, { number: 13, ops: GET | SET, data: room(8) }],
];

const WHEEL = new Wheel(FEATURES);

/** What is done with a feature: what can be, mostly. */
function howOf({ chance }: Maker, ops: number): number {
  const either = chance.percent(50) ? GET : SET;
  const good = (ops & either) !== 0 ? either : ops;
  return chance.weighted([
    [78, good],
    [8, PROBE | good],
    [3, PROBE],
    [2, PROBE | GET | SET],
    [5, either],
    [2, GET | SET],
    [1, 0],
    [1, UNKNOWN],
  ]);
}

/** How long it is said to be, of so many bytes. */
function argszOf({ chance }: Maker, bytes: number): number {
  return chance.weighted([
    [88, bytes],
    [4, bytes - 1],
    [4, bytes + 8],
    [2, VfioDeviceFeature.size],
    [2, 4],
  ]);
}

/** Has a device do something with a feature. */
export function feature(
  maker: Maker,
  process: Proc,
  on: Fd,
  which: Feature = maker.chance.spin(WHEEL),
): void {
  const { number, ops, data, needs, after } = which;
  if (needs && maker.chance.percent(40)) feature(maker, process, on, needs);
  const made = data(maker, process, on);
  const { bytes, fd } = made;
  const flags = number | howOf(maker, ops);
  const { size } = VfioDeviceFeature;
  const argsz = argszOf(maker, size + bytes.length);
  const all = new Uint8Array(size + bytes.length);
  all.set(VfioDeviceFeature.encode({ argsz, flags }));
  all.set(bytes, size);
  const field = { offset: size, bytes: 4 as const };
  const patches: Patch[] = fd?.from ? [{ arg: 2, field, from: fd.from }] : [];
  const target = Number(on.fd.value);
  const cmd = VFIO_DEVICE_FEATURE;
  const done = maker.addOn(process, on, patches, "ioctl", target, cmd, all);
  if (done && done.result >= 0) after?.(maker, process, on, made);
}
