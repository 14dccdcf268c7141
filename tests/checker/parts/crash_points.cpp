#include "tests/checker/parts/crash_points.hpp"

#include "tests/end_to_end/environment.hpp"

namespace mana::checker {

crash_points::crash_points(std::string file) : file_(std::move(file)), word_(shared_word::make(file_)) {}

std::optional<crash_word::time> crash_points::strike(crash_point at, std::chrono::milliseconds patience) {
    word_.arm(at);
    // Who comes there in the last moment counts too.
    static_cast<void>(end_to_end::await([this] { return word_.is_taken(); }, patience));
    return word_.disarm();
}

std::string crash_points::library() {
    return library_beside_this("libcrash_points.so");
}

program::settings crash_points::settings() const {
    return {{"MANA_CHECKER_CRASH_POINT", file_}};
}

} // namespace mana::checker
