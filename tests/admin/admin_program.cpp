#include "tests/admin/admin_program.hpp"

#include "tests/end_to_end/environment.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <poll.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>

namespace mana::tests {
namespace {

using end_to_end::required_environment;
using std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto patience = 10s;

struct pipe_ends {
    runtime::unique_fd read;
    runtime::unique_fd write;
};

pipe_ends make_pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0)
        throw std::system_error{errno, std::generic_category(), "pipe2"};
    return {runtime::unique_fd{ends[0]}, runtime::unique_fd{ends[1]}};
}

// In the child: never returns.
[[noreturn]] void become(const words& command, const variables& set, int out, int err) {
    ::dup2(out, STDOUT_FILENO);
    ::dup2(err, STDERR_FILENO);
    for (const auto& [name, value] : set) ::setenv(name.c_str(), value.c_str(), 1);
    std::vector<char*> arguments;
    for (const auto& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    ::execv(arguments.front(), arguments.data());
    std::_Exit(127);
}

struct started {
    pid_t pid;
    runtime::unique_fd out;
    runtime::unique_fd err;
};

started start(const words& command, const variables& set) {
    auto out = make_pipe();
    auto err = make_pipe();
    const pid_t pid = ::fork();
    if (pid < 0) throw std::system_error{errno, std::generic_category(), "fork"};
    if (pid == 0) become(command, set, out.write.get(), err.write.get());
    return {pid, std::move(out.read), std::move(err.read)};
}

words with_settings(const words& arguments) {
    words command{required_environment("MANA_TEST_ADMIN_PROGRAM"), "--env-file",
                  required_environment("MANA_TEST_RUN_DIR") + "/settings"};
    if (std::ranges::find(arguments, "--sql-dir") == arguments.end())
        command.insert(command.end(), {"--sql-dir", sql_folder()});
    command.insert(command.end(), arguments.begin(), arguments.end());
    return command;
}

// What there is to read now goes into `text`; at its end the descriptor is closed.
void take(runtime::unique_fd& from, std::string& text) {
    std::array<char, 65'536> bytes{};
    const ssize_t count = ::read(from.get(), bytes.data(), bytes.size());
    if (count > 0)
        text.append(bytes.data(), static_cast<std::size_t>(count));
    else
        from.reset();
}

// False when nothing came in that time, and when there is nothing to come.
bool read_both(runtime::unique_fd& out, std::string& out_text, runtime::unique_fd& err, std::string& err_text,
               int milliseconds) {
    std::array<pollfd, 2> watched{pollfd{out.get(), POLLIN, 0}, pollfd{err.get(), POLLIN, 0}};
    if ((!out && !err) || ::poll(watched.data(), watched.size(), milliseconds) <= 0) return false;
    if (watched[0].revents != 0) take(out, out_text);
    if (watched[1].revents != 0) take(err, err_text);
    return true;
}

int shell_status(int status) {
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

} // namespace

std::string sql_folder() {
    return std::filesystem::weakly_canonical(required_environment("MANA_TEST_NGINX_TEMPLATE_DIR") +
                                             "/../sql");
}

finished run_admin(const words& arguments, const variables& set) {
    return run_program(with_settings(arguments), set);
}

finished run_program(const words& command, const variables& set) {
    auto child = start(command, set);
    finished done;
    const int longest = static_cast<int>(std::chrono::milliseconds{60s}.count());
    while (read_both(child.out, done.out, child.err, done.err, longest)) {
    }
    if (child.out || child.err) ::kill(child.pid, SIGKILL);
    int status = 0;
    ::waitpid(child.pid, &status, 0);
    done.status = shell_status(status);
    return done;
}

running_admin::running_admin(const words& arguments, const variables& set) {
    auto child = start(with_settings(arguments), set);
    pid_ = child.pid;
    stdout_ = std::move(child.out);
    stderr_ = std::move(child.err);
}

running_admin::~running_admin() {
    if (pid_ < 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
}

void running_admin::read_some(int milliseconds) {
    read_both(stdout_, out_, stderr_, err_, milliseconds);
}

bool running_admin::await_output(const std::function<bool(const std::string&)>& holds) {
    const auto until = steady_clock::now() + patience;
    while (!holds(out_) && steady_clock::now() < until) read_some(50);
    return holds(out_);
}

bool running_admin::await_error(const std::function<bool(const std::string&)>& holds) {
    const auto until = steady_clock::now() + patience;
    while (!holds(err_) && steady_clock::now() < until) read_some(50);
    return holds(err_);
}

void running_admin::signal(int number) const {
    ::kill(pid_, number);
}

int running_admin::await_end() {
    int status = 0;
    const bool ended = end_to_end::await([&] { return ::waitpid(pid_, &status, WNOHANG) == pid_; }, patience);
    if (!ended) return -1;
    pid_ = -1;
    return shell_status(status);
}

scratch::scratch() {
    std::string name = std::filesystem::temp_directory_path() / "mana-admin-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) throw std::system_error{errno, std::generic_category(), "mkdtemp"};
    path_ = name;
}

scratch::~scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

std::string scratch::write(const std::string& name, const std::string& text, bool executable) const {
    const std::string path = file(name);
    std::ofstream{path} << text;
    if (executable) std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    return path;
}

superuser::superuser()
    : on_{[] {
              store::postgres_settings settings;
              settings.url = required_environment("MANA_TEST_SUPERUSER_URL");
              settings.prepared = false;
              return settings;
          }(),
          {}} {}

store::rows superuser::run(const std::string& sql, const std::vector<store::parameter>& parameters) {
    on_.send({"test", sql.c_str()}, parameters);
    return std::move(on_.finish(steady_clock::now() + patience).front());
}

} // namespace mana::tests
