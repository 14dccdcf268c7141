/* The cursor promise (docs/architecture.md, "Why the cursor cannot skip"): whoever always goes on from their last cursor
 * sees each committed change of their scopes exactly once, in the order of positions, and none is skipped.
 *
 * Writers push into one or both of two scopes, readers pull with any choice of them, the wall clock shows anything at
 * any look, PostgreSQL may crash once. README.md maps what is here to the code; `run` checks it, and that it fails
 * without each of the things that carry the promise (the macros below).
 */

#ifndef WRITERS
#define WRITERS 3 /* pushes, each a transaction */
#endif
#ifndef READERS
#define READERS 1
#endif
#ifndef WALL
#define WALL 2 /* the wall clock shows 0 to WALL, whatever it showed before */
#endif

#ifndef AUTHOR_READS_MORE
#define AUTHOR_READS_MORE false
#endif

#define SCOPES 2 /* 0 is a user's own, 1 a space's: the order of their keys */
#ifdef AUTHOR /* the first reader pushes once too, into scope 0 */
#define AUTHOR_OF_PUSH WRITERS
#define ROWS ((WRITERS + 1) * SCOPES)
#else
#define AUTHOR_OF_PUSH 255
#define ROWS (WRITERS * SCOPES)
#endif
#define BIT(n) (1 << (n))
#define HAS(set, n) ((set) & BIT(n))

/* A push writes at most one row into each scope. */
#define ROW_OF(writer, scope) ((writer) * SCOPES + (scope))
#define WRITER_OF(row) ((row) / SCOPES)
#define SCOPE_OF(row) ((row) % SCOPES)

/* sync_changes */
byte position[ROWS]; /* created_at; 0: there is no such row */
byte committed;      /* set of writers */

/* sync_positions */
byte last_value;
byte durable_value; /* what a crash leaves at least: a commit writes all that was logged before it */
byte scope_clock[SCOPES]; /* only for CLOCK_PER_SCOPE */

/* pg_advisory_xact_lock of each scope */
byte locked_by[SCOPES]; /* the writer and one; 0: none */
byte shared_by[SCOPES]; /* set of readers */

/* What a crash ends. */
byte open_pushes; /* set of writers with a transaction that was not committed */
byte lost_pushes;
byte open_pages; /* set of readers within a pull */
byte lost_pages;
bool may_crash;

byte at_work = WRITERS;

/* What the readers hold: all that a client knows is its cursor. `seen` is what it was shown. */
byte wanted[READERS]; /* set of scopes */
byte cursor[READERS];
bool seen[READERS * ROWS];

/* Scratch of single steps, 0 between them. */
byte i, r, at;

/* ---- Writers: push_attempt in shared/store/push_transaction.cpp ---- */

/* Up to its first lock, or its positions where it takes none, a transaction has nothing to lose. */
#define BEGIN open_pushes = open_pushes | BIT(me)

/* lock_scopes(): the written ones, in the order of their keys. */
inline lock_exclusive(scope) {
    if
    :: HAS(written, scope) ->
        atomic { locked_by[scope] == 0 && shared_by[scope] == 0 -> locked_by[scope] = me + 1; BEGIN }
    :: else
    fi
}

inline lock_scopes_written() {
#ifdef UNORDERED_LOCKS
    if
    :: true -> lock_exclusive(0); lock_exclusive(1)
    :: true -> lock_exclusive(1); lock_exclusive(0)
    fi
#else
    lock_exclusive(0);
    lock_exclusive(1)
#endif
}

/* A lock that the crash freed, and that another one may have by now, is not ours. */
inline unlock_written() {
    d_step {
        for (i : 0 .. SCOPES - 1) {
            if
            :: locked_by[i] == me + 1 -> locked_by[i] = 0
            :: else
            fi
        }
        i = 0
    }
}

/* wall_clock(): steps back, or ahead, at every look. */
inline look_at_wall_clock() {
    select (wall : 0 .. WALL)
}

