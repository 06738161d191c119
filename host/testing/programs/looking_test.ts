// SPDX-License-Identifier: GPL-2.0-only

import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { Igb } from "../../../impl/pci/devices/igb/igb.ts";
import { hostKernel, python, runProgram, withPython } from "./run.ts";

describe("A program that looks for the devices", () => {
  it(
    "sees character devices, by path and by descriptor",
    withPython,
    async () => {
      const told = await python(`
for path in "/dev/iommu", "/dev/vfio/vfio":
    fd = os.open(path, os.O_RDWR)
    st = os.stat(path)
    same = [os.lstat(path), os.fstat(fd), os.stat(f"/proc/self/fd/{fd}"), os.stat(f"/dev/fd/{fd}")]
    tell([stat.S_ISCHR(st.st_mode), oct(stat.S_IMODE(st.st_mode)), os.major(st.st_rdev),
          os.minor(st.st_rdev), all(other == st for other in same)])
    device = f"{os.major(st.st_rdev)}:{os.minor(st.st_rdev)}"
    tell([open(f"/sys/dev/char/{device}/dev").read() == device + "\\n",
          os.path.samefile(f"/dev/char/{device}", path)])
    tell(os.readlink(f"/proc/self/fd/{fd}"))
tell([os.access("/dev/iommu", os.R_OK | os.W_OK), os.access("/dev/iommu", os.X_OK)])
`);
      const minor = (told[0] as number[])[3]!;
      assert(minor > 255, String(minor));
      assertEquals(told, [
        [true, "0o660", 10, minor, true],
        [true, true],
        "/dev/iommu",
        [true, "0o666", 10, 196, true],
        [true, true],
        "/dev/vfio/vfio",
        [true, false],
      ]);
    },
  );

  it("finds them in directories", withPython, async () => {
    const told = await python(`
dev = os.listdir("/dev")
tell([dev.count("iommu"), dev.count("vfio"), dev.count("null")])
tell([(e.name, e.is_dir(), e.inode() == os.stat(e.path).st_ino) for e in os.scandir("/dev/vfio")])
tell([name for name in os.listdir("/sys/class/misc") if name in ("iommu", "vfio")])
tell(sorted(os.listdir("/sys/class/misc/iommu")))
tell([e.is_symlink() for e in os.scandir("/sys/class/misc") if e.name == "iommu"])
tell(os.path.realpath("/sys/class/misc/iommu/subsystem/vfio/dev"))
tell([len(line.split()) for line in open("/proc/misc") if line.endswith((" iommu\\n", " vfio\\n"))])
tell(sorted(dirs + files for _, dirs, files in os.walk("/dev/vfio")))
`);
    assertEquals(told, [
      [1, 1, 1],
      [["vfio", false, true]],
      ["iommu", "vfio"],
      ["dev", "power", "subsystem", "uevent"],
      [true],
      "/sys/devices/virtual/misc/vfio/dev",
      [2, 2],
      [["vfio"]],
    ]);
  });

  it(
    "opens them relative to a directory, through links and dots",
    withPython,
    async () => {
      const told = await python(`
import tempfile
def opens(path, **how):
    fd = os.open(path, os.O_RDWR, **how)
    result = alloc(fd)
    os.close(fd)
    return result
dev = os.open("/dev", os.O_RDONLY | os.O_DIRECTORY)
vfio = os.open("/dev/vfio", os.O_RDONLY | os.O_DIRECTORY)
folder = tempfile.mkdtemp()
os.symlink("/dev/iommu", folder + "/device")
os.symlink("/dev", folder + "/devices")
place = os.open("/dev/iommu", os.O_PATH)
tell([opens("iommu", dir_fd=dev), opens("vfio/vfio", dir_fd=dev), opens("vfio", dir_fd=vfio),
      opens("../iommu", dir_fd=vfio), opens(folder + "/device"), opens(folder + "/devices/vfio/../iommu"),
      opens("/usr/../dev/./iommu"), opens(f"/proc/self/fd/{dev}/iommu"), opens(f"/proc/self/fd/{place}")])
tell([errno_of(os.open, *args) for args in [("/dev/iommu/", os.O_RDWR), ("/dev/iommu/x", os.O_RDWR),
      ("/dev/vfio/nothing", os.O_RDWR), ("/dev/iommu", os.O_RDWR | os.O_CREAT | os.O_EXCL),
      ("/dev/iommu", os.O_RDWR | os.O_DIRECTORY), ("/dev/vfio", os.O_RDWR),
      (f"/dev/char/10:196", os.O_RDWR | os.O_NOFOLLOW)]])
for name in "device", "devices":
    os.unlink(f"{folder}/{name}")
os.rmdir(folder)
`);
      assertEquals(told, [
        new Array(9).fill(1),
        [
          "ENOTDIR",
          "ENOTDIR",
          "ENOENT",
          "EEXIST",
          "ENOTDIR",
          "EISDIR",
          "ELOOP",
        ],
      ]);
    },
  );

  it("can be in a directory that only it sees", withPython, async () => {
    const told = await python(`
os.chdir("/dev/vfio")
tell([os.getcwd(), os.listdir("."), stat.S_ISCHR(os.stat("vfio").st_mode), os.readlink("/proc/self/cwd")])
fd = os.open("vfio", os.O_RDWR)
tell(alloc(fd))
tell([os.path.exists("../null"), open("../null", "w").write("x")])
status = child(lambda: tell([os.getcwd(), os.listdir(".")]))
os.chdir("..")
tell([status, os.getcwd()])
os.chdir("vfio")
os.chdir(".")
tell(os.getcwd())
here = os.open("/sys/class/misc/iommu", os.O_RDONLY)
os.fchdir(here)
tell([os.getcwd(), open("dev").read().split(":")[0]])
path = ctypes.create_string_buffer(b"/dev/vfio\\0behind")
tell([libc.chdir(path), path.raw.decode()])
tell([errno_of(os.chdir, "/dev/iommu"), errno_of(os.chdir, "/dev/vfio/nothing")])
`);
    assertEquals(told, [
      ["/dev/vfio", ["vfio"], true, "/dev/vfio"],
      1,
      [true, 1],
      ["/dev/vfio", ["vfio"]],
      [0, "/dev"],
      "/dev/vfio",
      ["/sys/devices/virtual/misc/iommu", "10"],
      [0, "/dev/vfio\0behind\0"],
      ["ENOTDIR", "ENOENT"],
    ]);
  });

  it("may be the tools of a shell", async () => {
    const script = `
set -e
ls -l /dev/iommu /dev/vfio
test -c /dev/iommu && test -w /dev/vfio/vfio
stat -c '%F %t' /dev/vfio/vfio
cd /sys/class/misc/vfio && cat dev && pwd -P
readlink -f /dev/char/10:196
find /dev/vfio -type c
`;
    const setting = { kernel: hostKernel() };
    const { end, output } = await runProgram(setting, "sh", "-c", script);
    assertEquals(end.code, 0, output);
    assertEquals(output.split("\n").slice(-6), [
      "character special file a",
      "10:196",
      "/sys/devices/virtual/misc/vfio",
      "/dev/vfio/vfio",
      "/dev/vfio/vfio",
      "",
    ]);
    assertEquals(output.includes("cannot"), false, output);
  });
});

