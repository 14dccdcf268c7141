// Asks the user gate beside the io thread: PostgreSQL or a service may have to be waited for.
#pragma once

#include "shared/gate/user_gate.hpp"
#include "shared/store/database.hpp"
#include "ws_hub/loan_pool.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace mana::hub {

struct user_verdict {
    bool may_sync = true;
    std::optional<std::vector<std::string>> spaces; ///< nothing: not known; none where spaces are not shared
};

class user_lookup {
  public:
    /// On the io thread. Nothing: PostgreSQL does not answer.
    using receiver = std::function<void(const std::optional<user_verdict>& found)>;

    /// `io` outlives it. Connections are made when they are first needed.
    user_lookup(boost::asio::io_context& io, const gate::user_gate_settings& gates,
                const store::postgres_settings& where);
    user_lookup(const user_lookup&) = delete;
    user_lookup& operator=(const user_lookup&) = delete;
    /// Waits for what is under way, which its time-outs end.
    ~user_lookup();

    /// Whether there are spaces to ask for.
    [[nodiscard]] bool spaces_shared() const { return spaces_shared_; }

    /// How long a connection may go by what it was told. What is told is not older than twice that, so
    /// that nobody's standing is ever older than the gates allow.
    [[nodiscard]] std::chrono::milliseconds holds_for() const { return holds_for_; }

    /// `then` keeps its caller alive: it is called unless the hub stops first. A caller has one question
    /// under way at most, which bounds the queue.
    void ask(std::string user, receiver then);

    /// What waits is dropped. Returns at once.
    void request_stop();

  private:
    struct asker {
        asker(const gate::user_gate_settings& gates, const store::postgres_settings& where);
        gate::user_gate users;
        store::database tables;
    };

    boost::asio::io_context& io_;
    const bool spaces_shared_;
    const std::chrono::milliseconds holds_for_;

    loan_pool<asker> idle_;

    boost::asio::thread_pool threads_; // last: they use all above; as many as there are askers

    [[nodiscard]] std::optional<user_verdict> ask_now(const std::string& user);
};

} // namespace mana::hub
