// tail: what Redis tells of pushes, as it comes.
#include "admin/output.hpp"
#include "admin/redis_access.hpp"
#include "admin/subcommands.hpp"
#include "shared/runtime/unique_fd.hpp"
#include "shared/store/notification.hpp"
#include "shared/store/redis_standing.hpp"
#include "shared/sync/record.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <iostream>
#include <optional>
#include <poll.h>
#include <stdexcept>
#include <string>
#include <sys/signalfd.h>
#include <system_error>
#include <unordered_set>

namespace mana::admin {
namespace {

using std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto between_looks = 5s; // whether Redis answers, and is the master
constexpr auto least_pause = 100ms;
constexpr auto longest_pause = 2s;
constexpr std::string_view entries_at_once = "1000";

// Becomes readable at SIGINT or SIGTERM, which do nothing else from then on.
runtime::unique_fd stop_signals() {
    sigset_t stops{};
    sigemptyset(&stops);
    sigaddset(&stops, SIGINT);
    sigaddset(&stops, SIGTERM);
    if (::pthread_sigmask(SIG_BLOCK, &stops, nullptr) != 0)
        throw std::runtime_error{"cannot hold signals back"};
    runtime::unique_fd fd{::signalfd(-1, &stops, SFD_NONBLOCK | SFD_CLOEXEC)};
    if (!fd) throw std::system_error{errno, std::generic_category(), "signalfd"};
    return fd;
}

bool stopped_within(int stop, std::chrono::milliseconds span) {
    pollfd watched{stop, POLLIN, 0};
    return ::poll(&watched, 1, static_cast<int>(span.count())) > 0;
}

bool concerns(const store::notification& told, const std::string& user) {
    return told.user == user || told.scope == sync::scope_of_user(user) ||
           told.scope.starts_with("m:" + user + '\x1f');
}

std::string names_in(const std::vector<std::string>& tables) {
    std::string text;
    for (const auto& table : tables) text.append(text.empty() ? "" : ",").append(printable(table));
    return text;
}

std::string line_of(const store::notification& told) {
    const std::string when = told.published_at ? to_text(*told.published_at) : told.cursor;
    return when + "  scope=" + printable(told.scope) + " user=" + printable(told.user) +
           " app=" + printable(told.app) + " tables=" + names_in(told.tables) +
           " client=" + printable(told.client) + " count=" + std::to_string(told.count) +
           " cursor=" + told.cursor;
}

class follower {
  public:
    follower(const tail_wanted& wanted, const store::redis_address& where)
        : wanted_{wanted}, where_{where}, stop_{stop_signals()} {}

    // Until it is stopped, or nobody reads what is printed.
    void run() {
        std::chrono::milliseconds pause = least_pause;
        bool told = false;
        while (true) {
            const std::string lost = listen();
            if (over_) return;
            if (std::exchange(listened_, false)) {
                told = false;
                pause = least_pause;
            }
            if (!std::exchange(told, true))
                std::cerr << "mana-sync-admin: Redis: " << lost << "; trying again" << std::endl;
            if (stopped_within(stop_.get(), pause)) return;
            pause = std::min<std::chrono::milliseconds>(2 * pause, longest_pause);
        }
    }

  private:
    const tail_wanted& wanted_;
    const store::redis_address& where_;
    const runtime::unique_fd stop_;
    bool over_ = false;
    bool listened_ = false; // this connection was subscribed
    bool ever_listened_ = false;
    bool past_printed_ = false;
    // Of the stream, since what came meanwhile waits on the channels too: scope and cursor, which are of one
    // push.
    std::unordered_set<std::string> printed_;

    std::string listen() {
        const auto on = store::connect_redis(where_, redis_answers_within);
        if (!on) return on.error();
        const auto beside = store::connect_redis(where_, redis_answers_within);
        if (!beside) return beside.error();
        if (auto reason = no_master(**beside); !reason.empty()) return reason;
        for (unsigned number = 0; number < store::channel_count; ++number)
            store::append_command(**on, {"SUBSCRIBE", store::channel_name(number)});
        if (!store::flush_commands(**on)) return store::lost_because(**on);
        return follow(**on, **beside);
    }

