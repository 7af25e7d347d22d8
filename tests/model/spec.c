/*
 * The specification of capabilities: the tree, and what hangs on it. See spec.h.
 */
#include "spec.h"

#include <stdlib.h>
#include <string.h>

static bool has_badge(enum qy_object_type type)
{
    return type == QY_OBJ_ENDPOINT || type == QY_OBJ_NOTIFICATION || type == QY_OBJ_MEMORY;
}

/* ---- names ---- */

uint32_t spec_generation(const struct spec *s, int node, uint32_t slot)
{
    return s->objects[node].generations[slot - s->objects[node].first_slot];
}

qy_handle_t spec_handle(const struct spec *s, int cap)
{
    const struct spec_cap *c = &s->caps[cap];
    return c->place == SPEC_OUTER
               ? c->slot
               : (uint64_t)spec_generation(s, c->holder, c->slot) << 32 | c->slot;
}

/* Actors name capabilities of the root task's node, which is the first outer object. */
int spec_find(const struct spec *s, qy_handle_t handle)
{
    for (int i = 0; i < s->caps_used; i++)
        if (s->caps[i].used &&
            (s->caps[i].place == SPEC_OUTER ||
             (s->caps[i].place == SPEC_SLOT && s->caps[i].holder == 0)) &&
            spec_handle(s, i) == handle)
            return i;
    return SPEC_NONE;
}

int spec_at(const struct spec *s, int node, uint32_t slot)
{
    for (int i = 0; i < s->caps_used; i++)
        if (s->caps[i].used && s->caps[i].place == SPEC_SLOT && s->caps[i].holder == node &&
            s->caps[i].slot == slot)
            return i;
    return SPEC_NONE;
}

static enum qy_error lookup(const struct spec *s, qy_handle_t handle, enum qy_object_type type,
                            unsigned rights, int *cap)
{
    *cap = spec_find(s, handle);
    if (*cap == SPEC_NONE)
        return QY_INVALID_HANDLE;
    if (type != QY_OBJ_NONE && s->objects[s->caps[*cap].object].type != type)
        return QY_WRONG_TYPE;
    return rights & ~s->caps[*cap].rights ? QY_NO_RIGHTS : QY_OK;
}

enum qy_error spec_first(const struct spec *s, enum qy_invocation call, qy_handle_t handle,
                         int *cap)
{
    static const struct {
        enum qy_object_type type;
        unsigned rights;
    } table[] = {
#define X(number, name, type, rights, arguments, results) [number] = {QY_OBJ_##type, rights},
        QY_INVOCATIONS(X)
#undef X
    };
    enum qy_error error = lookup(s, handle, table[call].type, table[call].rights, cap);
    bool manages = call == QY_CALL_memory_resize || call == QY_CALL_memory_supply ||
                   call == QY_CALL_memory_discard || call == QY_CALL_memory_pager;
    return error == QY_OK && manages && s->caps[*cap].badge ? QY_NO_RIGHTS : error;
}

/* ---- the tree ---- */

static int *list_of(struct spec *s, int parent, int object)
{
    return parent != SPEC_NONE ? &s->caps[parent].child
                               : &s->objects[s->objects[object].untyped].anchor;
}

static int cap_new(struct spec *s, int object, int parent, unsigned rights, uint64_t badge)
{
    int i = 0;
    while (i < SPEC_CAPS && s->caps[i].used)
        i++;
    if (i == SPEC_CAPS)
        abort();
    if (i >= s->caps_used)
        s->caps_used = i + 1;
    s->caps[i] = (struct spec_cap){.used = true,
                                   .object = object,
                                   .parent = parent,
                                   .child = SPEC_NONE,
                                   .next = SPEC_NONE,
                                   .rights = rights,
                                   .badge = badge,
                                   .dma = SPEC_NONE};
    s->objects[object].capabilities++;
    if (parent != SPEC_NONE || s->objects[object].untyped != SPEC_NONE) {
        int *list = list_of(s, parent, object);
        s->caps[i].next = *list;
        *list = i;
    }
    return i;
}

