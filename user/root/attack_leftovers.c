/*
 * Reading what an earlier owner left: all frames that a budget can give are filled, the budget is
 * revoked, and its frames are made and read again. The same pages come back, because there are no
 * others in the budget.
 */
#include "attack.h"

#define BUDGET_PAGES 24u
#define PAGE_ADDRESS (ATTACK_ADDRESS + 0x60000)
#define FILL 0xa5a5a5a5a5a5a5a5ull

/* Work on one page: fill it, or look. Returns the number of words that are not zero before. */
static unsigned visit_page(bool fill)
{
    volatile uint64_t *word = (volatile uint64_t *)PAGE_ADDRESS;
    unsigned left = 0;

    for (unsigned i = 0; i < PAGE_BYTES / sizeof(*word); i++) {
        left += word[i] != 0;
        if (fill)
            word[i] = FILL;
    }
    return left;
}

/* Make frames until the budget is empty, and visit each. Returns how many; *words is what was left
 * in them. */
static unsigned visit_all(struct attack *attack, qy_handle_t budget, bool fill, unsigned *words)
{
    struct root *root = attack->root;
    unsigned frames = 0;
    qy_handle_t frame;

    *words = 0;
    while (root_make(root, budget, QY_OBJ_FRAME, 1, &frame) == QY_OK) {
        /* The tables come from the attacks' budget: this one is for frames. */
        enum qy_error error = root_map(root, attack->budget, frame, PAGE_ADDRESS,
                                       QY_MAP_READ | QY_MAP_WRITE, false, NULL);
        if (!root_check(root, error == QY_OK, "a frame to look at could not be mapped"))
            return 0;
        *words += visit_page(fill);
        error = frame_unmap(frame, QY_SLOT_SPACE, PAGE_ADDRESS);
        root_check(root, error == QY_OK, "a frame to look at could not be unmapped");
        frames++;
    }
    return frames;
}

void attack_leftovers(struct attack *attack)
{
    struct root *root = attack->root;
    uint32_t mark = root_mark(root);
    unsigned fresh, left = 0;
    qy_handle_t budget;

    if (!root_check(root,
                    root_make(root, attack->budget, QY_OBJ_UNTYPED, BUDGET_PAGES, &budget) == QY_OK,
                    "no budget to look into could be made"))
        return;
    uint32_t inner = root_mark(root);
    unsigned filled = visit_all(attack, budget, true, &fresh);
    bool revoked = cap_revoke(budget) == QY_OK;
    root_check(root, revoked, "the budget to look into could not be revoked");
    root_release(root, inner);
    unsigned seen = visit_all(attack, budget, false, &left);
    attack_stopped(attack, filled > BUDGET_PAGES / 2 && seen == filled && fresh + left == 0,
                   left ? "NOT ZERO" : "all zero", "read %u pages that an earlier owner filled",
                   seen);
    bool gone = cap_revoke(budget) == QY_OK && cap_delete(budget) == QY_OK;
    root_check(root, gone, "the budget to look into could not be taken back");
    root_release(root, mark);
}
