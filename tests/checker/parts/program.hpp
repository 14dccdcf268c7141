// A program that the checker starts, signals and kills.
#pragma once

#include <map>
#include <string>
#include <sys/types.h>
#include <vector>

namespace mana::checker {

/// A program that is killed at the latest by the destructor. Its children are its own to end.
class program {
  public:
    using settings = std::map<std::string, std::string>;

    /// `environment` is on top of this process's own. What it writes goes to the end of `log_file`. Throws
    /// std::system_error.
    program(const std::vector<std::string>& command, const settings& environment,
            const std::string& log_file);
    ~program();
    program(const program&) = delete;
    program& operator=(const program&) = delete;

    [[nodiscard]] pid_t pid() const { return pid_; }
    [[nodiscard]] std::vector<pid_t> children() const;
    void signal(int number) const;
    /// SIGKILL, and its end.
    void kill();
    [[nodiscard]] bool ended();
    /// Whether it ended with success; false too where it is not over within a minute.
    [[nodiscard]] bool succeeded();

  private:
    pid_t pid_ = -1;
    bool ended_ = false;
    int status_ = -1;
};

/// For LD_PRELOAD: one of the libraries that are built beside this process's own program. Empty where it is
/// not.
std::string library_beside_this(const std::string& name);

} // namespace mana::checker
