/*
 * Tags and shootdown (qy/tlb.h): one CPU loads and leaves two spaces under one tag, one or two more change
 * entries of the first.
 *
 * A CPU caches every translation as soon as its tables say so, under the tag in use, and forgets none by itself.
 * Asserted, when tables are loaded and when a page is given back: no CPU has, under the tag in use, a
 * page that was given back or another space's. An invalid end state is a deadlock.
 *
 * BUG plants one of the known bugs: 1 the generation is counted up after the mask was read, 2 with the
 * tags exhausted a space goes untagged and nothing is flushed, 3 the lock is held while waiting, and
 * who waits for it does not answer, 4 a waiting CPU does not answer, 5 requests are read after the
 * flush, 6 a tag counts as newer than what was flushed, 7 an inactive tag is taken for good without
 * looking at the generation.
 */
#ifndef BUG
#define BUG 0
#endif
#define NONE 2
#ifndef LOADS
#define LOADS 3 /* that the first CPU makes */
#endif
#ifndef CHANGERS
#define CHANGERS 1
#endif

bool page[2] = true;      /* entries of space 0: page i is mapped */
bool freed[2];            /* the page has another owner */
byte generation;          /* of space 0 */
bool runs[3];             /* CPUs that have space 0 loaded */
byte wanted[3], done[3];
bool interrupted[3];
bool lock;                /* the capability lock: changes of entries */

byte loaded[3] = NONE;    /* space; NONE: the kernel's own tables */
byte tag_space[3] = NONE; /* whose the CPU's one tag is ... */
byte tag_seen[3];         /* ... and up to which generation */
bool known0[3], known1[3]; /* page i of space 0 is in the TLB under the tag */

inline flush(c) { known0[c] = false; known1[c] = false }

/* Pages only go, so to fill when tables are loaded and after a flush is to fill whenever it is possible. */
inline hardware(c)
{
    known0[c] = known0[c] || (loaded[c] == 0 && page[0]);
    known1[c] = known1[c] || (loaded[c] == 0 && page[1])
}
#define SOUND(c) assert(loaded[c] == NONE || ((loaded[c] == 0 || (!known0[c] && !known1[c])) && \
                        !(known0[c] && freed[0]) && !(known1[c] && freed[1])))

inline catch_up(c, now)
{
    if
    :: loaded[c] == 0 ->
        now = generation;
        if
        :: tag_seen[c] != now ->
            atomic { flush(c); hardware(c) }
#if BUG == 6
            tag_seen[c] = generation
#else
            tag_seen[c] = now
#endif
        :: else
        fi
    :: else
    fi
}

inline answer(c, w, now)
{
    interrupted[c] = false;
    w = wanted[c];
    catch_up(c, now);
#if BUG == 5
    done[c] = wanted[c]
#else
    done[c] = w
#endif
}

inline load(c, space, now)
{
    if
    :: space == 0 -> runs[c] = true; now = generation
    :: else -> now = 0
    fi;
    atomic {
        if
#if BUG == 2
        :: tag_space[c] != space && tag_space[c] != NONE && space != NONE -> skip
#endif
#if BUG == 7
        :: tag_space[c] == space -> skip
#endif
        :: space == NONE -> skip
        :: (tag_space[c] != space || tag_seen[c] != now) && space != NONE -> flush(c)
        :: else
        fi;
        if
        :: space != NONE -> tag_space[c] = space; tag_seen[c] = now
        :: else
        fi;
        now = loaded[c];
        loaded[c] = space;
        hardware(c);
        SOUND(c)
    }
    if
    :: now == 0 && space != 0 -> runs[c] = false
    :: else
    fi
}

/* A CPU in user mode: switches between spaces, takes its interrupts. */
proctype runner(byte c)
{
    byte w, now, left = LOADS;
end:do
    :: left > 0 && loaded[c] != 0 -> left--; load(c, 0, now)
    :: left > 0 && loaded[c] != 1 -> left--; load(c, 1, now)
    :: left > 0 && loaded[c] != NONE -> left--; load(c, NONE, now)
    :: interrupted[c] -> answer(c, w, now)
    od
}

#define ASK(d) if :: runs[d] && d != c -> atomic { asked[d] = true; wanted[d]++ }; interrupted[d] = true :: else fi

/* A CPU that runs space 0 and takes its page p away. */
proctype changer(byte c; byte p)
{
    byte w, now, d, ticket;
    bool asked[3];
    atomic { runs[c] = true; loaded[c] = 0; tag_space[c] = 0; hardware(c) }
    do /* the lock; who waits answers */
    :: atomic { !lock -> lock = true; break }
#if BUG != 3
    :: interrupted[c] -> answer(c, w, now)
#endif
    od;
    page[p] = false;
#if BUG != 3
    lock = false;
#endif
#if BUG != 1
    generation++;
#endif
    ASK(0); ASK(1); ASK(2);
#if BUG == 1
    generation++;
#endif
    catch_up(c, now);
    d = 0;
    do
    :: d < 3 && asked[d] ->
        ticket = wanted[d];
        do
        :: done[d] >= ticket -> break
#if BUG != 4
        :: interrupted[c] -> answer(c, w, now)
#endif
        od;
        d++
    :: d < 3 && !asked[d] -> d++
    :: d == 3 -> break
    od;
#if BUG == 3
    lock = false;
#endif
    atomic { freed[p] = true; SOUND(0); SOUND(1); SOUND(2) }
    load(c, NONE, now);
end:do
    :: interrupted[c] -> answer(c, w, now)
    od
}

init
{
    atomic {
        run runner(0);
        run changer(1, 0);
        if
        :: CHANGERS == 2 -> run changer(2, 1)
        :: else
        fi
    }
}
