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

-- One scope, which is most of the time all there is, takes no query.
create or replace function lock_scopes(app text, written text[], only_read text[],
                                       out receipt timestamptz, out newest timestamptz)
    language plpgsql volatile
as $$
declare
    wanted record;
    ignored text;
begin
    if cardinality(written) = 1 and cardinality(only_read) = 0 then
        ignored := pg_advisory_xact_lock(public.scope_lock(app, written[1]));
    elsif cardinality(written) = 0 and cardinality(only_read) = 1 then
        ignored := pg_advisory_xact_lock_shared(public.scope_lock(app, only_read[1]));
    else
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
    end if;
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
begin
    newest := (select locks.newest from public.lock_scopes(app, '{}', scopes) as locks);
    if cardinality(scopes) = 1 then
        horizon := (select created_at from public.sync_changes as change
                    where change.scope = scopes[1] and change.app_id = app and created_at <= bound
                    order by created_at desc limit 1);
    else
        horizon := (select max(last_row.created_at)
                    from unnest(scopes) as mine(scope)
                    cross join lateral (
                        select created_at from public.sync_changes as change
                        where change.scope = mine.scope and change.app_id = app and created_at <= bound
                        order by created_at desc limit 1
                    ) as last_row);
    end if;
    spaces := (select changed::text from public.sync_reader_spaces as shown
               where shown.user_id = reader and shown.app_id = app);
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

-- The beginning of a push: lock_scopes for what it writes, and whether its author knows all of the own scope up to
-- here: then, where the author reads no other, there is no page to be read for the answer. In `spaces` as in look_ahead.
create function begin_push(app text, written text[], author text, since timestamptz,
                           out receipt timestamptz, out newest timestamptz, out up_to_date boolean, out spaces text)
    language plpgsql volatile
as $$
begin
    select locks.receipt, locks.newest into begin_push.receipt, begin_push.newest
    from public.lock_scopes(app, written, '{}') as locks;
    up_to_date := not exists (
        select from public.sync_changes as change
        where change.scope = 'u:' || author and change.app_id = app and created_at > since);
    spaces := (select changed::text from public.sync_reader_spaces as shown
               where shown.user_id = author and shown.app_id = app);
end
$$;

-- ---- Records that a page must look at ----

-- The few whose rows are shown otherwise than they were written: of a marked record also to their author, of a deleted
-- one with its deletedAt. A page asks this small index, and not the state of each record.
create index sync_records_shown_otherwise on sync_records (scope, app_id, table_name, record_id) where marked or deleted;
