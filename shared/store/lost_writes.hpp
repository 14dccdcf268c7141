// Writes that lost, as they are kept for LOST_WRITES_DAYS (SPEC §3 rule 6): who looks for one that went
// missing finds it here.
#pragma once

#include "shared/store/postgres.hpp"
#include "shared/store/scopes.hpp"
#include "shared/sync/time.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace mana::store {

struct kept_lost_write {
    std::int64_t id = 0;
    std::string scope;
    std::string field; ///< empty: the whole change
    std::string user;
    std::string client;
    std::string value;                  ///< JSON text
    std::optional<std::string> claimed; ///< a time as text; none: untimed
    std::string reason;                 ///< "older", "tombstone", or a rejection's code
    sync::position lost_at{};
};

/// Statements that are used here, for the connection to prepare.
std::span<const statement> lost_writes_statements();

/// Asks, within the transaction of `who`, for all that lost in one record, in any scope of `who`.
void send_lost_writes_of(transaction& in, const std::string& app, const reader& who, const std::string& table,
                         const std::string& record_id);
/// In the order in which they lost.
std::vector<kept_lost_write> lost_writes_in(const rows& found);

} // namespace mana::store
