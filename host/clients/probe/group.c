// SPDX-License-Identifier: GPL-2.0-only

/* The group: in a container, and the devices that it opens. */
#include "probe.h"

/* The group and its container. */
static int g, c;
static struct vfio_group_status gs = {7};

/* Opened, and in no container. */
static void open_group(void) {
  char buf[64];
  struct stat st;
  puts("--- group");
  g = T("open group", open(grp, O_RDWR));
  T("open group again", open(grp, O_RDWR));
  fd = T("open cdev while the group is open", open(cdev, O_RDWR));
  io = open("/dev/iommu", O_RDWR);
  T("BIND while the group is open", bind_(fd, io, 24, 0, 0));
  close(fd);
  fstat(g, &st);
  printf("    mode %o rdev %u:%u\n", st.st_mode, major(st.st_rdev),
         minor(st.st_rdev));
  T("GET_STATUS argsz 7", ioctl(g, VFIO_GROUP_GET_STATUS, &gs));
  gs.argsz = 8;
  T("GET_STATUS", ioctl(g, VFIO_GROUP_GET_STATUS, &gs));
  printf("    flags %#x\n", gs.flags);
  T("GET_DEVICE_FD without container", ioctl(g, VFIO_GROUP_GET_DEVICE_FD, bdf));
  T("UNSET_CONTAINER without", ioctl(g, VFIO_GROUP_UNSET_CONTAINER));
  int x = 9999;
  T("SET_CONTAINER bad fd", ioctl(g, VFIO_GROUP_SET_CONTAINER, &x));
  T("SET_CONTAINER /dev/null", ioctl(g, VFIO_GROUP_SET_CONTAINER, &nul));
  T("SET_CONTAINER NULL", ioctl(g, VFIO_GROUP_SET_CONTAINER, 0));
  T("unknown ioctl", ioctl(g, 0x3bff, 0));
  T("read group", read(g, buf, 4));
  T("mmap group", mmap(0, 4096, 1, MAP_SHARED, g, 0) == MAP_FAILED ? -1 : 0);
}

/* In a container. */
static void container(void) {
  c = T("open container", open(cpath, O_RDWR));
  T("GET_API_VERSION", ioctl(c, VFIO_GET_API_VERSION));
  for (int i = 0; i <= 11; i++)
    T("CHECK_EXTENSION %d", ioctl(c, VFIO_CHECK_EXTENSION, i), i);
  T("SET_IOMMU 1 without group", ioctl(c, VFIO_SET_IOMMU, 1));
  T("IOMMU_GET_INFO without group", ({
      struct vfio_iommu_type1_info i = {24};
      ioctl(c, VFIO_IOMMU_GET_INFO, &i);
    }));
  T("SET_CONTAINER", ioctl(g, VFIO_GROUP_SET_CONTAINER, &c));
  T("SET_CONTAINER again", ioctl(g, VFIO_GROUP_SET_CONTAINER, &c));
  ioctl(g, VFIO_GROUP_GET_STATUS, &gs);
  printf("    flags %#x\n", gs.flags);
  T("GET_DEVICE_FD before SET_IOMMU", ({
      int f = ioctl(g, VFIO_GROUP_GET_DEVICE_FD, bdf);
      if (f >= 0)
        close(f);
      f;
    }));
  T("SET_IOMMU 8", ioctl(c, VFIO_SET_IOMMU, 8));
  T("SET_IOMMU 3", ioctl(c, VFIO_SET_IOMMU, 3));
  T("SET_IOMMU 3 again", ioctl(c, VFIO_SET_IOMMU, 3));
  for (int i = 1; i <= 10; i++)
    T("CHECK_EXTENSION %d", ioctl(c, VFIO_CHECK_EXTENSION, i), i);
  T("unknown container ioctl", ioctl(c, 0x3bff, 0));
}

/* Devices by their names. */
static void open_device(void) {
  struct stat st;
  char l[300] = {};
  T("GET_DEVICE_FD wrong name",
    ioctl(g, VFIO_GROUP_GET_DEVICE_FD, "0000:00:1f.0"));
  T("GET_DEVICE_FD junk after", ioctl(g, VFIO_GROUP_GET_DEVICE_FD, ({
                                        char *q = malloc(100);
                                        snprintf(q, 100, "%sx", bdf);
                                        q;
                                      })));
  T("GET_DEVICE_FD option", ioctl(g, VFIO_GROUP_GET_DEVICE_FD, ({
                                    char *q = malloc(100);
                                    snprintf(q, 100, "%s foo=1", bdf);
                                    q;
                                  })));
  T("GET_DEVICE_FD empty", ioctl(g, VFIO_GROUP_GET_DEVICE_FD, ""));
  fd = T("GET_DEVICE_FD", ioctl(g, VFIO_GROUP_GET_DEVICE_FD, bdf));
  fd2 = T("GET_DEVICE_FD again", ioctl(g, VFIO_GROUP_GET_DEVICE_FD, bdf));
  {
    char q[50];
    sprintf(q, "/proc/self/fd/%d", fd);
    memset(l, 0, sizeof l);
    readlink(q, l, 299);
    fstat(fd, &st);
    printf("    %s mode %o cloexec %d flags %#x\n", l, st.st_mode,
           fcntl(fd, F_GETFD), fcntl(fd, F_GETFL));
    FILE *f;
    sprintf(q, "/proc/self/fdinfo/%d", fd);
    f = fopen(q, "r");
    while (fgets(l, 300, f))
      printf("    %s", l);
  }
}

