// SPDX-License-Identifier: GPL-2.0-only
/*
 * The machine around the processes: what it can do, what its kernel complains
 * of, and how it comes up and goes down where it is ours alone.
 */
#include "agent.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <linux/magic.h>
#include <linux/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/utsname.h>
#include <termios.h>
#include <unistd.h>

/* The tests use up to 64 huge pages at a time. */
#define HUGE_PAGES_NEEDED 64
#define HUGE_PAGES_WANTED "128"
#define HUGE_PAGE_SIZE (2UL << 20)
#define TMPFS "/dev/shm"
/* The device that the tests open, and where it comes from. */
#define DEVICE "/dev/vfio/devices/vfio0"
/* The second of a group. */
#define SECOND_OF_GROUP PCI "/devices/0000:01:00.0/iommu_group/devices/0000:01:00.1"
/* One without an IOMMU. */
#define NOIOMMU "/dev/vfio/devices/noiommu-vfio0"
#define PCI "/sys/bus/pci"
/* How many virtual functions it has, and what it and another one are. */
#define FUNCTIONS "/sys/class/vfio-dev/vfio0/device/sriov_numvfs"
#define IDS "/sys/class/vfio-dev/vfio%d/device/device"
#define COPY_ENGINE 0xd3a0
/* What a model of Linux complains of, a line each, that nobody was told of yet. */
#define PROBLEMS "/sys/kernel/iommufd-kit/problems"

/* Commands of iommufd, all but the first younger than it. */
#define CMD_IOAS_ALLOC 0x81
#define CMD_HWPT_ALLOC 0x89
#define CMD_SET_DIRTY_TRACKING 0x8b
#define CMD_FAULT_QUEUE_ALLOC 0x8e
#define CMD_IOAS_MAP_FILE 0x8f
#define CMD_VIOMMU_ALLOC 0x90
#define CMD_VEVENTQ_ALLOC 0x93
#define CMD_IOAS_NOIOMMU_GET_PA 0x95

static bool is_model;
static int kmsg = -1;
static long long pins_before;

bool is_init(void)
{
	return getpid() == 1;
}

bool file_value(const char *path, const char *key, long long *value)
{
	bool found = false;
	char line[256];
	FILE *file = fopen(path, "re");

	if (!file)
		return false;
	while (!found && fgets(line, sizeof(line), file)) {
		found = !strncmp(line, key, strlen(key));
		/* What was counted below 0 stands there as close to 2^64. */
		if (found)
			*value = strtoull(line + strlen(key), NULL, 10);
	}
	fclose(file);
	return found;
}

/* ---- what it can do --------------------------------------------------- */

/* What an ioctl of a fresh descriptor comes to: 0 or an errno. */
static int try_ioctl(const char *path, unsigned int nr, void *arg)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	int error;

	if (fd < 0)
		return errno;
	error = ioctl(fd, _IO(';', nr), arg) ? errno : 0;
	close(fd);
	return error;
}

/* True if iommufd knows the command: a struct of no size is wrong then. */
static bool has_command(unsigned int nr)
{
	uint32_t struct_size = 0;

	return try_ioctl("/dev/iommu", nr, &struct_size) == EINVAL;
}

/* True if VFIO's container is an iommufd: it makes an IOAS. */
static bool vfio_is_iommufd(void)
{
	uint32_t ioas_alloc[] = { 12, 0, 0 };

	return !try_ioctl("/dev/vfio/vfio", CMD_IOAS_ALLOC, ioas_alloc);
}

/* True if VFIO's container is its own. */
static bool vfio_is_type1(void)
{
	return !access("/dev/vfio/vfio", R_OK | W_OK) && !vfio_is_iommufd();
}

/* True if so many bytes of huge pages can be had at once. */
static bool has_huge_pages(int kind, size_t len)
{
	void *map = mmap(NULL, len, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | kind, -1,
			 0);

	return map != MAP_FAILED && !munmap(map, len);
}

