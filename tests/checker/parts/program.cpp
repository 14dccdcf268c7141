#include "tests/checker/parts/program.hpp"

#include "tests/end_to_end/environment.hpp"
#include "tests/end_to_end/worker_process.hpp"

#include <chrono>
#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <spawn.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>

namespace mana::checker {

using namespace std::chrono_literals;
using end_to_end::await;
using end_to_end::required_environment;

namespace {

[[noreturn]] void fail(int error, const char* what) {
    throw std::system_error{error, std::generic_category(), what};
}

class file_actions {
  public:
    file_actions() { ::posix_spawn_file_actions_init(&actions_); }
    ~file_actions() { ::posix_spawn_file_actions_destroy(&actions_); }
    file_actions(const file_actions&) = delete;
    file_actions& operator=(const file_actions&) = delete;

    void log_to(const std::string& file) {
        ::posix_spawn_file_actions_addopen(&actions_, STDOUT_FILENO, file.c_str(),
                                           O_WRONLY | O_CREAT | O_APPEND, 0600);
        ::posix_spawn_file_actions_adddup2(&actions_, STDOUT_FILENO, STDERR_FILENO);
    }
    /// Sockets of this process among them: as long as another one holds them too, nobody sees them closed.
    void keep_nothing_else_open() {
        ::posix_spawn_file_actions_addclosefrom_np(&actions_, STDERR_FILENO + 1);
    }
    [[nodiscard]] const posix_spawn_file_actions_t* get() const { return &actions_; }

  private:
    posix_spawn_file_actions_t actions_{};
};

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
    std::vector<char*> pointers;
    pointers.reserve(texts.size() + 1);
    for (auto& text : texts) pointers.push_back(text.data());
    pointers.push_back(nullptr);
    return pointers;
}

std::vector<std::string> environment_with(const program::settings& wanted) {
    std::vector<std::string> lines;
    for (char** line = environ; *line != nullptr; ++line) {
        const std::string text = *line;
        if (!wanted.contains(text.substr(0, text.find('=')))) lines.push_back(text);
    }
    for (const auto& [name, value] : wanted) lines.push_back(std::string{name}.append("=").append(value));
    return lines;
}

} // namespace

std::string library_beside_this(const std::string& name) {
    std::error_code none;
    const auto program = std::filesystem::read_symlink("/proc/self/exe", none);
    const auto file = program.parent_path() / name;
    return std::filesystem::exists(file, none) ? file.string() : std::string{};
}

program::program(const std::vector<std::string>& command, const settings& environment,
                 const std::string& log_file) {
    auto words = command;
    auto with_mark = environment;
    // The mark by which ./dev finds what it must end, should this process be killed.
    with_mark["MANA_SYNC_INSTANCE"] = required_environment("MANA_TEST_RUN_DIR");
    auto lines = environment_with(with_mark);
    file_actions actions;
    actions.log_to(log_file);
    actions.keep_nothing_else_open();
    const int error = ::posix_spawnp(&pid_, words.front().c_str(), actions.get(), nullptr,
                                     pointers_to(words).data(), pointers_to(lines).data());
    if (error != 0) fail(error, words.front().c_str());
}

program::~program() {
    if (ended()) return;
    signal(SIGTERM);
    if (!await([this] { return ended(); }, 5s)) kill();
}

std::vector<pid_t> program::children() const {
    const auto pid = std::to_string(pid_);
    std::ifstream children{"/proc/" + pid + "/task/" + pid + "/children"};
    std::vector<pid_t> all;
    for (pid_t child = 0; children >> child;)
        if (end_to_end::is_alive(child)) all.push_back(child);
    return all;
}

void program::signal(int number) const {
    if (!ended_) ::kill(pid_, number);
}

void program::kill() {
    signal(SIGKILL);
    if (!ended_) ::waitpid(pid_, &status_, 0);
    ended_ = true;
}

bool program::ended() {
    if (!ended_ && ::waitpid(pid_, &status_, WNOHANG) == pid_) ended_ = true;
    return ended_;
}

bool program::succeeded() {
    return await([this] { return ended(); }, 60s) && WIFEXITED(status_) && WEXITSTATUS(status_) == 0;
}

} // namespace mana::checker
