/*
 * Programs that start programs: see user/process.h. Apart from it, because the root task has no such information.
 */
#include <user/process.h>
#include <user/program.h>

enum qy_error process_spawn(const char *const *argv, uint64_t budget_pages, qy_handle_t endpoint,
                            uint64_t number, struct process *out, const char **why)
{
    struct process_plan plan = {.argv = argv,
                                .untyped = QY_SLOT_UNTYPED,
                                .budget_pages = budget_pages,
                                .endpoint = endpoint,
                                .number = number,
                                .console = QY_SLOT_CONSOLE,
                                .libraries = boot_archive(program->archive_bytes),
                                .environment = program_environment(),
                                .fixed = program->fixed,
                                .archive = program->archive ? PROGRAM_ARCHIVE : 0,
                                .archive_bytes = program->archive_bytes,
                                .cpus = program->cpus,
                                .clock_hz = program->clock_hz};
    enum qy_error error = archive_find(plan.libraries, argv[0], &plan.image);

    *why = "it is not in the boot archive";
    return error == QY_OK ? process_create(&plan, out, why) : error;
}
