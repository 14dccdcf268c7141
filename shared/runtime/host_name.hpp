// Which hosts a URL may name: those that a look-up can find. Boost.URL takes others too, as "a,b".
#pragma once

#include <boost/url/url_view.hpp>

#include <string_view>

namespace mana::runtime {

[[nodiscard]] bool is_control(char c) noexcept;

// An IPv4 or IPv6 address, or a name of letters, digits, '.', '-' and '_', 253 at most; and behind it and its
// port comes nothing but a path, a query or a fragment. (Of "http://p@ss@a/" Boost.URL 1.81 makes the host
// "ss" and the path "@a/".)
[[nodiscard]] bool is_host(const boost::urls::url_view& url);

} // namespace mana::runtime
