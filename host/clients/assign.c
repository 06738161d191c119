// SPDX-License-Identifier: GPL-2.0-only

/*
 * What monitors of virtual machines do with a device before a guest runs, by
 * the calls of those that are written in Rust (vfio-ioctls with
 * cloud-hypervisor, openvmm): the device is opened by its own file or through
 * its group, its regions and interrupts are told, its capabilities walked, its
 * BARs sized and mapped around the table of MSI-X, and its messages connected,
 * all at once or one by one.
 *
 *   assign BDF cdev|group
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "probe/uapi.h"

#define REGION(index) ((uint64_t)(index) << 40)
#define MSIX 2
#define PAGE 4096

static int device;

static void check(int good, const char *what) {
  if (good)
    return;
  perror(what);
  exit(1);
}

/* The only directory of vfio-dev names the file. */
static void open_alone(const char *bdf) {
  char path[300], name[256] = "";
  snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/vfio-dev", bdf);
  DIR *directory = opendir(path);
  check(directory != NULL, path);
  int entries = 0;
  for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
    if (entry->d_name[0] == '.')
      continue;
    check(entry->d_type == DT_DIR, "a directory");
    strcpy(name, entry->d_name);
    entries++;
  }
  closedir(directory);
  check(entries == 1, "one entry");
  snprintf(path, sizeof(path), "/dev/vfio/devices/%s", name);
  device = open(path, O_RDWR | O_CLOEXEC);
  int iommufd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
  check(device >= 0 && iommufd >= 0, "open");
  struct bind_iommufd bind = {.argsz = 16, .iommufd = iommufd};
  check(ioctl(device, VFIO_DEVICE_BIND_IOMMUFD, &bind) == 0, "BIND");
  struct ioas_alloc ioas = {.size = sizeof(ioas)};
  check(ioctl(iommufd, IOMMU_IOAS_ALLOC, &ioas) == 0, "IOAS_ALLOC");
  struct attach_pt attach = {.argsz = 12, .pt_id = ioas.out_ioas_id};
  check(ioctl(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach) == 0, "ATTACH");
  void *memory = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  struct ioas_map map = {sizeof(map), 7, ioas.out_ioas_id, 0,
                         (uintptr_t)memory, 16 * PAGE, 0x100000};
  check(ioctl(iommufd, IOMMU_IOAS_MAP, &map) == 0, "IOAS_MAP");
  struct ioas_unmap unmap = {sizeof(unmap), ioas.out_ioas_id, 0x100000,
                             16 * PAGE};
  check(ioctl(iommufd, IOMMU_IOAS_UNMAP, &unmap) == 0, "IOAS_UNMAP");
  check(unmap.length == 16 * PAGE, "unmapped length");
}

/* The container must know version 2 of type1, the group be viable and no more. */
static void open_in_group(const char *bdf) {
  char path[300], target[300] = "";
  snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", bdf);
  check(readlink(path, target, sizeof(target) - 1) > 0, path);
  snprintf(path, sizeof(path), "/dev/vfio/%s", strrchr(target, '/') + 1);
  int container = open("/dev/vfio/vfio", O_RDWR);
  check(ioctl(container, VFIO_GET_API_VERSION) == 0, "API_VERSION");
  check(ioctl(container, VFIO_CHECK_EXTENSION, 3) == 1, "CHECK_EXTENSION");
  int group = open(path, O_RDWR);
  struct vfio_group_status status = {.argsz = sizeof(status)};
  check(ioctl(group, VFIO_GROUP_GET_STATUS, &status) == 0, "GET_STATUS");
  check(status.flags == VFIO_GROUP_FLAGS_VIABLE, "viable");
  check(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) == 0, "CONTAINER");
  check(ioctl(container, VFIO_SET_IOMMU, 3) == 0, "SET_IOMMU");
  device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, bdf);
  check(device >= 0, "GET_DEVICE_FD");
}

static uint32_t config(unsigned at, unsigned count) {
  uint32_t value = 0;
  check(pread(device, &value, count, REGION(7) + at) == (ssize_t)count,
        "pread of configuration space");
  return value;
}

static void set_config(unsigned at, unsigned count, uint32_t value) {
  check(pwrite(device, &value, count, REGION(7) + at) == (ssize_t)count,
        "pwrite of configuration space");
}

/* All regions; the one with the table of MSI-X is asked for once more. */
static void tell_regions(unsigned count) {
  for (unsigned index = 0; index < count; index++) {
    char bytes[64] = "";
    struct vfio_region_info *info = (void *)bytes;
    info->argsz = sizeof(*info);
    info->index = index;
    if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, info) != 0) {
      printf("region %u: none\n", index);
      continue;
    }
    unsigned capability = 0;
    if (info->flags & VFIO_REGION_INFO_FLAG_CAPS) {
      check(info->argsz <= sizeof(bytes), "argsz");
      check(ioctl(device, VFIO_DEVICE_GET_REGION_INFO, info) == 0, "again");
      capability =
          ((struct vfio_info_cap_header *)(bytes + info->cap_offset))->id;
    }
    printf("region %u: size %#llx flags %#x capability %u\n", index,
           (unsigned long long)info->size, info->flags, capability);
  }
}

