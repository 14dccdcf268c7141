// What the processes of one host tell each other about the keys, so that one fetch does for all of them.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace mana::gate {

// One process's end of it. Not thread-safe: the caller's lock guards every call but await_turn(). None throws
// for what is wrong with the place where things are shared: then this process is alone, which a line in the
// log says.
class key_share {
  public:
    struct document {
        std::string jwks;              // as it was published
        std::chrono::milliseconds age; // since its fetch began
    };

    // The right to fetch, until it is destroyed. One process of the host has it at a time.
    class turn {
      public:
        turn() = default;
        turn(const turn&) = delete;
        turn& operator=(const turn&) = delete;
        virtual ~turn() = default;

        // Hands a document over to the other processes, and to those that start later. Only one that
        // parse_jwks takes.
        virtual void publish(std::string_view jwks) = 0;
    };

    key_share() = default;
    key_share(const key_share&) = delete;
    key_share& operator=(const key_share&) = delete;
    virtual ~key_share() = default;

    // What another process has published since the last call. Cheap where nothing is new.
    [[nodiscard]] virtual std::optional<document> news() = 0;

    // How long ago any process of the host began its last fetch. Nothing where none is known to have.
    [[nodiscard]] virtual std::optional<std::chrono::milliseconds> last_attempt() = 0;

    // Begins an attempt, of which last_attempt() tells the other processes. Null where one of them has the
    // turn, or has had it since the last call of last_attempt() here. Does not wait for it.
    [[nodiscard]] virtual std::unique_ptr<turn> take_turn() = 0;

    // Waits while another process fetches, no longer than a fetch may take. Any thread, any time.
    virtual void await_turn() const = 0;
};

// For a process that is alone: no news, and always its turn.
[[nodiscard]] std::unique_ptr<key_share> no_share();

} // namespace mana::gate
