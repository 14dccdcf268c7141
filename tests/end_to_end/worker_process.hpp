// mana-sync-worker and mana-sync-hub under a test's control, each with a socket of its own.
#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

namespace mana::end_to_end {

// A folder with a short name (a socket's path ends at 107 bytes), removed with all that is in it.
class scratch_folder {
  public:
    scratch_folder();
    ~scratch_folder();
    scratch_folder(const scratch_folder&) = delete;
    scratch_folder& operator=(const scratch_folder&) = delete;
    [[nodiscard]] std::string file(const std::string& name) const { return path_ / name; }

  private:
    std::filesystem::path path_;
};

// The settings of the test's own stack, with one worker, any number of requests, and the socket, the counts
// and the keys in `folder`.
std::map<std::string, std::string> worker_settings(const scratch_folder& folder);
// The same for a hub.
std::map<std::string, std::string> hub_settings(const scratch_folder& folder);

// A program that is killed at the latest by the destructor, with its children.
class program_process {
  public:
    // `settings` are its environment, on top of the test's own. `systemd_socket`: a listening socket that the
    // process gets as systemd would hand it over, or -1. Its log is a file in `folder`.
    program_process(const std::string& program, const scratch_folder& folder,
                    const std::map<std::string, std::string>& settings, int systemd_socket);
    ~program_process();
    program_process(const program_process&) = delete;
    program_process& operator=(const program_process&) = delete;

    [[nodiscard]] pid_t pid() const { return pid_; }
    [[nodiscard]] std::vector<pid_t> children() const;
    [[nodiscard]] std::string log() const;
    [[nodiscard]] bool logs(const std::string& text) const { return log().find(text) != std::string::npos; }

    void signal(int number) const;
    // How it ended: the exit status, or minus the signal. Nothing while it runs.
    std::optional<int> ended();
    // The same once it has ended; nothing if it has not within ten seconds or so.
    std::optional<int> await_end();

  private:
    pid_t pid_ = -1;
    std::string log_file_;
    std::optional<int> status_;
};

// The master.
class worker_process : public program_process {
  public:
    worker_process(const scratch_folder& folder, std::map<std::string, std::string> settings,
                   int systemd_socket = -1);

    [[nodiscard]] const std::string& socket() const { return socket_; }
    [[nodiscard]] std::vector<pid_t> workers() const { return children(); }
    // Until it listens and has its workers.
    [[nodiscard]] bool await_ready(std::size_t workers = 1);

  private:
    std::string socket_;
};

class hub_process : public program_process {
  public:
    hub_process(const scratch_folder& folder, std::map<std::string, std::string> settings,
                int systemd_socket = -1);

    [[nodiscard]] const std::string& socket() const { return socket_; }
    [[nodiscard]] bool await_ready();

  private:
    std::string socket_;
};

// Whether a process is there and is no zombie.
bool is_alive(pid_t pid);

} // namespace mana::end_to_end
