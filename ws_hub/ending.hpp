// Why connections end: one short name each, for the client where it can be told, for the log and for the
// metrics.
#pragma once

#include <cstdint>
#include <string_view>

namespace mana::hub {

/// Compared by address: there is one object for each reason.
struct ending {
    enum class notice { expected, remarkable };

    std::string_view reason;
    std::uint16_t close_code; ///< of a WebSocket (RFC 6455 §7.4); 0: nobody is there to be told
    notice worth = notice::expected;
};

namespace endings {

using enum ending::notice;

inline constexpr ending client_closed{"client_closed", 0};
inline constexpr ending client_gone{"client_gone", 0};
inline constexpr ending client_silent{"client_silent", 0};
inline constexpr ending hub_stops{"hub_stops", 1001};
inline constexpr ending protocol_error{"protocol_error", 1002, remarkable};
inline constexpr ending binary_message{"binary_message", 1003, remarkable};
inline constexpr ending auth_timeout{"auth_timeout", 1008, remarkable};
inline constexpr ending not_authenticated{"not_authenticated", 1008, remarkable};
inline constexpr ending malformed_message{"malformed_message", 1008, remarkable};
inline constexpr ending token_refused{"token_refused", 1008, remarkable};
inline constexpr ending token_expired{"token_expired", 1008};
inline constexpr ending sync_inactive{"sync_inactive", 1008};
inline constexpr ending other_user{"other_user", 1008, remarkable};
inline constexpr ending message_too_big{"message_too_big", 1009, remarkable};
inline constexpr ending keys_unavailable{"keys_unavailable", 1013, remarkable};
inline constexpr ending too_many_connections{"too_many_connections", 1013, remarkable};
inline constexpr ending spaces_unknown{"spaces_unknown", 1013, remarkable};
inline constexpr ending too_slow{"too_slow", 1013, remarkable};

} // namespace endings
} // namespace mana::hub
