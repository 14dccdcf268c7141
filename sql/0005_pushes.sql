-- What was pushed, for those who tell of it: one row a push and scope, with names and numbers but no value. Redis hears
-- of a push right after its COMMIT; what it did not hear, because a worker died in between or Redis was away, is found
-- here.
--
-- Whoever follows this table by a growing number would skip the push that took its number early and committed late. So
-- a follower keeps the snapshot of its last look, and asks for what that one could not see and the next one can: each
-- push exactly once, however late it commits, and however long another transaction runs.

create table sync_pushes (
    xid xid8 not null default pg_current_xact_id(),
    scope text collate "C" not null,
    app_id text not null,
    user_id text not null,         -- who pushed
    client_id text not null,
    tables text[] not null,        -- that changed in this scope, each once, sorted by their bytes
    changes int not null,          -- rows of the log
    newest timestamptz not null,   -- position of the newest of them
    primary key (xid, scope)
);

-- Up to where Redis is known to have heard of all.
create table sync_published (
    only_row boolean primary key default true check (only_row),
    seen pg_snapshot not null
);
insert into sync_published (seen) values (pg_current_snapshot());

-- The service writes its own pushes and reads none: the functions below, which run as the owner, show what they must.
alter table sync_pushes enable row level security;
alter table sync_pushes force row level security;
create policy sync_pushes_by_me on sync_pushes for insert to mana_sync_service
    with check (user_id = (select current_setting('app.current_user_id', true))
                and scope = any ((select current_scopes())::text[]));
create policy sync_pushes_of_owner on sync_pushes to current_user using (true) with check (true);
grant insert on sync_pushes to mana_sync_service;

alter table sync_published enable row level security;
alter table sync_published force row level security;
create policy sync_published_of_owner on sync_published to current_user using (true) with check (true);

-- The pushes that `seen` could not see and `until` can, at most `most`, oldest first, after that of `after_xid` and
-- `after_scope`. `until` is the caller's own snapshot of now, or one of before.
create function pushes_between(seen pg_snapshot, until pg_snapshot, after_xid xid8, after_scope text, most int)
    returns setof sync_pushes
    language plpgsql stable security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    with found as (
        -- Was under way when `seen` was taken.
        select push.*
        from unnest(array(select pg_snapshot_xip(seen))) as running(xid)
        join public.sync_pushes as push on push.xid = running.xid
        where pg_visible_in_snapshot(push.xid, until) and (push.xid, push.scope) > (after_xid, after_scope)
        union all
        -- Began later.
        (select push.*
         from public.sync_pushes as push
         where push.xid >= pg_snapshot_xmax(seen) and push.xid < pg_snapshot_xmax(until)
           and (push.xid, push.scope) > (after_xid, after_scope)
           and pg_visible_in_snapshot(push.xid, until)
         order by push.xid, push.scope
         limit most)
    )
    select * from found order by found.xid, found.scope limit most;
end
$$;

-- The pushes of the last `span`, newest first: what was missed by those whom a hub that just started will hear from.
create function pushes_of_last(span interval, most int) returns setof sync_pushes
    language plpgsql stable security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    push public.sync_pushes;
begin
    for push in select * from public.sync_pushes order by xid desc, scope desc limit most loop
        exit when push.newest < clock_timestamp() - span;
        return next push;
    end loop;
end
$$;

-- For the one who publishes what Redis has not heard of: up to where it has. Null where another one is at it, until that
-- one's transaction ends.
create function begin_publishing() returns pg_snapshot
    language plpgsql volatile security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    published pg_snapshot;
begin
    if not pg_try_advisory_xact_lock(7161703) then
        return null;
    end if;
    select seen into strict published from public.sync_published;
    -- A restored database counts its transactions anew.
    if pg_snapshot_xmax(published) > pg_snapshot_xmax(pg_current_snapshot()) then
        return pg_current_snapshot();
    end if;
    return published;
end
$$;

-- `until` is a look of before: another one may have come further meanwhile.
create function end_publishing(until pg_snapshot) returns void
    language sql volatile security definer
    set search_path = pg_catalog, pg_temp
as $$
    update public.sync_published set seen = until
    where (pg_snapshot_xmax(until) >= pg_snapshot_xmax(seen) and pg_snapshot_xmin(until) >= pg_snapshot_xmin(seen))
       or pg_snapshot_xmax(seen) > pg_snapshot_xmax(pg_current_snapshot())
$$;

-- Seconds since the oldest push of which it is not known yet that Redis heard of it; 0 where there is none.
create function oldest_unpublished() returns double precision
    language plpgsql stable security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    published pg_snapshot;
    oldest timestamptz;
begin
    select seen into published from public.sync_published;
    select newest into oldest
    from public.pushes_between(published, pg_current_snapshot(), '0', '', 1);
    return coalesce(greatest(extract(epoch from clock_timestamp() - oldest), 0), 0);
end
$$;

-- Removes pushes that Redis heard of more than an hour ago, oldest first, at most `most`. Gives how many.
create function forget_pushes(most int) returns bigint
    language sql volatile security definer
    set search_path = pg_catalog, pg_temp
as $$
    with oldest as (
        select xid, scope
        from (select * from public.sync_pushes order by xid, scope limit most) as first_ones
        where newest < clock_timestamp() - interval '1 hour'
          and xid < (select pg_snapshot_xmin(seen) from public.sync_published)
        union
        -- Of a database that was restored, and counts its transactions anew.
        select xid, scope from public.sync_pushes where xid >= pg_snapshot_xmax(pg_current_snapshot())
    ), gone as (
        delete from public.sync_pushes as push using oldest
        where push.xid = oldest.xid and push.scope = oldest.scope
        returning 1
    )
    select count(*) from gone
$$;

revoke all on function pushes_between(pg_snapshot, pg_snapshot, xid8, text, int), pushes_of_last(interval, int),
    begin_publishing(), end_publishing(pg_snapshot), oldest_unpublished(), forget_pushes(int) from public;
grant execute on function pushes_between(pg_snapshot, pg_snapshot, xid8, text, int), pushes_of_last(interval, int),
    begin_publishing(), end_publishing(pg_snapshot), oldest_unpublished(), forget_pushes(int) to mana_sync_service;
