// SPDX-License-Identifier: GPL-2.0-only

/* SET_IRQS. */
#include "probe.h"

/* Eventfds, and what stands for none. */
static int e[4], neg[4] = {-1, -1, -1, -1}, bad = 9999;

/* What is refused. */
static void refused(void) {
  for (int i = 0; i < 4; i++)
    e[i] = eventfd(0, EFD_NONBLOCK);
  int nul = open("/dev/null", O_RDWR);
  T("SET_IRQS argsz 19", setirq(fd, 19, DATA_NONE | TRIG, 2, 0, 0, 0, 0));
  T("SET_IRQS index 5", setirq(fd, 20, DATA_NONE | TRIG, 5, 0, 0, 0, 0));
  T("SET_IRQS flags 0x40",
    setirq(fd, 20, 0x40 | DATA_NONE | TRIG, 2, 0, 0, 0, 0));
  T("SET_IRQS no data type", setirq(fd, 20, TRIG, 2, 0, 0, 0, 0));
  T("SET_IRQS two data types",
    setirq(fd, 24, DATA_NONE | EVFD | TRIG, 2, 0, 1, e, 4));
  T("SET_IRQS no action", setirq(fd, 20, DATA_NONE, 2, 0, 0, 0, 0));
  T("SET_IRQS two actions",
    setirq(fd, 20, DATA_NONE | MASK | TRIG, 2, 0, 0, 0, 0));
  T("SET_IRQS start+count overflow",
    setirq(fd, 20, DATA_NONE | TRIG, 2, 1, 0xffffffff, 0, 0));
  T("MSIX NONE trig count 0 while off",
    setirq(fd, 20, DATA_NONE | TRIG, 2, 0, 0, 0, 0));
  T("MSIX NONE trig count 1 while off",
    setirq(fd, 20, DATA_NONE | TRIG, 2, 0, 1, 0, 0));
  T("MSIX EVFD count 0 while off", setirq(fd, 20, EVFD | TRIG, 2, 0, 0, 0, 0));
  T("MSIX start = count of vectors",
    setirq(fd, 24, EVFD | TRIG, 2, 4096, 1, e, 4));
  T("MSIX EVFD short argsz", setirq(fd, 20, EVFD | TRIG, 2, 0, 1, e, 4));
  T("MSIX EVFD bad fd", setirq(fd, 0, EVFD | TRIG, 2, 0, 1, &bad, 4));
  T("MSIX EVFD /dev/null", setirq(fd, 0, EVFD | TRIG, 2, 0, 1, &nul, 4));
  T("MSIX mask", setirq(fd, 20, DATA_NONE | MASK, 2, 0, 1, 0, 0));
  T("MSIX unmask", setirq(fd, 20, DATA_NONE | UNMASK, 2, 0, 1, 0, 0));
}

/* MSI-X. */
static void msix(void) {
  T("MSIX EVFD -1 while off (enables)",
    setirq(fd, 0, EVFD | TRIG, 2, 0, 1, neg, 4));
  printf("    MSI-X control %#x\n", cfg(fd, 0x72, 2));
  T("MSI EVFD while MSIX on", setirq(fd, 0, EVFD | TRIG, 1, 0, 1, e, 4));
  T("INTX EVFD while MSIX on", setirq(fd, 0, EVFD | TRIG, 0, 0, 1, e, 4));
  T("MSIX EVFD 0..1", setirq(fd, 0, EVFD | TRIG, 2, 0, 2, e, 8));
  T("MSIX EVFD 3 (beyond what was enabled)",
    setirq(fd, 0, EVFD | TRIG, 2, 3, 1, e + 3, 4));
  T("MSIX trigger 0..1 NONE", setirq(fd, 20, DATA_NONE | TRIG, 2, 0, 2, 0, 0));
  printf("    eventfds %ld %ld %ld\n", evread(e[0]), evread(e[1]),
         evread(e[2]));
  T("MSIX trigger 2 (no eventfd)",
    setirq(fd, 20, DATA_NONE | TRIG, 2, 2, 1, 0, 0));
  T("MSIX trigger BOOL 1,0", ({
      uint8_t b[2] = {1, 0};
      setirq(fd, 0, BOOL | TRIG, 2, 0, 2, b, 2);
    }));
  printf("    eventfds %ld %ld\n", evread(e[0]), evread(e[1]));
  T("MSIX EVFD 0 = -1", setirq(fd, 0, EVFD | TRIG, 2, 0, 1, neg, 4));
  T("MSIX trigger 0", setirq(fd, 20, DATA_NONE | TRIG, 2, 0, 1, 0, 0));
  printf("    eventfd %ld\n", evread(e[0]));
  T("MSIX EVFD {good,bad}", ({
      int x[2] = {e[0], 9999};
      setirq(fd, 0, EVFD | TRIG, 2, 0, 2, x, 8);
    }));
  T("MSIX trigger 0..1", setirq(fd, 20, DATA_NONE | TRIG, 2, 0, 2, 0, 0));
  printf("    eventfds %ld %ld\n", evread(e[0]), evread(e[1]));
  T("MSIX off with start 1 count 0",
    setirq(fd, 20, DATA_NONE | TRIG, 2, 1, 0, 0, 0));
  printf("    MSI-X control %#x\n", cfg(fd, 0x72, 2));
}

