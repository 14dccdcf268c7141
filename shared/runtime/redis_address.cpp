#include "shared/runtime/redis_address.hpp"

#include "shared/runtime/host_name.hpp"

#include <algorithm>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>
#include <charconv>
#include <optional>
#include <stdexcept>
#include <string_view>

namespace mana::runtime {
namespace {

constexpr std::size_t longest_socket_path = 107; // sockaddr_un holds 108 bytes, the terminating NUL included

[[noreturn]] void refuse(const char* what) {
    throw std::invalid_argument{what};
}

std::optional<int> whole_number(std::string_view text, int least, int most) {
    int number = 0;
    const char* const end = text.data() + text.size();
    const auto [stop, failure] = std::from_chars(text.data(), end, number);
    if (failure != std::errc{} || stop != end || number < least || number > most) return std::nullopt;
    return number;
}

redis_address unix_address(const boost::urls::url_view& url) {
    redis_address where;
    where.path = url.path();
    if (!url.encoded_host().empty() || where.path.size() < 2 || where.path.front() != '/')
        refuse("names no absolute path of a socket");
    if (url.has_userinfo()) refuse("has a user or password, which unix:// cannot have");
    if (where.path.size() > longest_socket_path) refuse("names a path of more than 107 bytes");
    if (std::ranges::any_of(where.path, is_control)) refuse("names a path with a control character");
    return where;
}

redis_address tcp_address(const boost::urls::url_view& url) {
    redis_address where;
    where.host = url.host_address(); // an IPv6 address without its brackets
    where.user = url.user();
    where.password = url.password();
    if (where.host.empty()) refuse("names no host");
    if (!is_host(url)) refuse("names a host that is none (of several hosts, name one)");
    if (!where.user.empty() && where.password.empty()) refuse("names a user without a password");
    if (url.has_port()) {
        const auto port = whole_number({url.port().data(), url.port().size()}, 1, 65535);
        if (!port) refuse("has no usable port");
        where.port = *port;
    }
    const std::string path = url.path();
    if (path.size() > 1) {
        const auto database = whole_number(std::string_view{path}.substr(1), 0, 1'000'000);
        if (!database) refuse("has a database that is no number");
        where.database = *database;
    }
    return where;
}

} // namespace

redis_address parse_redis_url(const std::string& url) {
    const auto parsed = boost::urls::parse_uri(url);
    if (!parsed) refuse("is not a URL");
    if (parsed->has_query()) refuse("has a query; the database follows the host, as /2");
    if (parsed->has_fragment()) refuse("has a fragment");
    if (parsed->scheme() == "unix") return unix_address(*parsed);
    if (parsed->scheme() == "redis") return tcp_address(*parsed);
    if (parsed->scheme() == "rediss") refuse("asks for TLS, which is not supported");
    refuse("has the wrong scheme");
}

} // namespace mana::runtime
