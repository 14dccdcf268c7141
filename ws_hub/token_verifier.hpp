// Verifies tokens beside the io thread: a key that is not known yet is fetched, and that may block.
#pragma once

#include "shared/gate/key_set.hpp"
#include "shared/gate/token.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>

#include <functional>
#include <memory>
#include <string>

namespace mana::hub {

class token_verifier {
  public:
    /// Called on the io thread.
    using verdict = std::function<void(const gate::token_result& found)>;

    /// `io` outlives the verifier. Begins to fetch the keys, where `share` has none of late.
    token_verifier(boost::asio::io_context& io, gate::jwks_fetcher fetch,
                   std::unique_ptr<gate::key_share> share);
    token_verifier(const token_verifier&) = delete;
    token_verifier& operator=(const token_verifier&) = delete;
    /// Waits for a fetch that is under way, which its own time-out ends.
    ~token_verifier();

    /// `then` keeps its caller alive: it is called unless the hub stops first. One token at a time, in order;
    /// a caller has one under way at most, which bounds the queue.
    void verify(std::string token, verdict then);

    /// What waits is dropped. Returns at once.
    void request_stop();

  private:
    boost::asio::io_context& io_;
    gate::key_set keys_;
    boost::asio::thread_pool pool_{1}; // last: its thread uses all above
};

} // namespace mana::hub
