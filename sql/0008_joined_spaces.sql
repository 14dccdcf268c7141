-- Who joins a space is behind it: the cursors of their devices may lie beyond its records. So its records are copied
-- for them, under positions of now, into a scope that they alone read and only while they are a member
-- (shared/store/joined_spaces.cpp): "m:<user>\x1f<space>".

create or replace function current_scopes() returns text[]
    language plpgsql stable parallel safe
    set search_path = pg_catalog, pg_temp
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

-- Written so that no index serves the condition: with it as one of its keys, each look-up of a record would walk the list
-- of scopes, which is twice as long now. Statements that name a scope find it by the index all the same.
alter policy sync_records_of_my_scopes on sync_records
    using (scope || '' = any ((select current_scopes())::text[]));

-- What a user's pages in an app show of spaces. `spaces` and `copied` change under the user's own scope, locked against
-- everyone, so that a page, which locks it too, knows which ones its cursor speaks of.
create table sync_reader_spaces (
    user_id text collate "C" not null,
    app_id text collate "C" not null,
    spaces text[] not null default '{}',                 -- read: all of their records have been copied
    copied text[] not null default '{}',                 -- of which there are copies to read, the one under way included
    changed xid8 not null default pg_current_xact_id(),  -- who changed one of both last
    -- The space that is being copied, table by table and record by record, and how far. What was written there up to
    -- `covered` is in the copies of the records that were reached.
    joining text,
    after_table text,                                    -- null: all were reached; what lies beyond `covered` is left
    after_record text,
    covered timestamptz,
    primary key (user_id, app_id)
);

alter table sync_reader_spaces enable row level security;
alter table sync_reader_spaces force row level security;
create policy sync_reader_spaces_myself on sync_reader_spaces to mana_sync_service
    using (user_id = (select current_setting('app.current_user_id', true)))
    with check (user_id = (select current_setting('app.current_user_id', true)));
create policy sync_reader_spaces_of_owner on sync_reader_spaces to current_user using (true) with check (true);
grant select, insert, update on sync_reader_spaces to mana_sync_service;

-- Of a user of whom no row is left in the app, there is nothing left to know.
create function forget_reader_spaces() returns trigger
    language plpgsql volatile security definer
    set search_path = pg_catalog, pg_temp
    set enable_seqscan = off
    set jit = off
as $$
begin
    delete from public.sync_reader_spaces as reads
    using (select distinct user_id, app_id from gone) as erased
    where reads.user_id = erased.user_id and reads.app_id = erased.app_id
      and not exists (
          select from public.sync_changes as change
          where change.user_id = erased.user_id and change.app_id = erased.app_id);
    return null;
end
$$;
revoke all on function forget_reader_spaces() from public;

create trigger forget_reader_spaces after delete on sync_changes
    referencing old table as gone
    for each statement execute function forget_reader_spaces();
