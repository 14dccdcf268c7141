// What the server keeps, read as a superuser: record states and the log of one app.
#pragma once

#include "shared/sync/json.hpp"

#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <vector>

struct pg_conn;
struct pg_result;

namespace mana::checker {

/// Not thread-safe. Every function throws std::runtime_error where PostgreSQL fails.
class database {
  public:
    explicit database(const std::string& url);

    struct state {
        std::string scope;
        sync::json_value record; ///< as a client would hold it; null where no field lives
        std::string text;        ///< as it is stored, for people
    };
    /// By record id: where it lives. A record that lives in several scopes is there several times.
    std::multimap<std::string, state> states(const std::string& app);

    struct log_row {
        std::string origin;
        std::string record;
        std::string op;
        std::string scope;
        std::string text; ///< for people
    };
    /// In the order of positions; copies for those who joined a space (scopes "m:…") are left out.
    std::vector<log_row> log(const std::string& app);

    /// Ends all connections of programs whose name begins so.
    void cut_connections(const std::string& application);
    /// How many connections they have that are not in a transaction just now.
    std::size_t count_connections(const std::string& application);

    /// Whether channels and stream of Redis are known to have every push.
    bool redis_has_all();

    /// What PostgreSQL's clock shows.
    std::chrono::sys_seconds wall_clock();

    /// Of PostgreSQL's own log: the next commit needs a new one.
    void end_segment();

    /// As if a minute had passed for all rows that are held for who inserted their records.
    void let_holds_pass();
    /// From now on commits wait for a synchronous standby, that there is none of; or not any more.
    void await_a_standby(bool wanted);

  private:
    struct finish_connection {
        void operator()(pg_conn* conn) const;
    };
    struct clear_result {
        void operator()(pg_result* result) const;
    };
    using result = std::unique_ptr<pg_result, clear_result>;
    result ask(const char* sql, const std::string& parameter);
    void command(const char* sql);

    std::unique_ptr<pg_conn, finish_connection> conn_;
};

} // namespace mana::checker
