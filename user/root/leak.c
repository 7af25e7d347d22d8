/*
 * A leak on purpose: a program that retypes and forgets, and the search for it.
 *
 *     its budget:  thread, endpoint, reply, stack    given back when it has ended
 *     its heap:    LEAKED frames                     forgotten: nobody has a handle, slots hold them
 *
 * The search has to name the untyped, the thread that is gone, the call, the type, and how much.
 */
#include "leaks.h"

#define LEAKED 3u
#define LEAKED_PAGES 2u
#define HEAP_PAGES 16u
#define BUDGET_PAGES 64u
#define STACK_PAGE ROOT_CHILD_ADDRESS

/* What the program is told, and who it was. */
struct forgetful {
    qy_handle_t heap;
    uint64_t slot;
    enum qy_error error;
    uint64_t heap_number, thread_number;
};

static void forget(void *argument)
{
    struct forgetful *self = argument;
    self->error =
        untyped_retype(self->heap, QY_OBJ_FRAME, LEAKED_PAGES, QY_SLOT_NODE, self->slot, LEAKED)
            .error;
    thread_exit(0);
}

/* Make the program, let it run, and take away everything of it but its heap. */
static bool run_forgetful(struct root *root, struct forgetful *self)
{
    struct child child;
    struct cap_state heap;
    struct thread_status status = {0};
    qy_handle_t budget;

    if (root_make(root, root->untyped, QY_OBJ_UNTYPED, HEAP_PAGES, &self->heap) != QY_OK ||
        cap_info(QY_SLOT_NODE, QY_HANDLE_INDEX(self->heap), &heap) != QY_OK)
        return false;
    self->heap_number = heap.object;
    self->slot = root->next_slot;
    root->next_slot += LEAKED;
    uint32_t mark = root_mark(root);
    bool ok = root_make(root, root->untyped, QY_OBJ_UNTYPED, BUDGET_PAGES, &budget) == QY_OK &&
              child_make(root, budget, STACK_PAGE, &child) == QY_OK &&
              thread_info(child.thread, &status) == QY_OK &&
              child_start(&child, forget, self, 0) == QY_OK && child_wait_dead(&child);
    self->thread_number = status.object;
    ok = ok && self->error == QY_OK && cap_revoke(budget) == QY_OK && cap_delete(budget) == QY_OK;
    root_release(root, mark);
    return ok;
}

void plant_leak(struct root *root)
{
    static struct forgetful self;

    if (root_check(root, run_forgetful(root, &self), "no leak could be planted"))
        print("   thread %llu made %u frames of 8 KiB out of untyped %llu, forgot them, and is "
              "gone\n",
              (unsigned long long)self.thread_number, LEAKED, (unsigned long long)self.heap_number);
}

/* Is there one group of that untyped, and does it say all there is to say? */
static bool is_found(const struct qy_tally *groups, const struct forgetful *self)
{
    unsigned of_heap = 0, right = 0;

    for (size_t i = 0; i < groups->used; i++) {
        const struct qy_tally_row *row = &groups->rows[i];
        if (row->key[LEAK_UNTYPED] != self->heap_number)
            continue;
        of_heap++;
        right += row->key[LEAK_THREAD] == self->thread_number &&
                 row->key[LEAK_CALL] == QY_CALL_untyped_retype &&
                 row->key[LEAK_TYPE] == QY_OBJ_FRAME && row->count == LEAKED &&
                 row->bytes >= LEAKED * LEAKED_PAGES * PAGE_BYTES &&
                 row->bytes < LEAKED * (LEAKED_PAGES + 1) * PAGE_BYTES;
    }
    return of_heap == 1 && right == 1;
}

void leak_run(struct root *root, bool keep)
{
    static struct forgetful self;
    uint32_t mark = root_mark(root);
    struct qy_tally groups;
    uint64_t latest;

    print("\nleak: everything that lives\n");
    show_leaks(root);
    mark_leaks(root);
    if (!root_check(root, leaks_latest(&latest), "there is no record of allocations") ||
        !root_check(root, run_forgetful(root, &self), "no leak could be planted"))
        return;
    print("leak: thread %llu has forgotten %u frames of untyped %llu; made since the mark and "
          "live:\n",
          (unsigned long long)self.thread_number, LEAKED, (unsigned long long)self.heap_number);
    show_leaks_since(root);
    root_check(root, leaks_collect(latest, &groups) && is_found(&groups, &self),
               "the leak was not found, or named wrongly");
    if (keep)
        return;
    bool gone = cap_revoke(self.heap) == QY_OK && cap_delete(self.heap) == QY_OK;
    root_check(root, gone, "the leak could not be taken back");
    root_release(root, mark);
    print("leak: the untyped is revoked; made since the mark and live:\n");
    show_leaks_since(root);
    root_check(root, leaks_collect(latest, &groups) && groups.used == 0 && groups.lost.count == 0,
               "something is left of the leak");
}
