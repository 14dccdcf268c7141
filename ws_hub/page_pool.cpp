#include "ws_hub/page_pool.hpp"

#include "ws_hub/metrics.hpp"
#include "ws_hub/stream_events.hpp"

#include <boost/asio/post.hpp>

#include <chrono>
#include <exception>
#include <memory>
#include <utility>

namespace mana::hub {
namespace {

using namespace std::chrono_literals;

constexpr auto patience = 5s;

} // namespace

page_pool::page_pool(boost::asio::io_context& io, const store::postgres_settings& where,
                     std::size_t connections, bool spaces_shared, metrics& counts)
    : io_(io), spaces_shared_(spaces_shared), metrics_(counts), threads_(connections) {
    for (std::size_t i = 0; i < connections; ++i)
        idle_.add(std::make_unique<store::database>(
            where, std::initializer_list<std::span<const store::statement>>{store::page_statements()}));
}

page_pool::~page_pool() {
    threads_.stop();
    threads_.join();
}

void page_pool::read(store::reader who, store::page_request wanted, std::string request_id, receiver then) {
    boost::asio::post(threads_, [this, who = std::move(who), wanted = std::move(wanted),
                                 id = std::move(request_id), then = std::move(then)]() mutable {
        auto page = read_now(who, std::move(wanted), id);
        // Moved, so that the last owner of a connection is let go of on the io thread.
        boost::asio::post(
            io_, [page = std::move(page), then = std::move(then)]() mutable { then(std::move(page)); });
    });
}

void page_pool::request_stop() {
    threads_.stop();
}

std::optional<stream_page> page_pool::read_now(const store::reader& who, store::page_request wanted,
                                               const std::string& request_id) {
    wanted.spaces_shared = spaces_shared_;
    auto database = idle_.borrow();
    database->work_for(request_id);
    wanted.remembered = &database->seen_spaces();
    std::optional<stream_page> page;
    try {
        const auto until = std::chrono::steady_clock::now() + patience;
        const auto answer = database->run(
            until, [&](store::connection& on) { return store::read_page(on, who, wanted, until); });
        page = stream_page{to_events(answer), answer.synced_until, answer.has_more};
    } catch (const store::postgres_error& failed) {
        if (failed.next() == store::remedy::report)
            runtime::log::error("page_failed",
                                {{"id", request_id}, {"app", wanted.app}, {"reason", failed.what()}});
    } catch (const std::exception& failed) { // whatever it is, it is one page, not the hub
        runtime::log::error("page_failed",
                            {{"id", request_id}, {"app", wanted.app}, {"reason", failed.what()}});
    }
    metrics_.page_read(page.has_value());
    return page;
}

} // namespace mana::hub
