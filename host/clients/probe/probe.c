// SPDX-License-Identifier: GPL-2.0-only

/*
 * Asks VFIO a list of questions, and prints its answers: a result, and the name
 * of an errno. It knows nothing of what is right.
 *
 *   probe BDF CONTAINER cdev|group
 */
#include "probe.h"

const char *bdf, *cpath;
char cdev[300], grp[64];
int fd, fd2, io, io2, nul;
uint32_t id;

int main(int argc, char **argv) {
  setvbuf(stdout, 0, _IOLBF, 0);
  bdf = argv[1];
  cpath = argv[2];
  char p[300];
  snprintf(p, 300, "/sys/bus/pci/devices/%s/vfio-dev", bdf);
  DIR *d = opendir(p);
  struct dirent *e;
  while (d && (e = readdir(d)))
    if (!strncmp(e->d_name, "vfio", 4))
      snprintf(cdev, 300, "/dev/vfio/devices/%s", e->d_name);
  char l[300] = {};
  snprintf(p, 300, "/sys/bus/pci/devices/%s/iommu_group", bdf);
  readlink(p, l, 299);
  snprintf(grp, 64, "/dev/vfio/%s", strrchr(l, '/') + 1);
  printf("%s %s %s\n", cdev, grp, cpath);
  nul = open("/dev/null", O_RDWR);
  io = open("/dev/iommu", O_RDWR);
  io2 = open("/dev/iommu", O_RDWR);
  if (strcmp(argv[3], "cdev") != 0) {
    group_questions();
    return 0;
  }
  before_bind();
  bind_questions();
  attach_questions();
  dma_buf_questions();
  device_questions();
  last_questions();
  return 0;
}
