-- The log: one row a change that won, in the order of `created_at`. Other tools read it with plain SQL, so the columns
-- up to space_id are the ones they know; a database that the Go server made has them already and keeps its rows.

create table if not exists sync_changes (
    id uuid primary key default gen_random_uuid(),
    app_id text not null,
    table_name text not null,
    record_id text not null,
    user_id text not null,
    op text not null check (op in ('insert', 'update', 'delete')),
    data jsonb,
    field_meta jsonb default '{}',
    client_id text not null,
    created_at timestamptz not null default now(),
    schema_version int not null default 1,
    actor jsonb,
    origin text,
    space_id text
);

alter table sync_changes
    -- The row's home (see current_scopes). Null: written by another program and not yet taken up.
    add column if not exists scope text collate "C",
    -- A field is shown with another time than it claimed, so its own author is sent the row too.
    add column if not exists told boolean not null default false,
    -- What the row weighs in an answer, so that a page can be cut without reading the values.
    add column if not exists bytes int not null default 0;

create index if not exists sync_changes_user_app_created on sync_changes (user_id, app_id, created_at);
create index if not exists sync_changes_record_created on sync_changes (table_name, record_id, created_at);
create index if not exists sync_changes_user_app_table_created
    on sync_changes (user_id, app_id, table_name, created_at);
create index if not exists sync_changes_user_space_app_created
    on sync_changes (user_id, space_id, app_id, created_at) where space_id is not null;

-- A page is one walk along one of these: all tables of a scope, or one.
create index sync_changes_scope on sync_changes (scope, app_id, created_at);
create index sync_changes_scope_table on sync_changes (scope, app_id, table_name, created_at);

alter table sync_changes enable row level security;
alter table sync_changes force row level security;
create policy sync_changes_of_my_scopes on sync_changes for select to mana_sync_service
    using (scope = any ((select current_scopes())::text[]));
create policy sync_changes_by_me on sync_changes for insert to mana_sync_service
    with check (user_id = (select current_setting('app.current_user_id', true))
                and scope = any ((select current_scopes())::text[]));
grant select, insert on sync_changes to mana_sync_service;