static void put(struct spec *s, int cap, enum spec_place place, int holder, uint32_t slot)
{
    s->caps[cap].place = place;
    s->caps[cap].holder = holder;
    s->caps[cap].slot = slot;
}

/* It leaves the tree; what was derived from it takes its place. */
static void unlink_cap(struct spec *s, int cap)
{
    const struct spec_cap *gone = &s->caps[cap];
    int *at = list_of(s, gone->parent, gone->object), last = SPEC_NONE;
    while (*at != cap)
        at = &s->caps[*at].next;
    for (int i = gone->child; i != SPEC_NONE; i = s->caps[i].next) {
        s->caps[i].parent = gone->parent;
        last = i;
    }
    *at = last == SPEC_NONE ? gone->next : gone->child;
    if (last != SPEC_NONE)
        s->caps[last].next = gone->next;
}

static void cap_delete(struct spec *s, int cap);

static int held_at(const struct spec *s, int holder, uint32_t slot)
{
    for (int i = 0; i < s->caps_used; i++)
        if (s->caps[i].used && s->caps[i].place == SPEC_HELD && s->caps[i].holder == holder &&
            s->caps[i].slot == slot)
            return i;
    return SPEC_NONE;
}

static void delete_held(struct spec *s, int holder, uint32_t slot)
{
    int cap = held_at(s, holder, slot);
    if (cap != SPEC_NONE)
        cap_delete(s, cap);
}

/* A device is told to stop, which ends all of its pins. */
static void stop(struct spec *s, int dma)
{
    for (int i = 0; i < s->caps_used; i++)
        if (s->caps[i].used && s->caps[i].dma == dma)
            s->caps[i].dma = SPEC_NONE;
    s->objects[dma].pins = 0;
}

static void object_destroy(struct spec *s, int object)
{
    struct spec_object *o = &s->objects[object];
    o->alive = false;
    while (o->type == QY_OBJ_UNTYPED && o->anchor != SPEC_NONE)
        cap_delete(s, o->anchor);
    for (uint32_t slot = 0; o->type == QY_OBJ_CAP_NODE && slot < SPEC_SLOTS; slot++) {
        int cap = spec_at(s, object, slot);
        if (cap != SPEC_NONE)
            cap_delete(s, cap);
    }
    if (o->type == QY_OBJ_REPLY)
        spec_reply_lost(s, object);
    if (o->type == QY_OBJ_DMA)
        stop(s, object);
    spec_unbind(s, object);
    for (int i = 0; i < s->objects_used; i++) /* what acted on it, and a thread's notification */
        if (s->objects[i].alive && s->objects[i].to == object)
            spec_unbind(s, i);
    for (uint32_t slot = 0; slot < 3; slot++)
        delete_held(s, object, slot);
}

static void cap_delete(struct spec *s, int cap)
{
    struct spec_cap *gone = &s->caps[cap];
    int object = gone->object;
    if (gone->place == SPEC_END) {
        spec_unbind(s, gone->holder);
        return;
    }
    if (gone->dma != SPEC_NONE)
        stop(s, gone->dma);
    spec_lose(s, cap);
    unlink_cap(s, cap);
    gone->used = false;
    if (gone->place == SPEC_SLOT)
        s->objects[gone->holder].generations[gone->slot - s->objects[gone->holder].first_slot]++;
    if (--s->objects[object].capabilities == 0)
        object_destroy(s, object);
}

/* Ends do not count. */
void spec_end_make(struct spec *s, int by, int to)
{
    int ends[2] = {by, to};
    s->objects[s->caps[by].object].to = s->caps[to].object;
    for (uint32_t i = 0; i < 2; i++) {
        int end = cap_new(s, s->caps[ends[i]].object, ends[i], s->caps[ends[i]].rights,
                          s->caps[ends[i]].badge);
        put(s, end, SPEC_END, s->caps[by].object, i);
        s->objects[s->caps[end].object].capabilities--;
    }
}

