#include "shared/runtime/command_line.hpp"

#include "shared/runtime/configuration.hpp"

#include <CLI/CLI.hpp>
#include <string>

namespace mana::runtime {

std::optional<int> parse_command_line(int argc, const char* const* argv, std::string_view program,
                                      std::string_view purpose) {
    CLI::App app{std::string{purpose}, std::string{program}};
    app.set_version_flag("--version", std::string{program} + " " MANA_SYNC_VERSION,
                         "Print the version and exit");
    app.set_help_flag("--help", "Print this help and exit");
    app.footer(environment_help());
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& stop) {
        return app.exit(stop);
    }
    return std::nullopt;
}

} // namespace mana::runtime
