#include "shared/runtime/host_name.hpp"

#include <boost/url/host_type.hpp>

namespace mana::runtime {
namespace {

constexpr std::size_t longest_name = 253;
constexpr std::string_view letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_";

bool is_name(std::string_view text) {
    return !text.empty() && text.size() <= longest_name &&
           text.find_first_not_of(letters) == std::string_view::npos;
}

} // namespace

bool is_control(char c) noexcept {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

bool is_host(const boost::urls::url_view& url) {
    const auto path = url.encoded_path();
    if (!path.empty() && path.front() != '/') return false;
    switch (url.host_type()) {
    case boost::urls::host_type::ipv4:
    case boost::urls::host_type::ipv6:
        return true;
    case boost::urls::host_type::name:
        return is_name(url.host_name()); // decoded
    default:
        return false;
    }
}

} // namespace mana::runtime