/* The rows of write_log, from position `at` on, one each. */
inline log_row(scope) {
    if
    :: HAS(written, scope) ->
        position[ROW_OF(me, scope)] = at;
#ifndef ONE_POSITION_A_PUSH
        at++
#endif
    :: else
    fi
}

inline log_rows() {
    log_row(0);
    log_row(1)
}

#define LATER(a, b) ((a) > (b) -> (a) : (b))

/* take_positions(): its own lock makes one step of the look and the setval. */
inline take_positions() {
#ifdef CLOCK_WITHOUT_LOCK
    atomic { look_at_wall_clock(); first = LATER(wall, last_value + 1); BEGIN }
    d_step { at = first; log_rows(); last_value = at - 1; first = 0; wall = 0; at = 0 }
#else
    atomic {
        look_at_wall_clock();
        d_step {
            BEGIN;
#if defined(WALL_CLOCK_ONLY)
            at = wall + 1;
            log_rows();
#elif defined(CLOCK_PER_SCOPE) /* one has the odd positions, the other the even ones */
            scope_clock[0] = (HAS(written, 0) -> LATER(wall, scope_clock[0] + 1) : scope_clock[0]);
            scope_clock[1] = (HAS(written, 1) -> LATER(wall, scope_clock[1] + 1) : scope_clock[1]);
            at = 2 * scope_clock[0] - 1;
            log_row(0);
            at = 2 * scope_clock[1];
            log_row(1);
#else
            at = LATER(wall, last_value + 1);
            log_rows();
#endif
            last_value = LATER(last_value, at - 1);
#ifdef ONE_POSITION_A_PUSH
            last_value = LATER(last_value, at);
#endif
            wall = 0; at = 0
        }
    }
#endif
}

/* The row becomes visible now: whoever has been handed a cursor at or beyond it will never ask for it. */
inline no_cursor_is_beyond() {
    for (r : 0 .. READERS - 1) {
        for (i : 0 .. SCOPES - 1) {
            skipped = skipped || (HAS(written, i) && HAS(wanted[r], i) && position[ROW_OF(me, i)] <= cursor[r])
        }
    }
    r = 0; i = 0;
    assert(!skipped)
}

inline commit() {
    d_step {
        committed = committed | BIT(me);
        open_pushes = open_pushes & ~BIT(me);
        durable_value = (may_crash -> last_value : 0);
        no_cursor_is_beyond()
    }
}

inline forget_rows(writer) {
    position[ROW_OF(writer, 0)] = 0;
    position[ROW_OF(writer, 1)] = 0
}

inline roll_back() {
    d_step { forget_rows(me); open_pushes = open_pushes & ~BIT(me) }
}

proctype writer(byte me; byte written) {
    byte wall, first;
    bool skipped;
    {
#if !defined(NO_WRITER_LOCK) && !defined(LOCK_AFTER_POSITIONS)
        lock_scopes_written();
#endif
        take_positions();
#ifdef LOCK_AFTER_POSITIONS
        lock_scopes_written();
#endif
#ifdef UNLOCK_BEFORE_COMMIT
        unlock_written();
#endif
        if
        :: commit()
        :: roll_back()
        fi;
    } unless { d_step { HAS(lost_pushes, me) -> lost_pushes = lost_pushes & ~BIT(me) } };
#ifndef KEEP_LOCK
    unlock_written();
#endif
    d_step { written = 0; wall = 0; first = 0; at_work-- }
}

/* ---- Readers: page_reading in shared/store/page_reader.cpp ---- */

#define VISIBLE(row) (position[row] != 0 && HAS(snapshot, WRITER_OF(row)) && HAS(wanted[me], SCOPE_OF(row)))

/* Each statement's snapshot holds what was committed before it began. */
#ifdef ONE_SNAPSHOT
#define NEW_SNAPSHOT(set) skip
#else
#define NEW_SNAPSHOT(set) snapshot = set
#endif

