/*
 * A touch of an object's region: the object's frame comes to the region's entry, which fault.c has locked.
 *
 *     region's table (locked)          object's table (locked after it)
 *       mark OBJECT, n  ---------------> page n: there     its frame
 *                                                not there zeroes, out of the object's budget; or its pager is asked
 *
 * Both tables stay locked until the entry has its frame, so each tree is gone down once. What the region needs is reserved
 * before the object gets a page: a fault that fails has changed nothing.
 */
#include "fault_impl.h"
#include "object_impl.h"

struct join {
    struct qy_look *look;
    struct qy_object *object;
    struct qy_below below; /* the region's entry of level 1 */
    pfn_t side, fresh;     /* a side page for its table; a frame for a copy */
    struct qy_rmap_node *node;
    struct qy_table *own_table; /* the object's entry of the page, locked */
    unsigned own_index;
};

/* Does the touch take a copy from the start? */
static bool copies(const struct qy_look *look)
{
    return !(look->mark & QY_MARK_SHARED) && look->access == QY_ACCESS_WRITE;
}

static enum qy_error reserve_copy(struct join *j)
{
    struct qy_space *space = j->look->space;
    return qy_vm_frame_alloc(space->vm, space->budget, QY_FRAME_USER, &j->fresh);
}

/* All that the region takes. */
static enum qy_error reserve(struct join *j)
{
    struct qy_look *look = j->look;
    struct qy_space *space = look->space;
    enum qy_error error = qy_below_make(space, look->page, &look->at, &j->below);
    struct qy_table *leaf = j->below.leaf;
    if (error == QY_OK && qy_table_needs_side(leaf, look->mark))
        error = qy_vm_frame_alloc(space->vm, leaf->budget, QY_FRAME_METADATA, &j->side);
    if (error == QY_OK)
        error =
            copies(look) ? reserve_copy(j) : qy_vm_node_alloc(space->vm, leaf->budget, &j->node);
    return error;
}

/* What was not used. */
static void release(struct join *j)
{
    struct qy_space *space = j->look->space;
    if (j->fresh.raw)
        qy_vm_frame_free(space->vm, j->fresh, QY_FRAME_USER);
    if (j->side.raw)
        qy_vm_frame_free(space->vm, j->side, QY_FRAME_METADATA);
    qy_vm_node_free(space->vm, j->below.leaf->budget, j->node);
    qy_below_drop(space, &j->below);
}

/* A page of zeroes of the object's own at an empty entry, which is locked. */
static enum qy_error fill(struct join *j, vaddr_t address, const struct qy_at *at, pfn_t *frame)
{
    struct qy_object *object = j->object;
    struct qy_space *tree = &object->tree;
    struct qy_below below;
    enum qy_error error = qy_object_frame(object, true, frame);
    if (error != QY_OK)
        return error;
    error = qy_below_make(tree, address, at, &below);
    if (error != QY_OK) {
        qy_object_frame_free(object, *frame);
        return error;
    }
    qy_object_own(tree, below.leaf, below.index, *frame);
    if (below.count > 0) /* whoever takes pages away waits, too */
        qy_table_lock(below.leaf);
    qy_below_link(tree, at, &below);
    j->own_table = below.leaf;
    j->own_index = below.index;
    return QY_OK;
}

static void put_page(struct join *j, pfn_t frame, unsigned rights, uint64_t bits)
{
    const struct qy_pt_format *format = j->look->space->format;
    qy_table_remember(j->below.leaf, j->below.index, j->look->mark, &j->side);
    qy_table_set(format, j->below.leaf, j->below.index,
                 qy_page_entry(format, frame, 1, rights) | bits);
    j->look->code |= rights & QY_PT_EXEC;
}

/* A copy, the region's own: what is written, or executed while others write. */
static void put_copy(struct join *j, pfn_t frame, unsigned rights)
{
    memcpy(qy_port_ram(pfn_to_paddr(j->fresh)), qy_port_ram(pfn_to_paddr(frame)), QY_PAGE_BYTES);
    qy_word_store(&j->look->space->vm->db->frames[j->fresh.raw].word,
                  qy_mapping(j->below.leaf->frame, j->below.index) << QY_WORD_PLACE_SHIFT |
                      qy_word_class(rights & QY_PT_WRITE, rights & QY_PT_EXEC));
    put_page(j, j->fresh, rights, 0);
    j->fresh.raw = 0;
}

/* Somebody may write to the object's page, whose entry is locked. */
static void notice(const struct qy_space *tree, struct qy_table *table, unsigned index)
{
    uint64_t entry = qy_slot_get(qy_table_slots(table) + index), cow = qy_bit_cow(tree->format);
    if (!(entry & cow))
        qy_table_set(tree->format, table, index, entry | cow);
}

