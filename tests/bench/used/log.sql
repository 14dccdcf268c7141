-- A part of the log, number :part of :parts, of all sources in the order of their positions: a user's rows lie apart
-- from each other, as they do where thousands of users write at the same time.
set work_mem = '1GB';
set synchronous_commit = off;
set jit = off;

with event as (
    select source, source.name, n, bench.position_of(source, n) as position, bench.record_of(source, n) as record,
           n < records as inserts, n >= records and name in ('plain', 'million') as of_three
    from bench.source, generate_series(:part * total / :parts, (:part + 1) * total / :parts - 1) as n
), named as (
    select n, position, inserts, of_three, bench.id_of(name, record) as record_id,
           bench.user_of(source, record) as user_id, bench.space_of(name, record) as space_id,
           bench.text_of(position) as at, md5(position::text) as random
    from event
    order by position
), written as (
    select named.*,
           case when of_three then '{' || bench.three_values(n) || '}'
                when inserts then '{"id": "' || record_id || '", ' || bench.all_values(n, at) || '}'
                else '{' || bench.all_values(n, at) || '}' end as data,
           case when of_three then '{' || bench.meta_of_three('"' || at || '"') || '}'
                else '{' || bench.meta_of_all('"' || at || '"') || '}' end as field_meta
    from named
)
insert into sync_changes (id, app_id, table_name, record_id, user_id, op, data, field_meta, client_id, created_at,
                          space_id, scope, bytes)
select (lpad(to_hex(position / 1000), 12, '0') || '7' || substr(random, 1, 3) || '8' || substr(random, 4, 15))::uuid,
       'bench', 'notes', record_id, user_id, case when inserts then 'insert' else 'update' end, data::jsonb,
       field_meta::jsonb, case when inserts then 'phone' else 'laptop' end,
       timestamptz 'epoch' + position * interval '1 microsecond', space_id,
       coalesce('s:' || space_id, 'u:' || user_id), octet_length(data) + octet_length(field_meta) + 15
from written;
