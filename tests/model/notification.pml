/* No notification is lost for good (docs/architecture.md, "No push stays untold"): every committed push is told to the
 * connected client, once a connection, and to the channels and the stream of Redis; and none before its commit is visible.
 *
 * Workers push and may die between COMMIT and PUBLISH; Redis may go away, or (REFUSALS) take messages and no entries, or entries
 * and no messages; the hub's subscription or the client's
 * connection be cut, the hub die; another hub may publish too. README.md maps what is here to the code; `run` checks it,
 * and that it fails without each of the things that carry the promise (the macros below).
 *
 * Every run comes to an end: faults are few, and a sweep that would find nothing new is not made. Where nothing more can
 * happen, all must have been told (`at_the_end`); and that there is no end to nothing is checked as well.
 */

#ifndef PUSHES
#define PUSHES 2 /* 4 at most */
#endif
#ifndef FAULTS
#define FAULTS 2 /* besides the deaths of workers */
#endif

#define BIT(n) (1 << (n))
#define BELOW(n) (BIT(n) - 1)

/* sync_pushes. A push is named by its xid; they are alike, so 0 begins first. Sets of pushes are of their bits. */
byte begun;     /* how many */
byte in_flight; /* began, and have neither committed nor rolled back */
byte committed;
byte next;      /* after the latest that ended */

/* A look, pg_snapshot: which had ended by then. */
#define XMAX(look) ((look) >> 4)
#define XIP(look) ((look) & 15)
#define LOOK_NOW ((next << 4) | (in_flight & BELOW(next)))
#define VISIBLE(look) (BELOW(XMAX(look)) & ~XIP(look))
#define XMIN_BIT(look) ((XIP(look) & -XIP(look)) + (XIP(look) == 0 -> BIT(XMAX(look)) : 0))

/* pushes_between(): was under way when `seen` was taken, or began later. */
#ifdef SWEEP_BY_NUMBER
#define UNSEEN(seen) (~BELOW(XMAX(seen)))
#else
#define UNSEEN(seen) (XIP(seen) | ~BELOW(XMAX(seen)))
#endif
#define BETWEEN(seen, until) (committed & UNSEEN(seen) & VISIBLE(until))

/* Each push is told in two scopes, with one position: bits 0-3 are of the one, 4-7 of the other. So are all sets below. */
#define IN_SCOPES(pushes) ((pushes) | ((pushes) << 4))
#define IN_ANY_SCOPE(told) (((told) | ((told) >> 4)) & 15)

/* sync_published, and the lock of begin_publishing(). */
byte published; /* up to where the channels have all */
byte streamed;  /* … and the stream */
byte publisher; /* 0: nobody, 1: the hub, 2: the other one */

bool redis_up = true;
bool takes_messages = true;
bool takes_entries = true;
byte channels_heard;
byte stream_holds;

/* The hub: what dies with it. */
bool dead = true;
bool subscribed; /* redis_feed: to all channels */
byte on_the_way; /* from Redis to the io thread */
byte found;      /* from the sweep to the io thread */
byte known;      /* push_ledger: told by anyone … */
byte from_redis; /* … and by Redis */
bool returning;  /* fan_out: clients are coming back, so what is told is kept for them */
byte missed;
byte told_until, last_look; /* log_sweep */

byte before_start; /* committed before the hub started */

byte left = FAULTS; /* that may still happen */

/* The client, and its connection. */
bool connected;
bool pulled;
byte heard;   /* on this connection */
byte learned; /* heard or pulled, ever */

/* ---- Redis, and who tells it ---- */

inline publish(told) {
    if
    :: redis_up && takes_messages ->
        channels_heard = channels_heard | (told);
        on_the_way = on_the_way | (subscribed -> (told) : 0)
    :: else
    fi
}

inline add(told) {
    if
    :: redis_up && takes_entries -> stream_holds = stream_holds | (told)
    :: else
    fi
}

/* run_push and announce() in fcgi_worker/push.cpp */
proctype worker(byte me) {
    atomic { begun == me -> begun++; in_flight = in_flight | BIT(me) }
#ifdef PUBLISH_BEFORE_COMMIT
    d_step { publish(IN_SCOPES(BIT(me))) }
#endif
    if
    :: d_step {
           committed = committed | BIT(me);
           in_flight = in_flight & ~BIT(me);
           next = (next > me -> next : me + 1)
       }
       if
       :: d_step { publish(IN_SCOPES(BIT(me))); add(IN_SCOPES(BIT(me))) }
       :: true /* it dies */
       fi
    :: d_step { in_flight = in_flight & ~BIT(me); next = (next > me -> next : me + 1) } /* rolled back */
    fi
}

/* ---- The hub's io thread ---- */

