// mana-sync-worker: answers push and pull, behind nginx. Only wires the parts together.

#include "fcgi_worker/key_count.hpp"
#include "fcgi_worker/master.hpp"
#include "fcgi_worker/request_rate.hpp"
#include "fcgi_worker/worker.hpp"
#include "shared/gate/from_settings.hpp"
#include "shared/gate/key_file.hpp"
#include "shared/gate/key_set.hpp"
#include "shared/metrics/worker_counters.hpp"
#include "shared/runtime/command_line.hpp"
#include "shared/runtime/configuration.hpp"
#include "shared/runtime/listening_socket.hpp"
#include "shared/runtime/log.hpp"
#include "shared/runtime/service_manager.hpp"
#include "shared/runtime/shown_url.hpp"
#include "shared/runtime/signals.hpp"
#include "shared/store/encoding.hpp"

#include <exception>
#include <iostream>
#include <memory>

namespace {

namespace runtime = mana::runtime;
using namespace mana::fcgi_worker;

// Small: in a deep one requests would wait until their senders are gone, and be served for nobody.
constexpr int backlog = 128;

void serve(const runtime::configuration& settings) {
    runtime::service_manager manager;
    const runtime::listening_socket listener{"WORKER_SOCKET", settings.worker_socket, backlog};
    const mana::metrics::counters_file counters{"WORKER_METRICS", settings.worker_metrics};
    auto& counted = counters.counters();
    // Fetched once here, the keys are there in every worker from its first request on.
    mana::gate::key_set keys{mana::gate::jwks_over_http(settings.jwks_url),
                             std::make_unique<mana::gate::key_file>(settings.keys_file, settings.jwks_url)};
    key_count fetch_at_start{keys, counted};
    if (!keys.refresh(mana::gate::key_set::clock::now()))
        runtime::log::warn("keys_unavailable", {{"url", runtime::shown_url(settings.jwks_url)}});
    fetch_at_start.carry_over();

    runtime::log::info("started", {{"workers", settings.workers},
                                   {"socket", listener.from_systemd() ? "systemd" : settings.worker_socket}});
    request_rate rate{settings.max_requests};
    const worker_means means{listener.fd(), keys, rate, counted};
    const auto work = [&](worker_seat& seat) { return run_worker(settings, means, seat); };
    master{settings.workers, patience_of(settings), counted, manager, work}.run();
    runtime::log::info("stopped");
}

} // namespace

int main(int argc, char** argv) {
    if (const auto status = runtime::parse_command_line(argc, argv, "mana-sync-worker",
                                                        "The FastCGI workers of mana-sync: push and pull."))
        return *status;
    try {
        const auto settings = runtime::load_configuration();
        runtime::log::set_level(settings.log_level);
        runtime::ignore_broken_pipes();
        mana::store::refuse_other_encoding(mana::gate::postgres_of(settings, "mana-sync-worker"));
        serve(settings);
        return 0;
    } catch (const std::exception& failed) {
        std::cerr << "mana-sync-worker: " << failed.what() << '\n';
        return 1;
    }
}
