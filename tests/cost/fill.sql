-- A database as others use it: `others` records and as many changes of other users, a `whale` per cent of them by one
-- user, and the same few users of our own in each database, a set for each run of the test (`runs`). Loaded by a
-- superuser. What is not analysed stays so: autovacuum keeps away from the tables. A database can be filled twice: plans
-- from between the two stay as they are.
\set ON_ERROR_STOP on
\set QUIET on
set client_min_messages = warning;
set synchronous_commit = off;
set work_mem = '256MB';
select setseed(0.5) \g /dev/null

select format('alter table %s set (autovacuum_enabled = off)', oid::regclass)
from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace and relname like 'sync\_%'
  and not coalesce(reloptions, '{}') @> '{autovacuum_enabled=off}' \gexec

-- All rows of records, before they are anywhere: whose, where, which. A user of ours has as many rows in each database.
create unlogged table planned (
    owner text, scope text, app text, space text, record int, records int, client text
);

-- About a hundred rows a user; a fifth of the rows lies in spaces, a tenth are copies for those who joined one.
insert into planned
select owner, case kind when 's' then 's:' || space when 'm' then 'm:' || owner || E'\x1f' || space else 'u:' || owner end,
       case when row % 5 = 0 then 'notes' else 'todo' end, case when kind <> 'u' then space end, row, null, 'phone'
from (
    select row, case when row % 100 < :whale then 'whale' else 'other' || row * 7919::bigint % greatest(200, :others / 100) end
               as owner,
           'crowd' || row * 7919::bigint % greatest(40, :others / 500) as space,
           case when row % 100 < :whale or row % 10 < 7 then 'u' when row % 10 < 9 then 's' else 'm' end as kind
    from generate_series(1, :others) as row
) as drawn;

-- Ours: one who writes (and is behind), readers of a page of 1,000 and of less, a member of a space and one of twenty,
-- one who joins a space, one for whom a program writes, and accounts that are erased.
create unlogged table ours as
select run || '-' || name as owner, run, name, least(records, case when run like 'warm-%' then 50 else 1500 end) as records
from unnest(string_to_array(:'runs', ',')) as run,
     (values ('writer', 400), ('reader', 1200), ('streamer', 300), ('member', 100), ('many', 100), ('joiner', 20),
             ('served', 100), ('elder', 20), ('gone', 300)) as person(name, records);
insert into planned
select owner, 'u:' || owner, 'todo', null, row, records, case when row % 2 = 0 then 'phone' else 'laptop' end
from ours, generate_series(1, records) as row;
insert into planned
select run || '-founder', 's:' || run || '-' || space, 'todo', run || '-' || space, row, records, 'phone'
from (
    select run, space, case when run like 'warm-%' then 50 else records end as records
    from unnest(string_to_array(:'runs', ',')) as run,
         (select 'club' as space, 300 as records union all select 'joined', 1500
          union all select 'small' || place, 60 from generate_series(1, 20) as place) as kept
) as space, generate_series(1, records) as row;
insert into planned
select run || '-member', 'm:' || run || '-member' || E'\x1f' || run || '-club', 'todo', run || '-club', row, 300, 'phone'
from unnest(string_to_array(:'runs', ',')) as run, generate_series(1, 100) as row;

-- A month of it, the rows of all users among each other, as they come in.
create unlogged table drawn as
select *, case when owner like '%-reader' then 'tasks' else (array['tasks', 'lists', 'notes'])[1 + record % 3] end
              as table_name,
       case when records is not null and record = 3
                   or records is null and scope like 'u:other%' and record <= greatest(200, :others / 100)
                 then 'settings' -- apps have records of one name for everybody
            when records is null then md5(record::text) else 'r' || record end as record_id,
       now() - interval '1 month'
           + row_number() over (order by case when records is null then random() else (record - random()) / records end)
             * (interval '1 month' / (select count(*) from planned)) as at
from planned;

insert into sync_changes (app_id, table_name, record_id, user_id, op, data, field_meta, client_id, created_at, space_id,
                          scope, bytes)
select app, table_name, record_id, owner, 'insert',
       jsonb_build_object('title', 'what ' || record || ' says', 'done', record % 2 = 0),
       jsonb_build_object('title', to_char(at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
                          'done', to_char(at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')), client, at, space, scope, 120
from drawn order by at;

insert into sync_records (scope, app_id, table_name, record_id, data, meta)
select scope, app, table_name, record_id, jsonb_build_object('title', 'what ' || record || ' says', 'done', record % 2 = 0),
       jsonb_build_object('title', kept, 'done', kept)
from (
    select *, jsonb_build_object('at', to_char(at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), 'client', client) ||
              case when scope like 's:%' then jsonb_build_object('user', owner) else '{}' end as kept
    from drawn where scope not like 'm:%'
) as known
order by at
on conflict do nothing;

-- Rows of other programs that were set aside, and lost writes.
insert into sync_changes (app_id, table_name, record_id, user_id, op, data, field_meta, client_id, created_at, set_aside)
select app, table_name, record_id, owner, 'update', '{}', '{}', 'program', at, 'nothing_won'
from drawn where record % 20 = 0 order by at;
insert into sync_lost_writes (scope, app_id, table_name, record_id, field, user_id, client_id, value, claimed_at, reason,
                              lost_at)
select scope, app, table_name, record_id, 'title', owner, client, '"lost"', '2026-01-01T00:00:00.000Z', 'older', at
from drawn where scope not like 'm:%' and record % 7 = 0 order by at;

-- What is known of users.
insert into sync_users (user_id, sync_active, sync_active_at, spaces, spaces_at)
select owner, true, clock_timestamp(), coalesce(array_agg(distinct space collate "C") filter (where space is not null), '{}'),
       clock_timestamp()
from drawn group by owner
on conflict do nothing;
update sync_users set spaces = array[run || '-joined'] from ours where owner = user_id and name = 'joiner';
update sync_users set spaces = (select array_agg(run || '-small' || place order by (run || '-small' || place) collate "C") from generate_series(1, 20) as place)
from ours where owner = user_id and name = 'many';
insert into sync_reader_spaces (user_id, app_id, spaces, copied)
select user_id, 'todo', (select coalesce(array_agg(space order by space collate "C"), '{}') from unnest(spaces) as space),
       case when user_id like '%-member' or user_id like 'other%' then spaces else '{}' end
from sync_users where user_id not like '%-joiner'
on conflict do nothing;
insert into sync_old_rows select distinct owner, 'todo' from drawn where owner like 'other%7' on conflict do nothing;

-- The pushes of the last hour, each of a transaction of its own: numbers are given out in the order of time.
do $$
begin
    for i in 1..greatest(300, (select count(*) from planned) / 10) loop
        perform pg_current_xact_id();
        commit;
    end loop;
end
$$;
insert into sync_pushes (xid, scope, app_id, user_id, client_id, tables, changes, newest)
select (pg_current_xact_id()::text::bigint - :others / 10 - 1 + row)::text::xid8, 'u:other' || row % 3000, 'todo',
       'other' || row % 3000, 'phone', '{tasks}', 1,
       clock_timestamp() - interval '50 minutes' + row * (interval '49 minutes' / (:others / 10))
from generate_series(1, :others / 10) as row;
update sync_published set seen = pg_current_snapshot(), streamed = pg_current_snapshot();
select setval('sync_positions', (extract(epoch from clock_timestamp()) * 1000000)::bigint) \g /dev/null
drop table planned, drawn, ours;