inline lock_shared(scope) {
    if
    :: HAS(wanted[me], scope) ->
        atomic {
            locked_by[scope] == 0 -> shared_by[scope] = shared_by[scope] | BIT(me);
            open_pages = open_pages | BIT(me)
        }
#ifdef ONE_LOCK_AT_A_TIME
        shared_by[scope] = shared_by[scope] & ~BIT(me)
#endif
    :: else
    fi
}

/* read_horizon(): all locks at once, for the moment of one look. */
inline read_horizon() {
#ifdef ONE_SNAPSHOT
    snapshot = committed;
#endif
#ifndef NO_READER_LOCK
    lock_shared(0);
    lock_shared(1);
#endif
    d_step {
        NEW_SNAPSHOT(committed);
        for (i : 0 .. ROWS - 1) {
            if
            :: VISIBLE(i) -> horizon = LATER(horizon, position[i])
            :: else
            fi
        }
        for (i : 0 .. SCOPES - 1) {
            shared_by[i] = shared_by[i] & ~BIT(me)
        }
        NEW_SNAPSHOT(0);
        i = 0;
        open_pages = open_pages | BIT(me);
        since = (cursor[me] < last_value -> cursor[me] : last_value);
#ifdef CURSOR_BEYOND_COMMITTED
        horizon = last_value
#endif
    }
}

#ifdef NO_HORIZON
#define PAGE_ENDS_BY 255
#else
#define PAGE_ENDS_BY horizon
#endif

inline show_row(row) {
    assert(!seen[me * ROWS + row]);
    for (r : 0 .. ROWS - 1) {
        out_of_order = out_of_order ||
            (seen[me * ROWS + r] && WRITER_OF(r) != AUTHOR_OF_PUSH && position[r] > position[row])
    }
    r = 0;
    assert(!out_of_order);
    seen[me * ROWS + row] = true
}

/* page_of_app and to_answer(): the rows after the cursor up to the horizon, in order, `most` at most; then how far the
 * client goes on from. */
inline read_page() {
    atomic {
        if /* by rows or by bytes: a page is cut anywhere */
        :: most = 1
        :: most = 2
#ifdef PAGE_WITHOUT_ROWS
        :: most = 0
#endif
        fi;
        d_step {
            NEW_SNAPSHOT(committed);
            last_shown = cursor[me];
            for (at : cursor[me] + 1 .. WALL + 2 * ROWS) {
                for (i : 0 .. ROWS - 1) {
                    if
                    :: VISIBLE(i) && position[i] == at && at <= PAGE_ENDS_BY && WRITER_OF(i) != AUTHOR_OF_PUSH ->
                        if
                        :: shown < most -> show_row(i); shown++; last_shown = at
                        :: else -> more = true
                        fi
                    :: else
                    fi
                }
            }
            if
#ifndef CURSOR_AFTER_CUT_PAGE_IS_HORIZON
            :: more -> cursor[me] = last_shown
#endif
            :: else -> cursor[me] = LATER(since, horizon)
            fi;
            for (i : 0 .. ROWS - 1) {
                skipped = skipped || (VISIBLE(i) && position[i] <= cursor[me] && !seen[me * ROWS + i])
            }
            assert(!skipped);
            over = was_written && shown == 0 && !more;
            NEW_SNAPSHOT(0);
            i = 0; at = 0; most = 0; shown = 0; last_shown = 0; more = false; horizon = 0; since = 0;
            open_pages = open_pages & ~BIT(me)
        }
    }
}

inline all_is_seen() {
    d_step {
        NEW_SNAPSHOT(committed);
        for (i : 0 .. ROWS - 1) {
            unseen = unseen || (VISIBLE(i) && !seen[me * ROWS + i])
        }
        i = 0;
        assert(!unseen)
    }
}

