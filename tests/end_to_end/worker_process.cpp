#include "tests/end_to_end/worker_process.hpp"

#include "tests/end_to_end/environment.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <sstream>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>

namespace mana::end_to_end {
namespace {

using namespace std::chrono_literals;

std::string contents_of(const std::string& file) {
    std::ostringstream text;
    text << std::ifstream{file}.rdbuf();
    return text.str();
}

// In the child: never returns.
[[noreturn]] void become(const std::string& program, const std::map<std::string, std::string>& settings,
                         const std::string& log_file, int systemd_socket) {
    const int log = ::open(log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    ::dup2(log, STDERR_FILENO);
    for (const auto& [name, value] : settings) ::setenv(name.c_str(), value.c_str(), 1);
    if (systemd_socket >= 0) {
        ::dup2(systemd_socket, 3);
        ::fcntl(3, F_SETFD, 0); // where it was the third already
        ::setenv("LISTEN_FDS", "1", 1);
        ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
    }
    ::execl(program.c_str(), program.c_str(), static_cast<char*>(nullptr));
    std::_Exit(127);
}

} // namespace

scratch_folder::scratch_folder() {
    std::string name = std::filesystem::temp_directory_path() / "mana-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) throw std::system_error{errno, std::generic_category(), "mkdtemp"};
    path_ = name;
}

scratch_folder::~scratch_folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

std::map<std::string, std::string> worker_settings(const scratch_folder& folder) {
    return {{"DATABASE_URL", required_environment("MANA_TEST_DATABASE_URL")},
            {"REDIS_URL", required_environment("MANA_TEST_REDIS_URL")},
            {"JWKS_URL", required_environment("MANA_TEST_IDENTITY_URL") + "/api/auth/jwks"},
            {"WORKER_SOCKET", folder.file("worker.sock")},
            {"WORKER_METRICS", folder.file("worker.metrics")},
            {"KEYS_FILE", folder.file("keys.json")},
            {"WORKERS", "1"},
            {"MAX_REQUESTS", "0"},
            {"LOG_LEVEL", "info"}};
}

std::map<std::string, std::string> hub_settings(const scratch_folder& folder) {
    auto settings = worker_settings(folder);
    settings["HUB_SOCKET"] = folder.file("hub.sock");
    return settings;
}

program_process::program_process(const std::string& program, const scratch_folder& folder,
                                 const std::map<std::string, std::string>& settings, int systemd_socket)
    : log_file_{folder.file(fresh("log"))} {
    pid_ = ::fork();
    if (pid_ == 0) become(program, settings, log_file_, systemd_socket);
    if (pid_ < 0) throw std::system_error{errno, std::generic_category(), "fork"};
}

program_process::~program_process() {
    if (ended()) return;
    ::kill(pid_, SIGTERM);
    if (await_end()) return;
    for (const pid_t child : children()) ::kill(child, SIGKILL);
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
}

std::vector<pid_t> program_process::children() const {
    const std::string pid = std::to_string(pid_);
    std::istringstream children{contents_of("/proc/" + pid + "/task/" + pid + "/children")};
    std::vector<pid_t> all;
    for (pid_t child = 0; children >> child;)
        if (is_alive(child)) all.push_back(child);
    return all;
}

std::string program_process::log() const {
    return contents_of(log_file_);
}

void program_process::signal(int number) const {
    ::kill(pid_, number);
}

std::optional<int> program_process::ended() {
    int status = 0;
    if (!status_ && ::waitpid(pid_, &status, WNOHANG) == pid_)
        status_ = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    return status_;
}

std::optional<int> program_process::await_end() {
    if (!await([&] { return ended().has_value(); }, 15s)) return std::nullopt;
    return status_;
}

worker_process::worker_process(const scratch_folder& folder, std::map<std::string, std::string> settings,
                               int systemd_socket)
    : program_process{required_environment("MANA_TEST_WORKER_PROGRAM"), folder, settings, systemd_socket},
      socket_{settings["WORKER_SOCKET"]} {}

bool worker_process::await_ready(std::size_t wanted) {
    return await([&] { return ended() || (logs("event=started") && workers().size() == wanted); }) &&
           !ended();
}

hub_process::hub_process(const scratch_folder& folder, std::map<std::string, std::string> settings,
                         int systemd_socket)
    : program_process{required_environment("MANA_TEST_HUB_PROGRAM"), folder, settings, systemd_socket},
      socket_{settings["HUB_SOCKET"]} {}

bool hub_process::await_ready() {
    return await([&] { return ended() || logs("event=hub_started"); }) && !ended();
}

bool is_alive(pid_t pid) {
    const std::string stat = contents_of("/proc/" + std::to_string(pid) + "/stat");
    const auto after_name = stat.rfind(") ");
    return after_name != std::string::npos && stat[after_name + 2] != 'Z';
}

} // namespace mana::end_to_end
