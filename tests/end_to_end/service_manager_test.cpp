// What systemd is told and does, played by the test: NOTIFY_SOCKET, the watchdog, a socket that outlives the
// program; and workers and threads that hang.

#include "shared/metrics/worker_counters.hpp"
#include "shared/runtime/unique_fd.hpp"
#include "tests/end_to_end/environment.hpp"
#include "tests/end_to_end/fastcgi_client.hpp"
#include "tests/end_to_end/prefork_fixture.hpp"
#include "tests/end_to_end/worker_process.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <gtest/gtest.h>
#include <map>
#include <optional>
#include <poll.h>
#include <string>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <thread>
#include <vector>

namespace mana::end_to_end {
namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

// The manager's end: what the program says, in order.
class notify_socket {
  public:
    explicit notify_socket(const std::string& path)
        : path_{path}, fd_{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)} {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
        EXPECT_EQ(::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    }
    [[nodiscard]] const std::string& path() const { return path_; }

    // The next message, or an empty one where none comes in time.
    std::string next(std::chrono::milliseconds longest = 10s) {
        pollfd watched{fd_.get(), POLLIN, 0};
        if (::poll(&watched, 1, static_cast<int>(longest.count())) <= 0) return {};
        std::array<char, 4096> text{};
        const auto size = ::recv(fd_.get(), text.data(), text.size(), 0);
        return {text.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0))};
    }
    // The next one that has this line in it; others are passed over.
    std::string await(const std::string& line, std::chrono::milliseconds longest = 10s) {
        const auto until = clock::now() + longest;
        while (clock::now() < until) {
            auto message = next(std::chrono::ceil<std::chrono::milliseconds>(until - clock::now()));
            if (('\n' + message + '\n').find('\n' + line + '\n') != std::string::npos) return message;
        }
        return {};
    }
    void drain() {
        while (!next(0ms).empty()) {
        }
    }

  private:
    std::string path_;
    runtime::unique_fd fd_;
};

bool has(const std::string& message, const std::string& text) {
    return message.find(text) != std::string::npos;
}

constexpr const char* sign_of_life = "WATCHDOG=1";

class service_manager : public testing::Test {
  protected:
    scratch_folder folder;
    notify_socket manager{folder.file("notify.sock")};

    std::map<std::string, std::string> managed(std::map<std::string, std::string> settings,
                                               std::chrono::microseconds watchdog = {}) {
        settings["NOTIFY_SOCKET"] = manager.path();
        if (watchdog.count() > 0) settings["WATCHDOG_USEC"] = std::to_string(watchdog.count());
        return settings;
    }
    // Whether signs of life come for some time, none of them late, and not many more than are needed.
    void expect_signs_of_life(std::chrono::milliseconds watchdog) {
        constexpr int some = 4;
        ASSERT_FALSE(manager.await(sign_of_life).empty());
        const auto began = clock::now();
        for (int i = 0; i < some; ++i) {
            const auto last = clock::now();
            ASSERT_FALSE(manager.await(sign_of_life).empty());
            EXPECT_LT(clock::now() - last, watchdog);
        }
        EXPECT_GE(clock::now() - began, some * watchdog / 2 * 3 / 4) << "more often than every half of it";
    }
    bool are_there_signs_of_life(std::chrono::milliseconds during) {
        manager.drain();
        return !manager.await(sign_of_life, during).empty();
    }
};

// ---- workers ----

TEST_F(service_manager, hears_that_the_workers_serve_and_not_earlier) {
    auto settings = managed(worker_settings(folder));
    settings["WORKERS"] = "3";
    worker_process master{folder, settings};
    const auto ready = manager.await("READY=1");
    EXPECT_TRUE(has(ready, "STATUS=3 of 3 workers serve")) << ready;
    EXPECT_EQ(master.workers().size(), 3U);
    EXPECT_EQ(status_of_any_request(master.socket()), 401);
}

TEST_F(service_manager, hears_when_workers_are_recycled_and_when_that_is_done) {
    worker_process master{folder, managed(worker_settings(folder))};
    ASSERT_FALSE(manager.await("READY=1").empty());
    const auto before = master.workers();
    master.signal(SIGHUP);
    const auto reloading = manager.await("RELOADING=1");
    EXPECT_TRUE(has(reloading, "MONOTONIC_USEC=")) << reloading;
    ASSERT_FALSE(manager.await("READY=1").empty());
    const auto now = master.workers();
    EXPECT_TRUE(
        std::ranges::any_of(now, [&](pid_t pid) { return std::ranges::find(before, pid) == before.end(); }));
}

