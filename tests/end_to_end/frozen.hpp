// Programs of the stack that a test stops where they are, as a host does that has no time for them.
#pragma once

#include "tests/end_to_end/environment.hpp"

#include <csignal>
#include <fstream>
#include <stdexcept>
#include <string>
#include <sys/types.h>
#include <vector>

namespace mana::end_to_end {

// A program of the stack with its children, stopped; it goes on at the latest with the test, whatever
// happens.
class frozen {
  public:
    explicit frozen(const std::string& name) {
        pid_t pid = 0;
        std::ifstream{required_environment("MANA_TEST_RUN_DIR") + "/" + name + ".pid"} >> pid;
        if (pid <= 0) throw std::runtime_error{name + " does not run"};
        // The parent first, so that no child comes that is not among these.
        stop(pid);
        const std::string task = std::to_string(pid);
        std::ifstream children{"/proc/" + task + "/task/" + task + "/children"};
        for (pid_t child = 0; children >> child;) stop(child);
    }
    ~frozen() { thaw(); }
    frozen(const frozen&) = delete;
    frozen& operator=(const frozen&) = delete;

    void thaw() {
        for (const pid_t pid : stopped_) ::kill(pid, SIGCONT);
        stopped_.clear();
    }

  private:
    std::vector<pid_t> stopped_;

    void stop(pid_t pid) {
        if (::kill(pid, SIGSTOP) == 0) stopped_.push_back(pid);
    }
};

} // namespace mana::end_to_end