void spec_unbind(struct spec *s, int by)
{
    struct spec_object *o = &s->objects[by];
    if (o->to == SPEC_NONE)
        return;
    o->to = SPEC_NONE;
    if (o->type == QY_OBJ_INTERRUPT)
        s->lines[o->line] = SPEC_NONE;
    for (int i = 0; i < s->caps_used; i++) {
        if (s->caps[i].used && s->caps[i].place == SPEC_END && s->caps[i].holder == by) {
            unlink_cap(s, i);
            s->caps[i].used = false;
        }
    }
}

/* ---- what is there at first ---- */

static int object_new(struct spec *s, enum qy_object_type type, int untyped)
{
    int i = 0;
    while (i < SPEC_OBJECTS && s->objects[i].alive)
        i++;
    if (i == SPEC_OBJECTS)
        abort();
    if (i >= s->objects_used)
        s->objects_used = i + 1;
    s->objects[i] = (struct spec_object){.alive = true,
                                         .type = type,
                                         .untyped = untyped,
                                         .anchor = SPEC_NONE,
                                         .to = SPEC_NONE,
                                         .caller = SPEC_NONE,
                                         .receiver = SPEC_NONE};
    return i;
}

void spec_make(struct spec *s)
{
    s->objects_used = s->caps_used = 0;
    s->calls = 0;
    memset(s->objects, 0, sizeof(s->objects));
    memset(s->caps, 0, sizeof(s->caps));
    for (int i = 0; i < SPEC_ACTORS; i++)
        s->actors[i] =
            (struct spec_actor){.thread = SPEC_NONE, .by = SPEC_NONE, .reply = SPEC_NONE};
    for (unsigned i = 0; i < SPEC_LINES; i++)
        s->lines[i] = SPEC_NONE;
}

int spec_outer(struct spec *s, enum qy_object_type type, uint64_t id, uint32_t slot)
{
    int object = object_new(s, type, SPEC_NONE);
    s->objects[object].id = id;
    put(s, cap_new(s, object, SPEC_NONE, QY_RIGHT_ALL, 0), SPEC_OUTER, SPEC_NONE, slot);
    return object;
}

/* ---- derivation ---- */

/* Empty slots of a node that a handle names. */
static enum qy_error destination(const struct spec *s, int cap, uint64_t slot, uint64_t count,
                                 int *node)
{
    *node = s->caps[cap].object;
    uint64_t first = s->objects[*node].first_slot;
    if (slot == 0 || slot < first || slot >= first + SPEC_SLOTS ||
        count > first + SPEC_SLOTS - slot)
        return QY_INVALID_ARGUMENT;
    for (uint64_t i = 0; i < count; i++)
        if (spec_at(s, *node, (uint32_t)(slot + i)) != SPEC_NONE)
            return QY_SLOT_OCCUPIED;
    return QY_OK;
}

enum qy_error spec_retype(struct spec *s, qy_handle_t from, enum qy_object_type type,
                          uint64_t pages, qy_handle_t node, uint64_t slot, uint64_t count,
                          bool lacks, int *made)
{
    int untyped, cap, holder;
    enum qy_error error = spec_first(s, QY_CALL_untyped_retype, from, &untyped);
    if (error == QY_OK && (type == QY_OBJ_NONE || type >= QY_OBJ_DEVICE_MEMORY))
        error = QY_INVALID_ARGUMENT;
    if (error == QY_OK)
        error = lookup(s, node, QY_OBJ_CAP_NODE, QY_RIGHT_WRITE, &cap);
    if (error == QY_OK)
        error = destination(s, cap, slot, count, &holder);
    if (error != QY_OK)
        return error;
    if (lacks)
        return QY_OUT_OF_MEMORY;
    for (uint64_t i = count; i-- > 0;) { /* the first one is the latest */
        int object = object_new(s, type, s->caps[untyped].object);
        s->objects[object].pages = type == QY_OBJ_MEMORY ? pages : 0;
        put(s, cap_new(s, object, SPEC_NONE, QY_RIGHT_ALL, 0), SPEC_SLOT, holder,
            (uint32_t)(slot + i));
        made[i] = object;
    }
    return QY_OK;
}

