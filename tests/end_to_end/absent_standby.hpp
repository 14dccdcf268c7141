// The stack's PostgreSQL is told to wait for a synchronous standby that does not exist.
#pragma once

#include "tests/end_to_end/environment.hpp"

#include <gtest/gtest.h>
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

    // Begins what ask() would wait for, where the last one has ended; false where it does not within a
    // moment.
    [[nodiscard]] bool begin(const std::string& sql) const {
        if (PQconsumeInput(conn_.get()) != 1) return false;
        while (PQisBusy(conn_.get()) == 0) {
            const std::unique_ptr<PGresult, clear_result> ended{PQgetResult(conn_.get())};
            if (!ended) break;
        }
        return PQtransactionStatus(conn_.get()) == PQTRANS_ACTIVE ||
               PQsendQuery(conn_.get(), sql.c_str()) == 1;
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
        if (!reload("a_standby_that_is_gone") || !await([&] { return probe_waits(); }))
            throw std::runtime_error{"commits wait for no standby"};
        keeper_.ask("select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'");
    }
    ~absent_standby() {
        try {
            keeper_.ask("alter system reset synchronous_standby_names");
            (void)reload("");
        } catch (const std::runtime_error& failed) { // later tests will say it too, by waiting
            ADD_FAILURE() << "commits still wait for a standby: " << failed.what();
        }
    }
    absent_standby(const absent_standby&) = delete;
    absent_standby& operator=(const absent_standby&) = delete;

  private:
    const database_keeper keeper_;
    const database_keeper probe_;

    // Whether a commit waits; one that does not has ended at once, and is tried anew.
    [[nodiscard]] bool probe_waits() const {
        return probe_.begin("select pg_logical_emit_message(true, 'probe', '')") &&
               keeper_.waiting_for_a_standby() > 0;
    }

    // True once sessions and the process that wakes them know it.
    [[nodiscard]] bool reload(const std::string& wanted) const {
        keeper_.ask("select pg_reload_conf()");
        return await([&] { return keeper_.ask("show synchronous_standby_names") == wanted; });
    }
};

} // namespace mana::end_to_end
