// doctor: Redis, its stream and those who read it.
#include "admin/doctor_checks.hpp"
#include "admin/output.hpp"
#include "admin/redis_access.hpp"
#include "shared/store/notification.hpp"
#include "shared/store/redis_standing.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <exception>
#include <optional>

namespace mana::admin {
namespace {

using namespace std::chrono_literals;
using seconds = std::chrono::duration<double>;

constexpr seconds clock_doubtful{1};
constexpr long long lag_doubtful = 10'000; // of the 100,000 that the stream keeps

long long number_in(std::string_view text) {
    long long number = 0;
    std::from_chars(text.data(), text.data() + text.size(), number);
    return number;
}

// Major and minor in one number that compares: 6.2.14 is 602.
long long version_number(std::string_view version) {
    const auto dot = std::min(version.find('.'), version.size());
    return number_in(version) * 100 + (dot < version.size() ? number_in(version.substr(dot + 1)) : 0);
}

finding server_of(redisContext& on) {
    const auto info = ask(on, {"INFO", "server"});
    const std::string version{info_of(*info, "redis_version")};
    constexpr long long least = 602;
    if (version_number(version) < least)
        return {verdict::failed, "redis", "Redis " + version + " is too old",
                "upgrade to Redis 6.2 or later"};
    return {verdict::ok, "redis", "Redis " + version, {}};
}

finding role_finding(redisContext& on) {
    const std::string part = "role of redis";
    switch (store::role_of(on, std::chrono::steady_clock::now() + redis_answers_within)) {
    case store::redis_role::master:
        return {verdict::ok, part, "it is the master", {}};
    case store::redis_role::replica:
        return {verdict::failed, part, "it is a replica, and takes nothing",
                "let REDIS_URL lead to the master, or promote this one"};
    case store::redis_role::silent:
        throw redis_silent{"Redis: no answer in time"};
    case store::redis_role::unknown:
        break;
    }
    return {verdict::warning, part,
            "this user may not ask, so a hub does not see that it is no master any more",
            "ACL SETUSER this user +role"};
}

finding memory_of(redisContext& on) {
    const auto info = ask(on, {"INFO", "memory"});
    const std::string policy{info_of(*info, "maxmemory_policy")};
    const std::string what = "maxmemory-policy " + policy;
    if (!policy.starts_with("allkeys-")) return {verdict::ok, "memory of redis", what, {}};
    return {verdict::warning, "memory of redis",
            what + ": Redis may throw the stream away when it is short of memory",
            "noeviction or a volatile-* policy, in redis.conf"};
}

finding clock_of(redisContext& on) {
    using clock = std::chrono::system_clock;
    const auto before = clock::now();
    const auto time = ask(on, {"TIME"});
    const auto ours = before + (clock::now() - before) / 2;
    if (time->elements != 2)
        return {verdict::warning, "clock of redis", "it tells none", "see the log of Redis"};
    const clock::time_point theirs{std::chrono::seconds{number_in(text_of(*time->element[0]))} +
                                   std::chrono::microseconds{number_in(text_of(*time->element[1]))}};
    const seconds ahead = theirs - ours;
    const std::string off = in_words(ahead) + (ahead > 0s ? " ahead of" : " behind") + " this host";
    if (std::chrono::abs(ahead) <= clock_doubtful) return {verdict::ok, "clock of redis", off, {}};
    return {verdict::warning, "clock of redis", off, "set both by NTP: systemctl status systemd-timesyncd"};
}

finding stream_of(redisContext& on) {
    const auto length = ask(on, {"XLEN", store::stream_name});
    return {verdict::ok, "stream", count_of(length->integer, "notification", "notifications") + " kept", {}};
}

/// Asks for what Redis must refuse by the id alone: whatever else it says, it would say of any entry.
finding entries_of(redisContext& on) {
    const std::string part = "entries of the stream";
    try {
        (void)ask(on, {"XADD", store::stream_name, "NOMKSTREAM", "0-0", "n", ""});
    } catch (const redis_silent&) {
        throw;
    } catch (const std::runtime_error& refused) {
        const std::string_view why = refused.what();
        if (why.find("must be greater than 0-0") == std::string_view::npos)
            return {verdict::failed, part, std::string{why},
                    "make room (maxmemory), give this user the rights of docs/operations.md, or lead to the "
                    "master"};
    }
    return {verdict::ok, part, "Redis takes them", {}};
}

/// Last: on a connection that is subscribed nothing else can be asked.
finding channels_of(redisContext& on) {
    (void)ask(on, {"SUBSCRIBE", store::channel_name(0)});
    return {verdict::ok, "channels of redis", "this user may listen", {}};
}

struct group {
    std::string name;
    long long behind = 0; // what it has not read, or not acknowledged
};

// Names and values in turn. Redis before 7 tells no lag.
group group_in(const redisReply& pairs) {
    group read;
    for (std::size_t at = 0; at + 1 < pairs.elements; at += 2) {
        const auto name = text_of(*pairs.element[at]);
        const redisReply& value = *pairs.element[at + 1];
        if (name == "name") read.name = text_of(value);
        if ((name == "lag" || name == "pending") && value.type == REDIS_REPLY_INTEGER)
            read.behind += value.integer;
    }
    return read;
}

finding groups_of(redisContext& on) {
    const std::string part = "readers of the stream";
    const auto there = ask(on, {"EXISTS", store::stream_name});
    if (there->integer == 0) return {verdict::ok, part, "no stream yet, so nobody reads it", {}};
    const auto groups = ask(on, {"XINFO", "GROUPS", store::stream_name});
    std::string behind;
    for (std::size_t at = 0; at < groups->elements; ++at) {
        const auto read = group_in(*groups->element[at]);
        if (read.behind < lag_doubtful) continue;
        behind.append(behind.empty() ? "" : ", ");
        behind.append(printable(read.name))
            .append(" is ")
            .append(std::to_string(read.behind))
            .append(" behind");
    }
    if (behind.empty())
        return {verdict::ok,
                part,
                count_of(static_cast<std::int64_t>(groups->elements), "group", "groups") +
                    ", none far behind",
                {}};
    return {verdict::warning, part, behind,
            "see that the tool runs; what falls out of the stream it must read from the log"};
}

} // namespace

findings check_redis(const runtime::configuration& settings) {
    store::redis_context on;
    try {
        on = connect_to_redis(settings.redis_url);
    } catch (const std::exception& failed) {
        return {{verdict::failed, "redis", failed.what(), "start Redis, or correct REDIS_URL"},
                {verdict::skipped,
                 "what is in it",
                 "needs Redis: role, memory, clock, stream, readers, channels",
                 {}}};
    }
    struct check {
        const char* part;
        finding (*look)(redisContext&);
    };
    findings all;
    bool silent = false;
    for (const auto& [part, look] :
         {check{"redis", server_of}, check{"role of redis", role_finding},
          check{"memory of redis", memory_of}, check{"clock of redis", clock_of}, check{"stream", stream_of},
          check{"entries of the stream", entries_of}, check{"readers of the stream", groups_of},
          check{"channels of redis", channels_of}}) {
        try {
            if (silent)
                all.push_back({verdict::skipped, part, "Redis does not answer", {}});
            else
                all.push_back(look(*on));
        } catch (const redis_silent& failed) {
            silent = true;
            all.push_back({verdict::failed, part, failed.what(), "see whether Redis hangs, or the network"});
        } catch (const std::exception& failed) {
            all.push_back(
                {verdict::failed, part, failed.what(), "see the log of Redis, and its ACL for this user"});
        }
    }
    return all;
}

} // namespace mana::admin