enum qy_error spec_copy(struct spec *s, qy_handle_t node, uint64_t slot, qy_handle_t source,
                        uint64_t rights, uint64_t badge)
{
    int cap, from, holder;
    enum qy_error error = spec_first(s, QY_CALL_cap_copy, node, &cap);
    if (error == QY_OK)
        error = lookup(s, source, QY_OBJ_NONE, 0, &from);
    if (error != QY_OK)
        return error;
    enum qy_error place = destination(s, cap, slot, 1, &holder);
    const struct spec_cap *c = &s->caps[from];
    bool badged = has_badge(s->objects[c->object].type);
    if (place == QY_INVALID_ARGUMENT || rights > QY_RIGHT_ALL)
        return QY_INVALID_ARGUMENT;
    if (!(c->rights & QY_RIGHT_GRANT) || rights & ~(uint64_t)c->rights)
        return QY_NO_RIGHTS;
    if (badge && (!badged || c->badge))
        return QY_INVALID_ARGUMENT;
    if (place == QY_OK)
        put(s, cap_new(s, c->object, from, (unsigned)rights, badge ? badge : c->badge), SPEC_SLOT,
            holder, (uint32_t)slot);
    return place;
}

enum qy_error spec_move(struct spec *s, qy_handle_t node, uint64_t slot, qy_handle_t source)
{
    int cap, from, holder;
    enum qy_error error = spec_first(s, QY_CALL_cap_move, node, &cap);
    if (error == QY_OK)
        error = lookup(s, source, QY_OBJ_NONE, 0, &from);
    error = error == QY_OK ? destination(s, cap, slot, 1, &holder) : error;
    if (error == QY_OK) {
        s->objects[s->caps[from].holder]
            .generations[s->caps[from].slot - s->objects[s->caps[from].holder].first_slot]++;
        put(s, from, SPEC_SLOT, holder, (uint32_t)slot);
    }
    return error;
}

enum qy_error spec_delete(struct spec *s, qy_handle_t handle)
{
    int cap;
    enum qy_error error = lookup(s, handle, QY_OBJ_NONE, 0, &cap);
    if (error == QY_OK)
        cap_delete(s, cap);
    return error;
}

/* If the capability itself is in a node that goes, what is left of it stays. */
enum qy_error spec_revoke(struct spec *s, qy_handle_t handle)
{
    int cap;
    enum qy_error error = lookup(s, handle, QY_OBJ_NONE, 0, &cap);
    if (error != QY_OK)
        return error;
    struct spec_cap *c = &s->caps[cap];
    const struct spec_object *o = &s->objects[c->object];
    if (o->type == QY_OBJ_UNTYPED &&
        (c->rights & (QY_RIGHT_WRITE | QY_RIGHT_GRANT)) != (QY_RIGHT_WRITE | QY_RIGHT_GRANT))
        return QY_NO_RIGHTS;
    while (c->used && c->child != SPEC_NONE)
        cap_delete(s, c->child);
    while (o->type == QY_OBJ_UNTYPED && o->alive && o->anchor != SPEC_NONE)
        cap_delete(s, o->anchor);
    return c->used ? QY_OK : QY_REVOKED;
}

/* ---- what objects hold ---- */

static void hold(struct spec *s, int holder, uint32_t slot, int source, uint64_t badge)
{
    const struct spec_cap *c = &s->caps[source];
    put(s, cap_new(s, c->object, source, c->rights, badge ? badge : c->badge), SPEC_HELD, holder,
        slot);
}

