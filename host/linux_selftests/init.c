// SPDX-License-Identifier: GPL-2.0-only
/*
 * Init of a machine that runs one program, /program, which prints to a port,
 * and goes down. The port is the first argument.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Pages of 2 MiB that the tests map at a time. */
#define HUGE_PAGES "128"

static int port = -1;

static void mount_at(const char *type, const char *path)
{
	mkdir(path, 0777);
	if (mount(type, path, type, 0, NULL))
		perror(path);
}

static void set(const char *path, const char *value)
{
	FILE *file = fopen(path, "w");

	if (!file || fputs(value, file) < 0 || fclose(file))
		perror(path);
}

int main(int argc, char **argv)
{
	mount_at("devtmpfs", "/dev");
	mount_at("proc", "/proc");
	mount_at("sysfs", "/sys");
	mount_at("debugfs", "/sys/kernel/debug");
	mount_at("tmpfs", "/tmp");
	mount_at("tmpfs", "/dev/shm");
	set("/proc/sys/vm/nr_hugepages", HUGE_PAGES);
	/* It comes when its driver has found it. */
	for (int i = 0; argc > 1 && port < 0 && i < 6000; i++) {
		port = open(argv[1], O_WRONLY);
		if (port < 0)
			usleep(10000);
	}
	if (!fork()) {
		dup2(port, STDOUT_FILENO);
		dup2(port, STDERR_FILENO);
		execl("/program", "/program", NULL);
		_exit(127);
	}
	while (wait(NULL) > 0)
		;
	reboot(RB_AUTOBOOT);
}
