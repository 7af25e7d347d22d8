/*
 * What CPUs have to forget, gathered while entries are changed. See qy/tlb.h.
 */
#include <qy/tlb.h>

void qy_tlb_gather_init(struct qy_tlb_gather *gather, struct qy_tlb_space *space)
{
    gather->space = space;
    gather->whole = gather->code = false;
    gather->count = gather->pages = 0;
}

void qy_tlb_gather_all(struct qy_tlb_gather *gather)
{
    gather->whole = true;
    gather->count = gather->pages = 0;
}

void qy_tlb_gather_code(struct qy_tlb_gather *gather)
{
    gather->code = true;
}

/* The range that ends where this one starts, or starts where it ends; null if there is none. */
static struct qy_tlb_range *neighbour(struct qy_tlb_gather *gather, uint64_t start, uint64_t bytes,
                                      unsigned level)
{
    for (unsigned i = 0; i < gather->count; i++) {
        struct qy_tlb_range *range = &gather->ranges[i];
        if (range->level == level &&
            (range->start + range->pages * qy_pt_page_bytes(level) == start ||
             start + bytes == range->start))
            return range;
    }
    return NULL;
}

void qy_tlb_gather_pages(struct qy_tlb_gather *gather, vaddr_t start, uint64_t pages,
                         unsigned level)
{
    if (gather->whole || pages == 0)
        return;
    if (pages > QY_TLB_PAGES_MAX - gather->pages) {
        qy_tlb_gather_all(gather);
        return;
    }
    struct qy_tlb_range *range =
        neighbour(gather, start.raw, pages * qy_pt_page_bytes(level), level);
    if (range) {
        range->start = start.raw < range->start ? start.raw : range->start;
        range->pages += (unsigned)pages;
    } else if (gather->count < QY_TLB_RANGES) {
        gather->ranges[gather->count++] = (struct qy_tlb_range){start.raw, (unsigned)pages, level};
    } else {
        qy_tlb_gather_all(gather);
        return;
    }
    gather->pages += (unsigned)pages;
}
