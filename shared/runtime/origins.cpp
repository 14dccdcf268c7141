#include "shared/runtime/origins.hpp"

#include "shared/runtime/host_name.hpp"

#include <algorithm>
#include <array>
#include <boost/algorithm/string/case_conv.hpp>
#include <boost/url/host_type.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>
#include <stdexcept>
#include <string_view>

namespace mana::runtime {
namespace {

[[noreturn]] void refuse(const char* what) {
    throw std::invalid_argument{what};
}

bool is_web(std::string_view scheme) {
    return scheme == "http" || scheme == "https";
}

/// A page of these has no origin, or that of another scheme.
bool is_no_scheme_of_pages(std::string_view scheme) {
    constexpr std::array schemes{"ws", "wss", "ftp", "file", "blob", "data", "about", "javascript"};
    return std::ranges::find(schemes, scheme) != schemes.end();
}

/// Browsers take a host whose last label is a number for an IPv4 address, and write it with four of them.
bool looks_like_a_number(std::string_view host) {
    while (host.ends_with('.')) host.remove_suffix(1);
    const auto last = host.substr(host.rfind('.') + 1);
    constexpr std::string_view digits = "0123456789";
    constexpr std::string_view hex_digits = "0123456789abcdef";
    return last.find_first_not_of(digits) == std::string_view::npos ||
           (last.starts_with("0x") && last.find_first_not_of(hex_digits, 2) == std::string_view::npos);
}

bool has_empty_label(std::string_view host) {
    return host.starts_with('.') || host.find("..") != std::string_view::npos;
}

/// An IPv6 address in the shortest form, in brackets. Browsers write no dots into one.
std::string text_of_ipv6(const boost::urls::url_view& url) {
    const std::string shortest{url.host_ipv6_address().to_string()};
    if (shortest.find('.') != std::string::npos)
        refuse("has an IPv6 address that stands for an IPv4 address");
    return '[' + shortest + ']';
}

std::string host_of_web(const boost::urls::url_view& url) {
    if (url.host_type() == boost::urls::host_type::ipv6) return text_of_ipv6(url);
    std::string host = boost::algorithm::to_lower_copy(std::string{url.encoded_host()});
    if (url.host_type() == boost::urls::host_type::ipv4) return host;
    if (looks_like_a_number(host)) refuse("has an IPv4 address that browsers write otherwise");
    return host;
}

/// Without the scheme's own port; empty where there is none.
std::string port_of(const boost::urls::url_view& url, std::string_view scheme) {
    if (!url.has_port()) return {};
    const unsigned port = url.port_number(); // 0 where it is none, or too large
    if (port == 0) refuse("has no usable port");
    const bool usual = (scheme == "http" && port == 80) || (scheme == "https" && port == 443);
    return usual ? std::string{} : ':' + std::to_string(port);
}

void check_form(const boost::urls::url_view& url) {
    if (!url.encoded_path().empty() || url.has_query() || url.has_fragment() || url.has_userinfo())
        refuse("has more than scheme, host and port (a slash at the end counts)");
    if (url.encoded_host().empty()) refuse("names no host");
    const std::string_view written{url.encoded_host().data(), url.encoded_host().size()};
    if (written.find('%') != std::string_view::npos)
        refuse("has escapes in its host, which browsers send as xn--...");
    if (!is_host(url) || has_empty_label(written)) refuse("names a host that is none");
}

std::string origin_in(const std::string& text) {
    if (text == "*") refuse("allows every origin, which browsers refuse with credentials");
    if (text.find('*') != std::string::npos) refuse("has a wildcard, where each origin must be named");
    const auto url = boost::urls::parse_uri(text);
    if (!url) refuse("is not an origin");
    check_form(*url);
    const std::string scheme = boost::algorithm::to_lower_copy(std::string{url->scheme()});
    if (is_no_scheme_of_pages(scheme)) refuse("has a scheme that no web app has");
    const std::string host = is_web(scheme) ? host_of_web(*url) : std::string{url->encoded_host()};
    return scheme + "://" + host + port_of(*url, scheme);
}

/// As a part of a message of one line. One with a user in it may hold a password.
std::string quoted(std::string_view entry) {
    constexpr std::size_t most = 60;
    if (entry.find('@') != std::string_view::npos) return "an entry that";
    std::string out{entry.substr(0, most)};
    std::ranges::replace_if(out, is_control, '?');
    return "the entry \"" + out + (entry.size() > most ? "\"..., which" : "\", which");
}

std::string origin_or_reason(std::string_view entry) {
    try {
        return origin_in(std::string{entry});
    } catch (const std::invalid_argument& why) {
        throw std::invalid_argument{"has " + quoted(entry) + ' ' + why.what()};
    }
}

std::string_view trimmed(std::string_view text) {
    constexpr std::string_view blanks = " \t";
    const auto first = text.find_first_not_of(blanks);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

} // namespace

std::vector<std::string> parse_origins(const std::string& list) {
    std::vector<std::string> origins;
    std::string_view rest = list;
    while (true) {
        const auto comma = std::min(rest.find(','), rest.size());
        const std::string_view entry = trimmed(rest.substr(0, comma));
        if (!entry.empty()) {
            auto origin = origin_or_reason(entry);
            if (std::ranges::find(origins, origin) == origins.end()) origins.push_back(std::move(origin));
        }
        if (comma == rest.size()) return origins;
        rest.remove_prefix(comma + 1);
    }
}

} // namespace mana::runtime
