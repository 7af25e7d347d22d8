/*
 * Something to look at (word `view`): programs of the boot archive use memory, and every now and then all of them stand
 * still for a snapshot. `view=N`: N snapshots while they run; `view=0`: on and on, for who watches.
 *
 * ./quarry view makes pictures of what this writes. In the end stand the console's tables of the last snapshot, so that
 * tests can hold the one against the other.
 */
#include "snapshot.h"

#define PAUSE_NS 150000000ull /* from a snapshot to the next */
#define SNAPSHOTS 10u

static const char *const programs[][4] = {
    {"stress", "a", NULL}, {"life", NULL}, {"stress", "b", NULL}, {"memtest", "8", NULL}};
#define PROGRAMS (sizeof(programs) / sizeof(programs[0]))

struct view {
    struct root *root;
    struct jobs jobs;
    qy_handle_t tick;
    uint64_t left; /* snapshots to be taken */
    bool for_ever;
};

/* Let the threads of all programs stand still, or go on. One that ended meanwhile does neither. */
static void all_stand(struct view *view, bool still)
{
    for (unsigned i = 1; i <= JOBS_MAX; i++) {
        const struct job *job = jobs_find(&view->jobs, i);
        enum qy_error error = !job    ? QY_OK
                              : still ? thread_suspend(job->process.thread)
                                      : thread_resume(job->process.thread);
        root_check(view->root, error == QY_OK || error == QY_INVALID_ARGUMENT,
                   "a program does not stand still");
    }
}

static void take(struct view *view, const char *label)
{
    all_stand(view, true);
    snapshot_write(view->root, &view->jobs, label);
    all_stand(view, false);
}

static void start_all(struct view *view)
{
    for (size_t i = 0; i < PROGRAMS; i++)
        root_check(view->root, jobs_start(&view->jobs, programs[i], 0, false) != 0,
                   "a program to look at does not start");
}

static bool set_timer(struct view *view)
{
    return root_check(view->root, timer_set(view->root->timer, view->tick, PAUSE_NS, 0) == QY_OK,
                      "the timer cannot be set");
}

/* Snapshots at the timer's pace, until the programs have ended. */
static void watch(struct view *view)
{
    struct message message;
    bool well = true, goes_on = set_timer(view);

    while (goes_on && view->jobs.running) {
        goes_on = endpoint_receive(view->jobs.endpoint, view->jobs.reply, &message) == QY_OK;
        if (!root_check(view->root, goes_on, "nothing is heard of programs"))
            break;
        if (!(message.label & QY_LABEL_NOTIFIED)) {
            if (jobs_hear(&view->jobs, &message, &well))
                root_check(view->root, well, "a program to look at did not end well");
        } else if (view->left || view->for_ever) {
            view->left -= !view->for_ever;
            take(view, "programs run");
            goes_on = set_timer(view);
        }
    }
}

static void open(struct view *view)
{
    struct root *root = view->root;
    enum qy_error error = root_make(root, root->untyped, QY_OBJ_NOTIFICATION, 1, &view->tick);

    if (error == QY_OK)
        error = root_make(root, root->untyped, QY_OBJ_TIMER, 1, &root->timer);
    if (error == QY_OK)
        error = notification_bind(view->tick, QY_SLOT_THREAD);
    root_check(root, error == QY_OK, "there is no timer for snapshots");
}

static void show_tables(const struct view *view)
{
    struct cap_state space = {0};

    print("view: free blocks by order, as in the last snapshot\n");
    show_buddyinfo(view->root);
    print("view: caches of objects\n");
    show_slabinfo(view->root);
    print("view: processes\n");
    show_processes(view->root, NULL);
    print("view: regions of the root task\n");
    if (cap_info(QY_SLOT_NODE, QY_SLOT_SPACE, &space) == QY_OK)
        show_smaps(view->root, space.object);
}

void view_run(struct root *root)
{
    static struct view view;
    uint64_t snapshots = root_word(root, "view=", SNAPSHOTS);

    view = (struct view){.root = root, .jobs = {.root = root}};
    view.left = snapshots;
    view.for_ever = snapshots == 0;
    open(&view);
    snapshot_write(root, NULL, "start");
    do {
        start_all(&view);
        watch(&view);
    } while (view.for_ever && !root->failures);
    snapshot_write(root, NULL, "all programs have ended");
    show_tables(&view);
}
