/*
 * The specification of messages, signals and what sends them: see spec.h; and how a state is spelled.
 */
#include "spec.h"

#include <string.h>

/* ---- waiting ---- */

static void complete(struct spec_actor *a, enum qy_error error, uint64_t first, uint64_t label)
{
    a->wait = SPEC_RUNS;
    a->by = a->reply = SPEC_NONE;
    a->completed = true;
    a->error = error;
    a->values[0] = first;
    a->values[1] = label;
}

static void wait(struct spec *s, int actor, enum spec_wait kind, int by)
{
    s->actors[actor].wait = kind;
    s->actors[actor].by = by;
    s->actors[actor].since = ++s->calls;
}

void spec_lose(struct spec *s, int cap)
{
    for (int i = 0; i < SPEC_ACTORS; i++) {
        int reply = s->actors[i].reply;
        if (s->actors[i].by != cap)
            continue;
        if (reply != SPEC_NONE && s->objects[reply].receiver == i)
            s->objects[reply].receiver = SPEC_NONE;
        complete(&s->actors[i], QY_DEAD, 0, 0);
    }
}

void spec_reply_lost(struct spec *s, int reply)
{
    const struct spec_object *o = &s->objects[reply];
    if (o->receiver != SPEC_NONE)
        s->actors[o->receiver].reply = SPEC_NONE;
    if (o->caller != SPEC_NONE)
        complete(&s->actors[o->caller], QY_DEAD, 0, 0);
}

/* Who waits for an object as senders (or receivers, or for its word), and came first; or NONE. */
static int first_waiting(const struct spec *s, int object, bool senders)
{
    int first = SPEC_NONE;
    for (int i = 0; i < SPEC_ACTORS; i++) {
        const struct spec_actor *a = &s->actors[i];
        if (a->by != SPEC_NONE && s->caps[a->by].object == object &&
            (a->wait == SPEC_SENDS || a->wait == SPEC_CALLS) == senders &&
            (first == SPEC_NONE || a->since < s->actors[first].since))
            first = i;
    }
    return first;
}

/* ---- messages ---- */

static bool transfer(struct spec *s, qy_handle_t capability, struct spec_actor *to)
{
    int node, source = spec_find(s, capability);
    if (!to->receive_slot || source == SPEC_NONE || !(s->caps[source].rights & QY_RIGHT_GRANT) ||
        spec_first(s, QY_CALL_receive_slot, to->receive_node, &node) != QY_OK ||
        spec_copy(s, to->receive_node, to->receive_slot, capability, s->caps[source].rights, 0) !=
            QY_OK)
        return false;
    to->receive_slot = 0;
    return true;
}

static void deliver(struct spec *s, uint64_t badge, uint64_t label, qy_handle_t capability, int to)
{
    bool goes = capability && transfer(s, capability, &s->actors[to]);
    s->actors[to].values[0] = badge;
    s->actors[to].values[1] = label | (goes ? QY_LABEL_CAPABILITY : 0);
}

static enum qy_error message_check(const struct spec *s, uint64_t label, qy_handle_t capability)
{
    int cap = capability ? spec_find(s, capability) : SPEC_NONE;
    if (label & (QY_LABEL_CAPABILITY | QY_LABEL_NOTIFIED))
        return QY_INVALID_ARGUMENT;
    if (capability && cap == SPEC_NONE)
        return QY_INVALID_HANDLE;
    return capability && !(s->caps[cap].rights & QY_RIGHT_GRANT) ? QY_NO_RIGHTS : QY_OK;
}