inline hear(told) {
    assert(!(IN_ANY_SCOPE(told) & ~committed)); /* told before its commit */
    assert(!((told) & heard));                  /* told twice */
    heard = heard | (told);
    learned = learned | (told)
}

#ifdef NO_LEDGER
#define NEWS(told) (told)
#elif defined(KEY_IS_POSITION)
#define NEWS(told) ((told) & ~known & ~((((told) | known) & 15) << 4))
#else
#define NEWS(told) ((told) & ~known)
#endif

/* fan_out::tell(), with push_ledger::first_news(), of all that was handed over. */
inline tell(pushes, by_redis) {
#ifndef NOTHING_KEPT
    missed = missed | (returning -> NEWS(pushes) : 0);
#endif
    if
    :: connected -> hear(NEWS(pushes))
    :: else
    fi;
    known = known | pushes;
#ifdef ANY_NEWS_COUNTS_AS_REDIS
    from_redis = from_redis | pushes;
#else
    from_redis = from_redis | (by_redis -> pushes : 0);
#endif
    pushes = 0
}

/* After a minute, however long that is for the others; where clients rely on it, not before they are back. */
#ifdef CLIENT_NEVER_PULLS
#define RETURN_TIME_MAY_END (returning && connected)
#else
#define RETURN_TIME_MAY_END returning
#endif

active proctype io_thread() {
end:
    do
    :: d_step { !dead && redis_up && !subscribed -> subscribed = true }
    :: d_step { on_the_way != 0 -> tell(on_the_way, true) }
    :: d_step { found != 0 -> tell(found, false) }
    :: d_step { RETURN_TIME_MAY_END -> returning = false; missed = 0 }
    od
}

/* ---- The hub's sweep: ws_hub/log_sweep.cpp ---- */

/* pushes_of_last(): what was committed since the hub started, and in the minute before, newest first. How long before the
 * others were is open. */
inline was_away() {
    atomic {
#ifdef CLIENT_NEVER_PULLS
        from = 0;
#else
        select (from : 0 .. PUSHES);
#endif
#ifdef FIRST_LOOK_LATE
        before_start = 15;
#endif
        found = found | IN_SCOPES(committed & (~BELOW(from) | ~before_start));
        from = 0; before_start = 0
    }
}

inline begin_sweeping() {
#ifdef LOOK_AFTER_PUSHES
    was_away();
    d_step { now = LOOK_NOW; told_until = now; last_look = now; now = 0 }
#else
    now = LOOK_NOW;
#ifndef NOT_TOLD_OF_LAST_MINUTE
    was_away();
#endif
    d_step { told_until = now; last_look = now; now = 0 }
#endif
}

/* What the last look saw, as Redis has told of it by now if it ever will; all, where Redis tells of nothing. Whatever
 * the hub takes Redis for. What lies between two looks stays the same, so one step looks and asks. */
inline tell_clients(look) {
#ifndef NO_SWEEP
    found = found | IN_SCOPES(BETWEEN(told_until, look));
#endif
    told_until = look;
    last_look = LOOK_NOW
}

/* PostgreSQL goes away after some were handed over: they will be again. */
inline fail_to_tell_clients() {
    left--;
    found = found | IN_SCOPES(BETWEEN(told_until, LOOK_NOW))
}

/* tell_until(): one transaction a place, so whatever goes wrong leaves sync_published as it was. What Redis took then is
 * known of the channels for as long as the hub lives and hears them; of the stream it is read. */
inline begin_publishing(who, look, known_to_be_heard) {
    publisher = who;
    untold = IN_SCOPES(BETWEEN(published, look)) & ~(known_to_be_heard);
    ok = (untold == 0 || redis_up && takes_messages);
    publish(untold);
    untold = 0
}

#ifdef HEARD_COUNTS_FOR_BOTH
#define HELD(known_to_be_heard) (known_to_be_heard)
#elif defined(STREAM_NOT_READ)
#define HELD(known_to_be_heard) 0
#else
#define HELD(known_to_be_heard) stream_holds
#endif

inline end_publishing(seen, until) {
    if
#ifndef PUBLISHED_ANYWAY
    :: !ok
#endif
    :: XMAX(until) < XMAX(seen) || XMIN_BIT(until) < XMIN_BIT(seen)
    :: else -> seen = until
    fi;
    ok = false
}

/* In one step: where the hub dies before it is kept, the stream holds more than was kept, as after a worker told it. */
inline add_what_is_missing(look, known_to_be_heard) {
    untold = IN_SCOPES(BETWEEN(streamed, look)) & ~(HELD(known_to_be_heard));
    ok = (BETWEEN(streamed, look) == 0 || redis_up && (untold == 0 || takes_entries));
#ifndef HEARD_COUNTS_FOR_BOTH
    assert(!(ok && (untold & stream_holds))); /* added twice */
#endif
    add(untold);
    untold = 0;
    end_publishing(streamed, look)
}

