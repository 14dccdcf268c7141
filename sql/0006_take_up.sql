-- Rows of other programs (docs/architecture.md). Whoever inserts into sync_changes with plain SQL names the columns
-- that tools know, so `scope` stays null and no reader sees the row: it waits. It is taken up by the rules of a push
-- (shared/store/take_up.cpp), under its scope's lock, and gets its position there.
--
-- No trigger does it: one that locks in the order of rows deadlocks with pushes, and the rules would be written twice.

alter table sync_changes
    -- Why a row without a scope waits no longer: it can't be used, or nothing of it won.
    add column set_aside text,
    -- Written before this migration, by the Go server: clients' cursors lie beyond it, so it is not shown anew.
    add column keeps_position boolean not null default true;
alter table sync_changes alter column keeps_position set default false;

-- Those that keep their positions go first: a position that is taken anew lies beyond all of them. Rows of one moment
-- come as they lie in the table: in the order in which a transaction inserted them.
create index sync_changes_waiting on sync_changes (user_id, app_id, keeps_position desc, created_at)
    where scope is null and set_aside is null;

-- The clock passes all that is there: a cursor from the Go server is not ahead of it, and kept positions lie behind it.
do $$
begin
    perform take_positions(1);
end
$$;

-- The service sees the rows without a scope of the user it acts for, and changes those that wait: once, into rows of
-- that user's scopes or into rows that are set aside. (No user, no rows, not even those of a user without a name.)
create policy sync_changes_not_shown on sync_changes for select to mana_sync_service
    using (scope is null and user_id = (select nullif(current_setting('app.current_user_id', true), '')));
-- Written so that no index but that of `id` serves the condition: else PostgreSQL, led by it, would walk all that waits
-- for each row that it should look up.
create policy sync_changes_taken_up on sync_changes for update to mana_sync_service
    using (coalesce(scope, set_aside) is null
           and user_id || '' = (select nullif(current_setting('app.current_user_id', true), '')))
    with check (user_id = (select nullif(current_setting('app.current_user_id', true), ''))
                and case when scope is null then set_aside is not null
                         else scope = any ((select current_scopes())::text[]) end);
grant update (scope, created_at, op, data, field_meta, space_id, told, bytes, set_aside)
    on sync_changes to mana_sync_service;

-- A tool may share the service's role: as the user it acts for, it leaves rows that wait.
create policy sync_changes_left_waiting on sync_changes for insert to mana_sync_service
    with check (scope is null and set_aside is null and not keeps_position
                and user_id = (select nullif(current_setting('app.current_user_id', true), '')));

-- The Go server's policies, where a database has some, may be for every role, and would add to these. Whatever they
-- allow, the service is held to its scopes.
create policy sync_changes_no_more_read on sync_changes as restrictive for select to mana_sync_service
    using (case when scope is null then user_id = (select nullif(current_setting('app.current_user_id', true), ''))
                else scope = any ((select current_scopes())::text[]) end);
create policy sync_changes_no_more_inserted on sync_changes as restrictive for insert to mana_sync_service
    with check (user_id = (select nullif(current_setting('app.current_user_id', true), ''))
                and case when scope is null then set_aside is null and not keeps_position
                         else scope = any ((select current_scopes())::text[]) end);
create policy sync_changes_no_more_updated on sync_changes as restrictive for update to mana_sync_service
    using (coalesce(scope, set_aside) is null)
    with check (case when scope is null then set_aside is not null
                     else scope = any ((select current_scopes())::text[]) end);

-- Other programs also write and erase as the owner, whom forced row-level security would show nothing; and the
-- functions below run as the owner.
create policy sync_changes_of_owner on sync_changes to current_user using (true) with check (true);
create policy sync_records_of_owner on sync_records to current_user using (true) with check (true);
create policy sync_lost_writes_of_owner on sync_lost_writes to current_user using (true) with check (true);

