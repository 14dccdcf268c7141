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

-- A scope is what one lock guards and one cursor orders: "u:<user>" is a user's own, "s:<space>" a shared space's.
-- No user, no scope: a statement that forgot to say who asks sees nothing.
-- app.current_user_space_ids is an array literal: {a,"b c"}. In plpgsql, whose plans stay with the session: every
-- statement of the service calls it once.
create function current_scopes() returns text[]
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
    return array['u:' || user_id] || array(select 's:' || space from unnest(spaces::text[]) as space);
end
$$;
