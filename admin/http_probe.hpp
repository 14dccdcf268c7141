// A request as a browser or nginx makes one, to see what comes back: status, body, headers.
#pragma once

#include <boost/system/result.hpp>

#include <chrono>
#include <cstddef>
#include <map>
#include <string>
#include <vector>

namespace mana::admin {

struct probe {
    std::string url;
    std::string unix_socket;          // empty: by the URL's host and port
    std::vector<std::string> headers; // "Name: value"
    std::size_t post_bytes = 0;       // 0: a GET; else a POST of so many spaces
    std::chrono::milliseconds total{2'000};
};

struct probe_reply {
    long status = 0;
    std::string body;
    std::multimap<std::string, std::string> headers; // names in lower case
};

// Blocks for `total` at most. An error is one line without the URL.
[[nodiscard]] boost::system::result<probe_reply, std::string> send(const probe& wanted);

} // namespace mana::admin
