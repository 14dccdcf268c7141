// doctor: the sockets, the hub behind its own, and what nginx makes of all of it.
#include "admin/doctor_checks.hpp"
#include "admin/http_probe.hpp"
#include "admin/hub_health.hpp"
#include "admin/output.hpp"
#include "shared/runtime/unique_fd.hpp"

#include <cerrno>
#include <cstring>
#include <sys/socket.h>
#include <sys/un.h>
#include <system_error>

namespace mana::admin {
namespace {

constexpr std::size_t largest_body = 9'999'000; // a little less than the 10 MB that a push may have
constexpr std::chrono::milliseconds large_body_within{10'000};
constexpr const char* push_path = "/sync/mana-sync-admin-doctor";

// Why a unix socket cannot be connected to; 0 where it can.
int refusal_of(const std::string& path) {
    const runtime::unique_fd probe{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    if (!probe) return errno;
    sockaddr_un where{};
    where.sun_family = AF_UNIX;
    if (path.size() >= sizeof where.sun_path) return ENAMETOOLONG;
    path.copy(static_cast<char*>(where.sun_path), path.size());
    return ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&where), sizeof where) == 0 ? 0 : errno;
}

finding socket_finding(const std::string& part, const std::string& path, const std::string& unit) {
    const int refused = refusal_of(path);
    if (refused == 0) return {verdict::ok, part, path + " takes connections", {}};
    const std::string what = path + ": " + std::generic_category().message(refused);
    if (refused == EACCES)
        return {verdict::warning, part, what,
                "ask as root, or as a user in the group of nginx and mana-sync"};
    if (refused == EAGAIN)
        return {verdict::warning, part, what + " (all who listen are busy)",
                "more WORKERS, or see what holds them"};
    return {verdict::failed, part, what, "systemctl status " + unit};
}

finding hub_finding(const std::string& socket) {
    const auto health = health_of_hub(socket);
    if (!health) return {verdict::failed, "hub", health.error(), "systemctl status mana-sync-hub"};
    const std::string who = count_of(health->connections, "connection", "connections") + " of " +
                            count_of(health->users, "user", "users");
    if (health->postgres_up && health->redis_up) return {verdict::ok, "hub", who, {}};
    if (health->postgres_up && health->redis_refuses)
        return {verdict::failed, "hub", who + "; Redis refuses what it tells",
                "journalctl -u mana-sync-hub -g redis_refuses"};
    const bool redis_reached = health->redis_up || health->redis_refuses;
    return {verdict::failed, "hub",
            who + "; it does not reach " +
                (health->postgres_up ? "Redis"
                 : redis_reached     ? "PostgreSQL"
                                     : "PostgreSQL and Redis"),
            "journalctl -u mana-sync-hub"};
}

finding health_finding(const std::string& url) {
    const auto reply = send({url + "/health", {}, {}, 0});
    const std::string to_do =
        "see that nginx runs, has mana-sync's locations, and listens where --url or PORT says";
    if (!reply) return {verdict::failed, "nginx", reply.error(), to_do};
    const std::string what = url + "/health answers " + std::to_string(reply->status);
    if (reply->status != 200) return {verdict::failed, "nginx", what, to_do};
    const bool ours = reply->body.find("\"mana-sync\"") != std::string::npos;
    if (!ours) return {verdict::failed, "nginx", what + ", but it is not mana-sync that does", to_do};
    return {verdict::ok, "nginx", what, {}};
}

// A worker refuses a push without a token, so that 401 is a worker's word.
finding push_finding(const std::string& url) {
    const auto reply = send({url + push_path, {}, {"Content-Type: application/json"}, 2});
    const std::string part = "push through nginx";
    if (!reply) return {verdict::failed, part, reply.error(), "see the error log of nginx"};
    if (reply->status == 401)
        return {verdict::ok, part, "reaches a worker, which refuses it without a token", {}};
    return {verdict::failed, part,
            "one without a token gets " + std::to_string(reply->status) + ", not 401 of a worker",
            "systemctl status mana-sync-worker, and see the error log of nginx"};
}

finding large_body_finding(const std::string& url) {
    const auto reply =
        send({url + push_path, {}, {"Content-Type: application/json"}, largest_body, large_body_within});
    const std::string part = "large push";
    const std::string to_do =
        "client_max_body_size 10m, as in mana-sync's locations, and in every proxy before it";
    if (!reply) return {verdict::failed, part, reply.error(), to_do};
    if (reply->status == 401) return {verdict::ok, part, "a body of 10 MB reaches a worker", {}};
    return {verdict::failed, part,
            "a body of 10 MB gets " + std::to_string(reply->status) + ", not 401 of a worker", to_do};
}

finding cors_finding(const std::string& url, const runtime::configuration& settings) {
    const std::string part = "CORS";
    if (settings.cors_origins.empty())
        return {verdict::ok, part, "CORS_ORIGINS is empty: no web app may call", {}};
    const std::string& allowed = settings.cors_origins.front();
    const auto reply =
        send({url + push_path, {}, {"Content-Type: application/json", "Origin: " + allowed}, 2});
    if (!reply) return {verdict::skipped, part, "needs an answer of nginx", {}};
    const auto found = reply->headers.equal_range("access-control-allow-origin");
    const auto times = std::distance(found.first, found.second);
    if (times == 0)
        return {verdict::failed, part, "an answer to " + allowed + " has no Access-Control-Allow-Origin",
                "fill nginx' map of origins from CORS_ORIGINS, and keep add_header out of deeper locations"};
    if (times > 1)
        return {verdict::failed, part,
                "Access-Control-Allow-Origin comes " + std::to_string(times) + " times",
                "let only mana-sync's locations add it, or browsers refuse all answers"};
    if (found.first->second != allowed)
        return {verdict::failed, part, allowed + " is answered with " + printable(found.first->second),
                "fill nginx' map of origins from CORS_ORIGINS"};
    return {verdict::ok, part, allowed + " may call, and is told so once", {}};
}

} // namespace

findings check_front(const runtime::configuration& settings, const std::string& url) {
    findings all{socket_finding("socket of workers", settings.worker_socket, "mana-sync-worker"),
                 socket_finding("socket of hub", settings.hub_socket, "mana-sync-hub"),
                 hub_finding(settings.hub_socket), health_finding(url)};
    all.push_back(push_finding(url));
    if (all.back().is == verdict::failed)
        all.push_back({verdict::skipped, "large push", "needs a push that reaches a worker", {}});
    else
        all.push_back(large_body_finding(url));
    all.push_back(cors_finding(url, settings));
    return all;
}

} // namespace mana::admin
