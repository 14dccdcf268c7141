#include "ws_hub/user_lookup.hpp"

#include "shared/runtime/log.hpp"

#include <boost/asio/post.hpp>

#include <chrono>
#include <exception>
#include <memory>
#include <utility>

namespace mana::hub {
namespace {

using namespace std::chrono_literals;

constexpr auto patience = 3s;
constexpr std::size_t askers = 2;
constexpr int shares = 3; // of the time for which an answer is kept; the last is a connection's

gate::user_gate_settings kept_shorter(gate::user_gate_settings gates) {
    gates.kept -= gates.kept / shares;
    return gates;
}

} // namespace

user_lookup::asker::asker(const gate::user_gate_settings& gates, const store::postgres_settings& where)
    : users{gates}, tables{where, {gate::user_gate::statements()}} {}

user_lookup::user_lookup(boost::asio::io_context& io, const gate::user_gate_settings& gates,
                         const store::postgres_settings& where)
    : io_(io), spaces_shared_(!gates.auth_url.empty()), holds_for_(gates.kept / shares), threads_(askers) {
    for (std::size_t i = 0; i < askers; ++i) idle_.add(std::make_unique<asker>(kept_shorter(gates), where));
}

user_lookup::~user_lookup() {
    threads_.stop();
    threads_.join();
}

void user_lookup::ask(std::string user, receiver then) {
    boost::asio::post(threads_, [this, user = std::move(user), then = std::move(then)]() mutable {
        auto found = ask_now(user);
        // Moved, so that the last owner of a connection is let go of on the io thread.
        boost::asio::post(io_, [found = std::move(found), then = std::move(then)] { then(found); });
    });
}

void user_lookup::request_stop() {
    threads_.stop();
}

std::optional<user_verdict> user_lookup::ask_now(const std::string& user) {
    auto with = idle_.borrow();
    std::optional<user_verdict> found;
    try {
        const auto until = std::chrono::steady_clock::now() + patience;
        user_verdict verdict;
        verdict.may_sync = with->users.may_sync(user, with->tables, until);
        verdict.spaces.emplace();
        if (spaces_shared_) verdict.spaces = with->users.spaces_of(user, with->tables, until);
        found = std::move(verdict);
    } catch (const store::postgres_error& failed) {
        if (failed.next() == store::remedy::report)
            runtime::log::error("user_lookup_failed", {{"user", user}, {"reason", failed.what()}});
    } catch (const std::exception& failed) { // whatever it is, it is one answer, not the hub
        runtime::log::error("user_lookup_failed", {{"user", user}, {"reason", failed.what()}});
    }
    return found;
}

} // namespace mana::hub
