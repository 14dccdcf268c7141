#include "shared/store/publisher.hpp"

#include "shared/store/redis_standing.hpp"

#include <algorithm>
#include <hiredis/hiredis.h>
#include <optional>

namespace mana::store {

using std::chrono::steady_clock;
using namespace std::chrono_literals;

namespace {

constexpr auto round_trip = 250ms;
constexpr auto between_connects = 1s;

std::string payload_of(notification told) {
    told.published_at = std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now());
    return to_json(told);
}

bool append_publish(redisContext& on, const notification& told, std::string_view payload) {
    return append_command(on, {"PUBLISH", channel_of(told.scope), payload});
}

bool append_add(redisContext& on, std::string_view payload) {
    return append_command(
        on, {"XADD", stream_name, "MAXLEN", "~", std::to_string(stream_length), "*", "n", payload});
}

bool append_both(redisContext& on, const notification& told) {
    const std::string payload = payload_of(told);
    return append_publish(on, told, payload) && append_add(on, payload);
}

bool append_one(redisContext& on, told_place place, const notification& told) {
    const std::string payload = payload_of(told);
    return place == told_place::stream ? append_add(on, payload) : append_publish(on, told, payload);
}

/// An entry is its id, and names and values in turn: the one field is "n".
void take_entry(const redisReply& entry, std::string& id, std::vector<notification>& read) {
    if (entry.elements != 2) return;
    id = text_of(*entry.element[0]);
    const redisReply& pairs = *entry.element[1];
    if (pairs.elements != 2) return;
    if (auto told = parse_notification(text_of(*pairs.element[1]))) read.push_back(std::move(*told));
}

} // namespace

struct publisher::impl {
    explicit impl(const std::string& url) : where(parse_redis_url(url)) {}

    const redis_address where;
    redis_context context; ///< null while Redis is away
    std::optional<steady_clock::time_point> last_connect;
    std::string away_because; ///< why context is null
    std::uint64_t connections = 0;
    std::vector<notification> begun; ///< told, or to be told, and not settled yet

    bool connect() {
        if (context) return true;
        const auto now = steady_clock::now();
        if (last_connect && now - *last_connect < between_connects) return false;
        last_connect = now;
        auto made = connect_redis(where, round_trip);
        if (!made) return drop(made.error());
        context = std::move(*made);
        ++connections;
        return true;
    }

    /// Replies that are still to come would be taken for those of the next commands.
    bool drop(std::string why) {
        away_because = std::move(why);
        context.reset();
        return false;
    }

    bool lost() { return drop(lost_because(*context)); }

    bool send_begun() {
        for (const notification& each : begun)
            if (!append_both(*context, each)) return lost();
        return flush_commands(*context) || lost();
    }

    enum class ending { answered, gone, late };

    ending without_reply() {
        const bool late = !is_lost(*context);
        drop(late ? "no answer in time" : lost_because(*context));
        return late ? ending::late : ending::gone;
    }

    /// Gives each of `count` replies to `take`. But for answered there is no connection any more: gone is
    /// also one to a Redis that is not the one to talk to.
    template<class Take>
    ending replies(std::size_t count, Take take) {
        const auto until = steady_clock::now() + round_trip;
        for (std::size_t place = 0; place < count; ++place) {
            const redis_reply reply = next_reply(*context, until);
            if (!reply) return without_reply();
            const bool error = reply->type == REDIS_REPLY_ERROR;
            if (error && calls_for_new_connection(text_of(*reply))) {
                drop(std::string{text_of(*reply)});
                return ending::gone;
            }
            take(place, *reply);
        }
        return ending::answered;
    }

    /// `refusal`: what Redis said to the first that it refused.
    ending take_begun(std::string& refusal) {
        return replies(2 * begun.size(), [&](std::size_t, const redisReply& reply) {
            if (reply.type == REDIS_REPLY_ERROR && refusal.empty()) refusal = text_of(reply);
        });
    }

    [[nodiscard]] outcome away() const { return {"Redis: " + away_because, false}; }

    outcome left(std::string why) {
        drop(std::move(why));
        return away();
    }
};

publisher::publisher(const std::string& url) : impl_(std::make_unique<impl>(url)) {}
publisher::~publisher() = default;
publisher::publisher(publisher&&) noexcept = default;
publisher& publisher::operator=(publisher&&) noexcept = default;

std::uint64_t publisher::connection() const {
    return impl_->connections;
}

void publisher::begin(std::vector<notification> told) {
    impl_->begun = std::move(told);
    if (!impl_->begun.empty() && impl_->connect()) impl_->send_begun();
}

std::string publisher::settle() {
    if (impl_->begun.empty()) return {};
    std::string refusal;
    auto end = impl_->context ? impl_->take_begun(refusal) : impl::ending::gone;
    // A connection that idled while Redis was restarted, or demoted, is found out only now. What that Redis
    // took of the first attempt may be told twice, which does no harm.
    if (end == impl::ending::gone && impl_->connect() && impl_->send_begun()) {
        refusal.clear();
        end = impl_->take_begun(refusal);
    }
    impl_->begun.clear();
    return end == impl::ending::answered ? refusal : impl_->away().failure;
}

bool publisher::publish(std::span<const notification> told) {
    begin({told.begin(), told.end()});
    return settle().empty();
}

publisher::outcome publisher::reach() {
    if (!impl_->connect()) return impl_->away();
    const auto role = role_of(*impl_->context, steady_clock::now() + round_trip);
    if (role == redis_role::replica) return impl_->left("it is a replica, not the master");
    if (role == redis_role::silent) return impl_->left("no answer to ROLE");
    return {};
}

publisher::outcome publisher::tell(told_place place, std::span<const notification> some,
                                   std::vector<bool>& taken) {
    taken.assign(some.size(), false);
    if (some.empty()) return {};
    if (!impl_->connect()) return impl_->away();
    for (const notification& each : some)
        if (!append_one(*impl_->context, place, each)) return impl_->left(lost_because(*impl_->context));
    if (!flush_commands(*impl_->context)) return impl_->left(lost_because(*impl_->context));
    outcome done;
    const auto end = impl_->replies(some.size(), [&](std::size_t at, const redisReply& reply) {
        taken[at] = reply.type != REDIS_REPLY_ERROR;
        if (taken[at] || done.refused) return;
        done = {std::string{text_of(reply)}, true};
    });
    return end == impl::ending::answered ? done : impl_->away();
}

publisher::outcome publisher::read_stream(std::string& after, std::size_t most,
                                          std::vector<notification>& read, bool& to_the_end) {
    read.clear();
    to_the_end = false;
    if (!impl_->connect()) return impl_->away();
    // "(" begins after that id: Redis has it since 6.2.
    if (!append_command(*impl_->context,
                        {"XRANGE", stream_name, "(" + after, "+", "COUNT", std::to_string(most)}) ||
        !flush_commands(*impl_->context))
        return impl_->left(lost_because(*impl_->context));
    outcome done;
    const auto end = impl_->replies(1, [&](std::size_t, const redisReply& reply) {
        to_the_end = reply.type == REDIS_REPLY_ARRAY && reply.elements < most;
        if (reply.type == REDIS_REPLY_ERROR) done = {std::string{text_of(reply)}, true};
        for (std::size_t place = 0; reply.type == REDIS_REPLY_ARRAY && place < reply.elements; ++place)
            take_entry(*reply.element[place], after, read);
    });
    return end == impl::ending::answered ? done : impl_->away();
}

} // namespace mana::store
