-- The current state of each record, one row each: what new writes are compared with.
-- All that reads or writes a row holds its scope's lock (lock_scopes), so no row is ever locked by itself.

create table sync_records (
    scope text collate "C" not null,
    app_id text collate "C" not null,
    table_name text collate "C" not null,
    record_id text collate "C" not null,
    data jsonb not null,                     -- {field: value}, dotted paths as fields of their own
    meta jsonb not null,                     -- {field: {at, compared, shown, hold, user, client}}, defaults left out
    tombstone timestamptz,                   -- the last hard delete; every write not later loses to it
    marked boolean not null default false,   -- had a tombstone, a reset or a dotted path: no row is left out as own
    deleted boolean not null default false,  -- soft-deleted: every change shown of it carries deletedAt
    primary key (scope, app_id, table_name, record_id)
) with (fillfactor = 85);                    -- room for updates in place; no index covers what they change

alter table sync_records enable row level security;
alter table sync_records force row level security;
create policy sync_records_of_my_scopes on sync_records for all to mana_sync_service
    using (scope = any ((select current_scopes())::text[]))
    with check (scope = any ((select current_scopes())::text[]));
grant select, insert, update on sync_records to mana_sync_service;

-- Writes that lost, kept for LOST_WRITES_DAYS, so that someone can be told what became of them.
create table sync_lost_writes (
    id bigint generated always as identity primary key,
    scope text collate "C" not null,
    app_id text collate "C" not null,
    table_name text not null,
    record_id text not null,
    field text not null,          -- empty: the whole change
    user_id text not null,
    client_id text not null,
    value text not null,          -- JSON text; jsonb could not hold some of what is refused
    claimed_at text,              -- null: untimed
    reason text not null,         -- older, tombstone, or the code of a rejection
    lost_at timestamptz not null default clock_timestamp()
);
create index sync_lost_writes_scope on sync_lost_writes (scope, app_id, lost_at);

alter table sync_lost_writes enable row level security;
alter table sync_lost_writes force row level security;
create policy sync_lost_writes_of_my_scopes on sync_lost_writes for all to mana_sync_service
    using (scope = any ((select current_scopes())::text[]))
    with check (user_id = (select current_setting('app.current_user_id', true))
                and scope = any ((select current_scopes())::text[]));
grant select, insert, delete on sync_lost_writes to mana_sync_service;
