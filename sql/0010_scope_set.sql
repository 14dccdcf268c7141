-- The scopes that a statement may see, as the keys of an object: a row's scope is found among them in a few steps, where
-- a list is gone through from its start. A member of 200 spaces has 401 scopes, and every row of a page is looked at by
-- more than one policy.

create function visible_scopes() returns jsonb
    language sql stable parallel safe
    set search_path = pg_catalog, pg_temp
as $$
    select coalesce(jsonb_object_agg(scope, true), '{}') from unnest(public.current_scopes()) as scope
$$;

alter policy sync_changes_of_my_scopes on sync_changes
    using ((select visible_scopes()) ? scope);
alter policy sync_changes_no_more_read on sync_changes
    using (case when scope is null then user_id = (select nullif(current_setting('app.current_user_id', true), ''))
                else (select visible_scopes()) ? scope end);
-- No index serves this form of the condition either, as with the one that sql/0008 made.
alter policy sync_records_of_my_scopes on sync_records
    using ((select visible_scopes()) ? scope);
alter policy sync_lost_writes_of_my_scopes on sync_lost_writes
    using ((select visible_scopes()) ? scope);
