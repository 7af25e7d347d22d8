/*
 * The validator of a CPU's tags. See qy/tlb.h.
 */
#include <qy/tlb.h>

static bool tag_is_unique(const struct qy_tlb_cpu *cpu, unsigned tag)
{
    for (unsigned other = tag + 1; other <= QY_TLB_TAGS; other++)
        if (cpu->tags[other].space == cpu->tags[tag].space)
            return false;
    return true;
}

const char *qy_tlb_check(const struct qy_tlb *tlb, const struct qy_tlb_cpu *cpu,
                         struct qy_tlb_space *const *spaces)
{
    const struct qy_tlb_space *loaded = cpu->space;
    if (loaded && cpu->tags[cpu->tag].space != loaded->id)
        return "TLB-TAG";
    if (loaded && (cpu->tag == 0) != (tlb->sets == 0))
        return "TLB-TAG";
    for (unsigned tag = 1; tag <= QY_TLB_TAGS; tag++) {
        if (!cpu->tags[tag].space)
            continue;
        if (tag > tlb->sets * tlb->ways || !tag_is_unique(cpu, tag))
            return "TLB-TAG";
        for (struct qy_tlb_space *const *space = spaces; *space; space++)
            if ((*space)->id == cpu->tags[tag].space &&
                cpu->tags[tag].generation > atomic_load(&(*space)->generation))
                return "TLB-AHEAD";
    }
    for (; *spaces; spaces++)
        if (qy_tlb_is_active(*spaces, cpu->index) != (*spaces == loaded))
            return "TLB-ACTIVE";
    return NULL;
}
