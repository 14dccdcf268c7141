// Who sent which change when, and what became of each request: what the verdict judges by, and what a person
// reads where it finds fault. Thread-safe.
#pragma once

#include "shared/sync/json.hpp"
#include "shared/sync/time.hpp"
#include "tests/checker/claims.hpp"
#include "tests/checker/server_clock.hpp"

#include <cstddef>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mana::checker {

class journal {
  public:
    /// `of_server` outlives it; its steps may still be noted until the claims are asked for.
    explicit journal(const server_clock& of_server) : clock_(of_server) {}

    /// A push is about to be sent. Each of its changes has an `origin` of its own.
    using request = std::size_t;
    request begin(const sync::json_value& body);
    /// It was answered with success.
    void answered(request which, const sync::json_value& answer);
    /// It was refused before anything was done.
    void refused(request which);
    /// Nobody knows whether it was done.
    void unanswered(request which);

    /// What a device did that no request tells of.
    void note(const std::string& client, const std::string& what);

    [[nodiscard]] record_claims claims_of(const std::string& record) const;
    /// In their order, one line each.
    [[nodiscard]] std::vector<std::string> history_of(const std::string& record) const;

    struct counts {
        std::size_t changes = 0;      ///< sent at least once
        std::size_t acknowledged = 0; ///< of them, without what was refused
        std::size_t sendings = 0; ///< of changes: more than `changes` by retries, duplicates and lost answers
        std::size_t rejected = 0; ///< changes refused alone, each time
        std::size_t claims = 0;   ///< writes of single fields
    };
    [[nodiscard]] counts count() const;

    /// The origins of hard deletes.
    [[nodiscard]] std::vector<std::string> acknowledged_deletes() const;
    [[nodiscard]] bool knows(std::string_view origin) const;
    /// How many rows of the log the change may have at most: one, unless it may have won anew when it was
    /// sent again.
    [[nodiscard]] std::size_t most_rows(std::string_view origin) const;

    /// When a change was done for the first time, if it was.
    struct doing {
        sync::instant begun;
        sync::instant by;      ///< at the latest
        bool answered = false; ///< with success; else it may not be done at all
    };
    /// Nothing: nobody sent it, or it was refused each time.
    [[nodiscard]] std::optional<doing> first_done(std::string_view origin) const;

  private:
    enum class fate { under_way, done, rejected, refused, unknown };
    struct sending {
        sync::instant began;
        sync::instant ended; ///< when it can't be done any more
        fate became = fate::under_way;
    };
    struct sent_change {
        std::string origin;
        std::string record;
        std::string text;
        claimed_change claimed;
        std::vector<sending> sendings;

        [[nodiscard]] std::optional<sync::instant> last_acknowledged() const;
        [[nodiscard]] std::optional<sync::instant> settled() const;
    };
    struct request_entry {
        std::vector<sent_change*> changes;
        std::vector<std::size_t> sendings;
    };
    struct event {
        sync::instant at;
        std::string text;
    };

    void end(request which, fate became, sync::instant ended);
    [[nodiscard]] span bounds(const sent_change& change, sync::instant claimed) const;
    void add_claims(const sent_change& change, record_claims& to) const;
    static std::string told(const sent_change& change);

    const server_clock& clock_;
    mutable std::mutex lock_;                                 ///< guards all that follows
    std::map<std::string, sent_change, std::less<>> changes_; ///< by origin; nodes don't move
    std::map<std::string, std::vector<sent_change*>> of_record_;
    std::vector<request_entry> requests_;
    std::vector<event> notes_;
};

sync::instant now();

} // namespace mana::checker
