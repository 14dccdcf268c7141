-- What each request pays, whoever else is there: policies that cost a comparison, locks and positions without a
-- subtransaction, and one look that says whether there is anything to read.
--
-- Functions of the invoker set no search_path here: setting one costs more than the rest of such a function. They name
-- the schema of all that is ours, and PostgreSQL searches pg_catalog first.

-- ---- Who sees what ----

create or replace function current_scopes() returns text[]
    language plpgsql stable parallel safe
as $$
declare
    user_id constant text := coalesce(current_setting('app.current_user_id', true), '');
    spaces constant text := coalesce(current_setting('app.current_user_space_ids', true), '');
begin
    if user_id = '' then
        return '{}';
    end if;
    if spaces in ('', '{}') then
        return array['u:' || user_id];
    end if;
    return array['u:' || user_id]
        || array(select 's:' || space from unnest(spaces::text[]) as space)
        || array(select 'm:' || user_id || E'\x1f' || space from unnest(spaces::text[]) as space);
end
$$;

-- In plpgsql, whose plans stay with the session: a function in SQL that is not inlined is parsed and planned at each call.
create or replace function visible_scopes() returns jsonb
    language plpgsql stable parallel safe
as $$
begin
    return (select coalesce(jsonb_object_agg(scope, true), '{}') from unnest(public.current_scopes()) as scope);
end
$$;

-- Most rows are of the reader's own scope: that is one comparison, and only others are looked up among the scopes that
-- are visible. A case serves no index, as decided in sql/0008 and sql/0010: each look-up goes by its own condition.
--
-- On sync_changes the restrictive policies decide alone, so that nothing is asked twice; the permissive ones let through
-- what these leave. (A database that the Go server made has permissive ones besides, which may be for every role.)
drop policy sync_changes_not_shown on sync_changes;
drop policy sync_changes_left_waiting on sync_changes;
alter policy sync_changes_of_my_scopes on sync_changes using (true);
alter policy sync_changes_by_me on sync_changes with check (true);
alter policy sync_changes_taken_up on sync_changes using (true) with check (true);
alter policy sync_changes_no_more_read on sync_changes
    using (case when scope is null then user_id = (select nullif(current_setting('app.current_user_id', true), ''))
                when scope = (select 'u:' || nullif(current_setting('app.current_user_id', true), '')) then true
                else (select visible_scopes()) ? scope end);
alter policy sync_changes_no_more_inserted on sync_changes
    with check (user_id = (select nullif(current_setting('app.current_user_id', true), ''))
                and case when scope is null then set_aside is null and not keeps_position
                         when scope = 'u:' || user_id then true
                         else (select visible_scopes()) ? scope end);
alter policy sync_changes_no_more_updated on sync_changes
    using (coalesce(scope, set_aside) is null
           and user_id || '' = (select nullif(current_setting('app.current_user_id', true), '')))
    with check (user_id = (select nullif(current_setting('app.current_user_id', true), ''))
                and case when scope is null then set_aside is not null
                         when scope = 'u:' || user_id then true
                         else (select visible_scopes()) ? scope end);

alter policy sync_records_of_my_scopes on sync_records
    using (case when scope = (select 'u:' || nullif(current_setting('app.current_user_id', true), '')) then true
                else (select visible_scopes()) ? scope end)
    with check (case when scope = (select 'u:' || nullif(current_setting('app.current_user_id', true), '')) then true
                     else (select visible_scopes()) ? scope end);
alter policy sync_lost_writes_of_my_scopes on sync_lost_writes
    using (case when scope = (select 'u:' || nullif(current_setting('app.current_user_id', true), '')) then true
                else (select visible_scopes()) ? scope end)
    with check (user_id = (select nullif(current_setting('app.current_user_id', true), ''))
                and case when scope = 'u:' || user_id then true else (select visible_scopes()) ? scope end);
alter policy sync_pushes_by_me on sync_pushes
    with check (user_id = (select nullif(current_setting('app.current_user_id', true), ''))
                and case when scope = 'u:' || user_id then true else (select visible_scopes()) ? scope end);

-- ---- Positions ----

-- Stable, as adding to a timestamptz is: PostgreSQL puts no body in place of a call that promises more than the body keeps.
create or replace function position_at(micros bigint) returns timestamptz
    language sql stable parallel safe
as $$
    select timestamptz 'epoch' + micros * interval '1 microsecond'
$$;

-- As in sql/0004, but for how the lock is freed: it is a lock of the session, taken and given back within this function,
-- and held for two function calls. The handler gives it back where a time-out or a cancel strikes between; it runs in
-- no other case, so that no transaction pays for an exception.
create or replace function take_positions(how_many int) returns timestamptz
    language plpgsql volatile security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    clock constant bigint := 7161701;
    clock_is_mine boolean := false;
    first_one bigint;
    ignored text;
