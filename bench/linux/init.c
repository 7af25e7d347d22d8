/*
 * Process 1 of the Linux that is measured. It says what kernel this is, runs the benchmark as a child (a kernel logs the
 * signals of process 1), and switches the machine off by the emulator's exit device: code 0 if all rows are there.
 */
#define _GNU_SOURCE
#include "rows.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXIT_PORT 0xf4
#define EXIT_BASE 16 /* the port's value for code 0, as Quarry writes it */
#define ROWS_BYTES 8192

static char rows[ROWS_BYTES];
static size_t rows_length;

uint64_t bench_clock(unsigned count)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < count; i++) {
        uint64_t start = clock_ticks();
        sum += clock_ticks() - start;
    }
    return sum;
}

void bench_row_of(uint64_t ticks, uint64_t overhead, uint64_t count, const char *format, ...)
{
    uint64_t net = ticks > overhead ? ticks - overhead : 0;
    char name[48];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(name, sizeof(name), format, arguments);
    va_end(arguments);
    int length = snprintf(rows + rows_length, sizeof(rows) - rows_length, "bench: %s %llu ticks\n",
                          name, (unsigned long long)((net + count / 2) / count));
    MUST(length > 0 && (size_t)length < sizeof(rows) - rows_length);
    rows_length += (size_t)length;
}

void bench_fail(const char *what)
{
    printf("bench failed: %s\n", what);
    perror("last error");
    fflush(NULL);
    _exit(1);
}

/* What the kernel says that it does against faults of the CPU: "linux: NAME: STATE" for each that is not "Not affected". */
static void say_mitigations(void)
{
    static const char folder[] = "/sys/devices/system/cpu/vulnerabilities";
    char path[sizeof(folder) + 64], state[160];
    DIR *entries = opendir(folder);

    for (struct dirent *e; entries && (e = readdir(entries));) {
        if (e->d_name[0] == '.' || strlen(e->d_name) > 60)
            continue;
        snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
        FILE *file = fopen(path, "r");
        if (file && fgets(state, sizeof(state), file) && strncmp(state, "Not affected", 12) != 0)
            printf("linux: %s: %s", e->d_name, state);
        if (file)
            fclose(file);
    }
    if (entries)
        closedir(entries);
}

/* Pages of 4 KiB only, as on the other side; what the boot has left to do is done before. */
static int run(void)
{
    MUST(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0);
    sleep(2);
    bench_tasks();
    bench_memory();
    bench_faults();
    fputs(rows, stdout);
    return fflush(stdout) ? 1 : 0;
}

int main(void)
{
    struct utsname name;
    int status = 1;

    bench_row_of(clock_ticks(), 0, 1, "boot"); /* since reset, firmware and unpacking included */
    mount("none", "/sys", "sysfs", 0, NULL);
    if (uname(&name) == 0)
        printf("linux: release: %s %s\n", name.release, name.version);
    say_mitigations();
    fflush(stdout);
    pid_t child = fork();
    if (child == 0)
        _exit(run());
    if (child < 0 || waitpid(child, &status, 0) != child)
        status = 1;
    sleep(1); /* the console's buffer */
    if (iopl(3) == 0)
        outb(EXIT_BASE + (WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : 1), EXIT_PORT);
    return 1; /* the kernel panics, and the emulator ends without a verdict */
}
