#include "ws_hub/token_verifier.hpp"

#include <boost/asio/post.hpp>

#include <chrono>
#include <utility>

namespace mana::hub {

using std::chrono::system_clock;

namespace {

std::chrono::sys_seconds now() {
    return std::chrono::floor<std::chrono::seconds>(system_clock::now());
}

} // namespace

token_verifier::token_verifier(boost::asio::io_context& io, gate::jwks_fetcher fetch,
                               std::unique_ptr<gate::key_share> share)
    : io_(io), keys_(std::move(fetch), std::move(share)) {
    boost::asio::post(waiting_, [this] { keys_.refresh(gate::key_set::clock::now()); });
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
    auto found = gate::verify_token_at_once(token, keys_, now(), gate::key_set::clock::now());
    if (found) return tell(std::move(*found), std::move(then));
    boost::asio::post(waiting_, [this, token = std::move(token), then = std::move(then)]() mutable {
        verify_in_time(token, std::move(then));
    });
}

void token_verifier::verify_in_time(const std::string& token, verdict then) {
    tell(gate::verify_token(token, keys_, now(), gate::key_set::clock::now()), std::move(then));
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