begin
    begin
        ignored := pg_advisory_lock(clock);
        clock_is_mine := true;
        first_one := greatest(public.wall_clock(), coalesce(pg_sequence_last_value('public.sync_positions'), 0) + 1);
        ignored := setval('public.sync_positions', first_one + how_many - 1);
        ignored := pg_advisory_unlock(clock);
        clock_is_mine := false;
    exception when query_canceled or others then
        if clock_is_mine then
            perform pg_advisory_unlock(clock);
        end if;
        raise;
    end;
    return public.position_at(first_one);
end
$$;

-- ---- Locks, and what there is to read ----

-- As in sql/0004, without a search_path of its own.
create or replace function lock_scopes(app text, written text[], only_read text[],
                                       out receipt timestamptz, out newest timestamptz)
    language plpgsql volatile
as $$
declare
    wanted record;
    ignored text;
begin
    for wanted in
        select public.scope_lock(app, scope) as key, bool_or(is_written) as is_written
        from (select unnest(written) as scope, true as is_written
              union all select unnest(only_read), false) as scopes
        group by key order by key
    loop
        if wanted.is_written then
            ignored := pg_advisory_xact_lock(wanted.key);
        else
            ignored := pg_advisory_xact_lock_shared(wanted.key);
        end if;
    end loop;
    receipt := clock_timestamp();
    newest := public.position_at(pg_sequence_last_value('public.sync_positions'));
end
$$;

-- What a page needs to know before it is read, and often instead. Locks the scopes against writers until the transaction
-- ends, which the caller does at once; then
--   horizon    the highest position in these scopes up to `bound`: every row up to it is there to be read, and whatever
--              is written later lies beyond it
--   newest     the newest position of all
--   spaces     the version of what the reader is shown of spaces: whoever changes it holds the reader's own scope, and
--              takes positions after that
--   anything   whether a row of one of `tables` (null: of any) lies beyond `since`, up to the horizon
create function look_ahead(app text, scopes text[], tables text[], since timestamptz, bound timestamptz, reader text,
                           out horizon timestamptz, out newest timestamptz, out spaces text, out anything boolean)
    language plpgsql volatile
as $$
declare
    ignored text;
begin
    if cardinality(scopes) = 1 then
        ignored := pg_advisory_xact_lock_shared(public.scope_lock(app, scopes[1]));
        select (select created_at from public.sync_changes as change
                where change.scope = scopes[1] and change.app_id = app and created_at <= bound
                order by created_at desc limit 1),
               (select changed::text from public.sync_reader_spaces as shown
                where shown.user_id = reader and shown.app_id = app)
        into horizon, spaces;
    else
        perform public.lock_scopes(app, '{}', scopes);
        select (select max(last_row.created_at)
                from unnest(scopes) as mine(scope)
                cross join lateral (
                    select created_at from public.sync_changes as change
                    where change.scope = mine.scope and change.app_id = app and created_at <= bound
                    order by created_at desc limit 1
                ) as last_row),
               (select changed::text from public.sync_reader_spaces as shown
                where shown.user_id = reader and shown.app_id = app)
        into horizon, spaces;
    end if;
    newest := public.position_at(pg_sequence_last_value('public.sync_positions'));
    anything := coalesce(horizon > since, false);
    if anything and tables is not null then
        anything := exists (
            select from unnest(scopes) as mine(scope)
            cross join unnest(tables) as wanted(name)
            cross join lateral (
                select from public.sync_changes as change
                where change.scope = mine.scope and change.app_id = app and change.table_name = wanted.name
                  and created_at > since and created_at <= horizon
                limit 1
            ) as any_row);
    end if;
end
$$;
-- read_horizon (sql/0004) stays for workers of the version before, which serve until they are restarted.

-- The beginning of a push: the locks of what it writes (as lock_scopes), and whether its author knows all of the own scope
-- up to here: then, where the author reads no other, there is no page to be read for the answer. In `spaces` as in
-- look_ahead. What is asked under the locks is one statement, whose snapshot comes after them.
create function begin_push(app text, written text[], author text, since timestamptz,
                           out receipt timestamptz, out newest timestamptz, out up_to_date boolean, out spaces text)
    language plpgsql volatile
as $$
declare
    ignored text;
begin
    if cardinality(written) = 1 then
        ignored := pg_advisory_xact_lock(public.scope_lock(app, written[1]));
    else
        perform public.lock_scopes(app, written, '{}');
    end if;
    select not exists (select from public.sync_changes as change
                       where change.scope = 'u:' || author and change.app_id = app and created_at > since),
           (select changed::text from public.sync_reader_spaces as shown
            where shown.user_id = author and shown.app_id = app)
    into up_to_date, spaces;
    receipt := clock_timestamp();
    newest := public.position_at(pg_sequence_last_value('public.sync_positions'));
end
$$;

-- ---- Records that a page must look at ----

-- The few whose rows are shown otherwise than they were written: of a marked record also to their author, of a deleted
-- one with its deletedAt. A page asks this small index, and not the state of each record.
create index sync_records_shown_otherwise on sync_records (scope, app_id, table_name, record_id) where marked or deleted;

