-- The erasure of an account (docs/operations.md, "Erasing an account"): all places that hold a user's name or data, in one
-- transaction. What is the user's alone is deleted. What the user wrote into shared spaces is the spaces': it stays, so
-- that all members go on holding the same, under another name that was made up for it (`known_as`); with the name go the
-- ids of the user's clients and what the changes say of who acted (`actor`).
--
-- For the owner of the tables: the service's role may not call it, and would see too little. Without triggers
-- (session_replication_role) or as one whom the service's policies bind it would leave something behind, so it refuses.

-- Whoever writes one of these scopes waits until the transaction ends: in the order of pushes, so that none adds what was
-- erased a moment ago. More scopes than locks fit into shared memory: then all pushes wait.
create function lock_scopes_to_erase(keys bigint[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    most_locks constant int := 1000;
    key bigint;
begin
    if cardinality(keys) > most_locks then
        lock table public.sync_records in share row exclusive mode;
        return;
    end if;
    for key in select distinct wanted.key from unnest(keys) as wanted(key) order by wanted.key loop
        perform pg_advisory_xact_lock(key);
    end loop;
end
$$;

-- One row a place, in which `how_many` rows were deleted, or renamed. With `erased` unknown, all are 0.
create function erase_user(erased text, known_as text)
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
              select from jsonb_each(meta) as field(name, times) where times ->> 'user' = erased)) as written;
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
                                                   else times end)
                from jsonb_each(meta) as field(name, times))
    from (select app collate "C" as app_id, name collate "C" as scope from unnest(apps, scopes) as written(app, name)
          union
          select app_id collate "C", scope collate "C" from public.sync_changes where user_id = erased) as written
    where record.scope = written.scope and record.app_id = written.app_id
      and written.scope > 's:' and written.scope < 's;' and exists (
              select from jsonb_each(record.meta) as field(name, times) where times ->> 'user' = erased);
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
revoke all on function lock_scopes_to_erase(bigint[]), erase_user(text, text) from public;
