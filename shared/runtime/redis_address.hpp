// Where Redis is, as REDIS_URL says it. Read at the start, by the code that the connections are made with.
#pragma once

#include <string>

namespace mana::runtime {

// Holds the password: never log one.
struct redis_address {
    std::string host; // empty: a unix socket
    int port = 6379;
    std::string path;
    std::string user; // of an access control list; empty: Redis' default user
    std::string password;
    int database = 0;
};

// `url`: redis://[[user]:password@]host[:port][/database] or unix:///path, percent-encoded where needed.
// Nothing of it is passed over: several hosts, a query or a fragment are refused. Throws
// std::invalid_argument with what is wrong ("names no host"), without any part of the url.
redis_address parse_redis_url(const std::string& url);

} // namespace mana::runtime
