-- The cursor promise (docs/architecture.md, "Why the cursor cannot skip"): whoever writes a scope locks it, then takes
-- positions from one clock that only grows; whoever reads scopes waits for their writers before it looks how far the
-- log goes.

-- One clock for all scopes, in microseconds since the epoch. A sequence: what it has given out stays given out when a
-- transaction rolls back, and a commit that follows makes it survive a crash.
-- The small functions here set no search_path, so that PostgreSQL can put their bodies in place of their calls: one that
-- it cannot is parsed and planned again at each call. Those who call them do set it.
create sequence sync_positions as bigint minvalue 0 start with 0;
do $$
begin
    perform setval('sync_positions',
                   coalesce((select (extract(epoch from max(created_at)) * 1000000)::bigint from sync_changes), 0));
end
$$;
grant select on sequence sync_positions to mana_sync_service;

-- The database host's clock, in microseconds since the epoch: a function of its own, so that a test can set it back.
create function wall_clock() returns bigint
    language sql volatile parallel safe
as $$
    select (extract(epoch from clock_timestamp()) * 1000000)::bigint
$$;

create function position_at(micros bigint) returns timestamptz
    language sql immutable parallel safe
as $$
    select timestamptz 'epoch' + micros * interval '1 microsecond'
$$;

-- The first of `how_many` positions, one microsecond apart: later than every one given before, and not earlier than
-- the wall clock. The lock is held for this moment only, not until the caller commits: raising an exception rolls back
-- the inner block, which frees the lock and leaves the sequence as set.
create function take_positions(how_many int) returns timestamptz
    language plpgsql volatile security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    first_one bigint;
begin
    begin
        perform pg_advisory_xact_lock(7161701);
        select greatest(public.wall_clock(), last_value + 1)
            into first_one from public.sync_positions;
        perform setval('public.sync_positions', first_one + how_many - 1);
        raise exception using errcode = 'MS001', message = 'positions taken';
    exception when sqlstate 'MS001' then
        null;
    end;
    return public.position_at(first_one);
end
$$;
revoke all on function take_positions(int) from public;
grant execute on function take_positions(int) to mana_sync_service;

create function scope_lock(app text, scope text) returns bigint
    language sql immutable parallel safe
as $$
    select hashtextextended(app || E'\x1f' || scope, 7161702)
$$;

-- Locks scopes until the transaction, or the block, ends: the written ones against everyone, the others against writers.
-- Always in the order of their keys, so that two pushes cannot wait for each other. Gives the time of receipt, and the
-- newest position of all: what this transaction writes comes after it.
create function lock_scopes(app text, written text[], only_read text[],
                            out receipt timestamptz, out newest timestamptz)
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    wanted record;
begin
    for wanted in
        select public.scope_lock(app, scope) as key, bool_or(is_written) as is_written
        from (select unnest(written) as scope, true as is_written
              union all select unnest(only_read), false) as scopes
        group by key order by key
    loop
        if wanted.is_written then
            perform pg_advisory_xact_lock(wanted.key);
        else
            perform pg_advisory_xact_lock_shared(wanted.key);
        end if;
    end loop;
    select clock_timestamp(), public.position_at(last_value) into receipt, newest from public.sync_positions;
end
$$;

-- How far a reader of these scopes may read: their highest position up to `bound`, once every writer that has taken one
-- in them has committed. The locks are held for this moment only: a writer that comes later takes a later position. The
-- next statement of the transaction finds the horizon in mana_sync.horizon.
create function read_horizon(app text, scopes text[], bound timestamptz, out horizon timestamptz, out newest timestamptz)
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
begin
    begin
        perform public.lock_scopes(app, '{}', scopes);
        select max(last_row.created_at) into horizon
        from unnest(scopes) as reader(scope)
        cross join lateral (
            select created_at from public.sync_changes as change
            where change.scope = reader.scope and change.app_id = app and created_at <= bound
            order by created_at desc limit 1
        ) as last_row;
        raise exception using errcode = 'MS002', message = 'horizon read';
    exception when sqlstate 'MS002' then
        null;
    end;
    select public.position_at(last_value) into newest from public.sync_positions;
    perform set_config('mana_sync.horizon', coalesce(horizon::text, '-infinity'), true);
end
$$;