inline tell_redis() {
    if
#ifndef NO_PUBLISHER
    :: d_step { publisher == 0 ->
           add_what_is_missing(told_until, from_redis);
           begin_publishing(1, told_until, from_redis)
       }
       d_step { publisher = 0; end_publishing(published, told_until) }
    :: publisher != 0
#else
    :: true
#endif
    fi
}

#ifdef NO_PUBLISHER
#define REDIS_MISSES_SOME(look) false
#else
#define REDIS_MISSES_SOME(look) \
    (redis_up && publisher == 0 && \
     (takes_messages && BETWEEN(published, look) != 0 || takes_entries && BETWEEN(streamed, look) != 0))
#endif

#define A_LOOK_SHOWS_MORE (last_look != LOOK_NOW || told_until != last_look || REDIS_MISSES_SOME(told_until))

active proctype log_sweep() {
    byte from, now, untold;
    bool ok;
start:
    atomic { dead = false; returning = true; before_start = committed }
    {
        begin_sweeping();
end:
        do
        :: d_step { last_look != LOOK_NOW || told_until != last_look -> tell_clients(last_look) }
           tell_redis()
        :: d_step { A_LOOK_SHOWS_MORE -> tell_clients(LOOK_NOW) }
           tell_redis()
        :: d_step { A_LOOK_SHOWS_MORE && left > 0 -> fail_to_tell_clients() }
        od
    } unless { d_step { dead -> from = 0; now = 0; untold = 0; ok = false } }
    goto start
}

/* Another hub, of which only what it tells Redis matters here. It tells all again, as one does that just started. */
proctype other_hub() {
    byte look, untold;
    bool ok;
end:
    do
    :: d_step { REDIS_MISSES_SOME(LOOK_NOW) -> look = LOOK_NOW }
       if
       :: d_step { publisher == 0 -> add_what_is_missing(look, 0); begin_publishing(2, look, 0) }
          d_step { publisher = 0; end_publishing(published, look) }
       :: publisher != 0
       fi;
       look = 0
    od
}

/* ---- The client: listens, is told auth-ok, and pulls ---- */

inline listen() {
    connected = true;
    if
    :: returning -> hear(missed)
    :: else
    fi
}

inline pull() {
    pulled = true;
    learned = learned | IN_SCOPES(committed)
}

active proctype client() {
end:
    do
#ifdef CLIENT_NEVER_PULLS
    :: d_step { !connected && !dead -> listen() }
#elif defined(AUTH_OK_BEFORE_LISTENING)
    :: d_step { !pulled && !dead -> pull() }
    :: d_step { !connected && pulled -> listen() }
#else
    :: d_step { !connected && !dead -> listen() }
    :: d_step { connected && !pulled -> pull() }
#endif
    od
}

/* ---- What goes wrong ---- */

inline cut_client() {
    connected = false;
    pulled = false;
    heard = 0
}

inline cut_feed() {
    subscribed = false;
    if /* what had been read by then is told all the same */
    :: on_the_way = 0
    :: on_the_way != 0
    fi
}

proctype faults() {
end:
    do
    :: d_step { left > 0 && redis_up -> left = 0 }
    :: atomic { left > 0 && redis_up -> redis_up = false; left--; cut_feed() }
    :: !redis_up -> redis_up = true
#ifdef REFUSALS
    :: atomic { left > 0 && takes_messages -> takes_messages = false; left-- }
    :: !takes_messages -> takes_messages = true
    :: atomic { left > 0 && takes_entries -> takes_entries = false; left-- }
    :: !takes_entries -> takes_entries = true
#endif
    :: atomic { left > 0 && subscribed -> left--; cut_feed() }
#ifndef CLIENT_NEVER_PULLS
    :: d_step { left > 0 && connected -> left--; cut_client() }
#endif
    :: d_step {
           left > 0 && !dead ->
           left--;
           dead = true;
           cut_client();
           subscribed = false; on_the_way = 0; found = 0; known = 0; from_redis = 0; returning = false; missed = 0;
           told_until = 0; last_look = 0;
           publisher = (publisher == 1 -> 0 : publisher)
       }
    od
}

init {
    byte n;
    atomic {
        for (n : 0 .. PUSHES - 1) {
            run worker(n)
        }
        n = 0;
        run faults();
#ifdef OTHER_HUB
        run other_hub()
#endif
    }
}

active proctype at_the_end() {
    timeout ->
    d_step {
        assert(connected && redis_up && takes_messages && takes_entries && publisher == 0);
        assert(!(IN_SCOPES(committed) & ~learned)); /* lost to the client */
#ifndef CLIENT_ONLY
        assert(!(IN_SCOPES(committed) & ~channels_heard)); /* lost to the channels */
        assert(!(IN_SCOPES(committed) & ~stream_holds))    /* lost to the stream */
#endif
    }
}