enum qy_error spec_send(struct spec *s, int actor, enum qy_invocation call, qy_handle_t endpoint,
                        uint64_t label, qy_handle_t capability, bool *waits)
{
    int cap;
    enum qy_error error = spec_first(s, call, endpoint, &cap);
    *waits = false;
    if (error == QY_OK)
        error = message_check(s, label, capability);
    if (error == QY_OK && capability && !(s->caps[cap].rights & QY_RIGHT_GRANT))
        error = QY_NO_RIGHTS;
    if (error != QY_OK)
        return error;
    struct spec_actor *a = &s->actors[actor];
    int to = first_waiting(s, s->caps[cap].object, false);
    if (to == SPEC_NONE) {
        a->badge = s->caps[cap].badge;
        a->label = label;
        a->capability = capability;
        wait(s, actor, call == QY_CALL_endpoint_call ? SPEC_CALLS : SPEC_SENDS, cap);
        *waits = true;
        return QY_OK;
    }
    int reply = s->actors[to].reply;
    deliver(s, s->caps[cap].badge, label, capability, to);
    complete(&s->actors[to], QY_OK, s->actors[to].values[0], s->actors[to].values[1]);
    if (reply != SPEC_NONE)
        s->objects[reply].receiver = SPEC_NONE;
    if (call == QY_CALL_endpoint_send)
        return QY_OK;
    if (reply == SPEC_NONE)
        return QY_DEAD;
    s->objects[reply].caller = actor;
    a->wait = SPEC_CALLED;
    a->reply = reply;
    *waits = true;
    return QY_OK;
}

/* The notification whose signal ends the actor's receive, or NONE. */
static int bound_to(const struct spec *s, int thread)
{
    for (int i = 0; i < s->objects_used; i++)
        if (s->objects[i].alive && s->objects[i].type == QY_OBJ_NOTIFICATION &&
            s->objects[i].to == thread)
            return i;
    return SPEC_NONE;
}

static bool receive(struct spec *s, int actor, int cap, int reply)
{
    struct spec_actor *a = &s->actors[actor];
    int note = bound_to(s, a->thread), from = first_waiting(s, s->caps[cap].object, true);
    if (note != SPEC_NONE && s->objects[note].word) {
        a->values[0] = s->objects[note].word;
        a->values[1] = QY_LABEL_NOTIFIED;
        s->objects[note].word = 0;
        return false;
    }
    if (from == SPEC_NONE) {
        wait(s, actor, SPEC_RECEIVES, cap);
        a->reply = reply;
        if (reply != SPEC_NONE)
            s->objects[reply].receiver = actor;
        return true;
    }
    struct spec_actor *sender = &s->actors[from];
    deliver(s, sender->badge, sender->label, sender->capability, actor);
    if (sender->wait == SPEC_SENDS || reply == SPEC_NONE) {
        complete(sender, sender->wait == SPEC_SENDS ? QY_OK : QY_DEAD, 0, 0);
    } else {
        sender->wait = SPEC_CALLED;
        sender->by = SPEC_NONE;
        sender->reply = reply;
        s->objects[reply].caller = from;
    }
    return false;
}

/* The reply object that a call names. */
static enum qy_error reply_of(const struct spec *s, qy_handle_t handle, int *reply)
{
    int cap;
    enum qy_error error = spec_first(s, QY_CALL_reply_send, handle, &cap);
    if (error == QY_OK)
        *reply = s->caps[cap].object;
    return error;
}

enum qy_error spec_receive(struct spec *s, int actor, qy_handle_t endpoint, qy_handle_t reply,
                           bool *waits)
{
    int cap, object = SPEC_NONE;
    enum qy_error error = spec_first(s, QY_CALL_endpoint_receive, endpoint, &cap);
    *waits = false;
    if (error == QY_OK && reply)
        error = reply_of(s, reply, &object);
    if (error == QY_OK && reply &&
        (s->objects[object].caller != SPEC_NONE || s->objects[object].receiver != SPEC_NONE))
        error = QY_BUSY;
    if (error == QY_OK)
        *waits = receive(s, actor, cap, object);
    return error;
}

static enum qy_error answer(struct spec *s, int reply, uint64_t label, qy_handle_t capability)
{
    int caller = s->objects[reply].caller;
    if (caller == SPEC_NONE)
        return QY_NOT_FOUND;
    s->objects[reply].caller = SPEC_NONE;
    deliver(s, 0, label, capability, caller);
    complete(&s->actors[caller], QY_OK, s->actors[caller].values[0], s->actors[caller].values[1]);
    return QY_OK;
}

