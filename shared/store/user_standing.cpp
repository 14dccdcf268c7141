#include "shared/store/user_standing.hpp"

#include "shared/store/text_array.hpp"

#include <array>
#include <utility>

namespace mana::store {

namespace {

constexpr statement read_statement{"read_standing", R"(
select sync_active, (extract(epoch from clock_timestamp() - sync_active_at) * 1000)::bigint,
       to_json(spaces), (extract(epoch from clock_timestamp() - spaces_at) * 1000)::bigint
from sync_users where user_id = $1)"};

constexpr statement active_statement{"keep_sync_active", R"(
insert into sync_users (user_id, sync_active, sync_active_at) values ($1, $2::boolean, clock_timestamp())
on conflict (user_id) do update set sync_active = excluded.sync_active, sync_active_at = excluded.sync_active_at)"};

constexpr statement spaces_statement{"keep_spaces", R"(
insert into sync_users (user_id, spaces, spaces_at) values ($1, $2::text[], clock_timestamp())
on conflict (user_id) do update set spaces = excluded.spaces, spaces_at = excluded.spaces_at)"};

std::chrono::milliseconds age_in(const rows& found, int column) {
    return std::chrono::milliseconds{found.number(0, column)};
}

/// What is kept here was told by a service, which tells it again.
rows ask(connection& on, const std::string& user, const statement& what,
         std::initializer_list<parameter> parameters, deadline until) {
    return with_retries(until, [&] {
        transaction asking(on, user, {}, durability::here);
        asking.send(what, parameters);
        auto results = asking.commit_repeatable(until);
        return std::move(results.at(0));
    });
}

} // namespace

std::span<const statement> user_standing_statements() {
    static constexpr std::array list{read_statement, active_statement, spaces_statement};
    return list;
}

user_standing read_standing(connection& on, const std::string& user, deadline until) {
    const auto found = ask(on, user, read_statement, {user}, until);
    user_standing standing;
    if (found.count() == 0) return standing;
    if (!found.is_null(0, 0)) standing.sync_active = {found.boolean(0, 0), age_in(found, 1)};
    if (!found.is_null(0, 2)) standing.spaces = {texts_in(found.text(0, 2)), age_in(found, 3)};
    return standing;
}

void keep_sync_active(connection& on, const std::string& user, bool active, deadline until) {
    ask(on, user, active_statement, {user, parameter::boolean(active)}, until);
}

void keep_spaces(connection& on, const std::string& user, std::span<const std::string> spaces,
                 deadline until) {
    ask(on, user, spaces_statement, {user, parameter::array(spaces)}, until);
}

} // namespace mana::store
