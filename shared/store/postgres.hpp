// One connection to PostgreSQL: pipelined, prepared, and never waited on without a deadline.
//
// Not thread-safe: one process, or one thread, owns a connection. Works through PgBouncer's transaction
// pooling: there, all settings are local to a transaction, and statements can go unnamed
// (settings::prepared).
#pragma once

#include "shared/store/abandoned_session.hpp"
#include "shared/sync/time.hpp"

#include <chrono>
#include <cstdint>
#include <deque>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

struct pg_result;

namespace mana::store {

using deadline = std::chrono::steady_clock::time_point;

/// What the caller of a failed statement does next.
enum class remedy {
    retry_now,   ///< a lock was waited for too long, or a deadlock broken: nothing happened, run it again
    retry_later, ///< timed out or overloaded: nothing happened, 503
    reconnect,   ///< the connection is gone and nothing was committed
    in_doubt,    ///< the connection went while COMMIT was under way: it may have happened
    report,      ///< a defect of ours: 500
};

/// A statement that failed. `what()` is one line, and holds neither values nor the connection's password.
class postgres_error : public std::runtime_error {
  public:
    postgres_error(remedy next, const std::string& what) : std::runtime_error(what), next_(next) {}
    [[nodiscard]] remedy next() const { return next_; }

  private:
    remedy next_;
};

/// SQL with a name. Both live as long as the program.
struct statement {
    const char* name;
    const char* sql;
};

/// A parameter as it goes over the wire.
class parameter {
  public:
    parameter(std::string_view text) : bytes_(text) {}   // NOLINT: a parameter is its text
    parameter(const char* text) : bytes_(text) {}        // NOLINT
    parameter(const std::string& text) : bytes_(text) {} // NOLINT
    parameter(std::nullopt_t /*null*/) {}                // NOLINT
    static parameter number(std::int64_t value) { return {std::to_string(value)}; }
    static parameter boolean(bool value) { return {value ? "t" : "f"}; }
    static parameter timestamp(sync::position at);
    /// text[]; nothing stands for null.
    static parameter array(std::span<const std::optional<std::string>> items);
    static parameter array(std::span<const std::string> items);

    [[nodiscard]] const std::optional<std::string>& bytes() const { return bytes_; }
    [[nodiscard]] bool binary() const { return binary_; }

  private:
    std::optional<std::string> bytes_;
    bool binary_ = false;
};

/// Rows on their way in, as one text[] a column: a statement takes them apart with unnest.
class columns {
  public:
    using row = std::vector<std::optional<std::string>>;
    /// All rows have as many values as the first.
    void add(row values);
    [[nodiscard]] bool empty() const { return columns_.empty(); }
    [[nodiscard]] std::size_t rows() const { return columns_.empty() ? 0 : columns_.front().size(); }
    /// `first`, and then the columns.
    [[nodiscard]] std::vector<parameter> after(std::initializer_list<parameter> first) const;
    /// The same for a statement that takes one row, as values and not as arrays.
    [[nodiscard]] std::vector<parameter> only_row_after(std::initializer_list<parameter> first) const;

  private:
    std::vector<row> columns_;
};

/// The rows of one statement.
class rows {
  public:
    explicit rows(pg_result* owned);
    [[nodiscard]] int count() const;
    /// Views live as long as the rows. A null is empty text, 0 and false.
    [[nodiscard]] std::string_view text(int row, int column) const;
    [[nodiscard]] std::int64_t number(int row, int column) const;
    /// Of microseconds since the epoch.
    [[nodiscard]] sync::position position(int row, int column) const;
    [[nodiscard]] bool boolean(int row, int column) const;
    [[nodiscard]] bool is_null(int row, int column) const;