/* Bytes that processes can still have. */
static unsigned long free_memory(void)
{
	long long kilobytes = 0;

	file_value("/proc/meminfo", "MemAvailable:", &kilobytes);
	return kilobytes * 1024;
}

/* True if there is a file system of memory where the tests look for one. */
static bool has_tmpfs(void)
{
	struct statfs fs;

	return !statfs(TMPFS, &fs) && fs.f_type == TMPFS_MAGIC;
}

/* True if the first device of VFIO's is a copy engine, and the second too. */
static bool has_copy_engines(void)
{
	for (int i = 0; i < 2; i++) {
		char path[64];
		unsigned int id = 0;
		FILE *file;

		snprintf(path, sizeof(path), IDS, i);
		file = fopen(path, "re");
		if (!file || fscanf(file, "%x", &id) != 1)
			id = 0;
		if (file)
			fclose(file);
		if (id != COPY_ENGINE)
			return false;
	}
	return true;
}

/* Writes a setting; false if it is not there or does not take the value. */
static bool set(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done;

	if (fd < 0)
		return false;
	done = write_all(fd, value, strlen(value));
	close(fd);
	return done;
}

/*
 * Lets every allocation of the kernel fail, those that may wait too, and keeps
 * the kernel's log free of it.
 */
static bool setup_fault_injection(void)
{
	DIR *debugfs = opendir("/sys/kernel/debug");
	struct dirent *entry;

	if (!debugfs)
		return false;
	while ((entry = readdir(debugfs))) {
		char path[sizeof(entry->d_name) + 32];

		if (strncmp(entry->d_name, "fail", 4))
			continue;
		snprintf(path, sizeof(path), "/sys/kernel/debug/%s/verbose",
			 entry->d_name);
		set(path, "0");
	}
	closedir(debugfs);
	set("/sys/kernel/debug/fail_page_alloc/ignore-gfp-wait", "N");
	set("/sys/kernel/debug/fail_page_alloc/ignore-gfp-highmem", "N");
	return set("/sys/kernel/debug/failslab/ignore-gfp-wait", "N") &&
	       !access("/proc/thread-self/fail-nth", R_OK | W_OK);
}

/* The newest revision of the user API that the kernel has all of. */
static const char *uapi(void)
{
	uint32_t struct_size = 0;

	if (has_command(CMD_IOAS_NOIOMMU_GET_PA))
		return "7.3";
	/* Structs that are too short were another error then. */
	if (try_ioctl("/dev/iommu", CMD_IOAS_ALLOC, &struct_size) == EOPNOTSUPP)
		return "v3";
	return "6.12";
}