enum qy_error spec_reply(struct spec *s, int actor, qy_handle_t reply, uint64_t label,
                         qy_handle_t capability)
{
    int object;
    enum qy_error error = reply_of(s, reply, &object);
    (void)actor;
    if (error == QY_OK)
        error = message_check(s, label, capability);
    return error == QY_OK ? answer(s, object, label, capability) : error;
}

enum qy_error spec_reply_receive(struct spec *s, int actor, qy_handle_t endpoint, qy_handle_t reply,
                                 uint64_t label, bool *waits)
{
    int cap, object = SPEC_NONE;
    enum qy_error error = spec_first(s, QY_CALL_endpoint_reply_receive, endpoint, &cap);
    *waits = false;
    if (error == QY_OK)
        error = reply_of(s, reply, &object);
    if (error == QY_OK && s->objects[object].receiver != SPEC_NONE)
        error = QY_BUSY;
    if (error == QY_OK)
        error = message_check(s, label, 0);
    if (error != QY_OK)
        return error;
    (void)answer(s, object, label, 0); /* a caller that has gone needs none */
    *waits = receive(s, actor, cap, object);
    return QY_OK;
}

enum qy_error spec_receive_slot(struct spec *s, int actor, qy_handle_t node, uint64_t slot)
{
    int cap;
    enum qy_error error = spec_first(s, QY_CALL_receive_slot, node, &cap);
    if (error == QY_OK) {
        s->actors[actor].receive_node = node;
        s->actors[actor].receive_slot = slot;
    }
    return error;
}

/* ---- signals ---- */

static void signal(struct spec *s, int notification, uint64_t bits)
{
    struct spec_object *o = &s->objects[notification];
    int to = SPEC_NONE;
    o->word |= bits;
    for (int i = 0; i < SPEC_ACTORS; i++)
        if (o->to != SPEC_NONE && s->actors[i].thread == o->to &&
            s->actors[i].wait == SPEC_RECEIVES)
            to = i;
    uint64_t label = to != SPEC_NONE ? QY_LABEL_NOTIFIED : 0;
    if (to == SPEC_NONE)
        to = first_waiting(s, notification, false);
    if (to == SPEC_NONE)
        return;
    if (s->actors[to].reply != SPEC_NONE)
        s->objects[s->actors[to].reply].receiver = SPEC_NONE;
    complete(&s->actors[to], QY_OK, o->word, label);
    o->word = 0;
}

static uint64_t bits_of(const struct spec *s, int cap)
{
    return s->caps[cap].badge ? s->caps[cap].badge : 1;
}

enum qy_error spec_signal(struct spec *s, qy_handle_t notification)
{
    int cap;
    enum qy_error error = spec_first(s, QY_CALL_notification_signal, notification, &cap);
    if (error == QY_OK)
        signal(s, s->caps[cap].object, bits_of(s, cap));
    return error;
}

static enum qy_error take(struct spec *s, int actor, int cap, enum qy_error empty)
{
    struct spec_object *o = &s->objects[s->caps[cap].object];
    if (!o->word)
        return empty;
    s->actors[actor].values[0] = o->word;
    s->actors[actor].values[1] = 0;
    o->word = 0;
    return QY_OK;
}

enum qy_error spec_wait(struct spec *s, int actor, qy_handle_t notification, bool *waits)
{
    int cap;
    enum qy_error error = spec_first(s, QY_CALL_notification_wait, notification, &cap);
    *waits = error == QY_OK && take(s, actor, cap, QY_WOULD_WAIT) == QY_WOULD_WAIT;
    if (*waits)
        wait(s, actor, SPEC_WAITS, cap);
    return error;
}

enum qy_error spec_poll(struct spec *s, int actor, qy_handle_t notification)
{
    int cap;
    enum qy_error error = spec_first(s, QY_CALL_notification_poll, notification, &cap);
    return error == QY_OK ? take(s, actor, cap, QY_WOULD_WAIT) : error;
}

