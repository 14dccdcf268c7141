#include "fcgi_worker/spaces.hpp"

#include "shared/sync/record.hpp"

#include <algorithm>

namespace mana::fcgi_worker {
namespace {

bool names_other_space(const sync::push_request& push, const known_spaces& known) {
    return std::ranges::any_of(push.changes, [&](const sync::change& change) {
        const std::string& space = change.heading.space;
        return sync::is_shared_space(space) && (!known || !std::ranges::binary_search(*known, space));
    });
}

} // namespace

known_spaces spaces_to_read(const call& made, gate::user_gate& users, store::database& tables) {
    if (!users.spaces_shared()) return known_spaces{std::in_place};
    return users.spaces_of(made.user, tables, made.until);
}

known_spaces spaces_to_write(const call& made, const sync::push_request& push, gate::user_gate& users,
                             store::database& tables) {
    auto known = spaces_to_read(made, users, tables);
    if (!users.spaces_shared() || !names_other_space(push, known)) return known;
    if (auto found = users.look_up_spaces(made.user, tables, made.until)) return found;
    throw unavailable(
        "memberships cannot be asked, and the push names a space that the caller was not known to be in");
}

} // namespace mana::fcgi_worker
