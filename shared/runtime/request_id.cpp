#include "shared/runtime/request_id.hpp"

#include <algorithm>
#include <boost/uuid/random_generator.hpp>
#include <boost/uuid/uuid_io.hpp>

namespace mana::runtime {
namespace {

constexpr std::size_t longest = 40;

bool is_plain(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
}

} // namespace

std::string request_id(std::string_view given) {
    if (!given.empty() && given.size() <= longest && std::ranges::all_of(given, is_plain))
        return std::string{given};
    std::string made = to_string(boost::uuids::random_generator{}());
    std::erase(made, '-');
    return made;
}

} // namespace mana::runtime
