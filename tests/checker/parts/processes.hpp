// The parts that faults strike: Redis, the workers' master, the hub and nginx, the checker's own, each with
// its socket in a scratch folder, over the PostgreSQL and the identity service of the tests' stack.
#pragma once

#include "tests/checker/parts/crash_points.hpp"
#include "tests/checker/parts/network.hpp"
#include "tests/checker/parts/program.hpp"
#include "tests/checker/parts/small_disk.hpp"
#include "tests/checker/parts/stepping_clock.hpp"
#include "tests/checker/server_clock.hpp"
#include "tests/end_to_end/worker_process.hpp"

#include <memory>
#include <string>
#include <sys/types.h>
#include <vector>

namespace mana::checker {

/// What the faults of a run need of the parts.
struct needs {
    bool postgres = false; ///< a copy of the stack's PostgreSQL as it is now, which faults may strike too
    bool clock = false;    ///< that such a copy, the workers, the hub and nginx go by
    bool disk = false;     ///< where such a copy is, and the logs
    bool network = false;  ///< between Redis and such a copy, and workers and hub: its packets can be lost
    bool crash_points = false;        ///< where workers can be killed
    bool crash_points_of_hub = false; ///< and the hub too
    bool lasting_workers = false;     ///< none is replaced for its number of requests, or its memory
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
    [[nodiscard]] pid_t master_pid() const { return master_->pid(); }
    [[nodiscard]] pid_t nginx_pid() const { return nginx_->pid(); }
    // Only where PostgreSQL is one's own.
    [[nodiscard]] pid_t postgres_pid() const { return postgres_->pid(); }
    [[nodiscard]] std::vector<pid_t> children_of_postgres() const { return postgres_->children(); }
    [[nodiscard]] std::string redis_socket() const { return folder_.file("redis.sock"); }

    // SIGKILL and a new start, until it answers.
    void restart_master();
    void restart_hub();
    void restart_redis();
    void reload_nginx() const;
    /// A command that Redis answers with OK. Throws where it does not.
    void tell_redis(const std::vector<const char*>& words) const;
    /// An immediate stop, as if the host had failed, and a new start. Only where PostgreSQL is one's own.
    void restart_postgres();

    /// How the server's clock goes, with all its steps.
    [[nodiscard]] const server_clock& clock() const { return clock_; }
    /// To be stepped. Only where it is one's own: ahead by an hour from the start.
    [[nodiscard]] stepping_clock& hands_of_clock() { return *hands_; }

    // Only where the disk is one's own.
    void fill_disk() { disk_->fill(); }
    /// There is space again; and where PostgreSQL has ended meanwhile, it is started.
    void free_disk();

    /// The way to PostgreSQL, to Redis or to both is cut for as long as that lives. Only where it can be.
    enum class cut_off { postgres, redis, both };
    [[nodiscard]] std::unique_ptr<cut> cut_off_from(cut_off which, lost_packets lost) const;

    /// Where workers, or the hub, die. Only where they can be told to.
    [[nodiscard]] crash_points& points() { return *points_; }

    /// The end of the log of a program that did not come up, or of all.
    [[nodiscard]] std::string log_of(const std::string& part) const;

  private:
    void copy_postgres();
    void start_postgres();
    [[nodiscard]] std::string database_url(const char* variable) const;
    void let_in_workers() const;
    [[nodiscard]] std::vector<std::string> inside(std::vector<std::string> command) const;
    void start_redis();
    void start_master();
    void start_hub();
    void start_nginx();
    void write_nginx_files();
    [[nodiscard]] bool answers(const std::string& path) const;
    [[nodiscard]] program::settings program_settings() const;
    [[nodiscard]] program::settings settings_with_points(bool wanted) const;
    /// Throws where PostgreSQL goes by this host's clock: then its steps would prove nothing.
    void require_clock() const;
    void go_by_clock(program::settings& settings) const;
    [[nodiscard]] std::string log_file(const std::string& part) const;

    const needs needs_;
    end_to_end::scratch_folder folder_;
    end_to_end::scratch_folder postgres_folder_; ///< its user's own, who may be another one
    const std::string name_;
    int port_ = 0;
    std::unique_ptr<network> network_; ///< null: all is reached by sockets in folders
    server_clock clock_;
    std::unique_ptr<stepping_clock> hands_; ///< null: this host's clock
    std::unique_ptr<small_disk> disk_;      ///< on `postgres_folder_`; null: none of its own
    std::unique_ptr<crash_points> points_;  ///< null: nobody dies at a chosen point
    std::unique_ptr<program> postgres_;     ///< null: the stack's
    std::unique_ptr<program> redis_;
    std::unique_ptr<program> master_;
    std::unique_ptr<program> hub_;
    std::unique_ptr<program> nginx_;
};

} // namespace mana::checker
