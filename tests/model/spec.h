/*
 * The specification of capabilities, executable: who holds what, what was derived from it, what waits or acts by it,
 * and nothing clever.
 *
 * A test makes every call twice, to the kernel and here: each function says which error the call must return and, if it
 * is QY_OK, does to the lists what the call must do. It is written from docs/abi.md, decisions 7, 22 and 23 and the
 * kernel's headers, with lists of numbers in place of threaded slots, recursion in place of steps, and searches in place
 * of counts. What a call may lack is memory: the test says whether it did, and looks after whether it rightly did.
 *
 *     objects[]  type, the untyped it was made of, what it does (word, binding, caller, pages ...)
 *     caps[]     object, rights, badge, where it stands, and its place in the tree: parent, first child, next sibling.
 *                Ends of bindings and what threads and spaces hold are caps too.
 *     actors[]   threads that call and wait; 0 is the root task's and never waits
 *
 * Siblings are in order, the latest first, and those of a capability that goes take its place: so a state has one
 * spelling (spec_spell), and the kernel's lists are compared link by link. All costs are O(caps).
 */
#ifndef TESTS_SPEC_H
#define TESTS_SPEC_H

#include <quarry/abi.h>
#include <stdbool.h>
#include <stddef.h>

#define SPEC_OBJECTS 400
#define SPEC_CAPS 1400
#define SPEC_SLOTS 64u /* of a node that the specification looks at: all of those of one page */
#define SPEC_ACTORS 3
#define SPEC_LINES 16u
#define SPEC_NONE (-1)

enum spec_place {
    SPEC_SLOT,  /* in a slot of a node */
    SPEC_OUTER, /* made before the test began; it stays */
    SPEC_HELD, /* by a thread (0 space, 1 node, 2 handler), a space or a memory object (0 handler) */
    SPEC_END,  /* of a binding: 0 of who acts, 1 of what it acts on */
};

struct spec_cap {
    bool used;
    enum spec_place place;
    int holder; /* object */
    uint32_t slot;
    int object;
    int parent, child,
        next; /* parent NONE: it hangs from the anchor of the untyped that the object was made of */
    unsigned rights;
    uint64_t badge;
    uint64_t address; /* where it maps its frame; 0: nowhere */
    unsigned flags;
    int dma; /* the device that it pins its frame for, or NONE */
};

struct spec_object {
    bool alive;
    enum qy_object_type type;
    int untyped; /* NONE: made at boot */
    unsigned capabilities;
    uint64_t id;                      /* the kernel's */
    int anchor;                       /* of an untyped: the first capability below it */
    uint32_t first_slot;              /* of a node: the first one that the test uses */
    uint32_t generations[SPEC_SLOTS]; /* of a node, from there on */
    uint64_t word;                    /* of a notification */
    int to; /* of a timer, an interrupt, a notification: what it is bound to, or NONE */
    uint64_t bits, due_ns, period_ns;
    uint32_t line;
    bool taken, again;
    int caller, receiver;  /* of a reply object: actors, or NONE */
    uint64_t pages, there; /* of a memory object; bits for those of the first 64 that are there */
    bool bound;            /* a DMA device: to its register */
    unsigned pins;         /* ... frames */
};

enum spec_wait { SPEC_RUNS, SPEC_SENDS, SPEC_CALLS, SPEC_RECEIVES, SPEC_WAITS, SPEC_CALLED };

struct spec_actor {
    enum spec_wait wait;
    int thread; /* object */
    int by;     /* the capability that it waits by, unless CALLED */
    uint64_t since;
    int reply; /* that it offers while it RECEIVES, or that it waits for; or NONE */
    uint64_t badge, label;
    qy_handle_t capability; /* that goes with its message */
    qy_handle_t receive_node;
    uint64_t receive_slot;
    bool completed; /* its wait has ended meanwhile, and it returns: */
    enum qy_error error;
    uint64_t values[2]; /* badge or word, label */
};

struct spec {
    struct spec_object objects[SPEC_OBJECTS];
    struct spec_cap caps[SPEC_CAPS];
    struct spec_actor actors[SPEC_ACTORS];
    int lines[SPEC_LINES];       /* interrupt objects, or NONE */
    uint64_t calls;              /* waits, so that who came first is known */
    int objects_used, caps_used; /* none beyond has ever been */
};

void spec_make(struct spec *s);

/* What is there when the test begins. Each has one capability, with all rights; the number of the object. */
int spec_outer(struct spec *s, enum qy_object_type type, uint64_t id, uint32_t slot);

/* Capabilities are named by handles, as programs do; NONE if it names nothing. */
int spec_find(const struct spec *s, qy_handle_t handle);
qy_handle_t spec_handle(const struct spec *s, int cap);

