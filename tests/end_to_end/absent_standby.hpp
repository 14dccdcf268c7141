// The stack's PostgreSQL is told to wait for a synchronous standby that does not exist.
#pragma once

#include "tests/end_to_end/environment.hpp"

#include <libpq-fe.h>

#include <memory>
#include <stdexcept>
#include <string>

namespace mana::end_to_end {

// The superuser's connection to the stack's database.
class database_keeper {
  public:
    database_keeper() : conn_{PQconnectdb(required_environment("MANA_TEST_SUPERUSER_URL").c_str())} {}

    // The first value, or nothing. Throws where PostgreSQL refuses.
    std::string ask(const std::string& sql) const {
        const std::unique_ptr<PGresult, clear_result> result{PQexec(conn_.get(), sql.c_str())};
        const auto status = PQresultStatus(result.get());
        if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
            throw std::runtime_error{PQerrorMessage(conn_.get())};
        return PQntuples(result.get()) > 0 ? PQgetvalue(result.get(), 0, 0) : std::string{};
    }

    // Of any role: backends that have committed, and wait for a standby to have it too.
    [[nodiscard]] int waiting_for_a_standby() const {
        return std::stoi(ask("select count(*) from pg_stat_activity where wait_event = 'SyncRep'"));
    }

  private:
    struct finish_connection {
        void operator()(PGconn* conn) const { PQfinish(conn); }
    };
    struct clear_result {
        void operator()(PGresult* result) const { PQclear(result); }
    };
    std::unique_ptr<PGconn, finish_connection> conn_;
};

// For as long as it lives, which ends whatever waits then.
class absent_standby {
  public:
    absent_standby() {
        keeper_.ask("alter system set synchronous_standby_names = 'a_standby_that_is_gone'");
        if (!reload("a_standby_that_is_gone")) throw std::runtime_error{"no standby is asked for"};
    }
    ~absent_standby() {
        keeper_.ask("alter system reset synchronous_standby_names");
        (void)reload("");
    }
    absent_standby(const absent_standby&) = delete;
    absent_standby& operator=(const absent_standby&) = delete;

  private:
    const database_keeper keeper_;

    // True once sessions and the process that wakes them know it.
    [[nodiscard]] bool reload(const std::string& wanted) const {
        keeper_.ask("select pg_reload_conf()");
        return await([&] { return keeper_.ask("show synchronous_standby_names") == wanted; });
    }
};

} // namespace mana::end_to_end
