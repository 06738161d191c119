// SPDX-License-Identifier: GPL-2.0-only

/* Regions. */
#include "probe.h"

static sigjmp_buf jump;
static void caught(int signal) {
  siglongjmp(jump, signal);
}
/* Loads from a mapping; returns the signal that it came to. */
static int rd32(volatile uint32_t *p, uint32_t *v) {
  int s;
  if ((s = sigsetjmp(jump, 1)))
    return s;
  *v = *p;
  return 0;
}

/* Configuration space. */
static void config_space(void) {
  char buf[8192];
  uint32_t v = 0;
  T("config pread 4096", pread(fd, buf, 4096, OFF(7)));
  T("config pread 8192", pread(fd, buf, 8192, OFF(7)));
  T("config pread 4 at 4094", pread(fd, buf, 4, OFF(7) + 4094));
  T("config pread 4 at 4096", pread(fd, buf, 4, OFF(7) + 4096));
  T("config pread 3 at 1", pread(fd, buf, 3, OFF(7) + 1));
  T("config pread 0", pread(fd, buf, 0, OFF(7)));
  printf("    command %#x status %#x line %#x pin %#x\n", cfg(fd, 4, 2),
         cfg(fd, 6, 2), cfg(fd, 0x3c, 1), cfg(fd, 0x3d, 1));
  for (int i = 0; i < 6; i++) {
    uint32_t o = cfg(fd, 0x10 + 4 * i, 4);
    cfgw(fd, 0x10 + 4 * i, 4, 0xffffffff);
    uint32_t s = cfg(fd, 0x10 + 4 * i, 4);
    cfgw(fd, 0x10 + 4 * i, 4, 0x12345678);
    uint32_t w = cfg(fd, 0x10 + 4 * i, 4);
    cfgw(fd, 0x10 + 4 * i, 4, o);
    printf("    BAR%d was %#x; all ones reads %#x; 0x12345678 reads %#x\n", i,
           o, s, w);
  }
  {
    uint32_t o = cfg(fd, 0x30, 4);
    cfgw(fd, 0x30, 4, 0xffffffff);
    printf("    ROM was %#x all ones %#x\n", o, cfg(fd, 0x30, 4));
    cfgw(fd, 0x30, 4, o);
  }
  v = 0xffff;
  T("write vendor id", pwrite(fd, &v, 2, OFF(7)));
  printf("    vendor %#x\n", cfg(fd, 0, 2));
  T("write 4 at status|command = all ones", ({
      v = 0xffffffff;
      pwrite(fd, &v, 4, OFF(7) + 4);
    }));
  printf("    command %#x\n", cfg(fd, 4, 2));
  cfgw(fd, 4, 2, 3);
  cfgw(fd, 0x3c, 1, 0x77);
  printf("    line %#x (wrote 0x77)\n", cfg(fd, 0x3c, 1));
  cfgw(fd, 0xd, 1, 0x40);
  printf("    latency %#x (wrote 0x40)\n", cfg(fd, 0xd, 1));
  printf("    cap list:");
  for (int p = cfg(fd, 0x34, 1); p; p = cfg(fd, p + 1, 1))
    printf(" %#x@%#x", cfg(fd, p, 1), p);
  printf("\n    ecaps:");
  for (int p = 0x100; p;) {
    uint32_t h = cfg(fd, p, 4);
    printf(" %#x@%#x", h & 0xffff, p);
    p = h >> 20;
  }
  puts("");
  printf("    MSI-X control %#x; ", cfg(fd, 0x72, 2));
  cfgw(fd, 0x72, 2, 0xc000);
  printf("wrote 0xc000: %#x\n", cfg(fd, 0x72, 2));
  printf("    MSI control %#x; ", cfg(fd, 0x52, 2));
  cfgw(fd, 0x52, 2, 1);
  printf("wrote 1: %#x; ", cfg(fd, 0x52, 2));
  cfgw(fd, 0x54, 4, 0xfee01234);
  printf("addr wrote 0xfee01234: %#x\n", cfg(fd, 0x54, 4));
  cfgw(fd, 0x52, 2, 0);
}

