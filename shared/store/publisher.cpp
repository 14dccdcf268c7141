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

    std::vector<notification> begun; ///< told, or to be told, and not settled yet

    bool send() {
        for (const notification& each : begun)
            if (!append(*context, each)) return false;
        return flush_commands(*context);
    }

    outcome take_replies() {
        const auto until = steady_clock::now() + round_trip;
        outcome all = outcome::taken;
        for (std::size_t waiting = 2 * begun.size(); waiting > 0; --waiting) {
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
    begin({told.begin(), told.end()});
    return settle();
}

void publisher::begin(std::vector<notification> told) {
    impl_->begun = std::move(told);
    if (!impl_->begun.empty() && impl_->connect() && !impl_->send()) impl_->drop(impl::outcome::lost);
}

bool publisher::settle() {
    if (impl_->begun.empty()) return true;
    auto result = impl_->context ? impl_->take_replies() : impl::outcome::lost;
    // A connection that idled while Redis was restarted is found lost only now. What Redis took of the first
    // attempt is told twice, which does no harm.
    if (result == impl::outcome::lost && impl_->connect())
        result = impl_->send() ? impl_->take_replies() : impl_->drop(impl::outcome::lost);
    impl_->begun.clear();
    return result == impl::outcome::taken;
}

} // namespace mana::store
