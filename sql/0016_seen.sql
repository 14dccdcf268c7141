-- What a user sees of ordinary editing (docs/architecture.md, "What a client is shown").

-- The clients that inserted what a row of the log replaced: [{"client", "likely", "replaced", "until", "user"}]. To each of
-- them, and to nobody else, the row is shown with a later time, since it may hold one that nobody knows. Null for nearly
-- all rows.
alter table sync_changes add column held jsonb;
grant update (held) on sync_changes to mana_sync_service;
-- For the erasure of an account.
create index sync_changes_held on sync_changes (scope, app_id) where held is not null;

-- A record is marked when it ever had a tombstone, a reset or a dotted path. `dropped`: it had something else than the
-- last, so that a client may have been made to drop what its user wrote there and did not push yet. Null where a version
-- before marked it: it may be so.
alter table sync_records add column dropped boolean;

-- A record that was written for a space which its author was no member of, and is kept for the author alone: it gives way
-- to the space's as soon as the author is a member.
alter table sync_records add column refused boolean not null default false;

-- As in sql/0013, but for the names in holds: whoever is erased holds nothing any more.
create function without_holds_of(held jsonb, erased text) returns jsonb
    language sql immutable
    set search_path = pg_catalog, pg_temp
as $$
    select jsonb_agg(hold) from jsonb_array_elements(held) as hold where hold ->> 'user' <> erased
$$;
revoke all on function without_holds_of(jsonb, text) from public;

-- One row a place, in which `how_many` rows were deleted, or renamed. With `erased` unknown, all are 0.
create or replace function erase_user(erased text, known_as text)
    returns table (place text, done text, how_many bigint)
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
    set enable_hashjoin = off
    set enable_mergejoin = off
    set jit = off
as $$
declare
    apps text[];
    scopes text[];
    own constant text := 'u:' || erased;
    copies constant text := 'm:' || erased || E'\x1f';
    after_copies constant text := 'm:' || erased || E'\x20';
    held_by constant jsonb := jsonb_build_array(jsonb_build_object('user', erased));
begin
    if coalesce(erased, '') = '' or coalesce(known_as, '') = '' or erased = known_as then
        raise exception 'a user has a name, and another one to be known as';
    end if;
    if current_setting('session_replication_role') = 'replica' then
        raise exception 'session_replication_role is replica, so triggers do not run';
    end if;
    if row_security_active('public.sync_changes') and pg_has_role(current_user, 'mana_sync_service', 'usage') then
        raise exception 'role % is a member of mana_sync_service, and would not see all rows', current_user;
    end if;

    -- The records of all spaces are looked at before anything is locked.
    select array_agg(app_id), array_agg(coalesce(scope, own)) into apps, scopes
    from (select distinct app_id, scope from public.sync_changes where user_id = erased
          union
          select distinct app_id, scope from public.sync_records
          where scope = own or scope > 's:' and scope < 's;' and exists (
              select from jsonb_each(meta) as field(name, times)
              where times ->> 'user' = erased or times -> 'holds' @> held_by)) as written;
    perform public.lock_scopes_to_erase(array(
        select public.scope_lock(app, scope) from unnest(apps, scopes) as written(app, scope)));

    -- The log deletes some of the others with it (erase_with_rows): it is the last of them, so that all are counted.
    delete from public.sync_lost_writes where user_id = erased or scope = own;
    get diagnostics how_many = row_count;
    place := 'sync_lost_writes'; done := 'deleted';
    return next;

    delete from public.sync_records where scope = own;
    get diagnostics how_many = row_count;
    place := 'sync_records';
    return next;

    update public.sync_records as record
    set meta = (select jsonb_object_agg(name, case when times ->> 'user' = erased
                                                   then times - 'client' || jsonb_build_object('user', known_as)
                                                   else times end
                                              - 'holds' || jsonb_strip_nulls(jsonb_build_object(
                                                  'holds', public.without_holds_of(times -> 'holds', erased))))
                from jsonb_each(meta) as field(name, times))
    from (select app collate "C" as app_id, name collate "C" as scope from unnest(apps, scopes) as written(app, name)
          union
          select app_id collate "C", scope collate "C" from public.sync_changes where user_id = erased) as written
    where record.scope = written.scope and record.app_id = written.app_id
      and written.scope > 's:' and written.scope < 's;' and exists (
              select from jsonb_each(record.meta) as field(name, times)
              where times ->> 'user' = erased or times -> 'holds' @> held_by);
    get diagnostics how_many = row_count;
    done := 'renamed';
    return next;

    delete from public.sync_reader_spaces where user_id = erased;
    get diagnostics how_many = row_count;
    place := 'sync_reader_spaces'; done := 'deleted';
    return next;

    delete from public.sync_old_rows where user_id = erased;
    get diagnostics how_many = row_count;
    place := 'sync_old_rows';
    return next;

    delete from public.sync_users where user_id = erased;
    get diagnostics how_many = row_count;
    place := 'sync_users';
    return next;

    delete from public.sync_pushes
    where scope = own or scope > copies and scope < after_copies;
    get diagnostics how_many = row_count;
    place := 'sync_pushes';
    return next;

    update public.sync_pushes set user_id = known_as, client_id = '' where user_id = erased;
    get diagnostics how_many = row_count;
    done := 'renamed';
    return next;

    update public.sync_changes as change set held = public.without_holds_of(held, erased)
    from unnest(apps, scopes) as written(app, name)
    where change.scope = written.name collate "C" and change.app_id = written.app collate "C"
      and change.held @> held_by;

    update public.sync_changes set user_id = known_as, client_id = '', actor = null
    where user_id = erased and scope > 's:' and scope < 's;';
    get diagnostics how_many = row_count;
    place := 'sync_changes';
    return next;

    delete from public.sync_changes
    where user_id = erased or scope = own
       or scope > copies and scope < after_copies;
    get diagnostics how_many = row_count;
    done := 'deleted';
    return next;
end
$$;
