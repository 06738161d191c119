// SPDX-License-Identifier: GPL-2.0-only

/* The device's own file: opened, bound, attached, and closed. */
#include "probe.h"

/* Two IOAS of the iommufd. */
static uint32_t a1, a2;

/* Opened, and not bound. */
void before_bind(void) {
  struct stat st;
  struct pollfd pf;
  char buf[64];
  uint32_t pt;
  puts("--- cdev, before bind");
  fd = T("open cdev", open(cdev, O_RDWR)),
  fd2 = T("open cdev again", open(cdev, O_RDWR));
  T("open cdev O_RDONLY", open(cdev, O_RDONLY));
  fstat(fd, &st);
  printf("    mode %o rdev %u:%u\n", st.st_mode, major(st.st_rdev),
         minor(st.st_rdev));
  pf = (struct pollfd){fd, POLLIN | POLLOUT};
  poll(&pf, 1, 0);
  printf("    poll %#x\n", pf.revents);
  T("GET_INFO unbound", ioctl(fd, VFIO_DEVICE_GET_INFO, buf));
  T("ATTACH unbound", (pt = 1, attach(fd, 12, 0, &pt, 0)));
  T("unknown ioctl unbound", ioctl(fd, 0x3bff, 0));
  T("tty ioctl unbound", ioctl(fd, 0x5401, buf));
  T("pread unbound", pread(fd, buf, 4, OFF(7)));
  T("pwrite unbound", pwrite(fd, buf, 4, OFF(7)));
  T("read unbound", read(fd, buf, 4));
  T("mmap unbound", mmap(0, 4096, 1, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0);
  T("lseek unbound", lseek(fd, 100, SEEK_SET));
}

/* BIND_IOMMUFD. */
void bind_questions(void) {
  char buf[64];
  puts("--- bind");
  T("BIND NULL", ioctl(fd, VFIO_DEVICE_BIND_IOMMUFD, 0));
  T("BIND argsz 15", bind_(fd, io, 15, 0, 0));
  T("BIND argsz 15, iommufd -1, flags 2", bind_(fd, -1, 15, 2, 0));
  T("BIND iommufd -1", bind_(fd, -1, 24, 0, 0));
  T("BIND flags 2", bind_(fd, io, 24, 2, 0));
  T("BIND iommufd 9999", bind_(fd, 9999, 24, 0, 0));
  T("BIND iommufd /dev/null", bind_(fd, nul, 24, 0, 0));
  T("BIND argsz 64 zero tail", bind_(fd, io, 56, 0, &id));
  printf("    devid %u\n", id);
  T("BIND argsz 5000", bind_(fd2, io, 5000, 0, 0));
  T("BIND again", bind_(fd, io, 24, 0, 0));
  T("BIND second fd same iommufd", bind_(fd2, io, 24, 0, 0));
  T("BIND second fd other iommufd", bind_(fd2, io2, 24, 0, 0));
  T("BIND second fd, iommufd 9999", bind_(fd2, 9999, 24, 0, 0));
  T("GET_INFO on the second fd", ioctl(fd2, VFIO_DEVICE_GET_INFO, buf));
  T("open group while bound", open(grp, O_RDWR));
  T("close", close(fd));
  fd = open(cdev, O_RDWR);
  T("BIND argsz 16", bind_(fd, io, 16, 0, &id));
  printf("    devid %u\n", id);
  T("BIND TOKEN flag on a PF", ({
      close(fd);
      fd = open(cdev, O_RDWR);
      uint8_t u[16] = {1};
      struct bind_iommufd b = {24, 1, io, 0, (uintptr_t)u};
      ioctl(fd, VFIO_DEVICE_BIND_IOMMUFD, &b);
    }));
  T("  then BIND", bind_(fd, io, 24, 0, 0));
  close(fd);
  fd = open(cdev, O_RDWR);
  T("BIND", bind_(fd, io, 24, 0, &id));
  printf("    devid %u\n", id);
}

/* ATTACH_IOMMUFD_PT and DETACH_IOMMUFD_PT, and what iommufd says. */
void attach_questions(void) {
  puts("--- attach");
  uint32_t pt;
  a1 = ioas(io);
  a2 = ioas(io);
  uint32_t a3 = ioas(io2);
  printf("    ioas %u %u other iommufd %u\n", a1, a2, a3);
  T("DETACH while detached", detach(fd, 8, 0, 0));
  T("ATTACH argsz 11", (pt = a1, attach(fd, 11, 0, &pt, 0)));
  T("ATTACH flags 2", (pt = a1, attach(fd, 12, 2, &pt, 0)));
  T("ATTACH PASID argsz 12", (pt = a1, attach(fd, 12, 1, &pt, 5)));
  T("ATTACH PASID", (pt = a1, attach(fd, 16, 1, &pt, 5)));
  T("ATTACH bad id", (pt = 77777, attach(fd, 12, 0, &pt, 0)));
  T("ATTACH id 0", (pt = 0, attach(fd, 12, 0, &pt, 0)));
  T("ATTACH device id", (pt = id, attach(fd, 12, 0, &pt, 0)));
  T("ATTACH ioas", (pt = a1, attach(fd, 12, 0, &pt, 0)));
  printf("    pt_id in %u out %u\n", a1, pt);
  uint32_t h = pt;
  T("ATTACH same ioas again", (pt = a1, attach(fd, 12, 0, &pt, 0)));
  printf("    out %u\n", pt);
  T("ATTACH other ioas (replace)", (pt = a2, attach(fd, 12, 0, &pt, 0)));
  printf("    in %u out %u\n", a2, pt);
  T("DETACH argsz 7", detach(fd, 7, 0, 0));
  T("DETACH flags 2", detach(fd, 8, 2, 0));
  T("DETACH PASID argsz 8", detach(fd, 8, 1, 0));
  T("DETACH PASID", detach(fd, 12, 1, 5));
  T("DETACH", detach(fd, 8, 0, 0));
  T("DETACH again", detach(fd, 8, 0, 0));
  {
    struct destroy_object de = {8, h};
    T("DESTROY the auto hwpt", ioctl(io, IOMMU_DESTROY, &de));
    de.id = id;
    T("DESTROY device id", ioctl(io, IOMMU_DESTROY, &de));
  }
  T("ATTACH ioas", (pt = a1, attach(fd, 12, 0, &pt, 0)));
  {
    struct destroy_object de = {8, a1};
    T("DESTROY attached ioas", ioctl(io, IOMMU_DESTROY, &de));
  }
  {
    struct hw_info hi = {.size = sizeof hi, .dev_id = id};
    T("IOMMU_GET_HW_INFO", ioctl(io, IOMMU_GET_HW_INFO, &hi));
    printf("    type %u len %u caps %#llx\n", hi.out_data_type, hi.data_len,
           hi.out_capabilities);
    struct iova_range rr[8];
    struct ioas_iova_ranges q = {.size = sizeof q,
                                 .ioas_id = a1,
                                 .num_iovas = 8,
                                 .allowed_iovas = (uintptr_t)rr};
    T("IOVA_RANGES", ioctl(io, IOMMU_IOAS_IOVA_RANGES, &q));
    for (unsigned i = 0; i < q.num_iovas; i++)
      printf("    %#llx..%#llx\n", rr[i].start, rr[i].last);
    printf("    alignment %#llx\n", q.out_iova_alignment);
  }
}

/* DMA buffers of a BAR, mapped into an IOAS. */
void dma_buf_questions(void) {
  uint32_t pt;
  puts("--- dma-buf into iommufd");
  {
    struct {
      struct feature_dma_buf b;
      struct dma_range r[2];
    } x;
    memset(&x, 0, sizeof x);
    x.b.open_flags = O_RDWR;
    x.b.nr_ranges = 1;
    x.r[0].length = 8192;
    int f1 = feat(fd, 0, VFIO_DEVICE_FEATURE_GET | 11, &x, sizeof x);
    x.b.nr_ranges = 2;
    x.r[1].offset = 16384;
    x.r[1].length = 4096;
    int f2 = feat(fd, 0, VFIO_DEVICE_FEATURE_GET | 11, &x, sizeof x);
    struct ioas_map_file m = {.size = sizeof m,
                              .flags = 7,
                              .ioas_id = a1,
                              .fd = f1,
                              .start = 0,
                              .length = 8192,
                              .iova = 0x10000000};
    T("MAP_FILE one range", ioctl(io, IOMMU_IOAS_MAP_FILE, &m));
    m.iova = 0x20000000;
    m.fd = f2;
    m.length = 4096;
    T("MAP_FILE two ranges", ioctl(io, IOMMU_IOAS_MAP_FILE, &m));
    m.fd = f1;
    m.start = 4096;
    T("MAP_FILE start 4096", ioctl(io, IOMMU_IOAS_MAP_FILE, &m));
    m.iova = 0x30000000;
    m.length = 8192;
    T("MAP_FILE beyond", ioctl(io, IOMMU_IOAS_MAP_FILE, &m));
    cfgw(fd, 4, 2, 1);
    m.start = 0;
    T("MAP_FILE while memory is off", ioctl(io, IOMMU_IOAS_MAP_FILE, &m));
    cfgw(fd, 4, 2, 3);
    T("MAP_FILE memory on again", ioctl(io, IOMMU_IOAS_MAP_FILE, &m));
    ioctl(fd, VFIO_DEVICE_RESET);
    struct ioas_unmap u = {
        .size = sizeof u, .ioas_id = a1, .iova = 0x30000000, .length = 8192};
    T("UNMAP a revoked map", ioctl(io, IOMMU_IOAS_UNMAP, &u));
    printf("    length %llu\n", u.length);
    struct ioas_copy cp = {.size = sizeof cp,
                           .flags = 7,
                           .dst_ioas_id = a2,
                           .src_ioas_id = a1,
                           .length = 8192,
                           .dst_iova = 0x1000,
                           .src_iova = 0x10000000};
    T("IOAS_COPY of a revoked map", ioctl(io, IOMMU_IOAS_COPY, &cp));
    close(f1);
    close(f2);
    void *q = mmap(0, 4096, 3, MAP_SHARED, fd, OFF(0));
    struct ioas_map im = {.size = sizeof im,
                          .flags = 7,
                          .ioas_id = a1,
                          .user_va = (uintptr_t)q,
                          .length = 4096,
                          .iova = 0x40000000};
    T("IOAS_MAP of a BAR's mapping", ioctl(io, IOMMU_IOAS_MAP, &im));
    munmap(q, 4096);
    T("ATTACH device id", (pt = id, attach(fd, 12, 0, &pt, 0)));
    struct hwpt_alloc ha = {.size = sizeof ha, .dev_id = id, .pt_id = a1};
    T("HWPT_ALLOC", ioctl(io, IOMMU_HWPT_ALLOC, &ha));
    T("ATTACH hwpt", (pt = ha.out_hwpt_id, attach(fd, 12, 0, &pt, 0)));
    printf("    in %u out %u\n", ha.out_hwpt_id, pt);
  }
}

/* What is left when the iommufd is closed, and then the device. */
void last_questions(void) {
  uint32_t pt;
  T("DETACH", detach(fd, 8, 0, 0));
  T("ATTACH PASID 0 while detached", (pt = a1, attach(fd, 16, 1, &pt, 0)));
  T("ATTACH ioas then", (pt = a1, attach(fd, 12, 0, &pt, 0)));
  T("DETACH PASID 0", detach(fd, 12, 1, 0));
  T("ATTACH ioas then", (pt = a1, attach(fd, 12, 0, &pt, 0)));
  puts("--- iommufd closed first");
  close(io);
  close(io2);
  T("GET_INFO after close(iommufd)", ({
      struct vfio_device_info i = {16};
      ioctl(fd, VFIO_DEVICE_GET_INFO, &i);
    }));
  T("close cdev", close(fd));
  close(fd2);
  T("open group while BAR mappings live", open(grp, O_RDWR));
}
