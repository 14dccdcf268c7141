-- Who sees what. Every statement of the service runs with app.current_user_id set for its transaction, and with
-- app.current_user_space_ids where spaces are shared; row-level security shows and takes only rows of those scopes,
-- whatever a WHERE says.

-- The service logs in with a role of the operator's that is a member of this one. It owns nothing and bypasses nothing.
do $$
begin
    if not exists (select from pg_roles where rolname = 'mana_sync_service') then
        create role mana_sync_service nologin nobypassrls;
    end if;
end
$$;
grant usage on schema public to mana_sync_service;

-- The spaces of app.current_user_space_ids, an array literal: {a,"b c"}.
create function current_space_ids() returns text[]
    language sql stable parallel safe
    set search_path = pg_catalog, pg_temp
as $$
    select coalesce(nullif(current_setting('app.current_user_space_ids', true), ''), '{}')::text[]
$$;

-- A scope is what one lock guards and one cursor orders: "u:<user>" is a user's own, "s:<space>" a shared space's.
-- No user, no scope: a statement that forgot to say who asks sees nothing.
create function current_scopes() returns text[]
    language sql stable parallel safe
    set search_path = pg_catalog, pg_temp
as $$
    select case
        when coalesce(current_setting('app.current_user_id', true), '') = '' then '{}'::text[]
        else array['u:' || current_setting('app.current_user_id')]
             || array(select 's:' || space from unnest(public.current_space_ids()) as space)
    end
$$;