enum qy_error spec_configure(struct spec *s, qy_handle_t thread, qy_handle_t space,
                             qy_handle_t node, qy_handle_t handler, uint64_t badge)
{
    int t, sources[3] = {SPEC_NONE, SPEC_NONE, SPEC_NONE};
    enum qy_error error = spec_first(s, QY_CALL_thread_configure, thread, &t);
    if (error == QY_OK)
        error = lookup(s, space, QY_OBJ_ADDRESS_SPACE, QY_RIGHT_WRITE, &sources[0]);
    if (error == QY_OK)
        error = lookup(s, node, QY_OBJ_CAP_NODE, QY_RIGHT_READ | QY_RIGHT_WRITE, &sources[1]);
    if (error == QY_OK && handler)
        error = lookup(s, handler, QY_OBJ_ENDPOINT, QY_RIGHT_WRITE, &sources[2]);
    if (error == QY_OK && badge && (!handler || s->caps[sources[2]].badge))
        error = QY_INVALID_ARGUMENT;
    if (error != QY_OK)
        return error;
    int object = s->caps[t].object, before[3];
    for (uint32_t i = 0; i < 3; i++)
        before[i] = held_at(s, object, i);
    for (uint32_t i = 0; i < 3; i++)
        if (sources[i] != SPEC_NONE)
            hold(s, object, i, sources[i], i == 2 ? badge : 0);
    for (uint32_t i = 0; i < 3;
         i++) /* last, so that a source is still there: it may be in the node that goes */
        if (before[i] != SPEC_NONE)
            cap_delete(s, before[i]);
    return QY_OK;
}

enum qy_error spec_handler(struct spec *s, enum qy_invocation call, qy_handle_t of,
                           qy_handle_t endpoint, uint64_t badge)
{
    int cap, source = SPEC_NONE;
    enum qy_error error = spec_first(s, call, of, &cap);
    if (error == QY_OK && endpoint)
        error = lookup(s, endpoint, QY_OBJ_ENDPOINT, QY_RIGHT_WRITE, &source);
    if (error == QY_OK && badge && (!endpoint || s->caps[source].badge))
        error = QY_INVALID_ARGUMENT;
    if (error != QY_OK)
        return error;
    int object = s->caps[cap].object, before = held_at(s, object, 0);
    if (endpoint)
        hold(s, object, 0, source, badge);
    if (before != SPEC_NONE)
        cap_delete(s, before);
    return QY_OK;
}

/* ---- memory ---- */

enum qy_error spec_map(struct spec *s, qy_handle_t frame, uint64_t address, unsigned flags,
                       bool clash)
{
    int cap;
    bool write = flags & QY_MAP_WRITE, exec = flags & QY_MAP_EXEC, written = false, run = false;
    enum qy_error error = spec_first(s, QY_CALL_frame_map, frame, &cap);
    if (error != QY_OK)
        return error;
    struct spec_cap *c = &s->caps[cap];
    if ((write && !(c->rights & QY_RIGHT_WRITE)) || (exec && !(c->rights & QY_RIGHT_EXEC)))
        return QY_NO_RIGHTS;
    if (c->address)
        return QY_ALREADY_MAPPED;
    for (int i = 0; i < s->caps_used; i++) {
        const struct spec_cap *other = &s->caps[i];
        if (other->used && other->address == address)
            return QY_ALREADY_MAPPED;
        if (other->used && other->address && other->object == c->object) {
            written |= (other->flags & QY_MAP_WRITE) != 0;
            run |= (other->flags & QY_MAP_EXEC) != 0;
        }
    }
    if ((write && run) || (exec && written) || (clash && (write || exec)))
        return QY_INVALID_FLAGS;
    c->address = address;
    c->flags = flags;
    return QY_OK;
}

