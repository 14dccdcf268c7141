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

    /// `then` keeps its caller alive: it is called unless the hub stops first. A token whose key is held
    /// waits for no fetch, so nobody can hold others up by naming unknown keys. A caller has one under way at
    /// most, which bounds the queues.
    void verify(std::string token, verdict then);

    /// What waits is dropped. Returns at once.
    void request_stop();

  private:
    boost::asio::io_context& io_;
    gate::key_set keys_;
    // Last, for their threads use all above: one verifies, the other waits for keys first.
    boost::asio::thread_pool waiting_{1};
    boost::asio::thread_pool verifying_{1};

    void verify_at_once(std::string token, verdict then);
    void verify_in_time(const std::string& token, verdict then);
    void tell(gate::token_result found, verdict then);
};

} // namespace mana::hub
