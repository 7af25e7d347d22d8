/*
 * Random calls on capabilities, messages, bindings and memory, each compared with the specification.
 */
#include "acts.h"

#include <lib/random.h>
#include <quarry/call_errors.h>

static uint64_t random_state;

static unsigned choose(unsigned limit)
{
    return (unsigned)random_below(&random_state, limit);
}

static const struct {
    const struct act *acts;
    const unsigned *count;
    unsigned weight;
} kinds[] = {{acts_derive, &acts_derive_count, 8},
             {acts_bind, &acts_bind_count, 6},
             {acts_talk, &acts_talk_count, 5},
             {acts_memory, &acts_memory_count, 5}};

/* Deletes and revokes are rare, so that there is something that goes. */
static const struct act *choose_act(unsigned step)
{
    unsigned n = choose(24), kind = 0;
    int used = 0;
    for (int i = 0; i < acts_spec.caps_used; i++)
        used += acts_spec.caps[i].used;
    if (used < 30 && n < 16)
        return acts_derive;
    for (; n >= kinds[kind].weight; kind++)
        n -= kinds[kind].weight;
    const struct act *act = &kinds[kind].acts[choose(*kinds[kind].count)];
    bool takes = act == &acts_derive[3] || act == &acts_derive[4];
    return takes && choose(step % 200 < 150 ? 8 : 2) ? acts_derive + choose(2) : act;
}

/* Returns the calls made: a run ends early when the last capability of its memory goes. */
static unsigned run(uint64_t seed, unsigned steps)
{
    static const enum qy_object_type types[] = {
        QY_OBJ_UNTYPED,       QY_OBJ_FRAME,     QY_OBJ_FRAME,    QY_OBJ_PAGE_TABLE,
        QY_OBJ_ADDRESS_SPACE, QY_OBJ_CAP_NODE,  QY_OBJ_THREAD,   QY_OBJ_ENDPOINT,
        QY_OBJ_ENDPOINT,      QY_OBJ_REPLY,     QY_OBJ_REPLY,    QY_OBJ_NOTIFICATION,
        QY_OBJ_TIMER,         QY_OBJ_INTERRUPT, QY_OBJ_IO_PORTS, QY_OBJ_DMA,
        QY_OBJ_MEMORY};
    static const struct acts_scope scope = {.pages = 1500,
                                            .types = types,
                                            .type_count = sizeof(types) / sizeof(types[0]),
                                            .badges = 9,
                                            .objects = SPEC_OBJECTS - 20,
                                            .caps = SPEC_CAPS - 20};
    const struct act *act = NULL;
    unsigned step = 0;
    random_state = seed;
    acts_begin(&scope);
    for (; step < steps && !acts_failure && acts_alive(); step++) {
        act = choose_act(step);
        act->run();
        if (!acts_failure)
            acts_compare();
    }
    if (acts_failure)
        printf("# seed %llu, step %u, %s: %s\n", (unsigned long long)seed, step,
               act ? act->name : "", acts_failure);
    CHECK(acts_failure == NULL);
    if (!acts_failure)
        acts_end();
    return step;
}

static void random_calls_do_what_is_specified(void)
{
    const char *more = getenv("TEST_OPS");
    uint64_t calls = 0, wanted = more ? strtoull(more, NULL, 0) : 60000;
    acts_choose = choose;
    acts_make();
    for (uint64_t seed = 1; calls < wanted && !acts_failure; seed++) {
        acts_thorough = seed % 4 == 0;
        calls += run(seed * 0x9e3779b97f4a7c15ull, 1000);
    }
    static const enum qy_invocation all[] = {QY_CALL_untyped_retype,
                                             QY_CALL_cap_copy,
                                             QY_CALL_cap_move,
                                             QY_CALL_cap_delete,
                                             QY_CALL_cap_revoke,
                                             QY_CALL_frame_map,
                                             QY_CALL_frame_unmap,
                                             QY_CALL_thread_configure,
                                             QY_CALL_endpoint_send,
                                             QY_CALL_endpoint_call,
                                             QY_CALL_endpoint_receive,
                                             QY_CALL_reply_send,
                                             QY_CALL_endpoint_reply_receive,
                                             QY_CALL_notification_signal,
                                             QY_CALL_notification_wait,
                                             QY_CALL_notification_bind,
                                             QY_CALL_timer_set,
                                             QY_CALL_interrupt_bind,
                                             QY_CALL_interrupt_acknowledge,
                                             QY_CALL_frame_pin,
                                             QY_CALL_frame_unpin,
                                             QY_CALL_space_handler,
                                             QY_CALL_memory_pager,
                                             QY_CALL_memory_supply,
                                             QY_CALL_memory_resize,
                                             QY_CALL_memory_discard};
    for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        printf("# %s did something %llu times\n", qy_call_name(all[i]),
               (unsigned long long)acts_done[all[i]]);
        CHECK(acts_done[all[i]] != 0 || acts_failure);
    }
    printf("# %llu calls, %llu of them without memory\n", (unsigned long long)calls,
           (unsigned long long)acts_lacking);
}

static const struct test tests[] = {
    {"random calls do what is specified", random_calls_do_what_is_specified},
};

int main(void)
{
    return scene_run(tests, sizeof(tests) / sizeof(tests[0]));
}
