// One request that has a route and a user: what push and pull are given.
#pragma once

#include "fcgi_worker/http_message.hpp"
#include "shared/store/postgres.hpp"

#include <string>

namespace mana::fcgi_worker {

// The views and references live as long as the request.
struct call {
    const http_request& request;
    std::string app;
    std::string user;      // of the verified token
    store::deadline until; // every wait of the call ends here
};

} // namespace mana::fcgi_worker