void put_facts(struct text *out)
{
	bool root = !geteuid();
	/* On a machine of many, a device is somebody's. */
	bool is_ours = is_init() || is_model;
	bool has_noiommu = is_ours && !access(NOIOMMU, R_OK | W_OK);
	bool has_device = is_ours && !has_copy_engines() &&
			  !access(DEVICE, R_OK | W_OK);
	const struct {
		const char *name;
		bool there;
	} capabilities[] = {
		{ "hugetlb", has_huge_pages(0, HUGE_PAGES_NEEDED * HUGE_PAGE_SIZE) },
		{ "hugetlb_1g", has_huge_pages(MAP_HUGE_1GB, 1UL << 30) },
		{ "memory_2g", free_memory() > 2UL << 30 },
		{ "fork", true },
		{ "fail_nth", setup_fault_injection() },
		{ "setrlimit", root || is_model },
		{ "setuid", root },
		{ "files", has_tmpfs() },
		{ "dup2", true },
		{ "passfd", true },
		{ "exec", true },
		{ "mremap", true },
		{ "vfio", vfio_is_iommufd() },
		{ "type1_container", vfio_is_type1() },
		{ "hwpt", has_command(CMD_HWPT_ALLOC) },
		{ "dirty", has_command(CMD_SET_DIRTY_TRACKING) },
		{ "faults", has_command(CMD_FAULT_QUEUE_ALLOC) },
		{ "map_file", has_command(CMD_IOAS_MAP_FILE) },
		{ "viommu", has_command(CMD_VIOMMU_ALLOC) },
		/* PASIDs have no ioctl of their own; they came with this one. */
		{ "pasid", has_command(CMD_VEVENTQ_ALLOC) },
		{ "vfio_device", has_device },
		{ "vfio_sriov", has_device && !access(FUNCTIONS, W_OK) },
		{ "copy_engines", has_copy_engines() },
		{ "vfio_group_of_two", has_copy_engines() &&
				       !access(SECOND_OF_GROUP, F_OK) },
		{ "noiommu_device", has_noiommu },
		{ "noiommu_engine", is_model && has_noiommu },
		{ "time", true },
		{ "program", true },
		{ "linux", !is_model },
	};
	struct utsname system;
	const char *comma = "";
	char facts[256];

	uname(&system);
	snprintf(facts, sizeof(facts),
		 " protocol=1 name=linux version=%s uapi=%s page=%ld hugepage=%lu capabilities=",
		 system.release, uapi(), sysconf(_SC_PAGESIZE), HUGE_PAGE_SIZE);
	put(out, facts);
	for (size_t i = 0; i < ARRAY_SIZE(capabilities); i++) {
		if (!capabilities[i].there)
			continue;
		put(out, comma);
		put(out, capabilities[i].name);
		comma = ",";
	}
}

/* ---- what its kernel complains of ------------------------------------- */

/* The number after `key`; -1 without it. */
static long long value_after(const char *text, const char *key)
{
	const char *found = strstr(text, key);

	return found ? strtoll(found + strlen(key), NULL, 10) : -1;
}

/* Pages pinned by drivers, in the whole machine; -1 if they are not counted. */
static long long pinned_pages(void)
{
	static int refresh = -1, vmstat = -1;
	static char text[32768];
	long long acquired, released;
	ssize_t len;

	if (refresh < 0)
		refresh = open("/proc/sys/vm/stat_refresh", O_RDONLY | O_CLOEXEC);
	if (vmstat < 0)
		vmstat = open("/proc/vmstat", O_RDONLY | O_CLOEXEC);
	/* The read makes each CPU hand in what it counted by itself. */
	if (pread(refresh, text, 1, 0) < 0)
		return -1;
	len = pread(vmstat, text, sizeof(text) - 1, 0);
	text[len < 0 ? 0 : len] = '\0';
	acquired = value_after(text, "\nnr_foll_pin_acquired ");
	released = value_after(text, "\nnr_foll_pin_released ");
	return acquired < 0 ? -1 : acquired - released;
}

static bool is_problem(const char *message)
{
	static const char *const signs[] = {
		"WARNING:",
		"BUG:",
		"BUG at",
		"Oops",
		"KASAN",
		"UBSAN",
		"refcount_t:",
		"general protection fault",
	};

	for (size_t i = 0; i < ARRAY_SIZE(signs); i++)
		if (strstr(message, signs[i]))
			return true;
	return false;
}

static void put_kernel_messages(struct text *out)
{
	char record[8192];
	ssize_t got;

	while (kmsg >= 0) {
		char *message, *end;

		got = read(kmsg, record, sizeof(record) - 1);
		/* Records were overwritten before they were read. */
		if (got < 0 && errno == EPIPE)
			continue;
		if (got <= 0)
			return;
		record[got] = '\0';
		message = strchr(record, ';');
		if (!message)
			continue;
		end = strchr(++message, '\n');
		if (end)
			*end = '\0';
		if (is_problem(message))
			put_text(out, message);
	}
}

static void put_model_problems(struct text *out)
{
	FILE *file = fopen(PROBLEMS, "re");
	char line[1024];

	while (file && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		put_text(out, line);
	}
	if (file)
		fclose(file);
}

