// mana-sync-admin as an operator runs it, against the stack of the test.
#pragma once

#include "shared/runtime/unique_fd.hpp"
#include "shared/store/postgres.hpp"

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <sys/types.h>
#include <vector>

namespace mana::tests {

using words = std::vector<std::string>;
using variables = std::map<std::string, std::string>;

struct finished {
    int status = -1; // as a shell sees it
    std::string out;
    std::string err;
};

// The folder of the migrations in this checkout.
std::string sql_folder();

// The stack's settings come from its env file; `set` goes over them, by the environment.
finished run_admin(const words& arguments, const variables& set = {});
// Any program.
finished run_program(const words& command, const variables& set = {});

// The same, while it runs.
class running_admin {
  public:
    explicit running_admin(const words& arguments, const variables& set = {});
    ~running_admin(); // killed at the latest here
    running_admin(const running_admin&) = delete;
    running_admin& operator=(const running_admin&) = delete;

    // Until what it has written to stdout, or stderr, so far satisfies `holds`; false after ten seconds.
    bool await_output(const std::function<bool(const std::string&)>& holds);
    bool await_error(const std::function<bool(const std::string&)>& holds);
    void signal(int number) const;
    // Its exit status, or -1 after ten seconds.
    int await_end();
    [[nodiscard]] const std::string& out() const { return out_; }

  private:
    pid_t pid_ = -1;
    runtime::unique_fd stdout_;
    runtime::unique_fd stderr_;
    std::string out_;
    std::string err_;

    void read_some(int milliseconds);
};

// A folder that goes with all that is in it.
class scratch {
  public:
    scratch();
    ~scratch();
    scratch(const scratch&) = delete;
    scratch& operator=(const scratch&) = delete;
    [[nodiscard]] std::string file(const std::string& name) const { return path_ / name; }
    // Gives its path.
    [[nodiscard]] std::string write(const std::string& name, const std::string& text,
                                    bool executable = false) const;

  private:
    std::filesystem::path path_;
};

// With superuser rights. What it locks is free again when it goes.
class superuser {
  public:
    superuser();
    store::rows run(const std::string& sql, const std::vector<store::parameter>& parameters = {});

  private:
    store::connection on_;
};

} // namespace mana::tests
