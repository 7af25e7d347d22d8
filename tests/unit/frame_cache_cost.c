/*
 * What an order-0 pair costs: at most 44 instructions, counted by callgrind, the loop around it
 * included.
 *
 * The program runs itself twice under valgrind, with different numbers of pairs, and divides the
 * difference; so what is counted does not depend on starting up. Skipped where valgrind is absent,
 * and in builds for sanitizers or without optimisation, which count other things.
 */
#include <counted.h>
#include <hosted/hosted.h>
#include <qy/frame_cache.h>

#define PAIR_MAX 44.0
#define FEW 10000ul
#define MANY 110000ul

static struct hosted_machine machine;
static struct qy_arena arena;
static struct qy_cpu_frames cpu;

static bool pairs(unsigned long count)
{
    qy_irq_is_off();
    if (!hosted_machine_make(&machine, 64ull << 20, false))
        return false;
    hosted_ram_add(&machine, pfn(1), pfn(16384));
    qy_arena_init(&arena, &machine.db, 0, QY_ZONE_NORMAL, 1);
    qy_cpu_frames_init(&cpu, 0);
    bool held = qy_arena_add(&arena, pfn(1), pfn(16384)) == QY_OK;
    for (unsigned long i = 0; i < count; i++) {
        pfn_t frame;
        if (qy_frame_try_alloc(&cpu, &arena, 0, QY_FRAME_USER, &frame) != QY_OK ||
            qy_frame_free(&cpu, &arena, frame, 0, QY_FRAME_USER) != QY_OK)
            return false;
    }
    struct qy_record_arena record;
    qy_arena_record(&arena, &record);
    bool right = record.allocations - record.frees == 1 && record.allocations > count;
    return held && right == QY_CONFIG_STATISTICS && qy_arena_check(&arena) == NULL;
}

static void order_0_pair(void)
{
    COUNT_OR_SKIP();
    unsigned long few = counted(0, FEW), many = counted(0, MANY);
    CHECK(few != 0 && many > few);
    double each = (double)(many - few) / (double)(MANY - FEW);
    printf("# instructions of an order-0 pair: %.1f\n", each);
    CHECK(each <= PAIR_MAX);
}

static const struct test tests[] = {
    {"an order-0 pair takes at most 44 instructions", order_0_pair}};

int main(int count, char **words)
{
    if (count == 3)
        return !pairs(strtoul(words[2], NULL, 10));
    counted_program = words[0];
    return tap_run(tests, 1);
}
