// The command line of both programs: --help and --version, nothing else. All settings come from the
// environment.
#pragma once

#include <optional>
#include <string_view>

namespace mana::runtime {

// Nothing: go on. A number: print nothing more and exit with it (0 after --help and --version, which are
// answered on stdout; else 1xx after one line on stderr that names the argument that is not known).
[[nodiscard]] std::optional<int> parse_command_line(int argc, const char* const* argv,
                                                    std::string_view program, std::string_view purpose);

} // namespace mana::runtime
