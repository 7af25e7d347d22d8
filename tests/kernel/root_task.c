/*
 * What the kernel says, and that it stops, when the boot archive or its program cannot be used.
 */
#include "scene.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARCHIVE 0x140000ull

static unsigned char program[0x3000];
static size_t program_bytes;

/* Create a root task from an archive in a process of its own; true if it stops with code 1 and says this. */
static bool stops_with(struct qy_bytes archive, const char *text)
{
    static const struct qy_boot_info info;
    static const struct qy_topology topology = {.node_count = 1, .kept_full = true};
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        jmp_buf jump;
        if (setjmp(jump) == 0) {
            world_end = &jump;
            /* A second boot: no CPU has magazines of the first one's headers. */
            qy_cpu_objects_init(&cpu_this()->objects, 0, &cpu_this()->frames);
            root_task_create(&info, archive, &world_kernel_tables, &topology, &world_arenas);
            _exit(99);
        }
        _exit(world_exit_code == 1 && strstr(world_console, text) ? 0 : 98);
    }
    int status = 1;
    waitpid(child, &status, 0);
    return status == 0;
}

static struct qy_bytes archive_of(const char *name)
{
    return world_archive(ARCHIVE, name, program, program_bytes);
}

static void put(size_t at, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        program[at + i] = (unsigned char)(value >> 8 * i);
}

static void the_archive_must_hold_the_program(void)
{
    program_bytes = world_program(program);
    CHECK(stops_with(archive_of("boot"), "no program \"root\""));
    struct qy_bytes archive = archive_of("root");
    unsigned lost = 0;
    for (size_t cut = 0; cut < archive.count - 200; cut += 97)
        lost += !stops_with((struct qy_bytes){archive.at, cut}, "boot archive");
    CHECK_EQ(lost, 0);
    memset(qy_port_ram(paddr(ARCHIVE)), 'x', 6);
    CHECK(stops_with(archive, "is broken"));
}

static void the_program_must_be_one(void)
{
    program_bytes = world_program(program);
    put(18, 243, 2);
    CHECK(stops_with(archive_of("root"), "made for another machine"));
    world_program(program);
    put(0, 0, 1);
    CHECK(stops_with(archive_of("root"), "not an ELF file"));
    world_program(program);
    put(64 + 4, 7, 4);
    CHECK(stops_with(archive_of("root"), "both writable and executable"));
    world_program(program);
    put(24, 0x500000, 8);
    CHECK(stops_with(archive_of("root"), "cannot be loaded"));
    world_program(program);
    put(64 + 56 + 40, 1ull << 46, 8);
    CHECK(stops_with(archive_of("root"), "capability node")); /* 64 TiB of zeroes */
    world_program(program);
    put(64 + 56 + 40, 8ull << 20, 8);
    CHECK(stops_with(archive_of("root"), "needs a frame of 4 KiB"));
}

static void the_image_must_not_lie_on_the_archive(void)
{
    program_bytes = world_program(program);
    put(64 + 16, QY_ROOT_ARCHIVE_ADDRESS, 8);
    put(24, QY_ROOT_ARCHIVE_ADDRESS, 8);
    put(64 + 56 + 16, QY_ROOT_ARCHIVE_ADDRESS + 0x1000, 8);
    CHECK(stops_with(archive_of("root"), "where the boot archive is mapped"));
    world_program(program);
    put(64 + 56 + 16, QY_ROOT_STACK_TOP - 0x1000, 8);
    CHECK(stops_with(archive_of("root"), "cannot be mapped"));
}

static void the_archive_begins_with_a_page(void)
{
    program_bytes = world_program(program);
    struct qy_bytes archive = world_archive(ARCHIVE + 16, "root", program, program_bytes);
    CHECK(stops_with(archive, "not at the start of a page"));
}

static const struct test tests[] = {
    {"the archive must hold the program", the_archive_must_hold_the_program},
    {"the program must be one", the_program_must_be_one},
    {"the image must not lie on the archive", the_image_must_not_lie_on_the_archive},
    {"the archive begins with a page", the_archive_begins_with_a_page},
};

int main(void)
{
    return scene_run(tests, sizeof(tests) / sizeof(tests[0]));
}
