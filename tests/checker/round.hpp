// One plan carried out against a server, with faults or without, and judged.
#pragma once

#include "tests/checker/database.hpp"
#include "tests/checker/faults.hpp"
#include "tests/checker/parts/processes.hpp"
#include "tests/checker/plan.hpp"
#include "tests/checker/server_clock.hpp"

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace mana::checker {

/// The server that is checked: parts of the checker's own, or somebody's.
class server_parts {
  public:
    /// Starts them. Throws std::runtime_error where one does not come up.
    explicit server_parts(const needs& of_parts);
    server_parts(std::string url, std::string token_url);

    [[nodiscard]] const std::string& url() const { return url_; }
    [[nodiscard]] const std::string& token_url() const { return token_url_; }
    /// Null where they are somebody's.
    [[nodiscard]] processes* own() const { return own_.get(); }
    /// Null where it is out of reach.
    [[nodiscard]] std::unique_ptr<database> kept() const;
    [[nodiscard]] const server_clock& clock() const { return own_ ? own_->clock() : of_others_; }

  private:
    std::unique_ptr<processes> own_;
    std::string url_;
    std::string token_url_;
    server_clock of_others_{std::chrono::seconds{30}};
};

/// How a plan is carried out.
struct manner {
    int threads = 8;
    std::vector<fault> faults; ///< kinds; only with parts of the checker's own
};

struct outcome {
    std::size_t faults = 0;               ///< that the verdict found; 0: all is well
    std::vector<std::string> faulty;      ///< records, in the order in which they were found
    std::vector<std::string> counts;      ///< what was done, for people
    std::vector<std::string> first_fault; ///< the first faults, and the story of the first record with one
};

/// Under names that no other round has. Throws where a part or a device fails for good.
outcome play(const plan& planned, const manner& how, const server_parts& server);

} // namespace mana::checker
