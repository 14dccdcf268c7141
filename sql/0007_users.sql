-- What the services around us last said of a user (SPEC: gates), for all workers and hubs: whether sync is paid for, and
-- which spaces the user is a member of. The times are those of this database, whichever host asked.

create table sync_users (
    user_id text collate "C" primary key,
    sync_active boolean,               -- null: never heard
    sync_active_at timestamptz,
    spaces text[],                     -- null: never heard
    spaces_at timestamptz
) with (fillfactor = 80);              -- each row is written anew every five minutes

alter table sync_users enable row level security;
alter table sync_users force row level security;
create policy sync_users_myself on sync_users to mana_sync_service
    using (user_id = (select current_setting('app.current_user_id', true)))
    with check (user_id = (select current_setting('app.current_user_id', true)));
create policy sync_users_of_owner on sync_users to current_user using (true) with check (true);
grant select, insert, update on sync_users to mana_sync_service;
