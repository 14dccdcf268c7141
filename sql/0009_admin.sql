-- What mana-sync-admin tells an operator of all users together: ages and counts, never a name and never a value. The
-- service's role may ask, and sees no more by it than before.

-- Which migrations a database has is no secret.
grant select on sync_migrations to mana_sync_service;

-- Rows of other programs that wait to be taken up (sql/0006_take_up.sql): how many, and for how many seconds the oldest
-- one has waited, by the `created_at` that its program gave it (null where none waits). Apart from them, how many wait
-- from before the migrations. At most `most` rows are looked at.
create function waiting_rows_age(most int, out waiting bigint, out oldest double precision, out from_before bigint)
    language plpgsql stable security definer
    set search_path = pg_catalog, pg_temp
    set enable_seqscan = off
as $$
begin
    select count(*) filter (where not keeps_position),
           greatest(extract(epoch from clock_timestamp() - min(created_at) filter (where not keeps_position)), 0),
           count(*) filter (where keeps_position)
        into waiting, oldest, from_before
    from (select created_at, keeps_position from public.sync_changes
          where scope is null and set_aside is null limit most) as waits;
end
$$;

-- Rows of the log, records and lost writes: counted where there are no more than `most`, else the planner's estimate.
create function table_sizes(most int)
    returns table (what text, how_many bigint, estimated boolean)
    language plpgsql stable security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    table_name text;
begin
    foreach table_name in array array['sync_changes', 'sync_records', 'sync_lost_writes'] loop
        what := table_name;
        execute format('select count(*) from (select from public.%I limit %s) as seen', table_name, most + 1)
            into how_many;
        estimated := how_many > most;
        if estimated then
            select greatest(reltuples::bigint, how_many) into how_many
            from pg_class where oid = ('public.' || table_name)::regclass;
        end if;
        return next;
    end loop;
end
$$;

-- How many users pushed within the last `span`, and how often. Pushes are remembered for an hour.
create function pushes_within(span interval, out users bigint, out pushes bigint)
    language sql stable security definer
    set search_path = pg_catalog, pg_temp
as $$
    select count(distinct user_id), count(distinct xid)
    from public.sync_pushes where newest > clock_timestamp() - span
$$;

revoke all on function waiting_rows_age(int), table_sizes(int), pushes_within(interval) from public;
grant execute on function waiting_rows_age(int), table_sizes(int), pushes_within(interval) to mana_sync_service;
