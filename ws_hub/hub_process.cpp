#include "ws_hub/hub_process.hpp"

#include "shared/gate/from_settings.hpp"
#include "shared/gate/key_file.hpp"
#include "shared/gate/key_set.hpp"
#include "shared/runtime/log.hpp"
#include "shared/runtime/service_manager.hpp"
#include "shared/store/redis.hpp"
#include "ws_hub/fan_out.hpp"
#include "ws_hub/health.hpp"
#include "ws_hub/http_session.hpp"
#include "ws_hub/listener.hpp"
#include "ws_hub/log_sweep.hpp"
#include "ws_hub/metrics.hpp"
#include "ws_hub/page_pool.hpp"
#include "ws_hub/push_ledger.hpp"
#include "ws_hub/redis_feed.hpp"
#include "ws_hub/session_context.hpp"
#include "ws_hub/subscription_index.hpp"
#include "ws_hub/token_verifier.hpp"
#include "ws_hub/user_lookup.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <csignal>
#include <exception>
#include <memory>
#include <string>

namespace mana::hub {
namespace {

using namespace std::chrono_literals;

constexpr auto goodbye_at_most = 3s;
constexpr std::size_t stream_connections = 4; // to PostgreSQL, for all streams together

std::unique_ptr<gate::key_share> keys_of_host(const runtime::configuration& settings) {
    return std::make_unique<gate::key_file>(settings.keys_file, settings.jwks_url);
}

log_sweep::settings sweep_of(const runtime::configuration& settings) {
    return {gate::postgres_of(settings, program), settings.redis_url, gate::gates_of(settings),
            gate::terms_of(settings)};
}

/// The hub's parts, in the order in which they need each other.
class hub_process {
  public:
    explicit hub_process(const runtime::configuration& settings)
        : door_{io_, settings.hub_socket}, verifier_{io_, gate::jwks_over_http(settings.jwks_url),
                                                     keys_of_host(settings)},
          users_{io_, gate::gates_of(settings), gate::postgres_of(settings, program)},
          pages_{io_, gate::postgres_of(settings, program), stream_connections,
                 !settings.mana_auth_url.empty(), counts_},
          feed_{io_, store::parse_redis_url(settings.redis_url)}, sweep_{io_, sweep_of(settings), ledger_,
                                                                         counts_},
          state_{index_, feed_, sweep_, counts_, settings.worker_metrics}, shared_{
                                                                               index_,
                                                                               news_,
                                                                               verifier_,
                                                                               users_,
                                                                               pages_,
                                                                               state_,
                                                                               counts_,
                                                                               settings.max_connections,
                                                                               static_cast<int>(
                                                                                   settings.page_rows / 2),
                                                                               settings.cors_origins} {}

    void run() {
        feed_.start([this](const store::notification& push) { tell(push, news_source::redis); });
        sweep_.start({
            .was_away =
                [this](const log_sweep::pushes& before) {
                    for (const auto& push : before) news_.tell(push, news_source::log, fan_out::clock::now());
                },
            .found =
                [this](const log_sweep::pushes& found) {
                    for (const auto& push : found) tell(push, news_source::log);
                },
            .redis_up = [this] { return feed_.up(); },
        });
        door_.start(
            [this](listener::socket connected) { start_http_session(shared_, std::move(connected)); });
        stop_signals_.async_wait([this](boost::system::error_code, int) { io_.stop(); });
        ignore_reloads();
        boost::asio::post(io_, [this] { manager_.ready(in_one_line()); });
        show_life();
        serve();
    }

    /// Says goodbye to every connection, and lets what waits out first.
    void stop() {
        runtime::log::info("hub_stopping", {{"connections", index_.connections()}});
        manager_.stopping();
        feed_.request_stop();
        sweep_.request_stop();
        verifier_.request_stop();
        users_.request_stop();
        pages_.request_stop();
        door_.stop();
        reload_signals_.cancel(); // what is waited for keeps io_ at work
        life_.cancel();
        for (subscriber* const each : index_.all()) each->dismiss();
        io_.restart();
        const auto until = std::chrono::steady_clock::now() + goodbye_at_most;
        until_done([this, until] { io_.run_until(until); });
    }

  private:
    boost::asio::io_context io_{1};
    boost::asio::signal_set stop_signals_{io_, SIGTERM, SIGINT};
    boost::asio::signal_set reload_signals_{io_, SIGHUP};
    boost::asio::steady_timer life_{io_};
    runtime::service_manager manager_;
    listener door_; // first, for it sets the umask and starts no thread
    metrics counts_;
    subscription_index index_;
    push_ledger ledger_;
    fan_out news_{index_, ledger_, fan_out::clock::now()};
    token_verifier verifier_;
    user_lookup users_;
    page_pool pages_;
    redis_feed feed_;
    log_sweep sweep_;
    health state_;
    const session_context shared_;

    void serve() {
        until_done([this] { io_.run(); });
    }

    /// What a connection's handler throws costs that connection, which its handler kept alive, and no other.
    template<class Run>
    static void until_done(const Run& run) {
        for (bool done = false; !done;) {
            try {
                run();
                done = true;
            } catch (const std::exception& failed) {
                runtime::log::error("handler_failed", {{"reason", failed.what()}});
            }
        }
    }

    void tell(const store::notification& push, news_source from) {
        const bool news = news_.tell(push, from, fan_out::clock::now());
        counts_.notified(from, news);
        if (!news) return;
        runtime::log::debug("push_told", {{"id", push.request}, {"app", push.app}, {"scope", push.scope}});
    }

    [[nodiscard]] std::string in_one_line() const {
        return std::to_string(index_.connections()) + " connections of " + std::to_string(index_.users()) +
               " users";
    }

    /// From the io thread, for it is the one that may hang, and for the sweep: nobody else would notice that.
    void show_life() {
        const auto patience = manager_.patience();
        if (!patience) return;
        manager_.status(in_one_line());
        if (sweep_.silence() < *patience)
            manager_.alive(runtime::service_manager::clock::now());
        else
            runtime::log::error("sweep_stuck", {{"next", "the service manager ends the hub"}});
        life_.expires_after(*patience / 2);
        life_.async_wait([this](boost::system::error_code cancelled) {
            if (!cancelled) show_life();
        });
    }

    /// A signal cannot bring a process new environment variables, and must not end it either.
    void ignore_reloads() {
        reload_signals_.async_wait([this](boost::system::error_code cancelled, int) {
            if (cancelled) return;
            manager_.reloading(); // as it asked for it, it waits for the end
            runtime::log::info("hub_reload", {{"effect", "none: new settings need a restart"}});
            manager_.ready(in_one_line());
            ignore_reloads();
        });
    }
};

} // namespace

void run_hub(const runtime::configuration& settings) {
    hub_process hub{settings};
    runtime::log::info("hub_started", {{"socket", settings.hub_socket}});
    hub.run();
    hub.stop();
    runtime::log::info("hub_stopped");
}

} // namespace mana::hub
