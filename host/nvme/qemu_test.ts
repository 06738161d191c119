// SPDX-License-Identifier: GPL-2.0-only

/** Debian's QEMU, unmodified, with a drive of the model. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { after, describe, it } from "@std/testing/bdd";
import { isThere } from "../../conformance/linux_vm/programs.ts";
import { NvmeDrive } from "../../impl/pci/devices/nvme/nvme.ts";
import {
  NvmeMemory,
  type NvmeStorage,
} from "../../impl/pci/devices/nvme/storage.ts";
import { FileStorage } from "../command/storage.ts";
import { hostKernel, run, type RunOptions, start } from "../mod.ts";
import { cannotRun } from "../testing/real_programs.ts";
import { compareRandomIo, DRIVE, MEMLOCK } from "./compare.ts";
import { BARE_GUEST, bootable, COPY_BLOCK } from "./guest.ts";

const noUtils = cannotRun ||
  !await isThere("qemu-io") && "there is no qemu-io, of qemu-utils";
const noQemu = cannotRun ||
  !await isThere("qemu-system-x86_64") && "there is no qemu-system-x86_64";

const SIZE = 2 ** 24;
const folder = Deno.makeTempDirSync();
let files = 0;

/** A path of a file that is not there. */
function newPath(): string {
  return `${folder}/${++files}`;
}

/** A file of a length. */
function newFile(size = 0): string {
  const path = newPath();
  Deno.writeFileSync(path, new Uint8Array(0));
  Deno.truncateSync(path, size);
  return path;
}

/** A machine with a drive, and what runs programs there; nothing may be left of them. */
function machine(storage: NvmeStorage = new NvmeMemory(SIZE)) {
  const kernel = hostKernel();
  kernel.addPciDevice(new NvmeDrive(storage));
  const qemu = async (
    program: string,
    args: readonly string[],
    options: RunOptions = {},
  ) => {
    const { code, stdout, stderr, left } = await run(program, args, {
      kernel,
      memlock: MEMLOCK,
      ...options,
    });
    assertEquals({ stderr, left, audit: kernel.audit() }, {
      stderr: "",
      left: [],
      audit: [],
    });
    return { code, stdout };
  };
  return { kernel, storage, qemu };
}

/** Bytes that are unlike others. */
function pattern(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8)) % 256);
}

