/*
 * The root task: made of the same objects and by the same steps as a program would make another.
 *
 *     slots of its node: 0 nothing | node, space, thread, console, system | untypeds, largest first
 *                        | device memory, lowest first | image, stack, tables | free
 *
 * Everything is paid by the kernel's arena, through an untyped that has no capability. Boot only,
 * one CPU.
 */
#include <arch/arch.h>
#include <kernel/arenas.h>
#include <kernel/device.h>
#include <kernel/entropy.h>
#include <kernel/object.h>
#include <kernel/print.h>
#include <kernel/root_task.h>
#include <kernel/space.h>
#include <kernel/thread.h>
#include <lib/format.h>
#include <lib/secret.h>
#include <lib/string.h>
#include <qy/port.h>

#if defined(__riscv)
#define MACHINE_NAME "riscv64"
#define MACHINE_ELF 243u
#else
#define MACHINE_NAME "x86_64"
#define MACHINE_ELF 62u
#endif

#define STACK_PAGES 4u
#define FREE_SLOTS 512u /* at least so many are left to the root task */

static struct untyped kernel_untyped;
static struct object console_object, system_object;

struct making {
    struct cap_node *node;
    struct space *space;
    uint32_t next; /* the next empty slot */
    unsigned untypeds, devices;
};

static struct object *object_take(enum qy_object_type type, uint64_t pages)
    QY_REQUIRES(qy_class_caps)
{
    struct object *object;
    struct shortage shortage = {.pages = pages, .largest_order = -1};
    enum qy_error error = object_reserve(&kernel_untyped, type, pages, &object, &shortage);
    if (error == QY_INVALID_ARGUMENT)
        kernel_stop("the root task needs a %s of %S, more than fits one; make the program smaller",
                    qy_object_name(type), pages * QY_PAGE_BYTES);
    if (error != QY_OK)
        kernel_stop("the root task needs a %s of %S, and the kernel's arena has no such block left "
                    "(largest order %d); make the program smaller or give the machine more memory",
                    qy_object_name(type), shortage.pages * QY_PAGE_BYTES, shortage.largest_order);
    caps_release();
    object_zero(object);
    caps_acquire();
    object_finish(object);
    return object;
}

static struct slot *slot_put(struct making *making, uint32_t index, struct object *object)
    QY_REQUIRES(qy_class_caps)
{
    if (index >= making->node->count)
        kernel_stop("the root task's capability node of %u slots is too small for its image",
                    making->node->count);
    struct slot *slot = &making->node->slots[index];
    slot_fill(slot, object, QY_RIGHT_ALL, object->untyped ? &object->untyped->anchor : &cap_root);
    return slot;
}

static void static_object(struct object *object, enum qy_object_type type)
    QY_REQUIRES(qy_class_caps)
{
    object->type = (uint8_t)type;
    object->flags = OBJECT_STATIC;
    object->id = object_new_id();
}

static void table_add(struct making *making, uint64_t address, unsigned level)
    QY_REQUIRES(qy_class_caps)
{
    unsigned missing;
    struct object *object = object_take(QY_OBJ_PAGE_TABLE, 1);
    slot_put(making, making->next++, object);
    struct qy_budget *payer;
    enum qy_error error = untyped_budget(object->untyped, &payer);
    if (error == QY_OK)
        error = table_map_in(making->space, (struct page_table *)object, address, level, payer,
                             &missing);
    if (error != QY_OK)
        kernel_panic("a table of level %u for the root task at %R is refused: %s", level, address,
                     qy_error_name(error));
}

/* A new page of the root task; the kernel fills it through the address returned. */
static uint8_t *page_add(struct making *making, uint64_t address, uint64_t flags)
    QY_REQUIRES(qy_class_caps)
{
    struct object *object = object_take(QY_OBJ_FRAME, 1);
    struct slot *slot = slot_put(making, making->next++, object);
    unsigned level;
    enum qy_error error;
    while ((error = frame_map_now(slot, making->space, address, flags, &level)) == QY_MISSING_TABLE)
        table_add(making, address, level);
    if (error != QY_OK)
        kernel_stop("the root task cannot be mapped at %R: %s; build it with user.ld", address,
                    qy_error_sentence(error));
    return qy_port_ram(pfn_to_paddr(((struct frame *)object)->first));
}

static void archive_map(struct making *making, struct qy_bytes archive) QY_REQUIRES(qy_class_caps)
{
    paddr_t base = qy_port_paddr(archive.at);
    uint64_t end = qy_align_up(archive.count, QY_PAGE_BYTES);
    if (base.raw & QY_PAGE_MASK)
        kernel_stop("the boot archive lies at %R, not at the start of a page; have the loader "
                    "align modules",
                    base.raw);
    /* What lay behind the archive in its last page is not the root task's to see. */
    memset((uint8_t *)qy_port_ram(base) + archive.count, 0, end - archive.count);
    for (uint64_t offset = 0; offset < end; offset += QY_PAGE_BYTES) {
        uint64_t address = QY_ROOT_ARCHIVE_ADDRESS + offset;
        unsigned level;
        enum qy_error error;
        while ((error = space_map_reserved(making->space, address, paddr(base.raw + offset),
                                           &level)) == QY_MISSING_TABLE)
            table_add(making, address, level);
        if (error != QY_OK)
            kernel_stop("the root task's image lies where the boot archive is mapped, at %R",
                        address);
    }
}

