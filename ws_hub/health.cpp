#include "ws_hub/health.hpp"

#include "shared/sync/time.hpp"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

namespace mana::hub {
namespace {

std::string_view state_of(bool up) {
    return up ? "up" : "down";
}

// Reading goes on while commits wait, and the hub only reads: it is up, and says what keeps pushes from
// success.
std::string_view state_of_postgres(const log_sweep& sweep) {
    return sweep.up() && sweep.standby_missing() ? "standby_missing" : state_of(sweep.up());
}

} // namespace

std::string_view health::redis_state() const {
    using store::told_place;
    if (!feed_.up()) return "down";
    const bool refuses =
        sweep_.redis_refuses(told_place::channels) || sweep_.redis_refuses(told_place::stream);
    return refuses ? "refuses" : "up";
}

std::string health::report(std::chrono::system_clock::time_point now) const {
    return boost::json::serialize(boost::json::object{
        {"status", "ok"},
        {"service", "mana-sync"},
        {"timestamp", sync::to_text(std::chrono::floor<std::chrono::milliseconds>(now))},
        {"connections", index_.connections()},
        {"users", index_.users()},
        {"postgres", state_of_postgres(sweep_)},
        {"redis", redis_state()},
    });
}

std::string health::metrics_text() {
    using store::told_place;
    return counts_.text({index_.connections(), index_.users(), feed_.up(),
                         sweep_.redis_refuses(told_place::channels), sweep_.redis_refuses(told_place::stream),
                         sweep_.up(), sweep_.standby_missing()},
                        workers_.collect());
}

} // namespace mana::hub