-- Of whom rows from before this migration wait. A push looks here, where nothing is left once all are taken up.
create table sync_old_rows (
    user_id text collate "C" not null,
    app_id text collate "C" not null,
    primary key (user_id, app_id)
);
alter table sync_old_rows enable row level security;
alter table sync_old_rows force row level security;
create policy sync_old_rows_of_me on sync_old_rows to mana_sync_service
    using (user_id = (select current_setting('app.current_user_id', true)))
    with check (false);
create policy sync_old_rows_of_owner on sync_old_rows to current_user using (true) with check (true);
grant select, delete on sync_old_rows to mana_sync_service;
insert into sync_old_rows (user_id, app_id)
select distinct user_id, app_id from sync_changes where scope is null and user_id <> '';

-- Users and apps with rows that wait, at most `most`, after this user and app; no more than their names. One step along
-- the index for each, however many of its rows wait.
create function waiting_rows(after_user text, after_app text, most int)
    returns table (waiting_user text, waiting_app text)
    language plpgsql stable security definer
    set search_path = pg_catalog, pg_temp
    set enable_seqscan = off
    set enable_bitmapscan = off
    set enable_sort = off
as $$
begin
    for i in 1..most loop
        select user_id, app_id into waiting_user, waiting_app
        from public.sync_changes
        where scope is null and set_aside is null and (user_id, app_id) > (after_user, after_app)
        order by user_id, app_id limit 1;
        exit when not found;
        return next;
        after_user := waiting_user;
        after_app := waiting_app;
    end loop;
end
$$;

-- No one can act for a user without a name.
create function set_aside_nobodys_rows() returns bigint
    language plpgsql volatile security definer
    set search_path = pg_catalog, pg_temp
    set enable_seqscan = off
as $$
declare
    found_rows bigint;
begin
    update public.sync_changes set set_aside = 'no_user'
    where scope is null and set_aside is null and user_id = '';
    get diagnostics found_rows = row_count;
    return found_rows;
end
$$;

revoke all on function waiting_rows(text, text, int), set_aside_nobodys_rows() from public;
grant execute on function waiting_rows(text, text, int), set_aside_nobodys_rows() to mana_sync_service;

-- Who deletes rows of the log (an account is erased, or old rows are pruned) deletes with them the states of records of
-- which no row is left, and the lost writes of a user of whom none is left in the app, or in any.
--
-- The scopes are locked first, in the order of pushes, so that no push adds a row to a record whose state is going.
-- More scopes than locks fit into shared memory: then all pushes wait.
create function erase_with_rows() returns trigger
    language plpgsql volatile security definer
    set search_path = pg_catalog, pg_temp
    set enable_seqscan = off
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

    delete from public.sync_records as record
    using (select distinct scope, app_id, table_name, record_id from gone where scope is not null) as touched
    where record.scope = touched.scope and record.app_id = touched.app_id
      and record.table_name = touched.table_name and record.record_id = touched.record_id
      and not exists (
          select from public.sync_changes as change
          where change.scope = touched.scope and change.app_id = touched.app_id
            and change.table_name = touched.table_name and change.record_id = touched.record_id);

    delete from public.sync_lost_writes as lost
    using (select user_id, app_id, scope from gone where scope is not null
           union select user_id, app_id, ('u:' || user_id) collate "C" from gone) as erased
    where lost.scope = erased.scope and lost.app_id = erased.app_id and lost.user_id = erased.user_id
      and not exists (
          select from public.sync_changes as change
          where change.user_id = erased.user_id and change.app_id = erased.app_id);

    delete from public.sync_lost_writes as lost
    using (select distinct user_id from gone) as erased
    where lost.scope = ('u:' || erased.user_id) collate "C"
      and not exists (select from public.sync_changes as change where change.user_id = erased.user_id);

    delete from public.sync_old_rows as waiting
    using (select distinct user_id from gone) as erased
    where waiting.user_id = erased.user_id
      and not exists (select from public.sync_changes as change where change.user_id = erased.user_id);
    return null;
end
$$;
revoke all on function erase_with_rows() from public;

create trigger erase_with_rows after delete on sync_changes
    referencing old table as gone
    for each statement execute function erase_with_rows();