-- ---- Pushes, for those who tell of them ----

-- As in sql/0005, but that each walk along the key begins where it must: with two lower bounds PostgreSQL takes the one
-- for both columns, and would begin at the first push of the hour.
create or replace function pushes_between(seen pg_snapshot, until pg_snapshot, after_xid xid8, after_scope text, most int)
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
        where pg_visible_in_snapshot(push.xid, until)
          and (push.xid > after_xid or push.xid = after_xid and push.scope > after_scope)
        union all
        -- Began later.
        (select push.*
         from public.sync_pushes as push
         where push.xid >= greatest(pg_snapshot_xmax(seen), after_xid) and push.xid < pg_snapshot_xmax(until)
           and (push.xid > after_xid or push.scope > after_scope)
           and pg_visible_in_snapshot(push.xid, until)
         order by push.xid, push.scope
         limit most)
    )
    select * from found order by found.xid, found.scope limit most;
end
$$;

-- As in sql/0005, but that the walk ends at the first push that is too young: most of the time that is the first one.
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
        where xid < (select pg_snapshot_xmin(seen) from public.sync_published)
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

-- As in sql/0009, along the key: no more is looked at than is counted.
create or replace function pushes_within(span interval, out users bigint, out pushes bigint)
    language sql stable security definer
    set search_path = pg_catalog, pg_temp
as $$
    select count(distinct user_id), count(distinct xid) from public.pushes_of_last(span, 1000000)
$$;

-- ---- Rows that other programs delete ----

-- As in sql/0006, but for how it is found of which records no row is left. Most ids are of one record: then the rows of
-- that id say it, of which at most 100 are looked at. An id that many users have ("settings") stays open by that; of those
-- the rows of the scope's table are walked, once for all of them.
create or replace function erase_with_rows() returns trigger
    language plpgsql volatile security definer
    set search_path = pg_catalog, pg_temp
    set enable_seqscan = off
    set enable_bitmapscan = off
    set enable_hashjoin = off
    set enable_mergejoin = off
    set jit = off
as $$
declare
    most_locks constant int := 1000;
    keys bigint[];
    key bigint;
begin
    select array_agg(wanted.key order by wanted.key) into keys
    from (select distinct public.scope_lock(app_id, coalesce(scope, 'u:' || user_id)) as key from gone) as wanted;
    if keys is null then
        return null;
    end if;
    if cardinality(keys) > most_locks then
        lock table public.sync_records in share row exclusive mode;
    else
        foreach key in array keys loop
            perform pg_advisory_xact_lock(key);
        end loop;
    end if;

    with touched as materialized (
        select touched.*, of_id.is_left, of_id.seen
        from (select distinct scope, app_id, table_name, record_id from gone where scope is not null) as touched
        cross join lateral (
            select bool_or(change.scope = touched.scope and change.app_id = touched.app_id) as is_left, count(*) as seen
            from (select scope, app_id from public.sync_changes
                  where table_name = touched.table_name and record_id = touched.record_id
                  order by created_at limit 100) as change
        ) as of_id
    ), common as materialized (
        select scope, app_id, table_name, record_id from touched where is_left is not true and seen = 100
    ), without_rows as materialized (
        select scope, app_id, table_name, record_id from touched where is_left is not true and seen < 100
        union all
        (select * from common
         except
         select place.scope, place.app_id, place.table_name, change.record_id
         from (select distinct scope, app_id, table_name from common) as place
         cross join lateral (
             select record_id from public.sync_changes
             where scope = place.scope and app_id = place.app_id and table_name = place.table_name
             offset 0
         ) as change)
    )
    delete from public.sync_records as record using without_rows
    where record.scope = without_rows.scope and record.app_id = without_rows.app_id
      and record.table_name = without_rows.table_name and record.record_id = without_rows.record_id;

    -- Whose rows are all gone, in an app or in all, is found before the lost writes are: once a user.
    with erased as materialized (
        select touched.user_id, touched.app_id
        from (select distinct user_id, app_id from gone) as touched
        where not exists (
            select from public.sync_changes as change
            where change.user_id = touched.user_id and change.app_id = touched.app_id)
    ), places as materialized (
        select distinct gone.user_id, gone.app_id, gone.scope from gone
        where gone.scope is not null and (gone.user_id, gone.app_id) in (select user_id, app_id from erased)
        union
        select user_id, app_id, ('u:' || user_id) collate "C" from erased
    )
    delete from public.sync_lost_writes as lost using places
    where lost.scope = places.scope and lost.app_id = places.app_id and lost.user_id = places.user_id;

    with erased as materialized (
        select touched.user_id
        from (select distinct user_id from gone) as touched
        where not exists (select from public.sync_changes as change where change.user_id = touched.user_id)
    ), old_rows as (
        delete from public.sync_old_rows as waiting using erased where waiting.user_id = erased.user_id
    )
    delete from public.sync_lost_writes as lost using erased
    where lost.scope = ('u:' || erased.user_id) collate "C";
    return null;
end
$$;