/* The capability in a slot of a node, or NONE. */
int spec_at(const struct spec *s, int node, uint32_t slot);
uint32_t spec_generation(const struct spec *s, int node, uint32_t slot);

/* The object of the call's first argument: is it of the type, and has the capability the rights, that the table of
 * calls demands? */
enum qy_error spec_first(const struct spec *s, enum qy_invocation call, qy_handle_t handle,
                         int *cap);

/*
 * Derivation. `lacks`: the kernel said OUT_OF_MEMORY. The objects that a retype made are the last `count` of
 * made[]; the test fills in their ids.
 */
enum qy_error spec_retype(struct spec *s, qy_handle_t from, enum qy_object_type type,
                          uint64_t pages, qy_handle_t node, uint64_t slot, uint64_t count,
                          bool lacks, int *made);
enum qy_error spec_copy(struct spec *s, qy_handle_t node, uint64_t slot, qy_handle_t source,
                        uint64_t rights, uint64_t badge);
enum qy_error spec_move(struct spec *s, qy_handle_t node, uint64_t slot, qy_handle_t source);
enum qy_error spec_delete(struct spec *s, qy_handle_t handle);
enum qy_error spec_revoke(struct spec *s, qy_handle_t handle);
enum qy_error spec_configure(struct spec *s, qy_handle_t thread, qy_handle_t space,
                             qy_handle_t node, qy_handle_t handler, uint64_t badge);
enum qy_error spec_handler(struct spec *s, enum qy_invocation call, qy_handle_t of,
                           qy_handle_t endpoint, uint64_t badge);

/* Memory. A frame's class outlives the mapping that set it, which only the kernel knows: a refusal for that is allowed
 * (`clash`: the kernel said INVALID_FLAGS). */
enum qy_error spec_map(struct spec *s, qy_handle_t frame, uint64_t address, unsigned flags,
                       bool clash);
enum qy_error spec_unmap(struct spec *s, qy_handle_t frame, uint64_t address);
enum qy_error spec_dma_bind(struct spec *s, qy_handle_t dma);
enum qy_error spec_pin(struct spec *s, qy_handle_t frame, qy_handle_t dma);
enum qy_error spec_unpin(struct spec *s, qy_handle_t frame);
enum qy_error spec_resize(struct spec *s, qy_handle_t memory, uint64_t pages);
enum qy_error spec_supply(struct spec *s, qy_handle_t memory, uint64_t page, uint64_t pages,
                          bool lacks, uint64_t *supplied);
enum qy_error spec_discard(struct spec *s, qy_handle_t memory, uint64_t page, uint64_t pages);

/* Messages and signals. *waits: the actor waits now. If it does not, what it gets is in its `values`. */
enum qy_error spec_send(struct spec *s, int actor, enum qy_invocation call, qy_handle_t endpoint,
                        uint64_t label, qy_handle_t capability, bool *waits);
enum qy_error spec_receive(struct spec *s, int actor, qy_handle_t endpoint, qy_handle_t reply,
                           bool *waits);
enum qy_error spec_reply(struct spec *s, int actor, qy_handle_t reply, uint64_t label,
                         qy_handle_t capability);
enum qy_error spec_reply_receive(struct spec *s, int actor, qy_handle_t endpoint, qy_handle_t reply,
                                 uint64_t label, bool *waits);
enum qy_error spec_receive_slot(struct spec *s, int actor, qy_handle_t node, uint64_t slot);
enum qy_error spec_signal(struct spec *s, qy_handle_t notification);
enum qy_error spec_wait(struct spec *s, int actor, qy_handle_t notification, bool *waits);
enum qy_error spec_poll(struct spec *s, int actor, qy_handle_t notification);
enum qy_error spec_bind(struct spec *s, qy_handle_t notification, qy_handle_t thread);
enum qy_error spec_arm(struct spec *s, qy_handle_t timer, qy_handle_t notification, uint64_t now_ns,
                       uint64_t delay_ns, uint64_t period_ns);
enum qy_error spec_line_bind(struct spec *s, qy_handle_t interrupt, uint32_t line,
                             qy_handle_t notification);
enum qy_error spec_acknowledge(struct spec *s, qy_handle_t interrupt);
void spec_line_raised(struct spec *s, uint32_t line);
void spec_time(struct spec *s, uint64_t now_ns);

/* The capability goes: who waits by it. An object goes: who waits for it. For spec.c. */
void spec_lose(struct spec *s, int cap);
void spec_unbind(struct spec *s, int by);
void spec_reply_lost(struct spec *s, int reply);
void spec_end_make(struct spec *s, int by, int to);

/*
 * The state as bytes: equal for states that differ in nothing but names (which slots, which of equal objects). At most
 * `room`; the number of bytes.
 */
size_t spec_spell(const struct spec *s, int root, unsigned char *out, size_t room);

#endif
