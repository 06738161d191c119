// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { Kernel } from "../../../impl/kernel.ts";
import { File } from "../../../impl/kernel/files/file.ts";
import type { Task } from "../../../impl/kernel/interfaces/task.ts";
import { POLLIN, POLLRDNORM } from "../../../impl/uapi/mman.ts";
import { hostKernel, python, runProgram, withPython } from "./run.ts";

/** A device that tells how many contexts of iommufd there are. */
class CountFile extends File {
  readonly #kernel: Kernel;

  constructor(kernel: Kernel) {
    super();
    this.#kernel = kernel;
  }

  override read(task: Task, uaddr: number): number {
    const { size } = this.#kernel.iommufd.contexts;
    task.mm.putUser(uaddr, new TextEncoder().encode(`${size}`));
    return String(size).length;
  }
}

/** A device that is ready to be read when its last ioctl said so. */
class ReadyFile extends File {
  #isReady = false;

  override ioctl(_task: Task, _command: number, argument: number): number {
    this.#isReady = argument !== 0;
    this.pollChanged();
    return 0;
  }

  override poll(): number {
    return this.#isReady ? POLLIN | POLLRDNORM : 0;
  }
}

/** A kernel with both; programs call them `count()` and `/dev/ready`. */
function kernelWithDevices(): Kernel {
  const kernel = hostKernel();
  kernel.registerDevice("/dev/count", () => new CountFile(kernel));
  kernel.registerDevice("/dev/ready", () => new ReadyFile());
  return kernel;
}

const COUNT = `
def count():
    fd = os.open("/dev/count", os.O_RDWR)
    try:
        return int(os.read(fd, 10))
    finally:
        os.close(fd)
def iommu(flags=os.O_RDWR):
    return os.open("/dev/iommu", flags)
`;

/** Runs a program in Python on such a kernel, which it leaves as it was. */
async function told(body: string): Promise<unknown[]> {
  const kernel = kernelWithDevices();
  const lines = await python(COUNT + body, { kernel });
  assertEquals(kernel.audit(), []);
  return lines;
}

describe("A descriptor of a file", () => {
  it("is the same file however it was duplicated", withPython, async () => {
    assertEquals(
      await told(`
fd = iommu()
tell(alloc(fd))
copies = [os.dup(fd), os.dup2(fd, 100), os.dup2(fd, 101, inheritable=False),
          fcntl.fcntl(fd, fcntl.F_DUPFD, 200), fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 200)]
tell([alloc(copy) for copy in copies])
tell(copies[1:])
tell([bool(fcntl.fcntl(copy, fcntl.F_GETFD) & fcntl.FD_CLOEXEC) for copy in copies])
os.close(fd)
tell([alloc(copy) for copy in copies])
tell(count())
`),
      [
        1,
        [2, 3, 4, 5, 6],
        [100, 101, 200, 201],
        [true, false, true, false, true],
        [7, 8, 9, 10, 11],
        1,
      ],
    );
  });

  it(
    "is closed with the last one, in each way there is, before the call returns",
    withPython,
    async () => {
      assertEquals(
        await told(`
os.close(iommu())
tell(count())
null = os.open("/dev/null", os.O_RDWR)
os.dup2(null, iommu())
tell(count())
fd = iommu()
libc.syscall(436, fd, fd + 10, 0)
tell(count())
fd = iommu()
os.close(os.dup(fd))
tell(count())
os.close(fd)
tell(count())
# Of a process that ends only that it is closed can be asked, not when.
def until(wanted):
    for i in range(2000):
        if count() == wanted:
            return True
        time.sleep(0.001)
    return False
def kill_self():
    iommu()
    os.kill(os.getpid(), signal.SIGKILL)
for body in iommu, kill_self, lambda: (iommu(os.O_RDWR | os.O_CLOEXEC), os.execv("/bin/true", ["true"])):
    status = child(body)
    tell([status, until(0)])
`),
        [0, 0, 0, 1, 0, [0, true], [9, true], [0, true]],
      );
    },
  );

  it("stays open in a message until that is gone", withPython, async () => {
    assertEquals(
      await told(`
one, other = socket.socketpair()
fd = iommu()
alloc(fd)
socket.send_fds(one, [b"x"], [fd])
os.close(fd)
tell(count())
_, [got], _, _ = socket.recv_fds(other, 1, 1)
tell([alloc(got), stat.S_ISCHR(os.fstat(got).st_mode)])
socket.send_fds(one, [b"x"], [got])
os.close(got)
tell(count())
one.close()
other.close()
tell(count())
`),
      [1, [2, true], 1, 0],
    );
  });

  it(
    "can be passed to another process, and inherited",
    withPython,
    async () => {
      assertEquals(
        await told(`
one, other = socket.socketpair()
fd = iommu()
alloc(fd)
def receive():
    os.close(fd)
    _, [got], _, _ = socket.recv_fds(other, 1, 1)
    tell([alloc(got), errno_of(alloc, fd) if got != fd else "EBADF"])
pid = os.fork()
if pid == 0:
    receive()
    os._exit(0)
socket.send_fds(one, [b"x"], [fd])
os.waitpid(pid, 0)
tell(child(lambda: tell(alloc(fd))))
os.set_inheritable(fd, True)
program = f"import fcntl, struct; r = bytearray(12); r[0] = 12; fcntl.ioctl({fd}, 0x3b81, r); print(r[8], flush=True)"
tell(child(lambda: os.execv(sys.executable, [sys.executable, "-c", program])))
tell([alloc(fd), count()])
`),
        [[2, "EBADF"], 3, 0, 4, 0, [5, 1]],
      );
    },
  );

  it(
    "has the flags that it was opened with, and those that were set",
    withPython,
    async () => {
      assertEquals(
        await told(`
def flags(fd):
    return fcntl.fcntl(fd, fcntl.F_GETFL)
for access in os.O_RDONLY, os.O_WRONLY, os.O_RDWR:
    fd = iommu(access)
    null = os.open("/dev/null", access)
    tell([flags(fd) & os.O_ACCMODE == access, flags(fd) == flags(null)])
fcntl.fcntl(fd, fcntl.F_SETFL, os.O_NONBLOCK)
tell([bool(flags(fd) & os.O_NONBLOCK), flags(os.dup(fd)) == flags(fd)])
os.set_blocking(fd, True)
tell(bool(flags(fd) & os.O_NONBLOCK))
tell([os.get_inheritable(iommu()), os.get_inheritable(0)])
`),
        [
          [true, true],
          [true, true],
          [true, true],
          [true, true],
          false,
          [false, true],
        ],
      );
    },
  );

  it("is no socket, no file and no terminal", withPython, async () => {
    assertEquals(
      await told(`
fd = iommu()
tell([os.isatty(fd), errno_of(os.lseek, fd, 0, 0), errno_of(os.ftruncate, fd, 0), errno_of(os.read, fd, 8),
      errno_of(os.write, fd, b"x"), errno_of(mmap.mmap, fd, 4096), errno_of(os.listdir, fd),
      errno_of(fcntl.ioctl, fd, 0x3bff, 0), errno_of(os.fsync, fd)])
F_ADD_SEALS, F_GET_SEALS = 1033, 1034
tell([errno_of(fcntl.fcntl, fd, F_ADD_SEALS, 2), errno_of(fcntl.fcntl, fd, F_GET_SEALS)])
tell([errno_of(os.posix_fallocate, each, 0, 1) for each in (fd, iommu(os.O_RDONLY))])
`),
      [
        [
          false,
          "ESPIPE",
          "EINVAL",
          "EINVAL",
          "EINVAL",
          "ENXIO",
          "ENOTDIR",
          "ENOTTY",
          "EINVAL",
        ],
        ["EINVAL", "EINVAL"],
        ["ENODEV", "EBADF"],
      ],
    );
  });

  it(
    "is one below the limit, whatever is open above it",
    withPython,
    async () => {
      assertEquals(
        await told(`
fd = iommu()
for high in range(100, 110):
    os.dup2(fd, high)
import resource
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (fd + 2, hard))
tell(iommu() - fd)
tell(errno_of(iommu))
`),
        [1, "EMFILE"],
      );
    },
  );
});

