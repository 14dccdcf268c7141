// The parts that faults strike: Redis, the workers' master, the hub and nginx, the checker's own, each with
// its socket in a scratch folder, over the PostgreSQL and the identity service of the tests' stack.
#pragma once

#include "tests/checker/parts/program.hpp"
#include "tests/end_to_end/worker_process.hpp"

#include <memory>
#include <string>
#include <sys/types.h>
#include <vector>

namespace mana::checker {

/// What the faults of a run need of the parts.
struct needs {
    bool postgres = false; ///< a copy of the stack's PostgreSQL as it is now, which faults may strike too
};

/// Not thread-safe: one thread at a time strikes and mends.
class processes {
  public:
    /// Starts all; throws std::runtime_error where one does not come up.
    explicit processes(const needs& of_faults);
    ~processes();
    processes(const processes&) = delete;
    processes& operator=(const processes&) = delete;

    /// nginx
    [[nodiscard]] std::string url() const;
    [[nodiscard]] std::string superuser_url() const { return database_url("MANA_TEST_SUPERUSER_URL"); }
    /// By which PostgreSQL's application_name of workers and hub begins.
    [[nodiscard]] const std::string& name() const { return name_; }

    [[nodiscard]] std::vector<pid_t> workers() const { return master_->children(); }
    [[nodiscard]] pid_t redis_pid() const { return redis_->pid(); }
    [[nodiscard]] pid_t hub_pid() const { return hub_->pid(); }

    // SIGKILL and a new start, until it answers.
    void restart_master();
    void restart_hub();
    void restart_redis();
    void reload_nginx() const;
    /// An immediate stop, as if the host had failed, and a new start. Only where PostgreSQL is one's own.
    void restart_postgres();

    /// The end of the log of a program that did not come up, or of all.
    [[nodiscard]] std::string log_of(const std::string& part) const;

  private:
    void copy_postgres();
    void start_postgres();
    [[nodiscard]] std::string database_url(const char* variable) const;
    void start_redis();
    void start_master();
    void start_hub();
    void start_nginx();
    void write_nginx_files();
    [[nodiscard]] bool answers(const std::string& path) const;
    [[nodiscard]] program::settings program_settings() const;

    const needs needs_;
    end_to_end::scratch_folder folder_;
    end_to_end::scratch_folder postgres_folder_; ///< its user's own, who may be another one
    const std::string name_;
    int port_ = 0;
    std::unique_ptr<program> postgres_; ///< null: the stack's
    std::unique_ptr<program> redis_;
    std::unique_ptr<program> master_;
    std::unique_ptr<program> hub_;
    std::unique_ptr<program> nginx_;
};

} // namespace mana::checker
