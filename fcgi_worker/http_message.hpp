// A request as a worker sees it, and the response it gives: plain data, whatever carries them.
//
// CORS headers are nginx's alone: one that came twice would be refused by browsers.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mana::fcgi_worker {

// nginx's client_max_body_size is the same.
inline constexpr std::size_t max_body_bytes = 10'485'760;

// Empty where nginx sent nothing of the kind. The body is not here: it is read once the token is known to be
// good (fastcgi_request::read_body).
struct http_request {
    std::string method;
    std::string path;                   // decoded and normalised by nginx
    std::string query;                  // as it came, still encoded
    std::string authorization;          // a secret: never logged
    std::string client_id;              // X-Client-Id
    std::string request_id;             // for the logs of nginx, worker, hub and PostgreSQL
    std::chrono::milliseconds waited{}; // since nginx had it whole; never negative
};

struct http_response {
    int status = 200;
    std::vector<std::pair<std::string, std::string>> headers; // beside those that every response has
    std::string body;                                         // JSON
};

// "200 OK"; the number alone for a status that no route gives.
[[nodiscard]] std::string status_line(int status);

// {"error":code,"message":message}
[[nodiscard]] http_response error_response(int status, std::string_view code, std::string_view message);

// 503 with Retry-After: nothing is wrong with the request, and soon it will be served.
[[nodiscard]] http_response unavailable_response(std::string_view message);

} // namespace mana::fcgi_worker