/* A device of the group. */
static void device(void) {
  char buf[64];
  uint32_t pt;
  T("BIND on a group's device", bind_(fd, io, 24, 0, 0));
  T("ATTACH on a group's device", (pt = 1, attach(fd, 12, 0, &pt, 0)));
  {
    struct vfio_device_info i = {24};
    T("GET_INFO", ioctl(fd, VFIO_DEVICE_GET_INFO, &i));
    printf("    flags %#x\n", i.flags);
  }
  T("lseek", lseek(fd, OFF(7), SEEK_SET));
  T("read", read(fd, buf, 4));
  T("pread", pread(fd, buf, 4, OFF(7)));
  hot_reset_questions("group");
  {
    struct {
      struct vfio_pci_hot_reset r;
      int fds[2];
    } r = {{16, 0, 1}, {g}};
    T("HOT_RESET with the group", ioctl(fd, VFIO_DEVICE_PCI_HOT_RESET, &r));
  }
}

/* IOMMU_GET_INFO. */
static void info(void) {
  {
    char b[200] = {};
    struct vfio_iommu_type1_info *i = (void *)b;
    uint32_t z[] = {15, 16, 24, 200};
    for (int k = 0; k < 4; k++) {
      memset(b, 0, 200);
      i->argsz = z[k];
      T("IOMMU_GET_INFO argsz %u", ioctl(c, VFIO_IOMMU_GET_INFO, i), z[k]);
      printf("    argsz %u flags %#x pgsizes %#llx cap_offset %u\n", i->argsz,
             i->flags, i->iova_pgsizes, i->cap_offset);
      for (unsigned o = i->cap_offset; o && z[k] == 200;) {
        struct vfio_info_cap_header *hh = (void *)(b + o);
        printf("    cap %u v%u next %u\n", hh->id, hh->version, hh->next);
        o = hh->next;
      }
    }
  }
}

/* MAP_DMA and UNMAP_DMA. */
static void mapping(void) {
  void *m = mmap(0, 16384, 3, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  struct vfio_iommu_type1_dma_map mp = {32, 3, (uintptr_t)m, 0x100000, 16384};
  T("MAP_DMA", ioctl(c, VFIO_IOMMU_MAP_DMA, &mp));
  T("MAP_DMA again", ioctl(c, VFIO_IOMMU_MAP_DMA, &mp));
  mp.argsz = 31;
  T("MAP_DMA argsz 31", ioctl(c, VFIO_IOMMU_MAP_DMA, &mp));
  mp.argsz = 32;
  mp.flags = 0;
  mp.iova = 0x200000;
  T("MAP_DMA flags 0", ioctl(c, VFIO_IOMMU_MAP_DMA, &mp));
  mp.flags = 8;
  T("MAP_DMA flags 8", ioctl(c, VFIO_IOMMU_MAP_DMA, &mp));
  mp.flags = 3;
  mp.size = 100;
  T("MAP_DMA size 100", ioctl(c, VFIO_IOMMU_MAP_DMA, &mp));
  mp.size = 0;
  T("MAP_DMA size 0", ioctl(c, VFIO_IOMMU_MAP_DMA, &mp));
  mp.size = 4096;
  mp.iova = 0xfee00000;
  T("MAP_DMA MSI window", ioctl(c, VFIO_IOMMU_MAP_DMA, &mp));
  struct vfio_iommu_type1_dma_unmap um = {24, 0, 0x101000, 4096};
  T("UNMAP_DMA middle", ioctl(c, VFIO_IOMMU_UNMAP_DMA, &um));
  printf("    size %llu\n", um.size);
  um.iova = 0x900000;
  um.size = 4096;
  T("UNMAP_DMA nothing there", ioctl(c, VFIO_IOMMU_UNMAP_DMA, &um));
  printf("    size %llu\n", um.size);
  um.flags = 2;
  T("UNMAP_DMA ALL with iova", ioctl(c, VFIO_IOMMU_UNMAP_DMA, &um));
  um.iova = um.size = 0;
  T("UNMAP_DMA ALL", ioctl(c, VFIO_IOMMU_UNMAP_DMA, &um));
  printf("    size %llu\n", um.size);
  T("UNMAP_DMA ALL again", ioctl(c, VFIO_IOMMU_UNMAP_DMA, &um));
  printf("    size %llu\n", um.size);
  T("DIRTY_PAGES start", ({
      struct vfio_iommu_type1_dirty_bitmap db = {8, 1};
      ioctl(c, VFIO_IOMMU_DIRTY_PAGES, &db);
    }));
}

/* Closed piece by piece. */
static void close_all(void) {
  char buf[64];
  T("UNSET_CONTAINER with devices open", ioctl(g, VFIO_GROUP_UNSET_CONTAINER));
  ioctl(g, VFIO_GROUP_GET_STATUS, &gs);
  printf("    flags %#x\n", gs.flags);
  T("GET_INFO then", ({
      struct vfio_device_info i = {16};
      ioctl(fd, VFIO_DEVICE_GET_INFO, &i);
    }));
  T("close group while devices are open", close(g));
  T("pread then", pread(fd, buf, 4, OFF(7)));
  T("open group then", open(grp, O_RDWR));
  close(fd);
  T("open group, one device left", open(grp, O_RDWR));
  close(fd2);
  g = T("open group, none left", open(grp, O_RDWR));
  ioctl(g, VFIO_GROUP_GET_STATUS, &gs);
  printf("    flags %#x\n", gs.flags);
  puts("--- end");
}

void group_questions(void) {
  open_group();
  container();
  open_device();
  device();
  info();
  mapping();
  close_all();
}
