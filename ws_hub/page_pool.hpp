// Pages of the log for event streams: a few threads, each with one connection to PostgreSQL, whatever the
// number of streams.
#pragma once

#include "shared/store/database.hpp"
#include "shared/store/page_reader.hpp"
#include "shared/sync/cursor.hpp"
#include "ws_hub/loan_pool.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>

#include <cstddef>
#include <functional>
#include <optional>
#include <string>

namespace mana::hub {

class metrics;

/// A page as it goes to a client.
struct stream_page {
    std::string events; ///< see to_events(); empty where there was nothing to show
    sync::cursor until;
    bool has_more = false;
};

class page_pool {
  public:
    /// On the io thread. Nothing: PostgreSQL did not give the page; ask again in a moment.
    using receiver = std::function<void(std::optional<stream_page> read)>;

    /// What is passed by reference outlives it. Connections are made when they are first needed.
    page_pool(boost::asio::io_context& io, const store::postgres_settings& where, std::size_t connections,
              bool spaces_shared, metrics& counts);
    page_pool(const page_pool&) = delete;
    page_pool& operator=(const page_pool&) = delete;
    /// Waits for the pages that are being read, which their time-outs end.
    ~page_pool();

    /// `then` keeps its caller alive: it is called unless the hub stops first. In the order of the calls; a
    /// caller has one page under way at most, which bounds the queue. PostgreSQL and the log name the
    /// request.
    void read(store::reader who, store::page_request wanted, std::string request_id, receiver then);

    /// What waits is dropped. Returns at once.
    void request_stop();

  private:
    boost::asio::io_context& io_;
    const bool spaces_shared_;
    metrics& metrics_;

    loan_pool<store::database> idle_;

    boost::asio::thread_pool threads_; // last: they use all above; as many as there are databases

    [[nodiscard]] std::optional<stream_page> read_now(const store::reader& who, store::page_request wanted,
                                                      const std::string& request_id);
};

} // namespace mana::hub
