// SPDX-License-Identifier: GPL-2.0-only

/* What the device says of itself. */
#include "probe.h"

static void getinfo(int fd) {
  struct vfio_device_info in;
  uint32_t sz[] = {0, 15, 16, 20, 24, 64};
  for (int i = 0; i < 6; i++) {
    char b[64] = {};
    memset(&in, 0, sizeof in);
    struct vfio_device_info *p = (void *)b;
    p->argsz = sz[i];
    T("GET_INFO argsz %u", ioctl(fd, VFIO_DEVICE_GET_INFO, p), sz[i]);
    if (sz[i] >= 16)
      printf("    argsz %u flags %#x regions %u irqs %u cap_offset %u\n",
             p->argsz, p->flags, p->num_regions, p->num_irqs, p->cap_offset);
  }
}
static void regions(int fd) {
  for (int i = 0; i <= 9; i++) {
    char b[128] = {};
    struct vfio_region_info *p = (void *)b;
    p->argsz = 32;
    p->index = i;
    if (T("GET_REGION_INFO %d argsz 32",
          ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, p), i) == 0)
      printf("    argsz %u flags %#x size %#llx offset %#llx cap_offset %u\n",
             p->argsz, p->flags, p->size, p->offset, p->cap_offset);
    if (p->argsz > 32) {
      uint32_t a = p->argsz;
      memset(b, 0, sizeof b);
      p->argsz = a;
      p->index = i;
      T("  again argsz %u", ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, p), a);
      struct vfio_info_cap_header *h = (void *)(b + p->cap_offset);
      printf("    cap_offset %u id %u version %u next %u\n", p->cap_offset,
             h->id, h->version, h->next);
    }
  }
  struct vfio_region_info r = {.argsz = 31};
  T("GET_REGION_INFO argsz 31", ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, &r));
}
static void irqs(int fd) {
  for (int i = 0; i <= 5; i++) {
    struct vfio_irq_info q = {.argsz = 16, .index = i};
    if (T("GET_IRQ_INFO %d", ioctl(fd, VFIO_DEVICE_GET_IRQ_INFO, &q), i) == 0)
      printf("    flags %#x count %u\n", q.flags, q.count);
  }
  struct vfio_irq_info q = {.argsz = 15};
  T("GET_IRQ_INFO argsz 15", ioctl(fd, VFIO_DEVICE_GET_IRQ_INFO, &q));
}

/* A bound device. */
void device_questions(void) {
  char buf[64];
  puts("--- device");
  getinfo(fd);
  regions(fd);
  irqs(fd);
  T("unknown VFIO ioctl", ioctl(fd, 0x3bff, 0));
  T("QUERY_GFX_PLANE", ioctl(fd, VFIO_DEVICE_QUERY_GFX_PLANE, buf));
  T("read() pos 0", read(fd, buf, 4));
  T("lseek SET", lseek(fd, OFF(7), SEEK_SET));
  T("read() after", read(fd, buf, 2));
  puts("--- config");
  config_questions();
  puts("--- irqs");
  irq_questions();
  puts("--- features");
  feature_questions();
  puts("--- hot reset");
  hot_reset_questions("cdev");
}