static void tell_interrupts(unsigned count) {
  for (unsigned index = 0; index < count; index++) {
    struct vfio_irq_info info = {.argsz = sizeof(info), .index = index};
    check(ioctl(device, VFIO_DEVICE_GET_IRQ_INFO, &info) == 0, "IRQ_INFO");
    printf("interrupts %u: %u flags %#x\n", index, info.count, info.flags);
  }
}

/* The user's BARs are written with ones and read back. */
static void size_bars(void) {
  for (unsigned bar = 0; bar < 6; bar++) {
    unsigned at = 0x10 + 4 * bar;
    uint32_t before = config(at, 4);
    set_config(at, 4, 0xffffffff);
    uint32_t mask = config(at, 4);
    set_config(at, 4, before);
    if (mask == 0)
      continue;
    printf("BAR %u: %#x\n", bar, ~(mask & (mask & 1 ? ~3u : ~15u)) + 1);
    // One of 64 bits takes two places.
    if ((mask & 7) == 4)
      bar++;
  }
}

/* Byte by byte; returns where MSI-X is. */
static unsigned walk_capabilities(void) {
  unsigned msix = 0;
  printf("capabilities:");
  for (unsigned at = config(0x34, 1); at != 0; at = config(at + 1, 1)) {
    printf(" %#x", config(at, 1));
    if (config(at, 1) == 0x11)
      msix = at;
  }
  printf("\n");
  return msix;
}

/* A BAR is mapped before and behind the pages that the table is in. */
static void map_around(unsigned msix) {
  unsigned bar = config(msix + 4, 4) & 7;
  unsigned table = config(msix + 4, 4) & ~7u;
  unsigned vectors = (config(msix + 2, 2) & 0x7ff) + 1;
  unsigned from = table / PAGE * PAGE;
  unsigned end = (table + 16 * vectors + PAGE - 1) / PAGE * PAGE;
  struct vfio_region_info info = {.argsz = sizeof(info), .index = bar};
  check(ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info) == 0, "REGION_INFO");
  unsigned ranges[][2] = {{0, from}, {end, info.size}};
  for (int i = 0; i < 2; i++) {
    unsigned length = ranges[i][1] - ranges[i][0];
    if (length == 0)
      continue;
    void *at = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, device,
                    REGION(bar) + ranges[i][0]);
    check(at != MAP_FAILED, "mmap around MSI-X");
    printf("mapped %#x at %#x of BAR %u\n", length, ranges[i][0], bar);
    check(munmap(at, length) == 0, "munmap");
  }
}

static int set_irqs(uint32_t flags, unsigned start, unsigned count,
                    const int *eventfds) {
  char bytes[sizeof(struct vfio_irq_set) + 64] = "";
  struct vfio_irq_set *set = (void *)bytes;
  size_t length = eventfds == NULL ? 0 : count * sizeof(int);
  *set = (struct vfio_irq_set){sizeof(*set) + length, flags, MSIX, start,
                               count};
  if (length > 0)
    memcpy(set->data, eventfds, length);
  return ioctl(device, VFIO_DEVICE_SET_IRQS, set);
}

static unsigned counted(int eventfd) {
  uint64_t value;
  return read(eventfd, &value, 8) == 8 ? value : 0;
}

/* All at once; then off, and one by one, at any number, while they are on. */
static void connect_messages(void) {
  const uint32_t connect =
      VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
  const uint32_t none = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER;
  int eventfds[10];
  for (int i = 0; i < 10; i++)
    eventfds[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  check(set_irqs(connect, 0, 10, eventfds) == 0, "all messages");
  check(set_irqs(none, 0, 10, NULL) == 0, "trigger");
  unsigned sum = 0;
  for (int i = 0; i < 10; i++)
    sum += counted(eventfds[i]);
  check(set_irqs(none, 0, 0, NULL) == 0, "off");
  check(set_irqs(connect, 0, 1, eventfds) == 0, "the first message");
  check(set_irqs(connect, 7, 1, eventfds + 7) == 0, "another message");
  check(set_irqs(none, 7, 1, NULL) == 0, "trigger of another");
  check(set_irqs(connect, 7, 1, (int[]){-1}) == 0, "no message");
  check(set_irqs(none, 7, 1, NULL) == 0, "trigger of none");
  printf("messages: %u, then %u and %u\n", sum, counted(eventfds[0]),
         counted(eventfds[7]));
  check(set_irqs(none, 0, 0, NULL) == 0, "off again");
}

int main(int argc, char **argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: assign BDF cdev|group\n");
    return 2;
  }
  if (strcmp(argv[2], "cdev") == 0)
    open_alone(argv[1]);
  else
    open_in_group(argv[1]);
  struct vfio_device_info info = {.argsz = sizeof(info)};
  check(ioctl(device, VFIO_DEVICE_GET_INFO, &info) == 0, "GET_INFO");
  check(info.flags & VFIO_DEVICE_FLAGS_PCI, "PCI");
  check(info.num_regions >= 8 && info.num_irqs >= 3, "regions");
  if (info.flags & VFIO_DEVICE_FLAGS_RESET)
    check(ioctl(device, VFIO_DEVICE_RESET) == 0, "RESET");
  tell_regions(info.num_regions);
  tell_interrupts(info.num_irqs);
  size_bars();
  map_around(walk_capabilities());
  connect_messages();
  return 0;
}
