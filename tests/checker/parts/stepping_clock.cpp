#include "tests/checker/parts/stepping_clock.hpp"

#include "tests/checker/journal.hpp"

#include <filesystem>

namespace mana::checker {

using namespace std::chrono_literals;

stepping_clock::stepping_clock(std::chrono::seconds ahead, server_clock& known)
    : known_(known), word_{shared_word::make(folder_.file("ahead")), shared_word::access::write} {
    using std::filesystem::perms;
    std::filesystem::permissions(folder_.file(""), perms::owner_all | perms::group_exec | perms::others_exec);
    // The checker's own folder may be closed to the user that PostgreSQL runs as.
    std::filesystem::copy_file(library(), readable_library());
    set_ahead(ahead);
}

// A program reads this host's clock, then the word, and adds the two up: so what it shows to one who looked
// before the word changed, or after it, is certain.
void stepping_clock::set_ahead(std::chrono::seconds ahead) {
    const auto begun = now();
    *word_ = ahead.count();
    known_.note({begun, now() + 1ms, ahead});
    ahead_ = ahead;
}

std::string stepping_clock::library() {
    return library_beside_this("libstepping_clock.so");
}

std::string stepping_clock::readable_library() const {
    return folder_.file("libstepping_clock.so");
}

program::settings stepping_clock::settings() const {
    return {{"MANA_CHECKER_CLOCK", folder_.file("ahead")}};
}

} // namespace mana::checker
