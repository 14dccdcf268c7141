// What Redis carries for the hub and for other tools (SPEC §8): a versioned contract, documented in
// docs/protocol.md.
#pragma once

#include "shared/sync/time.hpp"

#include <boost/system/result.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mana::store {

/// Stands in a list of tables for those that are not named there: any of the app's may have changed.
inline constexpr std::string_view any_table = "*";
/// What the names of a push's tables may take in a notification. A push can name thousands, and everybody in
/// the scope is told, Redis keeps the newest 100,000, and so do connections that do not read.
inline constexpr std::size_t table_names_bytes = 16'000;
/// Cuts a sorted list of tables to what a notification may have, and says so by any_table.
void shorten(std::vector<std::string>& tables);

/// One committed push, as one scope hears of it. JSON:
/// {"v":1,"scope","user","app","tables":[…],"client","count","cursor","request","publishedAt"}
struct notification {
    std::string scope; ///< "u:<user>" or "s:<space>"
    std::string user;  ///< who pushed
    std::string app;
    std::vector<std::string> tables; ///< changed in this scope, sorted; see shorten()
    std::string client;              ///< the pushing client; may be empty
    std::size_t count = 0;           ///< rows of the log
    std::string cursor;              ///< position of the newest of them, RFC 3339 with six digits
    std::string request = {};        ///< id of the push's request in all logs; empty where it is not known
    /// When it was handed to Redis, by the clock of the one who did; none where Redis did not carry it.
    std::optional<sync::position> published_at = std::nullopt;
};

/// Where Redis is told of a push. Each counts by itself: Redis may take the one and refuse the other.
enum class told_place { channels, stream };

/// Subscribers listen on all of a fixed set of channels: "mana-sync:1:00" … "mana-sync:1:63", by a hash of
/// the scope.
inline constexpr unsigned channel_count = 64;
std::string channel_of(std::string_view scope);
std::string channel_name(unsigned number);

/// The capped stream that holds the newest notifications, for tools that were down. Entries have one field,
/// "n".
inline constexpr std::string_view stream_name = "mana-sync:1:log";
inline constexpr std::size_t stream_length = 100'000;

std::string to_json(const notification& told);
/// Reads a payload; an error is one line. Unknown keys are ignored, another version is an error.
boost::system::result<notification, std::string> parse_notification(std::string_view json);

} // namespace mana::store
