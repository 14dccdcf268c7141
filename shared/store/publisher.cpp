#include "shared/store/publisher.hpp"

#include <hiredis/hiredis.h>
#include <optional>

namespace mana::store {

using std::chrono::steady_clock;
using namespace std::chrono_literals;

namespace {

constexpr auto round_trip = 250ms;
constexpr auto between_connects = 1s;

bool append(redisContext& on, notification told) {
    told.published_at = std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now());
    const std::string payload = to_json(told);
    return append_command(on, {"PUBLISH", channel_of(told.scope), payload}) &&
           append_command(
               on, {"XADD", stream_name, "MAXLEN", "~", std::to_string(stream_length), "*", "n", payload});
}

} // namespace

struct publisher::impl {
    enum class outcome { taken, refused, lost };

    explicit impl(const std::string& url) : where(parse_redis_url(url)) {}

    const redis_address where;
    redis_context context; ///< null while Redis is away
    std::optional<steady_clock::time_point> last_connect;

    bool connect() {
        if (context) return true;
        const auto now = steady_clock::now();
        if (last_connect && now - *last_connect < between_connects) return false;
        last_connect = now;
        if (auto made = connect_redis(where, round_trip)) context = std::move(*made);
        return context != nullptr;
    }

    outcome send(std::span<const notification> told) {
        const auto until = steady_clock::now() + round_trip;
        for (const notification& each : told)
            if (!append(*context, each)) return drop(outcome::lost);
        if (!flush_commands(*context)) return drop(outcome::lost);
        outcome all = outcome::taken;
        for (std::size_t waiting = 2 * told.size(); waiting > 0; --waiting) {
            const redis_reply reply = next_reply(*context, until);
            if (!reply) return drop(is_lost(*context) ? outcome::lost : outcome::refused);
            if (reply->type == REDIS_REPLY_ERROR) all = outcome::refused;
        }
        return all;
    }

    /// Replies that are still to come would be taken for those of the next commands.
    outcome drop(outcome why) {
        context.reset();
        return why;
    }
};

publisher::publisher(const std::string& url) : impl_(std::make_unique<impl>(url)) {}
publisher::~publisher() = default;
publisher::publisher(publisher&&) noexcept = default;
publisher& publisher::operator=(publisher&&) noexcept = default;

bool publisher::publish(std::span<const notification> told) {
    if (told.empty()) return true;
    if (!impl_->connect()) return false;
    auto result = impl_->send(told);
    // A connection that idled while Redis was restarted is found lost only now. What Redis took of the first
    // attempt is told twice, which does no harm.
    if (result == impl::outcome::lost && impl_->connect()) result = impl_->send(told);
    return result == impl::outcome::taken;
}

} // namespace mana::store
