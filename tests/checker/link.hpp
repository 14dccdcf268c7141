// A device's way to the server: real HTTP, again and again where it fails, with everything written down.
#pragma once

#include "tests/checker/journal.hpp"
#include "tests/end_to_end/http_client.hpp"
#include "tests/history/server.hpp"

#include <atomic>
#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <string>

namespace mana::checker {

/// How long it takes after a fault until a push succeeds that was begun after it; where a fault lasts, also
/// how long after its end those are done who waited for it. Thread-safe.
class recovery {
  public:
    using time = std::chrono::steady_clock::time_point;

    /// A fault of that kind strikes, or did. One that nothing has recovered from yet is forgotten.
    void strike(const std::string& kind, time when = std::chrono::steady_clock::now());
    /// What was struck is there again, for a kind that is not so at once.
    void back();
    /// A push succeeded: that sending of it, and the first one.
    void succeeded(time began, time first_began);

    [[nodiscard]] bool pending() const;
    [[nodiscard]] std::chrono::milliseconds last() const;
    /// By kind.
    [[nodiscard]] std::map<std::string, std::chrono::milliseconds> longest() const;
    /// By kind: from the end of a fault until the last push was done that had begun before it.
    [[nodiscard]] std::map<std::string, std::chrono::milliseconds> longest_after_end() const;
    /// Of any push, with all its tries.
    [[nodiscard]] std::chrono::milliseconds longest_push() const;

  private:
    mutable std::mutex lock_; ///< guards all that follows
    std::optional<time> struck_;
    std::optional<time> back_; ///< until the next one strikes
    std::chrono::milliseconds last_{};
    std::string kind_;
    std::map<std::string, std::chrono::milliseconds> longest_;
    std::map<std::string, std::chrono::milliseconds> longest_after_end_;
    std::chrono::milliseconds longest_push_{};
};

/// What all links of a run share.
struct link_means {
    std::string url;
    std::string app;
    std::chrono::milliseconds patience{60'000}; ///< with one request, all tries together
    journal& book;
    recovery& after_faults;
    std::atomic<std::size_t> retries{0};
    std::atomic<std::size_t> hung{0}; ///< requests that the client gave up: no answer, and no end without one
};

/// Of one device, or a program: one connection, not thread-safe.
class link : public history::server {
  public:
    /// `means` outlives it.
    link(link_means& means, std::string token);

    /// Throws std::runtime_error on any answer but success that is not worth a retry, and when patience ends.
    std::string push(const history::caller& who, const std::string& body) override;
    std::string pull(const history::caller& who, const std::string& table, const std::string& since,
                     bool include_own) override;
    sync::instant now() override { return checker::now(); }
    void pass(std::chrono::milliseconds /*time*/) override {}
    std::optional<sync::json_value> held(const std::string& /*user*/, const std::string& /*table*/,
                                         const std::string& /*record_id*/) override {
        return std::nullopt;
    }

  private:
    template<class Attempt>
    std::string persist(Attempt attempt);
    /// Nothing where no answer came, or not all of one.
    template<class Request>
    std::optional<end_to_end::http_reply> answer_to(Request request);
    std::optional<std::string> try_push(const history::caller& who, const std::string& body,
                                        const sync::json_value& parsed, recovery::time first_began);
    [[nodiscard]] end_to_end::http_client::header_lines headers_of(const history::caller& who) const;

    link_means& means_;
    std::string token_;
    end_to_end::http_client http_;
    std::string last_failure_; ///< what the last try came to that was worth another one
};

} // namespace mana::checker
