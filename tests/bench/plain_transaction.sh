# shellcheck shell=bash
# U, the plain transaction that all else is measured beside: one row with the log's public columns (SPEC §5), its primary
# key and four indexes, under forced row-level security. Part of tests/bench/run.

make_plain_table() {
    psql -X -q -v ON_ERROR_STOP=1 -d "$MANA_TEST_OWNER_URL" <<'END'
create table bench_plain (
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
create index on bench_plain (user_id, app_id, created_at);
create index on bench_plain (table_name, record_id, created_at);
create index on bench_plain (user_id, app_id, table_name, created_at);
create index on bench_plain (user_id, space_id, app_id, created_at) where space_id is not null;
alter table bench_plain enable row level security;
alter table bench_plain force row level security;
create policy bench_plain_mine on bench_plain to mana_sync_service
    using (user_id = (select current_setting('app.current_user_id', true)))
    with check (user_id = (select current_setting('app.current_user_id', true)));
grant select, insert on bench_plain to mana_sync_service;
END
    cat >"$work/plain.sql" <<'END'
begin;
select set_config('app.current_user_id', 'user-' || (:client_id)::text, true);
insert into bench_plain (app_id, table_name, record_id, user_id, op, data, field_meta, client_id)
values ('bench', 'notes', gen_random_uuid()::text, 'user-' || (:client_id)::text, 'insert', :data, :field_meta, 'plain');
commit;
END
}

measure_plain() { # transactions/s
    run_pgbench plain "data=$("$build/tests/bench/statements" value data)" \
        "field_meta=$("$build/tests/bench/statements" value field_meta)"
}
