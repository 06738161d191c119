// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { Igb } from "../../../impl/pci/devices/igb/igb.ts";
import { hostKernel, python, withPython } from "./run.ts";

/** A program has a device open, as `device`, through its own file. */
const OPEN = `
BDF = "0000:00:05.0"
SYSFS = "/sys/bus/pci/devices/" + BDF + "/"
def ioctl(fd, nr, *words, of="I"):
    struct_ = bytearray(struct.pack("=" + of * len(words), *words))
    fcntl.ioctl(fd, 0x3b64 + nr, struct_)
    return struct.unpack("=" + of * len(words), struct_)
def text(path):
    with open(path) as file:
        return file.read()
def errno_of(body):
    try:
        return body()
    except OSError as error:
        return errno.errorcode[error.errno]
iommu = os.open("/dev/iommu", os.O_RDWR)
device = os.open("/dev/vfio/devices/vfio0", os.O_RDWR)
def bind():
    ioctl(device, 18, 16, 0, iommu, 0)
`;

/** Runs such a program; what it leaves behind is nothing. */
async function told(body: string): Promise<unknown[]> {
  const kernel = hostKernel();
  kernel.addPciDevice(new Igb(), { address: "0000:00:05.0" });
  const lines = await python(OPEN + body, { kernel });
  assertEquals(kernel.audit(), []);
  return lines;
}

describe("A VFIO device that a program has open", () => {
  it(
    "is on in sysfs, with the numbers of its messages",
    withPython,
    async () => {
      assertEquals(
        await told(`
def state():
    return [text(SYSFS + name).strip() for name in ("enable", "power_state", "power/runtime_status")]
tell(state())
bind()
tell(state())
tell(os.path.exists(SYSFS + "msi_irqs"))
ioctl(device, 10, 24, 4 | 32, 2, 0, 1, 0xffffffff)
tell([text(SYSFS + "msi_irqs/" + name) for name in os.listdir(SYSFS + "msi_irqs")])
ioctl(device, 10, 20, 1 | 32, 2, 0, 0)
tell("msi_irqs" in os.listdir(SYSFS))
`),
        [
          ["0", "D3hot", "suspended"],
          ["1", "D0", "active"],
          false,
          ["msix\n"],
          false,
        ],
      );
    },
  );

  it("takes what is written to sysfs", withPython, async () => {
    assertEquals(
      await told(`
def write(name, value):
    def store():
        with open(SYSFS + name, "w") as file:
            file.write(value)
    return errno_of(store)
bind()
os.pwrite(device, b"\\x77", 0x2800)
tell([write("reset", "0"), write("reset", "1\\n"), os.pread(device, 1, 0x2800)[0]])
tell([write("driver_override", "other\\n"), text(SYSFS + "driver_override")])
tell([write("enable", "0"), write("remove", "1"), write("numa_node", "x")])
driver = SYSFS + "driver/"
tell([write("driver/unbind", BDF), write("driver/bind", "0000:00:06.0")])
tell(errno_of(lambda: open(SYSFS + "vendor", "w")))
`),
      [
        ["EINVAL", null, 0],
        [null, "other\n"],
        ["EBUSY", "EBUSY", "EINVAL"],
        ["EBUSY", "ENODEV"],
        "EACCES",
      ],
    );
  });

  it("has its BARs in files of sysfs", withPython, async () => {
    assertEquals(
      await told(`
bar = os.open(SYSFS + "resource0", os.O_RDWR)
tell(errno_of(lambda: mmap.mmap(bar, 4096)))
bind()
os.pwrite(device, struct.pack("I", 0x12345678), 0x2800)
memory = mmap.mmap(bar, 0x20000)
tell(struct.unpack_from("I", memory, 0x2800)[0] == 0x12345678)
tell(errno_of(lambda: os.pread(bar, 4, 0)))
memory.close()
ports = os.open(SYSFS + "resource2", os.O_RDWR)
tell([errno_of(lambda: len(os.pread(ports, count, 0x1e))) for count in (1, 2, 3, 4)])
tell([len(os.pread(ports, 4, 0x20)), errno_of(lambda: os.pwrite(ports, b"ab", 4))])
tell(errno_of(lambda: mmap.mmap(ports, 32)))
`),
      ["ENODEV", true, "EIO", [1, 2, "EINVAL", "EINVAL"], [0, 2], "EINVAL"],
    );
  });

  it("is no terminal, and no socket", withPython, async () => {
    assertEquals(
      await told(`
def is_terminal(fd):
    return errno_of(lambda: fcntl.ioctl(fd, 0x5401, bytes(60)))
tell(is_terminal(device))
bind()
tell([is_terminal(device), is_terminal(iommu)])
fdinfo = text("/proc/self/fdinfo/%d" % device).splitlines()
tell([fdinfo[-1], any("scm" in line for line in fdinfo)])
`),
      [
        "EINVAL",
        ["ENOTTY", "ENOTTY"],
        [
          "vfio-device-syspath: /sys/devices/pci0000:00/0000:00:05.0",
          false,
        ],
      ],
    );
  });

  it(
    "has a file without a path where its group opened it",
    withPython,
    async () => {
      assertEquals(
        await told(`
os.close(device)
group = os.open("/dev/vfio/" + os.readlink(SYSFS + "iommu_group").split("/")[-1], os.O_RDWR)
fcntl.ioctl(group, 0x3b68, struct.pack("i", iommu))
device = libc.ioctl(group, 0x3b6a, BDF.encode())
tell([os.readlink("/proc/self/fd/%d" % device), oct(os.fstat(device).st_mode)])
tell(errno_of(lambda: os.open("/proc/self/fd/%d" % device, os.O_RDWR)))
`),
        [["anon_inode:[vfio-device]", "0o600"], "ENXIO"],
      );
    },
  );

  it("exports a DMA buffer that knows how long it is", withPython, async () => {
    assertEquals(
      await told(`
bind()
feature = struct.pack("=IIIIIIQQ", 40, 11 | 1 << 16, 0, os.O_RDWR | os.O_CLOEXEC, 0, 1, 0, 8192)
buffer = libc.ioctl(device, 0x3b75, feature)
tell([os.readlink("/proc/self/fd/%d" % buffer), os.lseek(buffer, 0, os.SEEK_END)])
tell([errno_of(lambda: os.lseek(buffer, 1, os.SEEK_END)), errno_of(lambda: os.lseek(device, 0, os.SEEK_END))])
`),
      [["/dmabuf:", 8192], ["EINVAL", "ESPIPE"]],
    );
  });
});
