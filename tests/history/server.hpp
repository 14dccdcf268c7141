// What a device talks to. Two programs share the histories: one with the rules alone behind this interface,
// one with a running server (tests/README.md says how to start it).
#pragma once

#include "shared/sync/json.hpp"
#include "shared/sync/time.hpp"

#include <memory>
#include <optional>
#include <string>

namespace mana::history {

struct caller {
    std::string user;
    std::string client;
};

class server {
  public:
    virtual ~server() = default;

    /// POST /sync/{app}: the answer's JSON text. Throws std::runtime_error where it is not 200.
    virtual std::string push(const caller& who, const std::string& body) = 0;
    /// GET /sync/{app}/pull: one page.
    virtual std::string pull(const caller& who, const std::string& table, const std::string& since,
                             bool include_own) = 0;

    /// The server's clock: virtual where only the rules run, else the real one.
    virtual sync::instant now() = 0;
    /// Lets time pass where it is virtual; where it is real, a device's own clock must say what a history
    /// needs.
    virtual void pass(std::chrono::milliseconds time) = 0;

    /// The record as the server's state holds it; nothing where the state is out of reach.
    virtual std::optional<sync::json_value> held(const std::string& user, const std::string& table,
                                                 const std::string& record_id) = 0;

  protected:
    server() = default;
    server(const server&) = default;
    server& operator=(const server&) = default;
};

/// Which server the program was linked with.
std::unique_ptr<server> make_server();

} // namespace mana::history
