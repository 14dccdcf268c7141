// What comes from Redis, where anybody may have published.
#include "shared/store/notification.hpp"
#include "tests/fuzz/property.hpp"

#include <string>

namespace mana::fuzz {
namespace {

bool equal(const store::notification& one, const store::notification& other) {
    return one.scope == other.scope && one.user == other.user && one.app == other.app &&
           one.tables == other.tables && one.client == other.client && one.count == other.count &&
           one.cursor == other.cursor && one.request == other.request &&
           one.published_at == other.published_at;
}

void check(std::string_view text) {
    const auto told = store::parse_notification(text);
    if (!told) {
        must(!told.error().empty() && told.error().find('\n') == std::string::npos, "an error is one line");
        return;
    }
    must(!told->scope.empty() && !told->user.empty() && !told->app.empty(), "it says whose data changed");
    const auto again = store::parse_notification(store::to_json(*told));
    must(again && equal(*again, *told), "published again it says the same");
    must(store::channel_of(told->scope) <= store::channel_name(store::channel_count - 1),
         "its channel is one of those that are listened to");
}

} // namespace
} // namespace mana::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    mana::fuzz::check(mana::fuzz::text_of(data, size));
    return 0;
}
