-- As in sql/0011. A cancel, or a time-out, can come between the moment when the lock of the clock is granted and the one when
-- this function knows it: so what fails gives it back in any case. (To give back what one does not have is a warning.)
create or replace function take_positions(how_many int) returns timestamptz
    language plpgsql volatile security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    clock constant bigint := 7161701;
    first_one bigint;
    ignored text;
begin
    begin
        ignored := pg_advisory_lock(clock);
        first_one := greatest(public.wall_clock(), coalesce(pg_sequence_last_value('public.sync_positions'), 0) + 1);
        ignored := setval('public.sync_positions', first_one + how_many - 1);
        ignored := pg_advisory_unlock(clock);
    exception when query_canceled or others then
        perform pg_advisory_unlock(clock);
        raise;
    end;
    return public.position_at(first_one);
end
$$;