/* The legacy interrupt. */
static void intx(void) {
  T("INTX mask while off", setirq(fd, 20, DATA_NONE | MASK, 0, 0, 1, 0, 0));
  T("INTX EVFD", setirq(fd, 0, EVFD | TRIG, 0, 0, 1, e, 4));
  T("INTX count 2", setirq(fd, 20, DATA_NONE | MASK, 0, 0, 2, 0, 0));
  T("INTX trigger", setirq(fd, 20, DATA_NONE | TRIG, 0, 0, 1, 0, 0));
  printf("    eventfd %ld\n", evread(e[0]));
  T("INTX mask", setirq(fd, 20, DATA_NONE | MASK, 0, 0, 1, 0, 0));
  T("INTX mask EVFD", setirq(fd, 0, EVFD | MASK, 0, 0, 1, e, 4));
  T("INTX unmask EVFD", setirq(fd, 0, EVFD | UNMASK, 0, 0, 1, e + 1, 4));
  T("INTX unmask EVFD again", setirq(fd, 0, EVFD | UNMASK, 0, 0, 1, e + 2, 4));
  T("INTX unmask EVFD -1", setirq(fd, 0, EVFD | UNMASK, 0, 0, 1, neg, 4));
  T("INTX unmask", setirq(fd, 20, DATA_NONE | UNMASK, 0, 0, 1, 0, 0));
  T("INTX EVFD replaced", setirq(fd, 0, EVFD | TRIG, 0, 0, 1, e + 1, 4));
  T("INTX off", setirq(fd, 20, DATA_NONE | TRIG, 0, 0, 0, 0, 0));
  T("INTX off again", setirq(fd, 20, DATA_NONE | TRIG, 0, 0, 0, 0, 0));
}

/* Errors, the wish to have the device back, and MSI. */
static void others(void) {
  for (int i = 3; i <= 4; i++) {
    T("%s NONE off while off", setirq(fd, 20, DATA_NONE | TRIG, i, 0, 0, 0, 0),
      i == 3 ? "ERR" : "REQ");
    T("idx %d EVFD", setirq(fd, 0, EVFD | TRIG, i, 0, 1, e, 4), i);
    T("idx %d EVFD again", setirq(fd, 0, EVFD | TRIG, i, 0, 1, e + 1, 4), i);
    T("idx %d trigger", setirq(fd, 20, DATA_NONE | TRIG, i, 0, 1, 0, 0), i);
    printf("    eventfds %ld %ld\n", evread(e[0]), evread(e[1]));
    T("idx %d count 2", setirq(fd, 20, DATA_NONE | TRIG, i, 0, 2, 0, 0), i);
    T("idx %d mask", setirq(fd, 20, DATA_NONE | MASK, i, 0, 1, 0, 0), i);
    T("idx %d EVFD -1", setirq(fd, 0, EVFD | TRIG, i, 0, 1, neg, 4), i);
    T("idx %d EVFD -2", ({
        int x = -2;
        setirq(fd, 0, EVFD | TRIG, i, 0, 1, &x, 4);
      }),
      i);
  }
  T("MSI EVFD", setirq(fd, 0, EVFD | TRIG, 1, 0, 1, e, 4));
  printf("    MSI control %#x\n", cfg(fd, 0x52, 2));
  T("RESET with MSI on", ioctl(fd, VFIO_DEVICE_RESET));
  printf("    MSI control %#x\n", cfg(fd, 0x52, 2));
  T("MSI trigger after RESET", setirq(fd, 20, DATA_NONE | TRIG, 1, 0, 1, 0, 0));
  printf("    eventfd %ld\n", evread(e[0]));
  T("MSI off", setirq(fd, 20, DATA_NONE | TRIG, 1, 0, 0, 0, 0));
}

void irq_questions(void) {
  refused();
  msix();
  intx();
  others();
}
