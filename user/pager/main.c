/*
 * Paging, shown: processes on all CPUs that live on what the pager supplies, each with its quota, and some that want
 * what they are not to have. A line for each, and the counts.
 */
#include "pager.h"

#include <user/print.h>
#include <user/program.h>

#define BUDGET_PAGES 192u

struct paging_case {
    const char *what, *pages; /* arguments of "paged" */
    uint64_t quota;
    enum pager_policy policy;
    enum pager_end end; /* how it is to end */
    uint64_t supplied;  /* how many pages it is to have had */
};

/* A walk through 200 pages takes 13 batches of 16; the first page of the stack brings 16 more. */
static const struct paging_case together[] = {
    {"walk", "200", 256, PAGER_KILLS, PAGED_EXITED, 224},
    {"grow", "100", 256, PAGER_KILLS, PAGED_EXITED, 112},
    {"walk", "400", 128, PAGER_KILLS, PAGED_OVER_QUOTA, 128},
    {"walk", "300", 64, PAGER_WAITS, PAGED_EXITED, 320},
    {"wild", "0", 256, PAGER_KILLS, PAGED_WILD, 16},
    {"grow", "1000", 512, PAGER_KILLS, PAGED_WILD, PAGED_STACK_PAGES},
    {"leap", "0", 256, PAGER_KILLS, PAGED_WILD, 16},
};

/* Both wait, and nobody else could end: the larger, or the first of equals, is chosen; the other has enough then. */
static const struct paging_case scarce[] = {
    {"walk", "300", 64, PAGER_WAITS, PAGED_CHOSEN, 64},
    {"walk", "100", 64, PAGER_WAITS, PAGED_EXITED, 128},
};

#define COUNT(cases) (unsigned)(sizeof(cases) / sizeof((cases)[0]))

static const char *const ends[] = {"ended by itself", "ended: a wild access",
                                   "ended: over its quota", "chosen to end"};

static bool tell(const struct pager_process *paged, const struct paging_case *wanted)
{
    bool right =
        paged->state == PAGED_ENDED && paged->end == wanted->end && paged->code == 0 &&
        paged->pages == wanted->supplied && paged->pages <= paged->quota &&
        (paged->beyond > 0) == (wanted->end == PAGED_OVER_QUOTA || wanted->policy == PAGER_WAITS);

    print("paging: %s %-4s  quota %3llu  %3llu pages in %2llu faults, beyond its quota %llu times, "
          "%s%s\n",
          wanted->what, wanted->pages, (unsigned long long)wanted->quota,
          (unsigned long long)paged->pages, (unsigned long long)paged->faults,
          (unsigned long long)paged->beyond, ends[paged->end], right ? "" : "  NOT RIGHT");
    return right;
}

/* Serve some processes, beside each other. How many ended as they should. */
static unsigned serve(struct pager *pager, const struct paging_case *cases, unsigned count)
{
    unsigned number[PAGER_PROCESSES], right = 0;
    const char *why = "it could not be served";
    enum qy_error error = pager_begin(pager, QY_SLOT_UNTYPED);

    for (unsigned i = 0; error == QY_OK && i < count; i++) {
        const char *const arguments[] = {"paged", cases[i].what, cases[i].pages, NULL};
        const struct pager_terms terms = {arguments, BUDGET_PAGES, cases[i].quota, cases[i].policy,
                                          i % program->cpus};
        error = pager_admit(pager, &terms, &number[i], &why);
    }
    if (error == QY_OK)
        error = pager_serve(pager);
    if (error != QY_OK) {
        print("paging: %s: %s\n", why, qy_error_name(error));
        return 0;
    }
    for (unsigned i = 0; i < count; i++)
        right += tell(&pager->processes[number[i]], &cases[i]);
    print("paging: the image that they share: %llu pages in %llu faults\n",
          (unsigned long long)pager->image_pages, (unsigned long long)pager->image_faults);
    pager_end(pager);
    return right;
}

int main(int argc, char *argv[])
{
    static struct pager pager;
    const unsigned all = COUNT(together) + COUNT(scarce);

    struct untyped_state before, after;

    (void)argc, (void)argv;
    if (untyped_info(QY_SLOT_UNTYPED, &before) != QY_OK)
        return 1;
    unsigned right = serve(&pager, together, COUNT(together));
    right += serve(&pager, scarce, COUNT(scarce));
    /* Its budget keeps a page or two for the next objects of each type; objects tell. */
    bool same = untyped_info(QY_SLOT_UNTYPED, &after) == QY_OK && after.objects == before.objects;
    print("paging: %u of %u processes as they should be; %s\n", right, all,
          same ? "no object is left" : "objects are LEFT");
    return right == all && same ? 0 : 1;
}