static uint64_t segment_pages(const struct qy_elf_segment *segment)
{
    uint64_t first = segment->address / QY_PAGE_BYTES;
    uint64_t last = (segment->address + segment->memory_bytes + QY_PAGE_MASK) / QY_PAGE_BYTES;
    return segment->memory_bytes ? last - first : 0;
}

/* The bytes of a segment that lie in the page at address; the rest of the page stays zero. */
static void segment_page_fill(const struct qy_elf_segment *segment, uint64_t address, uint8_t *page)
{
    uint64_t end = segment->address + segment->data.count;
    uint64_t from = segment->address > address ? segment->address : address;
    uint64_t to = end < address + QY_PAGE_BYTES ? end : address + QY_PAGE_BYTES;
    if (from < to)
        memcpy(page + (from - address), segment->data.at + (from - segment->address), to - from);
}

static void segment_load(struct making *making, const struct qy_elf_segment *segment)
    QY_REQUIRES(qy_class_caps)
{
    uint64_t address = qy_align_down(segment->address, QY_PAGE_BYTES);
    for (uint64_t i = 0; i < segment_pages(segment); i++, address += QY_PAGE_BYTES)
        segment_page_fill(segment, address,
                          page_add(making, address, segment->flags | QY_MAP_READ));
}

/* Find and check the program before anything is made for it. */
static struct qy_bytes program_find(struct qy_bytes archive, uint64_t *entry, unsigned *segments)
{
    struct qy_file file;
    const char *why = "";
    enum qy_error error = qy_cpio_find(archive, "root", &file);
    if (error == QY_NOT_FOUND)
        kernel_stop(
            "the boot archive has no program \"root\"; build it with ./quarry, or add the file");
    if (error != QY_OK)
        kernel_stop(
            "the boot archive of %S is broken (%s); pass an intact cpio archive of format newc",
            (uint64_t)archive.count, qy_error_sentence(error));
    error = qy_elf_check(file.data, MACHINE_ELF, USER_END, entry, segments, &why);
    if (error != QY_OK)
        kernel_stop("the program \"root\" in the boot archive cannot be loaded: %s; build it "
                    "for " MACHINE_NAME " with user.ld",
                    why);
    return file.data;
}

static unsigned devices_count(const struct qy_boot_info *info, const struct qy_topology *topology)
{
    unsigned count = 0;
    uint64_t base = 0, end;
    for (; qy_device_range(info, topology, arch_physical_limit(), &base, &end); base = end)
        count++;
    return count;
}

/* Slots that the node needs: what is fixed, one for each page, and tables for every 2 MiB and a few
 * more. */
static uint64_t slots_needed(struct qy_bytes program, unsigned segments, struct qy_bytes archive,
                             unsigned memories)
{
    uint64_t slots = QY_SLOT_UNTYPED + memories + STACK_PAGES + 1 + FREE_SLOTS;
    slots += archive.count / (QY_PT_ENTRIES * QY_PAGE_BYTES) + 4;
    for (unsigned i = 0; i < segments; i++) {
        struct qy_elf_segment segment = qy_elf_segment(program, i);
        slots += segment_pages(&segment) + segment_pages(&segment) / QY_PT_ENTRIES + 4;
    }
    return slots;
}

static void untypeds_add(struct making *making, struct kernel_arenas *arenas)
    QY_REQUIRES(qy_class_caps)
{
    for (unsigned n = 0; n < arenas->count; n++) {
        /* The n-th largest: as many are larger, or as large and earlier. */
        for (unsigned i = 0; i < arenas->count; i++) {
            unsigned before = 0;
            for (unsigned j = 0; j < arenas->count; j++) {
                uint64_t a = arenas->roots[i].total_pages, b = arenas->roots[j].total_pages;
                before += b > a || (b == a && j < i);
            }
            if (before != n)
                continue;
            struct untyped *untyped;
            if (untyped_adopt(&kernel_untyped, &arenas->roots[i], &untyped) != QY_OK)
                kernel_stop("out of memory for the headers of %u untypeds", arenas->count);
            struct slot *slot = &making->node->slots[QY_SLOT_UNTYPED + n];
            slot_fill(slot, &untyped->object, QY_RIGHT_ALL, &cap_root);
        }
    }
    making->untypeds = arenas->count;
    making->next = QY_SLOT_UNTYPED + arenas->count;
}

static void devices_add(struct making *making, const struct qy_boot_info *info,
                        const struct qy_topology *topology) QY_REQUIRES(qy_class_caps)
{
    uint64_t base = 0, end;
    for (; qy_device_range(info, topology, arch_physical_limit(), &base, &end); base = end) {
        struct slot *slot = &making->node->slots[making->next++];
        if (device_memory_make(&kernel_untyped, base, end, slot) != QY_OK)
            kernel_stop("out of memory for the headers of device memory");
        making->devices++;
    }
}