enum qy_error spec_bind(struct spec *s, qy_handle_t notification, qy_handle_t thread)
{
    int by, to;
    enum qy_error error = spec_first(s, QY_CALL_notification_bind, notification, &by);
    if (error != QY_OK)
        return error;
    if (!thread) {
        spec_unbind(s, s->caps[by].object);
        return QY_OK;
    }
    error = spec_first(s, QY_CALL_thread_start, thread, &to); /* WRITE */
    if (error == QY_OK && (s->objects[s->caps[by].object].to != SPEC_NONE ||
                           bound_to(s, s->caps[to].object) != SPEC_NONE))
        error = QY_BUSY;
    if (error == QY_OK)
        spec_end_make(s, by, to);
    return error;
}

/* The notification that a call names beside. */
static enum qy_error target(const struct spec *s, qy_handle_t notification, int *cap)
{
    return spec_first(s, QY_CALL_notification_signal, notification, cap); /* WRITE */
}

enum qy_error spec_arm(struct spec *s, qy_handle_t timer, qy_handle_t notification, uint64_t now_ns,
                       uint64_t delay_ns, uint64_t period_ns)
{
    int by, to;
    bool disarm = !notification && !delay_ns && !period_ns;
    enum qy_error error = spec_first(s, QY_CALL_timer_set, timer, &by);
    if (error == QY_OK && !disarm)
        error = target(s, notification, &to);
    if (error != QY_OK)
        return error;
    spec_unbind(s, s->caps[by].object);
    if (!disarm) {
        struct spec_object *o = &s->objects[s->caps[by].object];
        o->bits = bits_of(s, to);
        o->due_ns = now_ns + delay_ns;
        o->period_ns = period_ns;
        spec_end_make(s, by, to);
    }
    return QY_OK;
}

/* One after the other, the earliest first; periods that have passed are not made up for. */
void spec_time(struct spec *s, uint64_t now_ns)
{
    for (;;) {
        struct spec_object *first = NULL;
        for (int i = 0; i < s->objects_used; i++) {
            struct spec_object *o = &s->objects[i];
            if (o->alive && o->type == QY_OBJ_TIMER && o->to != SPEC_NONE && o->due_ns <= now_ns &&
                (!first || o->due_ns < first->due_ns))
                first = o;
        }
        if (!first)
            return;
        int to = first->to;
        if (first->period_ns)
            first->due_ns += ((now_ns - first->due_ns) / first->period_ns + 1) * first->period_ns;
        else
            spec_unbind(s, (int)(first - s->objects));
        signal(s, to, first->bits);
    }
}

enum qy_error spec_line_bind(struct spec *s, qy_handle_t interrupt, uint32_t line,
                             qy_handle_t notification)
{
    int by, to;
    enum qy_error error = spec_first(s, QY_CALL_interrupt_bind, interrupt, &by);
    if (error == QY_OK)
        error = target(s, notification, &to);
    if (error != QY_OK)
        return error;
    struct spec_object *o = &s->objects[s->caps[by].object];
    if (o->to != SPEC_NONE || s->lines[line] != SPEC_NONE)
        return QY_BUSY;
    o->line = line;
    o->bits = bits_of(s, to);
    o->taken = o->again = false;
    s->lines[line] = s->caps[by].object;
    spec_end_make(s, by, to);
    return QY_OK;
}

/* It signals once, and notes one more, until it is acknowledged. */
void spec_line_raised(struct spec *s, uint32_t line)
{
    if (s->lines[line] == SPEC_NONE)
        return;
    struct spec_object *o = &s->objects[s->lines[line]];
    if (o->taken)
        o->again = true;
    else
        signal(s, o->to, o->bits);
    o->taken = true;
}

enum qy_error spec_acknowledge(struct spec *s, qy_handle_t interrupt)
{
    int cap;
    enum qy_error error = spec_first(s, QY_CALL_interrupt_acknowledge, interrupt, &cap);
    if (error != QY_OK)
        return error;
    struct spec_object *o = &s->objects[s->caps[cap].object];
    if (o->to == SPEC_NONE || !o->taken)
        return QY_NOT_FOUND;
    bool again = o->again;
    o->taken = again;
    o->again = false;
    if (again)
        signal(s, o->to, o->bits);
    return QY_OK;
}