/* BARs by pread and pwrite. */
static void bars(void) {
  char buf[8192];
  uint32_t v = 0;
  T("write unassigned byte 0xf0", ({
      v = 0x55;
      pwrite(fd, &v, 1, OFF(7) + 0xf0);
    }));
  printf("    reads %#x\n", cfg(fd, 0xf0, 1));
  T("pread BAR0 4 at 8", pread(fd, buf, 4, OFF(0) + 8));
  T("pread BAR0 8 at 8", pread(fd, buf, 8, OFF(0) + 8));
  T("pread BAR0 at end", pread(fd, buf, 4, OFF(0) + 0x20000));
  T("pread BAR0 8 across end", pread(fd, buf, 8, OFF(0) + 0x1fffc));
  T("pread BAR4 (none)", pread(fd, buf, 4, OFF(4)));
  T("pread ROM", pread(fd, buf, 4, OFF(6)));
  T("pwrite ROM", pwrite(fd, buf, 4, OFF(6)));
  T("pread VGA", pread(fd, buf, 4, OFF(8)));
  T("pread index 9", pread(fd, buf, 4, OFF(9)));
  T("pread IO BAR2", pread(fd, buf, 4, OFF(2)));
  T("pread MSI-X table", pread(fd, &v, 4, OFF(3)));
  printf("    %#x\n", v);
}

/* What can be mapped, and what memory says while it is off. */
static void mappings(void) {
  char buf[8192];
  uint32_t v = 0;
  T("mmap BAR0",
    mmap(0, 0x20000, 3, MAP_SHARED, fd, OFF(0)) == MAP_FAILED ? -1 : 0);
  T("mmap BAR0 private",
    mmap(0, 4096, 3, MAP_PRIVATE, fd, OFF(0)) == MAP_FAILED ? -1 : 0);
  T("mmap BAR0 too long",
    mmap(0, 0x21000, 3, MAP_SHARED, fd, OFF(0)) == MAP_FAILED ? -1 : 0);
  T("mmap BAR0 offset 4096 full length",
    mmap(0, 0x20000, 3, MAP_SHARED, fd, OFF(0) + 4096) == MAP_FAILED ? -1 : 0);
  T("mmap IO BAR2",
    mmap(0, 4096, 3, MAP_SHARED, fd, OFF(2)) == MAP_FAILED ? -1 : 0);
  T("mmap MSI-X BAR3",
    mmap(0, 0x4000, 3, MAP_SHARED, fd, OFF(3)) == MAP_FAILED ? -1 : 0);
  T("mmap BAR4 (none)",
    mmap(0, 4096, 3, MAP_SHARED, fd, OFF(4)) == MAP_FAILED ? -1 : 0);
  for (int i = 6; i <= 9; i++)
    T("mmap region %d",
      mmap(0, 4096, 1, MAP_SHARED, fd, OFF(i)) == MAP_FAILED ? -1 : 0, i);
  volatile uint32_t *b = mmap(0, 4096, 3, MAP_SHARED, fd, OFF(0));
  v = 0;
  int s = rd32(b + 2, &v);
  printf("    load BAR0+8: signal %d value %#x\n", s, v);
  cfgw(fd, 4, 2, 1);
  printf("    command %#x after clearing MEMORY\n", cfg(fd, 4, 2));
  T("pread BAR0 with memory off", pread(fd, buf, 4, OFF(0) + 8));
  T("pread IO BAR2 with memory off", pread(fd, buf, 4, OFF(2)));
  s = rd32(b + 2, &v);
  printf("    load BAR0+8 with memory off: signal %d\n", s);
  T("mmap BAR0 with memory off",
    mmap(0, 4096, 3, MAP_SHARED, fd, OFF(0)) == MAP_FAILED ? -1 : 0);
  cfgw(fd, 4, 2, 0);
  T("pread IO BAR2 with IO off", pread(fd, buf, 4, OFF(2)));
  cfgw(fd, 4, 2, 3);
  s = rd32(b + 2, &v);
  printf("    load BAR0+8 with memory on again: signal %d value %#x\n", s, v);
  cfgw(fd, 4, 2, 7);
  printf("    command %#x before RESET; ", cfg(fd, 4, 2));
  cfgw(fd, 0x10, 4, 0x12340000);
  ioctl(fd, VFIO_DEVICE_RESET);
  printf("after RESET %#x BAR0 %#x\n", cfg(fd, 4, 2), cfg(fd, 0x10, 4));
}

void config_questions(void) {
  signal(SIGBUS, caught);
  signal(SIGSEGV, caught);
  config_space();
  bars();
  mappings();
}
