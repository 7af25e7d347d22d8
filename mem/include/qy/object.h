/*
 * Memory objects: sparse arrays of pages that spaces map.
 *
 *     object     tree of tables that no CPU runs: page n at BASE + n * 4096, read-only, the object's own
 *     region     marks OBJECT, n; touched, the entry holds the object's frame, too:
 *                    shared    FOREIGN, with the region's rights
 *                              (an object that notices writes: read-only and COW, until the first one)
 *                    private   as after a clone: read-only and COW; a write copies into the mapper's budget
 *
 * So an object is a space whose CPUs are its mappers: what a TLB is to a space, their entries are to an object. Whoever
 * takes pages out of it makes everybody forget them, between two steps of the change (qy/vm.h), by giving the entries
 * back the marks that are behind them; those of an object that goes become marks `revoked`. A page that is not there
 * is zeroes, made when it is touched (qy_space_fault); of a `paged` object it is somebody's to supply.
 *
 * Invariants
 *   PAID        tables and frames of an object come out of its budget, whoever maps it
 *   OBJECT-END  no page lies at or behind the object's end
 *   OBJECT-OWN  the object's own mapping of a frame is its oldest, and read-only; a frame that a region shares with an object is in
 *               the object
 *   WRITTEN     a page that anybody can write to is marked so in the object: by COW in its own entry
 *   REVOKED     once a page has been discarded, or an object destroyed, no entry leads to its frames
 *
 * Locking: as qy/vm.h; a table of a mapper before one of the object. An object maps none, so there is no circle.
 * Cost: a fault is a walk in each tree; taking pages away O(mappings). References: docs/adr/0020-memory-objects.md.
 */
#ifndef QY_OBJECT_H
#define QY_OBJECT_H

#include <qy/vm.h>

#define QY_OBJECT_PAGES_MAX (1ull << 34) /* what a mark can number */

struct qy_object {
    struct qy_space tree;   /* first: qy/vm.h knows it by that */
    _Atomic uint64_t pages; /* its end */
    atomic_bool paged;      /* pages that are not there are supplied, not zeroes */
    atomic_bool notices;    /* what is read is not writable yet, so that a write is noticed */
    atomic_bool dead;       /* being destroyed */
};

/*
 * An object without pages, of so many; all that it needs comes out of the budget. Errors: INVALID_ARGUMENT (pages),
 * OUT_OF_MEMORY, REVOKED.
 */
enum qy_error qy_object_init(struct qy_object *object, struct qy_vm *vm, struct qy_budget *budget,
                             uint64_t pages) QY_MUST_USE;

/*
 * One step of taking it apart, at most one table of pages: OK = it is gone, BUSY = call again. The caller sees to it
 * that nobody is in another call on it any more.
 */
enum qy_error qy_object_destroy_step(struct qy_object *object) QY_MUST_USE;

/*
 * A page with a frame of the caller's, which qy_object_frame made and which is the object's if this succeeds. Errors:
 * ALREADY_MAPPED (it is there), NOT_MAPPED (behind the end), OUT_OF_MEMORY, REVOKED.
 */
enum qy_error qy_object_put(struct qy_object *object, uint64_t page, pfn_t frame) QY_MUST_USE;
/* A frame out of its budget, zeroed or to be overwritten; and back. Errors: OUT_OF_MEMORY, REVOKED. */
enum qy_error qy_object_frame(struct qy_object *object, bool zeroed, pfn_t *out) QY_MUST_USE;
void qy_object_frame_free(struct qy_object *object, pfn_t frame);

/*
 * One step towards so many pages, from the end on: BUSY = call again. Pages that go are taken from everybody. Errors:
 * INVALID_ARGUMENT.
 */
enum qy_error qy_object_resize_step(struct qy_object *object, uint64_t pages) QY_MUST_USE;

/*
 * The pages of a range go, from everybody; touched again they are zeroes, or supplied. What lies behind the end is
 * nothing. O(range).
 */
void qy_object_discard(struct qy_object *object, uint64_t page, uint64_t count);

/*
 * Which of up to 64 pages from `page` on were written to, through any shared mapping, since they came, or since this
 * was called: a bit each. They are mapped nowhere then, and whoever touches them comes to the object; so what is read
 * from now on has all that was written before. From the first call on the object notices writes apart from reads:
 * before that, whoever could write to a page is taken to have done it. O(mappings).
 */
uint64_t qy_object_take_written(struct qy_object *object, uint64_t page, unsigned count) QY_MUST_USE;

/*
 * Pages from `page` on of which the first is there, or is not, and so are the others: at least 1, or 0 behind the
 * end. A long run may be cut short.
 */
uint64_t qy_object_run(struct qy_object *object, uint64_t page, bool *there);

/* Null, or the id of the first invariant that does not hold. Nobody else uses it meanwhile. O(pages). */
const char *qy_object_check(struct qy_object *object);

#endif
