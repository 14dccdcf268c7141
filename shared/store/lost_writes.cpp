#include "shared/store/lost_writes.hpp"

#include <algorithm>
#include <array>

namespace mana::store {

namespace {

// $1 app, $2 scopes, $3 table, $4 record id. The index finds a scope's; of one user they are few enough to be
// looked through.
constexpr statement read_statement{"read_lost_writes", R"(
select lost.id, lost.scope, lost.field, lost.user_id, lost.client_id, lost.value, lost.claimed_at, lost.reason,
       (extract(epoch from lost.lost_at) * 1000000)::bigint
from unnest($2::text[]) as home(scope)
cross join lateral (
    select * from sync_lost_writes
    where scope = home.scope and app_id = $1 and table_name = $3 and record_id = $4
    offset 0
) as lost)"};

} // namespace

std::span<const statement> lost_writes_statements() {
    static constexpr std::array list{read_statement};
    return list;
}

void send_lost_writes_of(transaction& in, const std::string& app, const reader& who, const std::string& table,
                         const std::string& record_id) {
    in.send(read_statement, {app, parameter::array(scopes_of(who)), table, record_id});
}

std::vector<kept_lost_write> lost_writes_in(const rows& found) {
    std::vector<kept_lost_write> all;
    for (int row = 0; row < found.count(); ++row) {
        kept_lost_write lost;
        lost.id = found.number(row, 0);
        lost.scope = found.text(row, 1);
        lost.field = found.text(row, 2);
        lost.user = found.text(row, 3);
        lost.client = found.text(row, 4);
        lost.value = found.text(row, 5);
        if (!found.is_null(row, 6)) lost.claimed = std::string{found.text(row, 6)};
        lost.reason = found.text(row, 7);
        lost.lost_at = found.position(row, 8);
        all.push_back(std::move(lost));
    }
    std::ranges::sort(all, {}, &kept_lost_write::id);
    return all;
}

} // namespace mana::store
