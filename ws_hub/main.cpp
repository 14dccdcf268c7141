// mana-sync-hub: holds the long-lived connections of browsers and tells them what Redis says was committed.
#include "shared/gate/key_set.hpp"
#include "shared/runtime/command_line.hpp"
#include "shared/runtime/configuration.hpp"
#include "shared/runtime/log.hpp"
#include "shared/runtime/signals.hpp"
#include "shared/store/redis.hpp"
#include "ws_hub/health.hpp"
#include "ws_hub/http_session.hpp"
#include "ws_hub/listener.hpp"
#include "ws_hub/redis_feed.hpp"
#include "ws_hub/session_context.hpp"
#include "ws_hub/subscription_index.hpp"
#include "ws_hub/token_verifier.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <sys/resource.h>
#include <utility>

namespace {

using namespace mana;
using namespace std::chrono_literals;

constexpr auto goodbye_at_most = 3s;

/// Each connection takes a descriptor; the soft limit is often 1,024.
void raise_descriptor_limit() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

void serve(const runtime::configuration& settings) {
    boost::asio::io_context io{1};
    boost::asio::signal_set stop_signals{io, SIGTERM, SIGINT};
    hub::subscription_index index;
    hub::listener door{io, settings.hub_socket}; // first, for it sets the umask and starts no thread
    hub::token_verifier verifier{io, gate::jwks_over_http(settings.jwks_url)};
    hub::redis_feed feed{io, store::parse_redis_url(settings.redis_url)};
    hub::health state{index, feed};
    const hub::session_context shared{index, verifier, state};

    feed.start([&index, &state](const store::notification& told) {
        state.count_notification();
        for (hub::subscriber* const each : index.of(told.scope)) each->hear(told);
    });
    door.start([&shared](hub::listener::socket connected) {
        hub::start_http_session(shared, std::move(connected));
    });
    stop_signals.async_wait([&io](boost::system::error_code, int) { io.stop(); });
    runtime::log::info("hub_started", {{"socket", settings.hub_socket}});
    io.run();

    runtime::log::info("hub_stopping", {{"connections", index.connections()}});
    feed.request_stop();
    verifier.request_stop();
    door.stop();
    for (hub::subscriber* const each : index.all()) each->dismiss();
    io.restart();
    io.run_for(goodbye_at_most);
    runtime::log::info("hub_stopped");
}

} // namespace

int main(int argc, char** argv) {
    if (const auto exit_code = runtime::parse_command_line(argc, argv, "mana-sync-hub",
                                                           "Pushes mana-sync's notifications to browsers."))
        return *exit_code;
    try {
        const auto settings = runtime::load_configuration();
        runtime::log::set_level(settings.log_level);
        runtime::ignore_broken_pipes();
        raise_descriptor_limit();
        serve(settings);
        return EXIT_SUCCESS;
    } catch (const std::exception& failure) {
        std::cerr << "mana-sync-hub: " << failure.what() << '\n';
        return EXIT_FAILURE;
    }
}