void start_watch(void)
{
	is_model = !access(PROBLEMS, R_OK);
	if (is_model)
		return;
	kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (kmsg >= 0)
		lseek(kmsg, 0, SEEK_END);
	if (is_init())
		pins_before = pinned_pages();
}

/* What the tests left there would be in the way of others. */
static void put_files(struct text *out)
{
	DIR *folder = opendir(TMPFS);
	struct dirent *entry;

	while (folder && (entry = readdir(folder))) {
		char text[sizeof(entry->d_name) + 64];

		if (unlinkat(dirfd(folder), entry->d_name, 0))
			continue;
		snprintf(text, sizeof(text), "the file " TMPFS "/%s was left",
			 entry->d_name);
		put_text(out, text);
	}
	if (folder)
		closedir(folder);
}

void put_problems(struct text *out)
{
	char text[64];
	long long pins;

	if (is_model)
		put_model_problems(out);
	put_kernel_messages(out);
	/* On a machine of many, others pin pages too, and have files. */
	if (!is_init())
		return;
	put_files(out);
	pins = pinned_pages();
	if (pins == pins_before)
		return;
	snprintf(text, sizeof(text), "%lld pages stay pinned",
		 pins - pins_before);
	put_text(out, text);
	pins_before = pins;
}

/* ---- where it is ours ------------------------------------------------- */

static void mount_at(const char *type, const char *path)
{
	mkdir(path, 0755);
	if (mount(type, path, type, 0, NULL))
		die("cannot mount %s at %s: %m", type, path);
}

/* Gives a PCI device to whoever opens VFIO's file of it. */
static void give_away(const char *address)
{
	char path[128];

	snprintf(path, sizeof(path), PCI "/devices/%s/driver_override", address);
	set(path, "vfio-pci");
	set(PCI "/drivers_probe", address);
	snprintf(path, sizeof(path), PCI "/drivers/vfio-pci/%s", address);
	if (access(path, F_OK))
		die("cannot give %s to vfio-pci: %m", address);
}

void bring_up(const char *device)
{
	mount_at("devtmpfs", "/dev");
	mount_at("tmpfs", TMPFS);
	mount_at("proc", "/proc");
	mount_at("sysfs", "/sys");
	mount_at("debugfs", "/sys/kernel/debug");
	/* Only a kernel that traces has it. */
	mount("tracefs", "/sys/kernel/tracing", "tracefs", 0, NULL);
	/* User-Mode Linux has none. */
	if (!set("/proc/sys/vm/nr_hugepages", HUGE_PAGES_WANTED) &&
	    errno != ENOENT)
		die("cannot reserve huge pages: %m");
	if (device)
		give_away(device);
}

void turn_off(void)
{
	reboot(RB_POWER_OFF);
	die("cannot turn the machine off: %m");
}

/*
 * A serial line changes nothing of what goes over it. User-Mode Linux does not
 * notice what came before the line was opened, until something else happens on
 * its host: somebody reads this.
 */
static void make_raw(int fd)
{
	struct termios line;

	if (tcgetattr(fd, &line))
		return;
	cfmakeraw(&line);
	if (tcsetattr(fd, TCSANOW, &line))
		die("cannot prepare the serial line: %m");
	fputs("linux_agent: the serial line is open\n", stderr);
}

/* A port comes some time after boot, and its other end some time later. */
int open_port(const char *path)
{
	for (int tries = 0; tries < 500; tries++) {
		int fd = open(path, O_RDWR | O_CLOEXEC);
		struct pollfd port = { .fd = fd };

		if (fd >= 0 && poll(&port, 1, 0) >= 0 &&
		    !(port.revents & POLLHUP)) {
			make_raw(fd);
			return fd;
		}
		if (fd >= 0)
			close(fd);
		usleep(10000);
	}
	die("nobody answers at %s", path);
}