TEST_F(service_manager, hears_of_the_end_before_the_last_request_is_answered) {
    worker_process master{folder, managed(worker_settings(folder))};
    ASSERT_FALSE(manager.await("READY=1").empty());
    push_in_flight push{master.socket()};
    master.signal(SIGTERM);
    EXPECT_FALSE(manager.await("STOPPING=1").empty());
    EXPECT_FALSE(manager.await("STATUS=0 of 1 workers serve, 1 more finish their requests").empty() &&
                 master.ended());
    EXPECT_EQ(push.finish().status, 200);
    EXPECT_EQ(master.await_end(), 0);
}

TEST_F(service_manager, gets_signs_of_life_from_a_master_that_turns_its_loop) {
    worker_process master{folder, managed(worker_settings(folder), 800ms)};
    ASSERT_FALSE(manager.await("READY=1").empty());
    expect_signs_of_life(800ms);
    master.signal(SIGSTOP);
    EXPECT_FALSE(are_there_signs_of_life(1600ms)) << "from a master that stands still";
    master.signal(SIGCONT);
    EXPECT_TRUE(are_there_signs_of_life(10s));
}

TEST_F(service_manager, is_told_nothing_where_there_is_none) {
    worker_process master{folder, worker_settings(folder)};
    ASSERT_TRUE(master.await_ready());
    EXPECT_EQ(status_of_any_request(master.socket()), 401);
    EXPECT_TRUE(manager.next(0ms).empty());
}

// ---- a worker that hangs ----

std::size_t open_descriptors(pid_t pid) {
    const std::filesystem::directory_iterator all{"/proc/" + std::to_string(pid) + "/fd"};
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

TEST_F(service_manager, need_not_know_of_a_worker_that_hangs_for_its_master_replaces_it) {
    auto settings = worker_settings(folder);
    settings["WORKERS"] = "2";
    settings["STATEMENT_TIMEOUT"] = "10ms"; // a second more is a worker's deadline
    worker_process master{folder, settings};
    ASSERT_TRUE(master.await_ready(2));
    push_in_flight push{master.socket()};
    const auto workers = master.workers();
    const pid_t busy = *std::ranges::max_element(workers, {}, open_descriptors);
    ::kill(busy, SIGSTOP);
    const auto until = clock::now() + 20s;
    int served = 0;
    for (; is_alive(busy) && clock::now() < until; ++served)
        ASSERT_EQ(status_of_any_request(master.socket()), 401) << "the others go on";
    EXPECT_GT(served, 0);
    ASSERT_FALSE(is_alive(busy)) << master.log();
    ASSERT_TRUE(await([&] { return master.workers().size() == 2; }));
    EXPECT_TRUE(master.logs("reason=stuck")) << master.log();
    const auto seen = metrics::counters_view::of(settings["WORKER_METRICS"]);
    ASSERT_TRUE(seen);
    EXPECT_EQ(seen->counters().workers_stuck.value(), 1U);
    EXPECT_EQ(seen->counters().workers_died.value(), 0U);
}

// ---- the hub ----

// Holds one thread of a process that is our child; it goes on at the latest with the test.
class held_thread {
  public:
    explicit held_thread(pid_t thread) : thread_{thread} {
        held_ = ::ptrace(PTRACE_SEIZE, thread, nullptr, nullptr) == 0 &&
                ::ptrace(PTRACE_INTERRUPT, thread, nullptr, nullptr) == 0 &&
                ::waitpid(thread, nullptr, __WALL) == thread;
    }
    ~held_thread() {
        if (held_) ::ptrace(PTRACE_DETACH, thread_, nullptr, nullptr);
    }
    held_thread(const held_thread&) = delete;
    held_thread& operator=(const held_thread&) = delete;
    [[nodiscard]] bool held() const { return held_; }

  private:
    pid_t thread_;
    bool held_ = false;
};

pid_t thread_named(pid_t process, const std::string& name) {
    for (const auto& task :
         std::filesystem::directory_iterator{"/proc/" + std::to_string(process) + "/task"}) {
        std::string found;
        std::getline(std::ifstream{task.path() / "comm"}, found);
        if (found == name) return std::stoi(task.path().filename());
    }
    return -1;
}

TEST_F(service_manager, hears_of_a_hub_what_it_hears_of_a_master) {
    hub_process hub{folder, managed(hub_settings(folder), 1s)};
    const auto ready = manager.await("READY=1");
    EXPECT_TRUE(has(ready, "STATUS=0 connections of 0 users")) << ready;
    hub.signal(SIGHUP);
    EXPECT_FALSE(manager.await("RELOADING=1").empty());
    EXPECT_FALSE(manager.await("READY=1").empty());
    EXPECT_TRUE(are_there_signs_of_life(10s));
    hub.signal(SIGTERM);
    EXPECT_FALSE(manager.await("STOPPING=1").empty());
    EXPECT_EQ(hub.await_end(), 0);
}

TEST_F(service_manager, hears_no_more_of_a_hub_one_of_whose_threads_hangs) {
    constexpr auto watchdog = 2400ms;
    hub_process hub{folder, managed(hub_settings(folder), watchdog)};
    ASSERT_FALSE(manager.await("READY=1").empty());
    for (const std::string name : {"mana-sync-hub", "log_sweep"}) {
        ASSERT_TRUE(are_there_signs_of_life(10s)) << name;
        const held_thread stuck{thread_named(hub.pid(), name)};
        if (!stuck.held()) GTEST_SKIP() << "threads cannot be traced here";
        if (name == "log_sweep") {
            ASSERT_TRUE(await([&] { return hub.logs("event=sweep_stuck"); }));
        }
        EXPECT_FALSE(are_there_signs_of_life(watchdog)) << "while " << name << " hangs";
    }
    EXPECT_TRUE(are_there_signs_of_life(10s)) << "after that";
}

TEST_F(service_manager, hears_on_of_a_hub_whose_postgresql_and_redis_are_away) {
    auto settings = managed(hub_settings(folder), 2s);
    settings["DATABASE_URL"] = "postgresql://mana@/mana_sync?host=" + folder.file("");
    settings["REDIS_URL"] = "unix://" + folder.file("redis.sock");
    hub_process hub{folder, settings};
    ASSERT_FALSE(manager.await("READY=1").empty());
    expect_signs_of_life(2s);
}

// ---- a socket that outlives the program ----

// The status of GET /health over a connection of its own; 0 where it was refused, or cut.
int health_at(const std::string& path) {
    const runtime::unique_fd fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return 0;
    constexpr std::string_view request = "GET /health HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n";
    if (::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) <= 0) return 0;
    std::array<char, 64> answer{};
    if (::recv(fd.get(), answer.data(), answer.size(), 0) < 12) return 0;
    return std::stoi(std::string{&answer[9], 3}); // "HTTP/1.1 200"
}