    // One that was demoted tells its subscribers nothing of it: it is asked on a connection beside theirs.
    std::string no_master(redisContext& beside) {
        switch (store::role_of(beside, steady_clock::now() + redis_answers_within, stop_.get())) {
        case store::redis_role::replica:
            return "it is a replica, not the master";
        case store::redis_role::silent:
            return store::is_lost(beside) ? store::lost_because(beside) : "no answer to ROLE";
        case store::redis_role::master:
        case store::redis_role::unknown: // this user may not ask
            break;
        }
        return {};
    }

    std::string follow(redisContext& on, redisContext& beside) {
        auto next_look = steady_clock::now() + between_looks;
        bool heard = true; // anything since the last PING
        while (true) {
            const auto reply = store::next_reply(on, next_look, stop_.get());
            over_ = over_ || stopped_within(stop_.get(), 0ms);
            if (over_) return {};
            if (reply) {
                heard = true;
                if (auto refused = take(*reply); !refused.empty()) return refused;
            }
            if (store::is_lost(on)) return store::lost_because(on);
            if (steady_clock::now() < next_look) continue;
            if (!std::exchange(heard, false)) return "no answer to PING";
            if (auto reason = no_master(beside); !reason.empty()) return reason;
            store::append_command(on, {"PING"});
            if (!store::flush_commands(on)) return store::lost_because(on);
            next_look = steady_clock::now() + between_looks;
        }
    }

    // Why the connection is of no use; empty: it is.
    std::string take(const redisReply& reply) {
        if (reply.type == REDIS_REPLY_ERROR) return std::string{text_of(reply)};
        if (reply.type != REDIS_REPLY_ARRAY || reply.elements < 2) return {};
        const auto kind = text_of(*reply.element[0]);
        if (kind == "subscribe" && reply.elements == 3 && reply.element[2]->integer == store::channel_count)
            return subscribed();
        if (kind == "message" && reply.elements == 3) print_new(std::string{text_of(*reply.element[2])});
        return {};
    }

    std::string subscribed() {
        listened_ = true;
        if (std::exchange(ever_listened_, true))
            std::cerr << "mana-sync-admin: Redis is back; what was told meanwhile was not seen here"
                      << std::endl;
        else
            std::cerr << "mana-sync-admin: listening" << std::endl;
        if (!wanted_.since_start || std::exchange(past_printed_, true)) return {};
        try {
            print_past();
            return {};
        } catch (const std::runtime_error& failed) {
            past_printed_ = false;
            return failed.what();
        }
    }

    // All that the stream holds, in pieces.
    void print_past() {
        auto connected = store::connect_redis(where_, redis_answers_within);
        if (!connected) throw std::runtime_error{connected.error()};
        std::string from = "-";
        while (!over_) {
            const auto some =
                ask(**connected, {"XRANGE", store::stream_name, from, "+", "COUNT", entries_at_once});
            if (some->elements == 0) return;
            printed_.clear(); // what waits on the channels came since the subscription: it is among the last
            for (std::size_t at = 0; at < some->elements && !over_; ++at) print_entry(*some->element[at]);
            from = '(' + std::string{text_of(*some->element[some->elements - 1]->element[0])};
            over_ = over_ || stopped_within(stop_.get(), 0ms);
        }
    }

    void print_entry(const redisReply& entry) {
        const redisReply& fields = *entry.element[1];
        if (fields.elements != 2) return;
        const std::string payload{text_of(*fields.element[1])};
        if (const auto told = read(payload)) {
            print(*told, payload);
            printed_.insert(key_of(*told));
        }
    }

    void print_new(const std::string& payload) {
        const auto told = read(payload);
        if (told && printed_.erase(key_of(*told)) == 0) print(*told, payload);
    }

    static std::string key_of(const store::notification& told) { return told.cursor + told.scope; }

    static std::optional<store::notification> read(const std::string& payload) {
        auto told = store::parse_notification(payload);
        if (told) return std::move(*told);
        std::cerr << "mana-sync-admin: a notification cannot be read: " << told.error() << std::endl;
        return std::nullopt;
    }

    void print(const store::notification& told, const std::string& payload) {
        if (!wanted_.app.empty() && told.app != wanted_.app) return;
        if (!wanted_.user.empty() && !concerns(told, wanted_.user)) return;
        std::cout << (wanted_.json ? payload : line_of(told)) << std::endl;
        over_ = over_ || !std::cout;
    }
};

} // namespace

int run_tail(const settings_source& source, const tail_wanted& wanted) {
    const auto settings = source.load();
    const auto where = store::parse_redis_url(settings.redis_url);
    follower{wanted, where}.run();
    return 0;
}

} // namespace mana::admin
