#include "tests/checker/parts/crash_points.hpp"

#include "tests/end_to_end/environment.hpp"

#include <filesystem>
#include <fstream>
#include <system_error>

namespace mana::checker {

namespace {

/// Before it is mapped: who touched a word beyond a file's end would be ended by SIGBUS.
const std::string& with_space_for_a_word(const std::string& file) {
    std::ofstream{file}.close();
    std::filesystem::resize_file(file, sizeof(std::int64_t));
    return file;
}

} // namespace

crash_points::crash_points(std::string file) : file_(std::move(file)), word_(with_space_for_a_word(file_)) {}

std::optional<crash_word::time> crash_points::strike(crash_point at, std::chrono::milliseconds patience) {
    word_.arm(at);
    // Who comes there in the last moment counts too.
    static_cast<void>(end_to_end::await([this] { return word_.is_taken(); }, patience));
    return word_.disarm();
}

std::string crash_points::library() {
    std::error_code none;
    const auto program = std::filesystem::read_symlink("/proc/self/exe", none);
    const auto file = program.parent_path() / "libcrash_points.so";
    return std::filesystem::exists(file, none) ? file.string() : std::string{};
}

program::settings crash_points::settings() const {
    return {{"MANA_CHECKER_CRASH_POINT", file_}};
}

} // namespace mana::checker
