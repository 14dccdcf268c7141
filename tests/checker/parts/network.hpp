// A network of their own for the parts that workers and hub reach over TCP, so that the way to them can be
// cut as a pulled cable cuts it: neither end is told.
#pragma once

#include "shared/runtime/unique_fd.hpp"

#include <string>
#include <vector>

namespace mana::checker {

/// A network namespace without a name, and one link to it. It vanishes, link and filter rules and all, when
/// the last of this object and the programs inside has ended, however they end.
class network {
  public:
    /// What is said by the programs that make it goes to the end of `log_file`. Throws std::runtime_error or
    /// std::system_error where it can't be made.
    explicit network(std::string log_file);
    ~network();
    network(const network&) = delete;
    network& operator=(const network&) = delete;

    /// Where programs inside listen, and from where they are reached; from nowhere else.
    [[nodiscard]] const std::string& address() const { return inner_address_; }
    [[nodiscard]] const std::string& outer_address() const { return outer_address_; }
    /// The command that runs `command` inside.
    [[nodiscard]] std::vector<std::string> inside(std::vector<std::string> command) const;
    /// The filter does as it is told. False where it does not.
    [[nodiscard]] bool filter(const std::string& rules) const;

  private:
    [[nodiscard]] std::string path() const;
    void run(const std::vector<std::string>& command) const;

    const std::string log_file_;
    const std::string outer_link_;
    const std::string outer_address_;
    const std::string inner_address_;
    runtime::unique_fd namespace_;
};

/// What this machine lacks for it, in a few words; empty: nothing.
std::string lacking_for_network();

enum class lost_packets {
    all,
    requests, ///< to the parts: nothing is done of what is asked
    answers,  ///< from the parts: what is asked is done, and nobody hears of it
};

/// Some packets are lost for as long as this lives.
class cut {
  public:
    /// `ports`: of the parts that are cut off. Throws std::runtime_error. `of` outlives it.
    cut(const network& of, const std::vector<int>& ports, lost_packets which);
    ~cut();
    cut(const cut&) = delete;
    cut& operator=(const cut&) = delete;

    /// From now on whoever sends a packet is told that the connection is gone.
    void tear();

  private:
    void apply(const std::string& rules);

    const network& network_;
    const std::string ports_;
};

} // namespace mana::checker
