// SPDX-License-Identifier: GPL-2.0-only

/* FEATURE, and resets of the bus. */
#include "probe.h"

/* FEATURE. */
void feature_questions(void) {
  uint8_t d[128];
  T("FEATURE argsz 7", feat(fd, 7, VFIO_DEVICE_FEATURE_PROBE, d, 0));
  T("FEATURE flags 0x80000", feat(fd, 8, 0x80000, d, 0));
  T("FEATURE 5 GET|SET", feat(fd, 8, 0x30005, d, 0));
  T("FEATURE 5 no flags", feat(fd, 8, 5, d, 0));
  for (int i = 0; i <= 14; i++) {
    T("FEATURE %d PROBE", feat(fd, 8, 0x40000 | i, d, 0), i);
    T("FEATURE %d PROBE|GET", feat(fd, 8, 0x50000 | i, d, 0), i);
    T("FEATURE %d PROBE|SET", feat(fd, 8, 0x60000 | i, d, 0), i);
  }
  struct {
    struct feature_dma_buf b;
    struct dma_range r[2];
  } x;
#define SHARE(name, ri, fl, nr, o, l)                                          \
  memset(&x, 0, sizeof x);                                                     \
  x.b.region_index = ri;                                                       \
  x.b.open_flags = O_RDWR | O_CLOEXEC;                                         \
  x.b.flags = fl;                                                              \
  x.b.nr_ranges = nr;                                                          \
  x.r[0].offset = o;                                                           \
  x.r[0].length = l;                                                           \
  x.r[1].offset = 0;                                                           \
  x.r[1].length = 4096;                                                        \
  {                                                                            \
    int f = T("DMA_BUF " name,                                                 \
              feat(fd, 0, VFIO_DEVICE_FEATURE_GET | 11, &x, sizeof x));        \
    if (f >= 0) {                                                              \
      struct stat st;                                                          \
      fstat(f, &st);                                                           \
      char l2[100] = {}, p[50];                                                \
      sprintf(p, "/proc/self/fd/%d", f);                                       \
      readlink(p, l2, 99);                                                     \
      printf("    %s size %ld\n", l2, lseek(f, 0, SEEK_END));                  \
      close(f);                                                                \
    }                                                                          \
  }
  SHARE("bar 0 4096", 0, 0, 1, 0, 4096);
  SHARE("bar 0 two ranges", 0, 0, 2, 4096, 4096);
  SHARE("bar 0 flags 1", 0, 1, 1, 0, 4096);
  SHARE("bar 0 nr 0", 0, 0, 0, 0, 4096);
  SHARE("bar 0 length 0", 0, 0, 1, 0, 0);
  SHARE("bar 0 offset 100", 0, 0, 1, 100, 4096);
  SHARE("bar 0 beyond", 0, 0, 1, 0x20000, 4096);
  SHARE("bar 2 (io)", 2, 0, 1, 0, 4096);
  SHARE("bar 4 (none)", 4, 0, 1, 0, 4096);
  SHARE("rom", 6, 0, 1, 0, 4096);
  SHARE("bar 9", 9, 0, 1, 0, 4096);
}

/* Resets of the whole bus. */
void hot_reset_questions(const char *w) {
  struct {
    struct vfio_pci_hot_reset_info i;
    struct vfio_pci_dependent_device d[32];
  } x = {};
  x.i.argsz = 12;
  T("%s HOT_RESET_INFO argsz 12",
    ioctl(fd, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &x), w);
  printf("    count %u flags %#x\n", x.i.count, x.i.flags);
  x.i.argsz = sizeof x;
  T("%s HOT_RESET_INFO big", ioctl(fd, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &x),
    w);
  printf("    count %u flags %#x", x.i.count, x.i.flags);
  for (unsigned i = 0; i < x.i.count && i < 8; i++)
    printf(" [%#x %x:%x.%x]", x.d[i].group_id, x.d[i].bus, x.d[i].devfn >> 3,
           x.d[i].devfn & 7);
  puts("");
  struct {
    struct vfio_pci_hot_reset r;
    int fds[2];
  } r = {};
  r.r.argsz = 12;
  T("%s HOT_RESET count 0", ioctl(fd, VFIO_DEVICE_PCI_HOT_RESET, &r), w);
  r.r.count = 1;
  r.fds[0] = 0;
  r.r.argsz = 16;
  T("%s HOT_RESET count 1", ioctl(fd, VFIO_DEVICE_PCI_HOT_RESET, &r), w);
}