enum qy_error spec_unmap(struct spec *s, qy_handle_t frame, uint64_t address)
{
    int cap;
    enum qy_error error = spec_first(s, QY_CALL_frame_unmap, frame, &cap);
    if (error != QY_OK)
        return error;
    if (!s->caps[cap].address || s->caps[cap].address != address)
        return QY_NOT_MAPPED;
    s->caps[cap].address = 0;
    return QY_OK;
}

enum qy_error spec_dma_bind(struct spec *s, qy_handle_t dma)
{
    int cap;
    enum qy_error error = spec_first(s, QY_CALL_dma_bind, dma, &cap);
    if (error != QY_OK)
        return error;
    struct spec_object *o = &s->objects[s->caps[cap].object];
    if (o->bound)
        return QY_BUSY;
    o->bound = true;
    return QY_OK;
}

enum qy_error spec_pin(struct spec *s, qy_handle_t frame, qy_handle_t dma)
{
    int cap, device;
    enum qy_error error = spec_first(s, QY_CALL_frame_pin, frame, &cap);
    if (error == QY_OK)
        error = lookup(s, dma, QY_OBJ_DMA, QY_RIGHT_WRITE, &device);
    if (error != QY_OK)
        return error;
    struct spec_object *o = &s->objects[s->caps[device].object];
    if (!o->bound)
        return QY_NOT_FOUND;
    for (int i = 0; i < s->caps_used; i++)
        if (s->caps[i].used && s->caps[i].object == s->caps[cap].object &&
            s->caps[i].dma != SPEC_NONE)
            return QY_BUSY;
    if (o->pins == QY_DMA_PINS)
        return QY_TOO_MANY;
    o->pins++;
    s->caps[cap].dma = s->caps[device].object;
    return QY_OK;
}

enum qy_error spec_unpin(struct spec *s, qy_handle_t frame)
{
    int cap;
    enum qy_error error = spec_first(s, QY_CALL_frame_unpin, frame, &cap);
    if (error != QY_OK)
        return error;
    if (s->caps[cap].dma == SPEC_NONE)
        return QY_NOT_FOUND;
    s->objects[s->caps[cap].dma].pins--;
    s->caps[cap].dma = SPEC_NONE;
    return QY_OK;
}

/* Pages [first, end) as bits. */
static uint64_t bits_of(uint64_t first, uint64_t end)
{
    uint64_t below = end < 64 ? (1ull << end) - 1 : ~0ull;
    return first < 64 ? below & ~((1ull << first) - 1) : 0;
}

enum qy_error spec_resize(struct spec *s, qy_handle_t memory, uint64_t pages)
{
    int cap;
    enum qy_error error = spec_first(s, QY_CALL_memory_resize, memory, &cap);
    if (error == QY_OK) {
        s->objects[s->caps[cap].object].pages = pages;
        s->objects[s->caps[cap].object].there &= bits_of(0, pages);
    }
    return error;
}

enum qy_error spec_supply(struct spec *s, qy_handle_t memory, uint64_t page, uint64_t pages,
                          bool lacks, uint64_t *supplied)
{
    int cap;
    enum qy_error error = spec_first(s, QY_CALL_memory_supply, memory, &cap);
    if (error != QY_OK)
        return error;
    struct spec_object *o = &s->objects[s->caps[cap].object];
    uint64_t end = page + pages < o->pages ? page + pages : o->pages;
    if (lacks) /* it brought fewer, or none */
        end = page + *supplied < end ? page + *supplied : end;
    else if (page >= o->pages)
        return QY_NOT_MAPPED;
    *supplied = end > page ? end - page : 0;
    o->there |= *supplied ? bits_of(page, end) : 0;
    return *supplied ? QY_OK : QY_OUT_OF_MEMORY;
}

enum qy_error spec_discard(struct spec *s, qy_handle_t memory, uint64_t page, uint64_t pages)
{
    int cap;
    enum qy_error error = spec_first(s, QY_CALL_memory_discard, memory, &cap);
    if (error == QY_OK)
        s->objects[s->caps[cap].object].there &= ~bits_of(page, page + pages);
    return error;
}
