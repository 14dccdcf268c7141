-- Redis is told of a push twice: on the channel of its scope and in the stream. It may take the one and refuse the other
-- (its memory is full, rights are missing), so how far each has come is kept by itself. `seen` is that of the channels.

alter table sync_published add column streamed pg_snapshot;
update sync_published set streamed = seen;
alter table sync_published alter column streamed set not null;

-- What `told` shows, and of transactions before `before` what `until` shows: so a teller that stops half-way leaves what
-- it did. Never less than `told`.
create function look_up_to(told pg_snapshot, until pg_snapshot, before xid8) returns pg_snapshot
    language sql stable
    set search_path = pg_catalog, pg_temp
as $$
    with bound as (
        select greatest(pg_snapshot_xmax(told), least(pg_snapshot_xmax(until), before)) as xmax
    ), untold as (
        select xid from pg_snapshot_xip(told) as running(xid)
        where not (xid < before and pg_visible_in_snapshot(xid, until))
        union
        select xid from bound, pg_snapshot_xip(until) as running(xid)
        where xid >= pg_snapshot_xmax(told) and xid < bound.xmax
    ), in_order as (
        select array(select xid from untold order by xid) as xids
    )
    select (coalesce(xids[1], xmax) || ':' || xmax || ':' || array_to_string(xids, ','))::pg_snapshot
    from bound, in_order
$$;

-- For the one who tells `place` ('channels' or 'stream') what it does not have: up to where it has all. Null where another
-- one is at it, at either place, until that one's transaction ends.
create function begin_publishing(place text) returns pg_snapshot
    language plpgsql volatile security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    told pg_snapshot;
begin
    if not pg_try_advisory_xact_lock(7161703) then
        return null;
    end if;
    select case place when 'stream' then streamed else seen end into strict told from public.sync_published;
    -- A restored database counts its transactions anew.
    if pg_snapshot_xmax(told) > pg_snapshot_xmax(pg_current_snapshot()) then
        return pg_current_snapshot();
    end if;
    return told;
end
$$;

-- `told` is what begin_publishing() gave. `place` now also has all that `until` shows of transactions before `before`.
create function end_publishing(place text, told pg_snapshot, until pg_snapshot, before xid8) returns void
    language plpgsql volatile security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    by_now constant pg_snapshot := public.look_up_to(told, until, before);
begin
    if place = 'stream' then
        update public.sync_published set streamed = by_now;
    else
        update public.sync_published set seen = by_now;
    end if;
end
$$;

-- For hubs of the version before, which know one place: what they take for told counts for both.
create or replace function end_publishing(until pg_snapshot) returns void
    language sql volatile security definer
    set search_path = pg_catalog, pg_temp
as $$
    update public.sync_published set seen = until, streamed = until
    where (pg_snapshot_xmax(until) >= pg_snapshot_xmax(seen) and pg_snapshot_xmin(until) >= pg_snapshot_xmin(seen))
       or pg_snapshot_xmax(seen) > pg_snapshot_xmax(pg_current_snapshot())
$$;

-- Seconds since the oldest push of which it is not known yet that the channels, or the stream, have it; 0 where there is
-- none.
create function oldest_untold(out channels double precision, out stream double precision)
    language plpgsql stable security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    told public.sync_published;
    oldest timestamptz;
begin
    select * into strict told from public.sync_published;
    select newest into oldest from public.pushes_between(told.seen, pg_current_snapshot(), '0', '', 1);
    channels := coalesce(greatest(extract(epoch from clock_timestamp() - oldest), 0), 0);
    stream := channels;
    -- Mostly both are at the same look.
    if told.streamed::text <> told.seen::text then
        select newest into oldest from public.pushes_between(told.streamed, pg_current_snapshot(), '0', '', 1);
        stream := coalesce(greatest(extract(epoch from clock_timestamp() - oldest), 0), 0);
    end if;
end
$$;

-- The same of both together.
create or replace function oldest_unpublished() returns double precision
    language sql stable security definer
    set search_path = pg_catalog, pg_temp
as $$
    select greatest(channels, stream) from public.oldest_untold()
$$;

-- As in sql/0011, but of what both places have.
create or replace function forget_pushes(most int) returns bigint
    language plpgsql volatile security definer
    set search_path = pg_catalog, pg_temp
    set enable_seqscan = off
as $$
declare
    push public.sync_pushes;
    last_one public.sync_pushes;
    old_ones bigint;
    foreign_ones bigint;
begin
    for push in
        select * from public.sync_pushes
        where xid < (select least(pg_snapshot_xmin(seen), pg_snapshot_xmin(streamed)) from public.sync_published)
        order by xid, scope limit most
    loop
        exit when push.newest >= clock_timestamp() - interval '1 hour';
        last_one := push;
    end loop;
    delete from public.sync_pushes
    where xid <= last_one.xid and (xid < last_one.xid or scope <= last_one.scope);
    get diagnostics old_ones = row_count;
    -- Of a database that was restored, and counts its transactions anew.
    delete from public.sync_pushes where xid >= pg_snapshot_xmax(pg_current_snapshot());
    get diagnostics foreign_ones = row_count;
    return old_ones + foreign_ones;
end
$$;

revoke all on function look_up_to(pg_snapshot, pg_snapshot, xid8), begin_publishing(text),
    end_publishing(text, pg_snapshot, pg_snapshot, xid8), oldest_untold() from public;
grant execute on function look_up_to(pg_snapshot, pg_snapshot, xid8), begin_publishing(text),
    end_publishing(text, pg_snapshot, pg_snapshot, xid8), oldest_untold() to mana_sync_service;