static void stack_add(struct making *making) QY_REQUIRES(qy_class_caps)
{
    for (unsigned i = 1; i <= STACK_PAGES; i++)
        page_add(making, QY_ROOT_STACK_TOP - i * QY_PAGE_BYTES, QY_MAP_READ | QY_MAP_WRITE);
}

static void info_fill(struct qy_root_info *out, const struct making *making,
                      const struct qy_boot_info *info, unsigned nodes, uint64_t archive_bytes)
{
    static const char *const paths[] = {"PVH", "Multiboot2", "OpenSBI", "UEFI"};
    *out = (struct qy_root_info){.version = QY_ABI_VERSION,
                                 .bytes = sizeof(*out),
                                 .cpus = cpu_count,
                                 .nodes = nodes,
                                 .untypeds = making->untypeds,
                                 .devices = making->devices,
                                 .node_slots = making->node->count,
                                 .free_slot = making->next,
                                 .clock_hz = arch_clock_hz(),
                                 .archive_bytes = archive_bytes};
    format_to(out->machine, sizeof(out->machine), MACHINE_NAME ", booted by %s%s%s",
              paths[info->path], info->loader[0] ? " from " : "", info->loader);
    format_to(out->command_line, sizeof(out->command_line), "%s", info->command_line);
}

static struct thread *thread_make(struct making *making) QY_REQUIRES(qy_class_caps)
{
    struct thread *thread = (struct thread *)object_take(QY_OBJ_THREAD, 1);
    struct slot *slots = making->node->slots;
    struct teardown teardown;
    teardown_init(&teardown);
    slot_put(making, QY_SLOT_THREAD, &thread->object);
    thread->is_root = true;
    enum qy_error error =
        thread_configure(thread, &slots[QY_SLOT_SPACE], &slots[QY_SLOT_NODE], NULL, 0, &teardown);
    if (error != QY_OK)
        kernel_panic("the root task's thread cannot be configured: %s", qy_error_name(error));
    return thread;
}

/* Secrets of heaps. */
static void seed(void) QY_REQUIRES(qy_class_caps)
{
    uint8_t bytes[SECRET_SEED_BYTES];
    entropy_draw(bytes, sizeof(bytes));
    object_seed(bytes, sizeof(bytes));
}

void root_task_create(const struct qy_boot_info *info, struct qy_bytes archive,
                      const struct qy_pt *kernel_tables, const struct qy_topology *topology,
                      struct kernel_arenas *arenas)
{
    uint64_t entry;
    unsigned segments;
    struct qy_bytes program = program_find(archive, &entry, &segments);
    uint64_t slots =
        slots_needed(program, segments, archive, arenas->count + devices_count(info, topology));
    struct making making = {0};

    entropy_gather(info);
    if (!entropy_sources())
        print("entropy: NONE, neither of the processor nor of firmware: addresses of programs and "
              "secrets of heaps can be guessed\n");
    space_setup(kernel_tables, arenas->kernel.db);
    caps_acquire();
    seed();
    untyped_init(&kernel_untyped, &arenas->kernel);
    making.node = (struct cap_node *)object_take(
        QY_OBJ_CAP_NODE, 1ull << qy_order_of((slots + SLOTS_PER_PAGE - 1) / SLOTS_PER_PAGE));
    making.space = (struct space *)object_take(QY_OBJ_ADDRESS_SPACE, 1);
    static_object(&console_object, QY_OBJ_CONSOLE);
    static_object(&system_object, QY_OBJ_SYSTEM);
    slot_put(&making, QY_SLOT_NODE, &making.node->object);
    slot_put(&making, QY_SLOT_SPACE, &making.space->object);
    slot_put(&making, QY_SLOT_CONSOLE, &console_object);
    slot_put(&making, QY_SLOT_SYSTEM, &system_object);
    untypeds_add(&making, arenas);
    devices_add(&making, info, topology);
    for (unsigned i = 0; i < segments; i++) {
        struct qy_elf_segment segment = qy_elf_segment(program, i);
        segment_load(&making, &segment);
    }
    stack_add(&making);
    struct qy_root_info *root_info =
        (struct qy_root_info *)page_add(&making, QY_ROOT_INFO_ADDRESS, QY_MAP_READ);
    archive_map(&making, archive);
    struct thread *thread = thread_make(&making);
    info_fill(root_info, &making, info, arenas->nodes.count, archive.count);
    entropy_draw(root_info->seed, sizeof(root_info->seed));
    root_info->entropy = entropy_sources();
    entropy_end();
    enum qy_error error = thread_start(thread, entry, QY_ROOT_STACK_TOP, QY_ROOT_INFO_ADDRESS, 0);
    caps_release();
    if (error != QY_OK)
        kernel_stop("the root task cannot be started at %R: %s", entry, qy_error_sentence(error));
}