  private:
    struct clear_result {
        void operator()(pg_result* result) const;
    };
    std::unique_ptr<pg_result, clear_result> held_;
};

struct postgres_settings {
    std::string url;
    std::string
        application;      ///< PostgreSQL's application_name, where the url says nothing, and in transactions
    bool prepared = true; ///< named statements; off for PgBouncer before 1.21
    std::chrono::milliseconds connect_timeout{3'000};
    std::chrono::milliseconds statement_timeout{5'000};
    std::chrono::milliseconds lock_timeout{800}; ///< below PostgreSQL's deadlock_timeout
};

class connection {
  public:
    /// Connects and prepares `statements`. Throws postgres_error with remedy::reconnect.
    connection(const postgres_settings& settings, std::span<const statement> statements);

    /// Puts a statement into the pipeline; nothing is awaited.
    void send(const statement& what, std::span<const parameter> parameters);
    /// Ends a segment of the pipeline: a statement that fails takes the rest of its segment with it, and no
    /// more.
    void end_segment();
    /// Sends what is in the pipeline and waits for the results of the oldest segment, in order. Throws
    /// postgres_error for the first statement that failed; what came after it did not run, and the results of
    /// later segments are gone. What is not answered in time is cancelled, and the connection lost. A COMMIT
    /// that waited for a synchronous standby, until somebody had PostgreSQL go on without it
    /// (pg_cancel_backend), is in_doubt: PostgreSQL calls it a success, with a warning.
    std::vector<rows> finish(deadline until);

    /// Transactions are this request's from now on: PostgreSQL shows its id behind settings().application.
    void work_for(std::string_view request_id);
    [[nodiscard]] const std::string& application() const { return application_; }

    /// Whether a pooler lends the session to others too: then each transaction sends its settings itself.
    [[nodiscard]] bool shares_session() const { return shared_session_; }
    void send_common_settings(bool of_transaction);

    /// False once it was lost: make a new one.
    [[nodiscard]] bool usable() const { return usable_; }
    [[nodiscard]] const postgres_settings& settings() const { return settings_; }

  private:
    const postgres_settings settings_;
    std::string application_; ///< as PostgreSQL shows it during a transaction
    std::unique_ptr<bool> standby_skipped_ =
        std::make_unique<bool>(false); ///< libpq writes it, wherever this moves
    owned_session conn_;
    std::deque<std::size_t> segments_; ///< statements sent, by segment, whose results were not read yet
    std::size_t open_segment_ = 0;     ///< statements sent since the last segment ended
    bool usable_ = false;
    bool shared_session_ = true;

    void connect();
    void prepare(std::span<const statement> statements);
    void keep_settings();
    void wait(short events, deadline until);
    void flush(deadline until);
    pg_result* next_result(deadline until);
    std::vector<rows> read_segment(deadline until, std::optional<postgres_error>& failure);
    [[noreturn]] void lose(const std::string& why);
    [[noreturn]] void give_up();
};

/// What a transaction's COMMIT waits for, where synchronous_standby_names asks for a standby.
enum class durability {
    confirmed, ///< the standby: somebody is told that it is stored, or handed a position of it
    here,      ///< this server's disk: what is lost with it is written again by itself
};

/// A transaction of one user: BEGIN and the settings that row-level security and the planner go by are the
/// first things in the pipeline. Rolls back unless committed; a destructor that cannot drops the connection.
class transaction {
  public:
    /// One of nobody (no user) is not waited for by a standby, nor is one that says `durability::here`.
    transaction(connection& on, std::string_view user, std::span<const std::string> spaces,
                durability wanted = durability::confirmed);
    ~transaction();
    transaction(const transaction&) = delete;
    transaction& operator=(const transaction&) = delete;

    void send(const statement& what, std::span<const parameter> parameters) { on_.send(what, parameters); }
    void send(const statement& what, std::initializer_list<parameter> parameters) {
        on_.send(what, std::span(parameters.begin(), parameters.size()));
    }
    /// The results of what was sent since the last call.
    std::vector<rows> finish(deadline until);
    /// As finish(), with COMMIT as the last statement. Throws remedy::in_doubt when the connection went
    /// meanwhile.
    std::vector<rows> commit(deadline until);
    /// The same for what may as well happen twice, as reading: reconnect in place of in_doubt.
    std::vector<rows> commit_repeatable(deadline until);
    // The same in two steps, so that another transaction can follow in the same round trip: after
    // send_commit() nothing more is sent here, and committed() is called before any result of what follows is
    // asked for.
    void send_commit();
    std::vector<rows> committed(deadline until);

  private:
    connection& on_;
    std::size_t own_statements_;
    bool open_ = true;
};

/// Runs a transaction, again where it failed with retry_now: a lock that is waited for longer than
/// lock_timeout is given up before PostgreSQL would search for deadlocks, and asked for anew. `attempt` must
/// make its transaction anew.
template<class Attempt>
auto with_retries(deadline until, Attempt attempt) {
    constexpr int most_attempts = 5;
    for (int tries = 1;; ++tries) {
        try {
            return attempt();
        } catch (const postgres_error& failed) {
            const bool over = tries == most_attempts || std::chrono::steady_clock::now() >= until;
            if (failed.next() != remedy::retry_now || over) throw;
        }
    }
}

/// What transactions are made of; a connection's statements must begin with these.
std::span<const statement> transaction_statements();

} // namespace mana::store