describe("A program that looks for a PCI device", () => {
  it("finds it as virtual machines do, and binds it", withPython, async () => {
    const kernel = hostKernel();
    const { name, group } = kernel.addPciDevice(new Igb()).pci;
    const told = await python(
      `
sysfs = "/sys/bus/pci/devices/${name}"
[vfio] = [name for name in os.listdir(sysfs + "/vfio-dev") if name.startswith("vfio")]
major, minor = map(int, open(f"{sysfs}/vfio-dev/{vfio}/dev").read().split(":"))
fd = os.open("/dev/vfio/devices/" + vfio, os.O_RDWR)
st = os.fstat(fd)
tell([stat.S_ISCHR(st.st_mode), st.st_rdev == os.makedev(major, minor),
      os.path.samefile(f"/dev/char/{major}:{minor}", "/dev/vfio/devices/" + vfio)])
tell(os.path.basename(os.path.realpath(sysfs + "/subsystem")))
group = os.path.basename(os.readlink(sysfs + "/iommu_group"))
tell([group, os.path.exists("/dev/vfio/" + group), os.listdir(f"/sys/kernel/iommu_groups/{group}/devices")])
iommu = os.open("/dev/iommu", os.O_RDWR)
request = bytearray(struct.pack("IIiIQ", 24, 0, iommu, 0, 0))
fcntl.ioctl(fd, 0x3b76, request)
tell(struct.unpack("IIiIQ", request)[3])
`,
      { kernel },
    );
    const { id } = group!;
    assertEquals(told, [
      [true, true, true],
      "pci",
      [`${id}`, true, [name]],
      1,
    ]);
    assertEquals(kernel.audit(), []);
  });

  it("scans the bus as DPDK does", withPython, async () => {
    const kernel = hostKernel();
    const { name } = kernel.addPciDevice(new Igb()).pci;
    const told = await python(
      `
bus = "/sys/bus/pci/devices"
for name in os.listdir(bus):
    device = os.path.join(bus, name)
    ids = [int(open(f"{device}/{file}").read(), 16)
           for file in ("vendor", "device", "subsystem_vendor", "subsystem_device", "class")]
    resources = [[int(word, 16) for word in line.split()] for line in open(device + "/resource")]
    node = int(open(device + "/numa_node").read())
    if name == "${name}":
        driver = os.path.basename(os.readlink(device + "/driver"))
        config = os.open(device + "/config", os.O_RDONLY)
        tell([ids[:2], len(resources), node, driver, os.pread(config, 4, 0).hex(), os.fstat(config).st_size])
tell([os.path.isdir(path) for path in ("/sys/module/vfio", "/sys/module/vfio_pci", "/dev/vfio")])
`,
      { kernel },
    );
    assertEquals(told, [
      [[0x8086, 0x10c9], 13, -1, "vfio-pci", "8680c910", 4096],
      [true, true, true],
    ]);
  });
});

