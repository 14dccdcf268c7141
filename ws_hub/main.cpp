// mana-sync-hub: holds the long-lived connections of browsers and tells them what was committed.
#include "shared/gate/from_settings.hpp"
#include "shared/runtime/command_line.hpp"
#include "shared/runtime/configuration.hpp"
#include "shared/runtime/log.hpp"
#include "shared/runtime/signals.hpp"
#include "shared/store/encoding.hpp"
#include "ws_hub/hub_process.hpp"

#include <cstdlib>
#include <exception>
#include <iostream>
#include <sys/resource.h>

namespace {

using namespace mana;

/// Each connection takes a descriptor; the soft limit is often 1,024.
void raise_descriptor_limit() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

} // namespace

int main(int argc, char** argv) {
    if (const auto exit_code = runtime::parse_command_line(argc, argv, hub::program,
                                                           "Pushes mana-sync's notifications to browsers."))
        return *exit_code;
    try {
        const auto settings = runtime::load_configuration();
        runtime::log::set_level(settings.log_level);
        runtime::ignore_broken_pipes();
        raise_descriptor_limit();
        store::refuse_other_encoding(gate::postgres_of(settings, hub::program));
        hub::run_hub(settings);
        // What a session that was given up still waits for (abandoned_session.hpp) must meet no library that
        // has ended.
        std::quick_exit(EXIT_SUCCESS);
    } catch (const std::exception& failure) {
        std::cerr << "mana-sync-hub: " << failure.what() << '\n';
        return EXIT_FAILURE;
    }
}
