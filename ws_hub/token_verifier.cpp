#include "ws_hub/token_verifier.hpp"

#include <boost/asio/post.hpp>

#include <chrono>
#include <utility>

namespace mana::hub {

using std::chrono::system_clock;

token_verifier::token_verifier(boost::asio::io_context& io, gate::jwks_fetcher fetch,
                               std::unique_ptr<gate::key_share> share)
    : io_(io), keys_(std::move(fetch), std::move(share)) {
    boost::asio::post(pool_, [this] { keys_.refresh(gate::key_set::clock::now()); });
}

token_verifier::~token_verifier() {
    pool_.stop();
    pool_.join();
}

void token_verifier::verify(std::string token, verdict then) {
    boost::asio::post(pool_, [this, token = std::move(token), then = std::move(then)]() mutable {
        auto found =
            gate::verify_token(token, keys_, std::chrono::floor<std::chrono::seconds>(system_clock::now()),
                               gate::key_set::clock::now());
        // Moved, so that the last owner of a connection is let go of on the io thread.
        boost::asio::post(io_, [found = std::move(found), then = std::move(then)] { then(found); });
    });
}

void token_verifier::request_stop() {
    pool_.stop();
}

} // namespace mana::hub