#ifdef AUTHOR
/* begin_push(): whether the author has seen all of what is read. */
inline look_at_own_scopes() {
    d_step {
        NEW_SNAPSHOT(committed);
        up_to_date = true;
        for (i : 0 .. ROWS - 1) {
            up_to_date = up_to_date && !(VISIBLE(i) && position[i] > cursor[me])
        }
        NEW_SNAPSHOT(0);
        i = 0
    }
}

/* A push whose author reads nothing but the scope that it writes. Where nothing but its own row lies beyond the author's
 * cursor, the answer reads no page: the cursor becomes the row's position. Its own row a client is not shown. */
inline push() {
#ifdef AUTHOR_LOOKS_BEFORE_LOCK
    look_at_own_scopes();
#endif
    atomic { locked_by[0] == 0 && shared_by[0] == 0 -> locked_by[0] = AUTHOR_OF_PUSH + 1 }
#ifndef AUTHOR_LOOKS_BEFORE_LOCK
    look_at_own_scopes();
#endif
    atomic {
        look_at_wall_clock();
        d_step {
            last_value = LATER(wall, last_value + 1);
            position[ROW_OF(AUTHOR_OF_PUSH, 0)] = last_value;
            seen[me * ROWS + ROW_OF(AUTHOR_OF_PUSH, 0)] = true;
            wall = 0
        }
    }
    d_step { committed = committed | BIT(AUTHOR_OF_PUSH); locked_by[0] = 0 }
    d_step {
        cursor[me] = (up_to_date -> LATER(cursor[me], position[ROW_OF(AUTHOR_OF_PUSH, 0)]) : cursor[me]);
        up_to_date = false
    }
}
#endif

proctype reader(byte me) {
    byte snapshot, horizon, since, most, shown, last_shown;
    bool more, out_of_order, skipped, unseen, was_written, over;
#ifdef AUTHOR
    byte wall;
    bool up_to_date, has_pushed;
#endif
pull:
#ifdef AUTHOR
    if
    :: me == 0 && !has_pushed && (wanted[me] == BIT(0) || AUTHOR_READS_MORE) -> push(); has_pushed = true
    :: true
    fi;
#endif
    if
    :: d_step { at_work == 0 -> was_written = true }
    :: at_work > 0 ->
progress_writers_are_at_work: /* only so long may a reader ask and be shown nothing */
        skip
    fi;
    { /* a connection that was lost: the client asks again, from the same cursor */
        read_horizon();
        read_page()
    } unless {
        d_step {
            HAS(lost_pages, me) ->
            lost_pages = lost_pages & ~BIT(me);
            snapshot = 0; horizon = 0; since = 0
        }
    }
    if
    :: over -> all_is_seen()
    :: else -> goto pull
    fi
}

/* ---- PostgreSQL ends, and starts again from what it had written ---- */

proctype crash() {
    byte n;
    atomic {
        select (n : durable_value .. last_value);
        d_step {
            last_value = n;
            n = 0;
            for (r : 0 .. WRITERS - 1) {
                if
                :: HAS(open_pushes, r) -> forget_rows(r)
                :: else
                fi
            }
            r = 0;
            lost_pushes = open_pushes;
            lost_pages = open_pages;
            open_pushes = 0;
            open_pages = 0;
            for (i : 0 .. SCOPES - 1) {
                locked_by[i] = 0;
                shared_by[i] = 0
            }
            i = 0;
            durable_value = 0;
            may_crash = false
        }
    }
}

init {
    byte n, scopes, least = 1;
    atomic {
        for (n : 0 .. READERS - 1) {
            select (scopes : 1 .. 3);
            wanted[n] = scopes;
            run reader(n)
        }
        /* All that the pushes may write together: which of them writes what makes no difference. */
        for (n : 0 .. WRITERS - 1) {
            select (scopes : least .. 3);
            run writer(n, scopes);
            least = scopes
        }
#ifndef NO_CRASH
        if /* once, or not */
        :: may_crash = true; run crash()
        :: true
        fi;
#endif
        n = 0; scopes = 0; least = 0
    }
}