describe("A program that looks at itself", () => {
  it(
    "sees the memory that it has pinned and is charged",
    withPython,
    async () => {
      const told = await python(
        `
memory = mmap.mmap(-1, 1 << 16, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
def kib(path="/proc/self/status"):
    return [int(line.split()[1]) for line in open(path) if line.startswith(("VmLck", "VmPin"))]
def mock(fd, ioas):
    request = bytearray(struct.pack("IIIIQQQQQQQ", 72, 2, ioas, 0, 0, 0, 0, 0, 0, 0, 0))
    fcntl.ioctl(fd, 0x3ba0, request)
before = kib()
fd = os.open("/dev/vfio/vfio", os.O_RDWR)
ioas = alloc(fd)
mock(fd, ioas)
fcntl.ioctl(fd, 0x3b85, struct.pack("IIIIQQQ", 40, 6, ioas, 0, address, 1 << 16, 0))
paths = ["/proc/self/status", f"/proc/{os.getpid()}/status", "/proc/thread-self/status",
         f"/proc/self/task/{threading.get_native_id()}/status"]
tell([[now - then for now, then in zip(kib(path), before)] for path in paths])
fd2 = os.open("/proc", os.O_RDONLY)
tell(os.access("self/status", os.R_OK, dir_fd=fd2))
os.close(fd)
tell([now - then for now, then in zip(kib(), before)])
`,
        { pretence: { uid: 1000 } },
      );
      assertEquals(told, [new Array(4).fill([64, 64]), true, [0, 0]]);
    },
  );

  it("makes its own steps fail", withPython, async () => {
    const told = await python(`
tid = threading.get_native_id()
iommu = os.open("/dev/iommu", os.O_RDWR)
for path in ["/proc/self/fail-nth", "/proc/thread-self/fail-nth", f"/proc/self/task/{tid}/fail-nth",
             f"/proc/{os.getpid()}/fail-nth", f"/proc/{os.getpid()}/task/{tid}/fail-nth"]:
    fd = os.open(path, os.O_RDWR)
    os.pwrite(fd, b"1", 0)
    failed = errno_of(alloc, iommu)
    tell([os.access(path, os.W_OK), failed, os.pread(fd, 10, 0).decode(), errno_of(alloc, iommu)])
    os.close(fd)
tell("fail-nth" in os.listdir("/proc/self"))
`);
    assertEquals(told, [
      ...new Array(5).fill([true, "EFAULT", "0\n", null]),
      true,
    ]);
  });

  it("makes steps of one thread fail, not of others", withPython, async () => {
    const told = await python(`
iommu = os.open("/dev/iommu", os.O_RDWR)
def other():
    tell(errno_of(alloc, iommu))
    tell(open("/proc/thread-self/fail-nth").read())
fd = os.open("/proc/thread-self/fail-nth", os.O_RDWR)
os.pwrite(fd, b"1", 0)
thread = threading.Thread(target=other)
thread.start()
thread.join()
tell(errno_of(alloc, iommu))
`);
    assertEquals(told, [null, "0\n", "EFAULT"]);
  });

  it(
    "makes steps of another thread fail by its number",
    withPython,
    async () => {
      const told = await python(`
iommu = os.open("/dev/iommu", os.O_RDWR)
started, go = threading.Lock(), threading.Lock()
started.acquire()
go.acquire()
tid = 0
def other():
    global tid
    tid = threading.get_native_id()
    started.release()
    go.acquire()
    tell(errno_of(alloc, iommu))
thread = threading.Thread(target=other)
thread.start()
started.acquire()
tell([open(f"/proc/self/task/{tid}/{name}").readline()[:5] for name in ("fail-nth", "status")])
fd = os.open(f"/proc/self/task/{tid}/fail-nth", os.O_RDWR)
os.pwrite(fd, b"1", 0)
go.release()
thread.join()
`);
      assertEquals(told, [["0\n", "Name:"], "EFAULT"]);
    },
  );

  it(
    "sets the switches of fault injection as the kernel's selftests do",
    withPython,
    async () => {
      const told = await python(`
debugfs = os.open("/sys/kernel/debug/", os.O_RDONLY | os.O_DIRECTORY)
def write(name, text):
    fd = os.open(name, os.O_WRONLY, dir_fd=debugfs)
    os.write(fd, text)
    os.close(fd)
write("failslab/ignore-gfp-wait", b"N")
write("fail_page_alloc/ignore-gfp-highmem", b"N")
names = os.listdir(debugfs)
for name in names:
    write(name + "/verbose", b"0")
tell(sorted(names))
tell([open("/sys/kernel/debug/failslab/" + name).read() for name in ("ignore-gfp-wait", "verbose", "times")])
`);
      assertEquals(told, [
        ["fail_iommufd", "fail_page_alloc", "fail_usercopy", "failslab"],
        ["N\n", "0\n", "1\n"],
      ]);
    },
  );
});
