#include "tests/checker/parts/stepping_clock.hpp"

#include "tests/checker/journal.hpp"

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <system_error>

namespace mana::checker {

using namespace std::chrono_literals;

stepping_clock::stepping_clock(std::chrono::seconds ahead, server_clock& known) : known_(known) {
    using std::filesystem::perms;
    std::filesystem::permissions(folder_.file(""), perms::owner_all | perms::group_exec | perms::others_exec);
    set_ahead(ahead);
}

// A program reads this host's clock, then the file, and adds the two up. The file changes in one moment, from
// one whole content to the other: so what it shows to one who looked before that moment, or after it, is
// certain.
void stepping_clock::set_ahead(std::chrono::seconds ahead) {
    const auto file = folder_.file("ahead");
    const auto next = file + ".next";
    std::ofstream{next} << std::showpos << ahead.count() << std::flush;
    const auto begun = now();
    if (std::rename(next.c_str(), file.c_str()) != 0)
        throw std::system_error{errno, std::generic_category(), file};
    known_.note({begun, now() + 1ms, ahead});
    ahead_ = ahead;
}

// Where Debian has it, whichever the machine. The one for threads locks, and would wait for itself in a
// handler.
std::string stepping_clock::library(looks of_program) {
    const auto* const name = of_program == looks::in_threads ? "libfaketimeMT.so.1" : "libfaketime.so.1";
    std::error_code none;
    for (const auto& folder : std::filesystem::directory_iterator{"/usr/lib", none}) {
        const auto file = folder.path() / "faketime" / name;
        if (std::filesystem::exists(file, none)) return file;
    }
    return {};
}

program::settings stepping_clock::settings() const {
    return {{"FAKETIME_TIMESTAMP_FILE", folder_.file("ahead")},
            {"FAKETIME_NO_CACHE", "1"},
            {"FAKETIME_DONT_FAKE_MONOTONIC", "1"}};
}

} // namespace mana::checker