describe("A program that waits", () => {
  it(
    "finds a file without conditions ready, but not by epoll",
    withPython,
    async () => {
      assertEquals(
        await told(`
fd = iommu()
poll = select.poll()
poll.register(fd, select.POLLIN | select.POLLOUT | select.POLLPRI)
tell([events for _, events in poll.poll(0)])
tell([len(ready) for ready in select.select([fd], [fd], [fd], 0)])
epoll = select.epoll()
tell([errno_of(epoll.register, fd), errno_of(epoll.register, os.open("/dev/null", 0))])
`),
        [[5], [1, 1, 0], ["EPERM", "EPERM"]],
      );
    },
  );

  it("is told when what it waits for has changed", withPython, async () => {
    assertEquals(
      await told(`
fd = os.open("/dev/ready", os.O_RDWR)
poll = select.poll()
poll.register(fd, select.POLLIN)
epoll = select.epoll()
epoll.register(fd, select.EPOLLIN)
edge = select.epoll()
edge.register(fd, select.EPOLLIN | select.EPOLLET)
def ready():
    return [[events for _, events in poll.poll(0)], [events for _, events in epoll.poll(0)],
            [events for _, events in edge.poll(0)], len(select.select([fd], [], [], 0)[0])]
tell(ready())
fcntl.ioctl(fd, 0x3b00, 1)
tell(ready())
tell(ready())
fcntl.ioctl(fd, 0x3b00, 0)
tell(ready())
fcntl.ioctl(fd, 0x3b00, 1)
tell(ready())
`),
      [
        [[], [], [], 0],
        [[1], [1], [1], 1],
        [[1], [1], [], 1],
        [[], [], [], 0],
        [[1], [1], [1], 1],
      ],
    );
  });

  it("is woken by another thread", withPython, async () => {
    assertEquals(
      await told(`
fd = os.open("/dev/ready", os.O_RDWR)
def later():
    time.sleep(0.05)
    fcntl.ioctl(fd, 0x3b00, 1)
thread = threading.Thread(target=later)
thread.start()
poll = select.poll()
poll.register(fd, select.POLLIN)
tell([events for _, events in poll.poll()])
thread.join()
`),
      [[1]],
    );
  });
});

describe("A shell that redirects", () => {
  it("reads and writes files of the model as its standard streams", async () => {
    const script = `
echo N > /sys/kernel/debug/failslab/ignore-gfp-wait
cat < /sys/kernel/debug/failslab/ignore-gfp-wait
cat /sys/kernel/debug/failslab/ignore-gfp-wait | cat
echo 0 > /proc/self/fail-nth && cat < /proc/self/fail-nth
read state < /sys/kernel/debug/failslab/ignore-gfp-wait && echo $state
echo x 2> /dev/null > /proc/self/fail-nth || echo refused
`;
    const setting = { kernel: hostKernel() };
    const { end, output } = await runProgram(setting, "sh", "-c", script);
    assertEquals(end.code, 0, output);
    const lines = output.split("\n").filter((line) => !line.startsWith("sh:"));
    assertEquals(lines, ["N", "N", "0", "N", "refused", ""]);
  });
});
