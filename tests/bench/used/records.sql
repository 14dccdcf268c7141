-- The state of each record after the last of its changes, and what is known of the users and their spaces.
set synchronous_commit = off;
set jit = off;

with named as (
    select source.name, n + records * (changes - 1) as last_n, n as first_n,
           bench.record_of(source, n) as record, source, name in ('plain', 'million') as keeps_some,
           bench.position_of(source, n) as inserted,
           bench.position_of(source, n + records * (changes - 1)) as changed
    from bench.source, generate_series(0, records - 1) as n
), said as (
    select named.*, bench.text_of(inserted) as first_at, bench.text_of(changed) as last_at,
           '{"at": "' || bench.text_of(inserted) || '", "hold": "' || bench.text_of(inserted + 60000000)
           || '", "client": "phone"}' as first_said,
           '{"at": "' || bench.text_of(changed) || '", "client": "laptop"}' as last_said
    from named
)
insert into sync_records (scope, app_id, table_name, record_id, data, meta)
select coalesce('s:' || bench.space_of(name, record), 'u:' || bench.user_of(source, record)), 'bench', 'notes',
       bench.id_of(name, record),
       case when keeps_some then ('{' || bench.all_values(first_n, first_at) || '}')::jsonb
                                 || ('{' || bench.three_values(last_n) || '}')::jsonb
            else ('{' || bench.all_values(last_n, last_at) || '}')::jsonb end,
       case when keeps_some then ('{' || bench.meta_of_all(first_said) || '}')::jsonb
                                 || ('{' || bench.meta_of_three(last_said) || '}')::jsonb
            else ('{' || bench.meta_of_all(last_said) || '}')::jsonb end
from said;

-- Memberships as the identity service is told them by tests/bench/run.
insert into sync_users (user_id, sync_active, sync_active_at, spaces, spaces_at)
select user_id, true, :'now'::timestamptz, '{}', :'now'::timestamptz
from (select distinct bench.user_of(source, record) as user_id
      from bench.source, generate_series(0, records - 1) as record) as writers;
with spaces as (
    select array_agg(bench.space_of('spaces', record) order by record) as names
    from generate_series(0, 199) as record
), known as (
    insert into sync_users (user_id, sync_active, sync_active_at, spaces, spaces_at)
    select 'member', true, :'now'::timestamptz, names, :'now'::timestamptz from spaces
)
insert into sync_reader_spaces (user_id, app_id, spaces) select 'member', 'bench', names from spaces;

-- The next position comes after all of these.
select setval('sync_positions', (select max(bench.position_of(source, total - 1)) from bench.source)) \g /dev/null
