// What goes over an event stream (docs/protocol.md): pages of the log as server-sent events. Pure.
#pragma once

#include "shared/sync/cursor.hpp"
#include "shared/sync/wire.hpp"

#include <string>
#include <string_view>

namespace mana::hub {

/// The events of one page, in the order of positions: one for each run of changes of the same table, with the
/// id up to which all tables of the stream have been sent. Empty where the page shows nothing.
std::string to_events(const sync::answer& page);

/// A sign of life, with an id where the cursor went on without a change to show.
std::string heartbeat_event(const sync::cursor* moved_to);

/// Seen by who debugs, ignored by clients.
std::string comment(std::string_view text);

} // namespace mana::hub