/* ---- spelling ---- */

struct speller {
    const struct spec *s;
    unsigned char *out;
    size_t count, room;
    unsigned char
        names[SPEC_OBJECTS]; /* objects, in the order in which they are met; 0: not met yet */
    unsigned met;
};

static void letter(struct speller *p, uint64_t value)
{
    if (p->count < p->room)
        p->out[p->count] = (unsigned char)value;
    p->count++;
}

/* Its number; what it is when it is met first. */
static void object_letters(struct speller *p, int object)
{
    if (object == SPEC_NONE) {
        letter(p, 0);
        return;
    }
    bool first = !p->names[object];
    if (first)
        p->names[object] = (unsigned char)++p->met;
    letter(p, p->names[object]);
    if (!first)
        return;
    const struct spec_object *o = &p->s->objects[object];
    letter(p, o->type);
    letter(p, o->word);
    letter(p, (uint64_t)(o->caller + 1) << 4 | (uint64_t)(o->receiver + 1));
    letter(p, o->taken | o->again << 1 | o->bound << 2 | o->line << 3);
    letter(p, o->bits);
    letter(p, o->pages);
    letter(p, o->there);
}

/* What actors do by it: wait, send it, have it where the next capability is to come. */
static void mark_letters(struct speller *p, int cap)
{
    const struct spec *s = p->s;
    for (unsigned i = 0; i < SPEC_ACTORS; i++) {
        const struct spec_actor *a = &s->actors[i];
        int node = a->receive_slot ? spec_find(s, a->receive_node) : SPEC_NONE;
        if (a->by == cap)
            letter(p, 128 + i);
        if ((a->wait == SPEC_SENDS || a->wait == SPEC_CALLS) && a->capability &&
            spec_find(s, a->capability) == cap)
            letter(p, 136 + i);
        if (node == cap)
            letter(p, 144 + i);
        if (node != SPEC_NONE && spec_at(s, s->caps[node].object, (uint32_t)a->receive_slot) == cap)
            letter(p, 152 + i);
    }
}

static void list_letters(struct speller *p, int cap)
{
    for (; cap != SPEC_NONE; cap = p->s->caps[cap].next) {
        const struct spec_cap *c = &p->s->caps[cap];
        const struct spec_object *o = &p->s->objects[c->object];
        bool met = p->names[c->object];
        object_letters(p, c->object);
        letter(p, c->rights | (unsigned)c->place << 4);
        letter(p, c->badge);
        object_letters(p, c->holder);
        letter(p, c->place == SPEC_SLOT ? 0 : c->slot);
        letter(p, c->address >> 12);
        letter(p, c->flags);
        object_letters(p, c->dma);
        mark_letters(p, cap);
        list_letters(p, c->child);
        if (!met && o->type == QY_OBJ_UNTYPED)
            list_letters(p, o->anchor);
    }
    letter(p, 0xff);
}

/* Who came first is told from the two that there are beside the root task's. */
static void actor_letters(struct speller *p, const struct spec_actor *a)
{
    bool queued = a->wait == SPEC_SENDS || a->wait == SPEC_CALLS;
    letter(p, a->wait);
    letter(p, a->by != SPEC_NONE && p->s->actors[1].since < p->s->actors[2].since);
    object_letters(p, a->reply);
    letter(p, queued ? a->badge : 0);
    letter(p, queued ? a->label : 0);
    letter(p, a->receive_slot != 0);
}

size_t spec_spell(const struct spec *s, int root, unsigned char *out, size_t room)
{
    struct speller p = {.s = s, .out = out, .room = room};
    list_letters(&p, s->objects[root].anchor);
    for (int i = 0; i < s->caps_used; i++) /* what the outer ones have */
        if (s->caps[i].used && s->caps[i].place == SPEC_OUTER)
            list_letters(&p, s->caps[i].child);
    for (int i = 0; i < SPEC_ACTORS; i++)
        actor_letters(&p, &s->actors[i]);
    return p.count;
}
