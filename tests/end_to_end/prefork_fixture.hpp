// What tests of the programs as processes share: sockets that a test makes, and requests that are on their
// way.
#pragma once

#include "shared/runtime/unique_fd.hpp"
#include "tests/end_to_end/fastcgi_client.hpp"

#include <map>
#include <string>

namespace mana::end_to_end {

// The settings with one more.
std::map<std::string, std::string> with(std::map<std::string, std::string> settings, const std::string& name,
                                        const std::string& value);

// The cheapest request that a worker answers: it has no token.
int status_of_any_request(const std::string& socket);

// A unix socket that listens, with room for `backlog`.
runtime::unique_fd listen_at(const std::string& path, int backlog = 16);

// A push whose body is on its way: the worker that has it is busy until the rest comes.
class push_in_flight {
  public:
    explicit push_in_flight(const std::string& socket);

    fastcgi_reply finish();

  private:
    std::string body_ = R"({"since":"","changes":[]})";
    fastcgi_request request_;
};

} // namespace mana::end_to_end
