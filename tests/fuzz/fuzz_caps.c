/*
 * Any bytes as calls on capabilities, messages, bindings and memory, each compared with the specification
 * (tests/model/spec.h); each byte is a choice that an act makes (tests/kernel/acts.h).
 *
 *     input   | how much is checked | act | its choices ... | act | its choices ... | ...
 *
 * The machine is booted once, and each input has a world of its own, which is gone afterwards to the last page.
 */
#include "../kernel/acts.h"
#include "fuzz.h"

#define ACTS_MAX 400u

static const uint8_t *bytes;
static size_t left;

/* When the input has ended, the first of all that there is: whoever chooses comes to an end. */
static unsigned next_choice(unsigned limit)
{
    if (limit <= 1 || left == 0)
        return 0;
    left--;
    return *bytes++ % limit;
}

static void check(const struct act *act)
{
    if (!acts_failure)
        return;
    fprintf(stderr, "%s: %s\n", act ? act->name : "the world's end", acts_failure);
    abort();
}

static const struct act *choose_act(void)
{
    static const struct {
        const struct act *acts;
        const unsigned *count;
    } kinds[] = {{acts_derive, &acts_derive_count},
                 {acts_bind, &acts_bind_count},
                 {acts_talk, &acts_talk_count},
                 {acts_memory, &acts_memory_count}};
    unsigned kind = next_choice(8);
    if (kind == 7) /* there is never enough to act on */
        return acts_derive;
    kind = kind > 3 ? kind - 4 : kind;
    return &kinds[kind].acts[next_choice(*kinds[kind].count)];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
    static const enum qy_object_type types[] = {
        QY_OBJ_UNTYPED,      QY_OBJ_FRAME,    QY_OBJ_CAP_NODE,   QY_OBJ_ENDPOINT,     QY_OBJ_REPLY,
        QY_OBJ_NOTIFICATION, QY_OBJ_TIMER,    QY_OBJ_INTERRUPT,  QY_OBJ_THREAD,       QY_OBJ_MEMORY,
        QY_OBJ_DMA,          QY_OBJ_IO_PORTS, QY_OBJ_PAGE_TABLE, QY_OBJ_ADDRESS_SPACE};
    static const struct acts_scope scope = {.pages = 200,
                                            .types = types,
                                            .type_count = sizeof(types) / sizeof(types[0]),
                                            .badges = 3,
                                            .objects = SPEC_OBJECTS - 20,
                                            .caps = SPEC_CAPS - 20};
    if (!acts_choose) {
        acts_choose = next_choice;
        world_make(64);
        acts_make();
    }
    bytes = data;
    left = count;
    acts_thorough = next_choice(16) == 15;
    acts_begin(&scope);
    check(NULL);
    for (unsigned i = 0; i < ACTS_MAX && left; i++) {
        const struct act *act = choose_act();
        act->run();
        if (!acts_failure)
            acts_compare();
        check(act);
    }
    acts_end();
    check(NULL);
    return 0;
}
