// SPDX-License-Identifier: GPL-2.0-only

/*
 * What the parts of the probe share: how a question is asked and its answer
 * printed, and the files that are open.
 */
#pragma once
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "uapi.h"

/* Asks a question: prints what it is, the result, and the name of the errno. */
#define T(fmt, expr, ...)                                                      \
  ({                                                                           \
    errno = 0;                                                                 \
    long r_ = (long)(expr);                                                    \
    int e_ = errno;                                                            \
    static char b_[200];                                                       \
    snprintf(b_, 200, fmt, ##__VA_ARGS__);                                     \
    printf("%-58s -> %ld %s\n", b_, r_,                                        \
           r_ < 0 && e_ ? strerrorname_np(e_) : "");                           \
    errno = e_;                                                                \
    r_;                                                                        \
  })

/* Where a region begins in the device's file. */
#define OFF(i) ((uint64_t)(i) << 40)

/* What SET_IRQS says. */
#define DATA_NONE 1
#define BOOL 2
#define EVFD 4
#define MASK 8
#define UNMASK 16
#define TRIG 32

/* The device's name, the container's path, and the paths of its files. */
extern const char *bdf, *cpath;
extern char cdev[300], grp[64];
/* Two openings of the device, two of iommufd, /dev/null, and the device's id.
 */
extern int fd, fd2, io, io2, nul;
extern uint32_t id;

static inline int bind_(int fd, int iommufd, uint32_t argsz, uint32_t flags,
                        uint32_t *id) {
  struct {
    struct bind_iommufd b;
    uint64_t tail[4];
  } x = {.b = {.argsz = argsz, .flags = flags, .iommufd = iommufd}};
  int r = ioctl(fd, VFIO_DEVICE_BIND_IOMMUFD, &x);
  int e = errno;
  if (id)
    *id = x.b.out_devid;
  errno = e;
  return r;
}
static inline uint32_t ioas(int fd) {
  struct ioas_alloc a = {.size = sizeof a};
  ioctl(fd, IOMMU_IOAS_ALLOC, &a);
  return a.out_ioas_id;
}
static inline int attach(int fd, uint32_t argsz, uint32_t flags, uint32_t *pt,
                         uint32_t pasid) {
  struct attach_pt a = {argsz, flags, *pt, pasid};
  int r = ioctl(fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &a);
  *pt = a.pt_id;
  return r;
}
static inline int detach(int fd, uint32_t argsz, uint32_t flags,
                         uint32_t pasid) {
  struct detach_pt a = {argsz, flags, pasid};
  return ioctl(fd, VFIO_DEVICE_DETACH_IOMMUFD_PT, &a);
}
static inline int setirq(int fd, uint32_t argsz, uint32_t flags, uint32_t index,
                         uint32_t start, uint32_t count, const void *data,
                         int n) {
  struct {
    struct vfio_irq_set s;
    uint8_t d[400];
  } x = {};
  x.s.argsz = argsz ? argsz : 20 + n;
  x.s.flags = flags;
  x.s.index = index;
  x.s.start = start;
  x.s.count = count;
  if (n)
    memcpy(x.s.data, data, n);
  return ioctl(fd, VFIO_DEVICE_SET_IRQS, &x);
}
static inline int feat(int fd, uint32_t argsz, uint32_t flags, void *data,
                       int n) {
  struct {
    struct vfio_device_feature f;
    uint8_t d[256];
  } x = {};
  x.f.argsz = argsz ? argsz : 8 + n;
  x.f.flags = flags;
  if (n)
    memcpy(x.f.data, data, n);
  int r = ioctl(fd, VFIO_DEVICE_FEATURE, &x), e = errno;
  if (n)
    memcpy(data, x.f.data, n);
  errno = e;
  return r;
}
static inline uint32_t cfg(int fd, int off, int n) {
  uint32_t v = 0;
  pread(fd, &v, n, OFF(7) + off);
  return v;
}
static inline void cfgw(int fd, int off, int n, uint32_t v) {
  pwrite(fd, &v, n, OFF(7) + off);
}
static inline long evread(int e) {
  uint64_t v;
  return read(e, &v, 8) == 8 ? (long)v : -1;
}

/* The parts. */
void before_bind(void);
void bind_questions(void);
void attach_questions(void);
void dma_buf_questions(void);
void device_questions(void);
void config_questions(void);
void irq_questions(void);
void feature_questions(void);
void hot_reset_questions(const char *whose);
void last_questions(void);
void group_questions(void);
