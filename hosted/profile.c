/*
 * Folded stacks of a heap. See hosted/profile.h.
 *
 * The table grows until nothing is left out; a heap that grows faster than that is refused.
 */
#include <hosted/profile.h>

#include <inttypes.h>
#include <stdlib.h>

#define ROWS_FIRST 256u
#define ROWS_MAX (1u << 20)

static void line_write(FILE *out, const struct qy_tally_row *row)
{
    const struct qy_site *site = qy_site_at(row->key[QY_LEAK_SITE]);
    fprintf(out, "payer %" PRIu64 ";thread %" PRIu64 ";call %" PRIu64 ";", row->key[QY_LEAK_PAYER],
            row->key[QY_LEAK_THREAD], row->key[QY_LEAK_CALL]);
    if (site)
        fprintf(out, "%s:%u %s", site->file, site->line, site->what);
    else
        fprintf(out, "no site");
    fprintf(out, " %" PRIu64 "\n", row->bytes);
}

bool hosted_profile_write(FILE *out, struct qy_heap *heap)
{
    struct qy_tally tally = {.lost = {.count = 1}};
    struct qy_tally_row *rows = NULL;
    for (size_t count = ROWS_FIRST; tally.lost.count && count <= ROWS_MAX; count *= 4) {
        free(rows);
        rows = calloc(count, sizeof(*rows));
        if (!rows)
            return false;
        qy_tally_begin(&tally, rows, count);
        qy_leaks(heap, 0, &tally);
    }
    qy_tally_sort(&tally);
    for (size_t i = 0; i < tally.used; i++)
        line_write(out, &rows[i]);
    free(rows);
    return tally.lost.count == 0 && fflush(out) == 0;
}