// Asks over and over, from several threads.
class asking {
  public:
    explicit asking(std::function<int()> ask) {
        for (int i = 0; i < 3; ++i)
            threads_.emplace_back([this, ask] {
                while (!stopping_) (ask() > 0 ? answered_ : refused_).fetch_add(1);
            });
    }
    ~asking() { stop(); }
    asking(const asking&) = delete;
    asking& operator=(const asking&) = delete;

    void stop() {
        stopping_ = true;
        for (auto& thread : threads_)
            if (thread.joinable()) thread.join();
    }
    [[nodiscard]] int answered() const { return answered_; }
    [[nodiscard]] int refused() const { return refused_; }

  private:
    std::vector<std::thread> threads_;
    std::atomic<bool> stopping_ = false;
    std::atomic<int> answered_ = 0;
    std::atomic<int> refused_ = 0;
};

TEST_F(service_manager, keeps_the_socket_while_the_hub_is_restarted_so_that_nobody_is_refused) {
    const std::string path = folder.file("systemd.sock");
    const auto given = listen_at(path, 128);
    std::optional<asking> clients;
    for (int start = 0; start < 4; ++start) {
        hub_process hub{folder, hub_settings(folder), given.get()};
        if (!clients) clients.emplace([&] { return health_at(path); });
        const int before = clients->answered();
        ASSERT_TRUE(await([&] { return clients->answered() > before + 20; })) << hub.log();
        hub.signal(SIGTERM);
        ASSERT_EQ(hub.await_end(), 0);
    }
    hub_process last{folder, hub_settings(folder), given.get()};
    clients->stop();
    EXPECT_EQ(clients->refused(), 0);
    EXPECT_TRUE(std::filesystem::exists(path));
}

TEST_F(service_manager, keeps_the_socket_while_the_master_is_restarted_so_that_nobody_is_refused) {
    const std::string path = folder.file("systemd.sock");
    const auto given = listen_at(path, 128);
    std::optional<asking> clients;
    for (int start = 0; start < 4; ++start) {
        worker_process master{folder, worker_settings(folder), given.get()};
        if (!clients) clients.emplace([&] { return status_of_any_request(path); });
        const int before = clients->answered();
        ASSERT_TRUE(await([&] { return clients->answered() > before + 20; })) << master.log();
        master.signal(SIGTERM);
        ASSERT_EQ(master.await_end(), 0);
    }
    worker_process last{folder, worker_settings(folder), given.get()};
    clients->stop();
    EXPECT_EQ(clients->refused(), 0);
}

} // namespace
} // namespace mana::end_to_end
