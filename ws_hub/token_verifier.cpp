#include "ws_hub/token_verifier.hpp"

#include "shared/runtime/log.hpp"

#include <boost/asio/post.hpp>

#include <chrono>
#include <exception>
#include <optional>
#include <utility>

namespace mana::hub {

using std::chrono::system_clock;

namespace {

std::chrono::sys_seconds now() {
    return std::chrono::floor<std::chrono::seconds>(system_clock::now());
}

/// What a look at one token throws, for want of memory perhaps, refuses that token, and ends no thread.
template<class Look>
auto verdict_of(const Look& look) -> decltype(look()) {
    try {
        return look();
    } catch (const std::exception& failed) {
        runtime::log::error("token_not_verified", {{"reason", failed.what()}});
        return gate::token_fault::keys_unavailable;
    }
}

} // namespace

token_verifier::token_verifier(boost::asio::io_context& io, gate::jwks_fetcher fetch,
                               std::unique_ptr<gate::key_share> share)
    : io_(io), keys_(std::move(fetch), std::move(share)) {
    boost::asio::post(waiting_, [this] {
        try {
            keys_.refresh(gate::key_set::clock::now());
        } catch (const std::exception& failed) { // the first token tries again
            runtime::log::error("keys_not_fetched", {{"reason", failed.what()}});
        }
    });
}

token_verifier::~token_verifier() {
    request_stop();
    verifying_.join();
    waiting_.join();
}

void token_verifier::verify(std::string token, verdict then) {
    boost::asio::post(verifying_, [this, token = std::move(token), then = std::move(then)]() mutable {
        verify_at_once(std::move(token), std::move(then));
    });
}

void token_verifier::verify_at_once(std::string token, verdict then) {
    auto found = verdict_of([&]() -> std::optional<gate::token_result> {
        return gate::verify_token_at_once(token, keys_, now(), gate::key_set::clock::now());
    });
    if (found) return tell(std::move(*found), std::move(then));
    boost::asio::post(waiting_, [this, token = std::move(token), then = std::move(then)]() mutable {
        verify_in_time(token, std::move(then));
    });
}

void token_verifier::verify_in_time(const std::string& token, verdict then) {
    auto found =
        verdict_of([&] { return gate::verify_token(token, keys_, now(), gate::key_set::clock::now()); });
    tell(std::move(found), std::move(then));
}

// `then` is moved, so that the last owner of a connection is let go of on the io thread.
void token_verifier::tell(gate::token_result found, verdict then) {
    boost::asio::post(io_, [found = std::move(found), then = std::move(then)] { then(found); });
}

void token_verifier::request_stop() {
    verifying_.stop();
    waiting_.stop();
}

} // namespace mana::hub
