#include "ws_hub/standby_watch.hpp"

#include "shared/runtime/log.hpp"
#include "shared/store/standby.hpp"

namespace mana::hub {
namespace {

namespace log = runtime::log;

// Pushes give up waiting after some seconds, and their clients try again: between two of them nobody waits.
constexpr std::chrono::seconds remembered_for{10};

// A request waits for a second more than one statement may take.
constexpr std::chrono::seconds longer_than_a_request{5};

} // namespace

void standby_watch::look(store::connection& on, store::deadline until) {
    const auto state = store::look_at_standby(on, until);
    const auto forgotten = on.settings().statement_timeout + longer_than_a_request;
    if (state.longest_wait > forgotten) store::end_forgotten_waits(on, forgotten, until);
    const auto now = clock::now();
    if (state.missing()) last_missed_ = now;
    const bool missing =
        state.asked_for && last_missed_ != clock::time_point{} && now - last_missed_ < remembered_for;
    if (missing == missing_.exchange(missing)) return;
    if (missing)
        log::error(
            "standby_missing",
            {{"reason", state.none_connected ? "synchronous_standby_names asks for one, and none is connected"
                                             : "commits wait for the one of synchronous_standby_names"}});
    else
        log::info("standby_back");
}

} // namespace mana::hub