/* Of an object that notices writes, the first write to a page comes back to it. */
static void put_shared(struct join *j, pfn_t frame, unsigned rights)
{
    const struct qy_pt_format *format = j->look->space->format;
    uint64_t bits = qy_bit_foreign(format);
    if (rights & QY_PT_WRITE && j->look->access != QY_ACCESS_WRITE &&
        atomic_load(&j->object->notices)) {
        rights &= ~(unsigned)QY_PT_WRITE;
        bits |= qy_bit_cow(format);
    }
    if (rights & QY_PT_WRITE)
        notice(&j->object->tree, j->own_table, j->own_index);
    put_page(j, frame, rights, bits);
}

/* The object's frame, in both trees' locked entries. */
static enum qy_error put_frame(struct join *j, pfn_t frame)
{
    struct qy_look *look = j->look;
    const struct qy_pt_format *format = look->space->format;
    unsigned rights = qy_mark_rights(look->mark);
    bool private = !(look->mark & QY_MARK_SHARED), write = rights & QY_PT_WRITE;
    if (copies(look)) {
        put_copy(j, frame, rights);
        return QY_OK;
    }
    enum qy_error error = qy_rmap_add(&look->space->vm->db->frames[frame.raw].word,
                                      qy_mapping(j->below.leaf->frame, j->below.index),
                                      write && !private, rights & QY_PT_EXEC, &j->node);
    if (error == QY_INVALID_FLAGS && private) {
        error = reserve_copy(j);
        if (error == QY_OK)
            put_copy(j, frame, rights);
    } else if (error == QY_OK && private) {
        put_page(j, frame, rights & ~(unsigned)QY_PT_WRITE, write ? qy_bit_cow(format) : 0);
    } else if (error == QY_OK) {
        put_shared(j, frame, rights);
    }
    return error;
}

/* The object's entry is locked, and its page is there or zeroes. */
static enum qy_error supply(struct join *j, vaddr_t address, const struct qy_at *at)
{
    struct qy_space *space = j->look->space;
    pfn_t frame = qy_entry_frame(j->object->tree.format, at->entry);
    enum qy_error error = reserve(j);
    j->own_table = at->table;
    j->own_index = at->index;
    if (error == QY_OK && !at->entry)
        error = fill(j, address, at, &frame);
    if (error == QY_OK && j->below.count > 0) { /* a revoke that finds it by the frame waits */
        qy_table_lock(j->below.leaf);
        error = put_frame(j, frame);
        qy_table_unlock(j->below.leaf);
    } else if (error == QY_OK) {
        error = put_frame(j, frame);
    }
    if (j->own_table != at->table)
        qy_table_unlock(j->own_table);
    if (error == QY_OK)
        qy_below_link(space, &j->look->at, &j->below);
    release(j);
    return error;
}

/* A write to a page that is there in the region, and read-only until the object knows. The object's entry is locked. */
static enum qy_error make_writable(const struct join *j, const struct qy_at *own)
{
    const struct qy_at *at = &j->look->at;
    const struct qy_pt_format *format = j->look->space->format;
    pfn_t frame = qy_entry_frame(format, at->entry);
    unsigned rights = qy_entry_rights(format, at->entry);
    enum qy_error error =
        qy_rmap_class(&j->look->space->vm->db->frames[frame.raw].word,
                      qy_mapping(at->table->frame, at->index), true, rights & QY_PT_EXEC);
    if (error != QY_OK)
        return error;
    notice(&j->object->tree, own->table, own->index);
    qy_table_set(format, at->table, at->index,
                 qy_page_entry(format, frame, 1, rights) | qy_bit_foreign(format));
    return QY_OK;
}

enum qy_verdict qy_object_join(struct qy_object *object, struct qy_look *look)
{
    struct qy_space *tree = &object->tree;
    const vaddr_t address = qy_object_address(look->mark & QY_MARK_OFFSET_MASK);
    struct join j = {.look = look, .object = object};
    struct qy_at at;
    enum qy_verdict verdict = QY_LOOK_DONE;
    if (look->at.level == 1 && qy_table_is_strange(look->space, look->at.table))
        return QY_LOOK_UNSHARE;
    if (!qy_vm_lock_at(tree, address, 1, &at)) {
        look->error = QY_REVOKED;
        return QY_LOOK_DONE;
    }
    if (address.raw >= qy_object_address(qy_object_end(object)).raw)
        look->error = QY_NOT_MAPPED;
    else if (qy_is_moving(tree->format, at.entry))
        verdict = QY_LOOK_AGAIN;
    else if (qy_is_present(look->space->format, look->at.entry))
        look->error = make_writable(&j, &at);
    else if (!at.entry && atomic_load(&object->paged))
        look->error = QY_WOULD_WAIT;
    else
        look->error = supply(&j, address, &at);
    qy_table_unlock(at.table);
    return verdict;
}
