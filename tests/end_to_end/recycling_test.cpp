// Workers that come and go while clients push: on SIGHUP, after so many requests, with so much memory. No
// client notices.

#include "shared/metrics/worker_counters.hpp"
#include "tests/end_to_end/device.hpp"
#include "tests/end_to_end/environment.hpp"
#include "tests/end_to_end/fastcgi_client.hpp"
#include "tests/end_to_end/prefork_fixture.hpp"
#include "tests/end_to_end/worker_process.hpp"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <fstream>
#include <gtest/gtest.h>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace mana::end_to_end {
namespace {

using namespace std::chrono_literals;

// The children of a process that live.
std::vector<pid_t> children_of(pid_t pid) {
    std::ifstream list{"/proc/" + std::to_string(pid) + "/task/" + std::to_string(pid) + "/children"};
    std::vector<pid_t> living;
    for (pid_t child = 0; list >> child;)
        if (is_alive(child)) living.push_back(child);
    return living;
}

pid_t master_of_the_stack() {
    pid_t pid = 0;
    std::ifstream{required_environment("MANA_TEST_RUN_DIR") + "/worker.pid"} >> pid;
    return pid;
}

// Pushes through nginx until it is told to stop: each thread one request after the other, as many users each
// as keep it below nginx's limit for one.
class load {
  public:
    load() {
        for (int number = 0; number < connections; ++number) threads_.emplace_back([this] { push_on(); });
    }
    ~load() { stop(); }
    load(const load&) = delete;
    load& operator=(const load&) = delete;

    void stop() {
        stopping_ = true;
        for (auto& thread : threads_)
            if (thread.joinable()) thread.join();
    }
    // How many answers of each status there were; 0 is none.
    [[nodiscard]] std::map<long, int> answers() {
        const std::lock_guard lock{mutex_};
        return answers_;
    }
    [[nodiscard]] int answered() {
        int all = 0;
        for (const auto& [status, count] : answers()) all += count;
        return all;
    }

  private:
    static constexpr int connections = 4;
    static constexpr int users_each = 20;

    std::vector<std::thread> threads_;
    std::atomic<bool> stopping_ = false;
    std::mutex mutex_; // guards answers_
    std::map<long, int> answers_;

    void push_on() {
        std::vector<device> tabs;
        for (int user = 0; user < users_each; ++user) tabs.emplace_back(token_of(fresh("user")), "phone");
        for (int turn = 0; !stopping_; ++turn) {
            const auto change = insert_of("t" + std::to_string(turn), {{"n", turn}}, time_from_now(-1s));
            const long status = push(tabs[static_cast<std::size_t>(turn) % tabs.size()], change);
            const std::lock_guard lock{mutex_};
            ++answers_[status];
        }
    }
    static long push(device& from, const boost::json::object& change) {
        try {
            return from.push({change}).status;
        } catch (const std::exception&) {
            return 0;
        }
    }
};

// ---- SIGHUP ----

TEST(recycling, a_hundred_reloads_under_load_refuse_no_request) {
    const pid_t master = master_of_the_stack();
    const auto workers = children_of(master).size();
    ASSERT_GT(workers, 0U);
    load clients;
    ASSERT_TRUE(await([&] { return clients.answered() > 100; }));
    for (int reload = 0; reload < 100; ++reload) {
        const auto before = children_of(master);
        const int answered = clients.answered();
        ::kill(master, SIGHUP);
        // Each time when the last generation has left; then, at once, ten that come while it leaves.
        if (reload >= 90) continue;
        ASSERT_TRUE(await([&] { return std::ranges::none_of(before, is_alive); })) << "reload " << reload;
        ASSERT_TRUE(await([&] { return clients.answered() > answered; }));
    }
    ASSERT_TRUE(await([&] { return children_of(master).size() == workers; }));
    clients.stop();
    const auto answers = clients.answers();
    EXPECT_EQ(answers.size(), 1U) << testing::PrintToString(answers);
    EXPECT_TRUE(answers.contains(200)) << testing::PrintToString(answers);
}

// ---- workers that have served long enough ----

class renewal : public testing::Test {
  protected:
    scratch_folder folder;
    std::map<std::string, std::string> settings = worker_settings(folder);

    [[nodiscard]] std::uint64_t renewed() {
        const auto seen = metrics::counters_view::of(settings["WORKER_METRICS"]);
        return seen ? seen->counters().workers_renewed.value() : 0;
    }
    void expect_calm(const worker_process& master) {
        EXPECT_FALSE(master.logs("level=warn") || master.logs("level=error")) << master.log();
        EXPECT_FALSE(master.logs("worker_died"));
    }
};

TEST_F(renewal, comes_after_a_number_of_requests_and_loses_none) {
    settings["WORKER_REQUESTS"] = "20";
    worker_process master{folder, settings};
    ASSERT_TRUE(master.await_ready());
    constexpr int requests = 300;
    for (int i = 0; i < requests; ++i) ASSERT_EQ(status_of_any_request(master.socket()), 401) << i;
    ASSERT_TRUE(await([&] { return renewed() >= requests / 20; })) << renewed();
    EXPECT_LE(renewed(), std::uint64_t{requests / 18});
    expect_calm(master);
}

TEST_F(renewal, comes_when_a_worker_has_grown_too_large_and_loses_no_request) {
    settings["WORKER_MEMORY"] = "1"; // any worker has more
    settings["WORKERS"] = "2";
    worker_process master{folder, settings};
    ASSERT_TRUE(master.await_ready(2));
    constexpr std::uint64_t requests = 30;
    for (std::uint64_t i = 0; i < requests; ++i) ASSERT_EQ(status_of_any_request(master.socket()), 401) << i;
    EXPECT_TRUE(await([&] { return renewed() == requests; })) << renewed();
    EXPECT_TRUE(await([&] { return master.workers().size() == 2; }));
    expect_calm(master);
}

} // namespace
} // namespace mana::end_to_end