describe("QEMU's block driver for NVMe", { skip: noUtils }, () => {
  after(() => Deno.removeSync(folder, { recursive: true }));

  it("reads and writes a drive", async () => {
    const { qemu, storage } = machine();
    const args = ["-f", "raw", "-c", "write -P 7 0 64k"];
    const more = ["-c", "read -P 7 0 64k", "-c", "length", DRIVE];
    const { code, stdout } = await qemu("qemu-io", [...args, ...more]);
    assertEquals(code, 0);
    assertStringIncludes(stdout, "wrote 65536/65536 bytes at offset 0");
    assertStringIncludes(stdout, "read 65536/65536 bytes at offset 0");
    assertStringIncludes(stdout, "16 MiB");
    assertEquals([storage.read(65535, 2)], [Uint8Array.of(7, 0)]);
  });

  it("reads and writes at random as with a file, in memory", async () => {
    const { problems } = await compareRandomIo({
      operations: 2000,
      seed: 1,
      storage: new NvmeMemory(SIZE),
      file: newFile(),
    });
    assertEquals(problems, []);
  });

  it("reads and writes at random as with a file, in a file", async () => {
    const { problems } = await compareRandomIo({
      operations: 1000,
      seed: 2,
      storage: new FileStorage(newFile(SIZE)),
      file: newFile(),
    });
    assertEquals(problems, []);
  });

  it("copies an image to a drive and back, and compares", async () => {
    const { qemu, storage } = machine();
    const [image, back] = [newFile(), newPath()];
    Deno.writeFileSync(image, pattern(SIZE));
    const img = async (...args: string[]) => {
      const { code, stdout } = await qemu("qemu-img", args);
      return code === 0 ? stdout : `exit status ${code}: ${stdout}`;
    };
    const raw = ["-f", "raw"];
    assertEquals(
      await img("convert", "-n", ...raw, "-O", "raw", image, DRIVE),
      "",
    );
    const compare = ["compare", ...raw, "-F", "raw", image, DRIVE];
    assertEquals(await img(...compare), "Images are identical.\n");
    assertEquals(await img("convert", ...raw, "-O", "qcow2", DRIVE, back), "");
    assertEquals(
      await img("compare", "-F", "qcow2", ...raw, DRIVE, back),
      "Images are identical.\n",
    );
    assertStringIncludes(
      await img("info", ...raw, DRIVE),
      "virtual size: 16 MiB (16777216 bytes)",
    );
    storage.write(12345 * 512, 512, (bytes) => bytes.fill(1));
    assertStringIncludes(
      await img(...compare),
      `exit status 1: Content mismatch at offset ${12345 * 512}!`,
    );
  });

  it("is told that the storage has an error, and goes on", async () => {
    const storage = new NvmeMemory(SIZE);
    const { read } = storage;
    storage.read = (offset, length) => {
      if (offset < 4096) throw new Error("a bad block");
      return read.call(storage, offset, length);
    };
    const { qemu } = machine(storage);
    const commands = ["-c", "read 0 4k", "-c", "read -P 0 4k 4k"];
    const args = ["-f", "raw", ...commands, DRIVE];
    const { stdout } = await qemu("qemu-io", args);
    assertStringIncludes(stdout, "read failed: Input/output error");
    assertStringIncludes(stdout, "read 4096/4096 bytes at offset 4096");
  });

  it("leaves a drive that another can use when it is killed", async () => {
    const { kernel, qemu } = machine();
    const script = "aio_write -P 1 0 1M\n".repeat(10000);
    const running = start("qemu-io", ["-f", "raw", DRIVE], {
      kernel,
      memlock: MEMLOCK,
      stdin: "piped",
      stdout: "piped",
    });
    // It does not read all of it.
    const input = new Response(script).body!.pipeTo(running.stdin)
      .catch(() => {});
    const reader = running.stdout.getReader();
    await reader.read();
    running.kill("SIGKILL");
    while (!(await reader.read()).done);
    assertEquals((await running.status).signal, "SIGKILL");
    await input;
    assertEquals(kernel.audit(), []);
    const args = ["-f", "raw", "-c", "write -P 2 0 1M"];
    const { code } = await qemu("qemu-io", [
      ...args,
      "-c",
      "read -P 2 0 1M",
      DRIVE,
    ]);
    assertEquals(code, 0);
  });
});

describe("a guest of QEMU's", { skip: noQemu }, () => {
  const drive = [`file=${DRIVE}`, "format=raw", "if=none", "id=disk"];
  const disks = {
    "virtio-blk": ["-device", "virtio-blk-pci,drive=disk"],
    "virtio-blk in a thread of its own": [
      ...["-object", "iothread,id=thread"],
      ...["-device", "virtio-blk-pci,drive=disk,iothread=thread"],
    ],
    "IDE": ["-device", "ide-hd,drive=disk"],
  };
  for (const [name, args] of Object.entries(disks)) {
    it(`boots from a drive, by ${name}`, async () => {
      const text = "The guest read this.\n";
      const storage = new NvmeMemory(SIZE);
      const disk = bootable(text);
      storage.write(0, disk.length, (bytes) => bytes.set(disk));
      const { qemu } = machine(storage);
      const { code, stdout } = await qemu("qemu-system-x86_64", [
        ...BARE_GUEST,
        ...["-drive", drive.join()],
        ...args,
      ]);
      assertEquals({ code, stdout }, { code: 0, stdout: text });
      const copy = storage.read(COPY_BLOCK * 512, text.length);
      assertEquals(new TextDecoder().decode(copy), text);
    });
  }
});
