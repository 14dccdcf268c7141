// The file in which the workers count: sums over processes, whatever becomes of them, and what is refused.
#include "shared/metrics/worker_counters.hpp"
#include "tests/unit/scratch_folder.hpp"

#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <gtest/gtest.h>
#include <stdexcept>
#include <string>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace mana::metrics {
namespace {

using namespace std::chrono_literals;

// In a child that ends as `work` ends it, at the latest after it.
pid_t in_child(const std::function<void()>& work) {
    const pid_t pid = ::fork();
    if (pid != 0) return pid;
    work();
    std::_Exit(0);
}

void await(const std::vector<pid_t>& children) {
    for (const pid_t child : children) EXPECT_EQ(::waitpid(child, nullptr, 0), child);
}

class worker_counters_test : public ::testing::Test {
  protected:
    [[nodiscard]] counters_file make() const { return {"WORKER_METRICS", path_}; }

    [[nodiscard]] counters_fault refusal() const {
        const auto found = counters_view::of(path_);
        EXPECT_FALSE(found);
        return found ? counters_fault::missing : found.error();
    }

    const testing::scratch_folder folder_;
    std::string path_ = folder_.file("worker.metrics");
};

// Counting.

TEST_F(worker_counters_test, begins_at_zero) {
    const auto file = make();
    const auto seen = counters_view::of(path_);
    ASSERT_TRUE(seen);
    EXPECT_EQ(seen->counters().changes_stored.value(), 0U);
    EXPECT_EQ(seen->counters().requests[0][0].value(), 0U);
    EXPECT_EQ(seen->counters().workers.value(), 0U);
}

TEST_F(worker_counters_test, sums_what_processes_count_at_the_same_time) {
    const auto file = make();
    std::vector<pid_t> children;
    for (int i = 0; i < 4; ++i)
        children.push_back(in_child([&file] {
            for (int n = 0; n < 50'000; ++n) {
                file.counters().changes_stored.add();
                file.counters().answered(route::push, 200, 0ms, 3ms);
            }
        }));
    await(children);
    const auto seen = counters_view::of(path_);
    ASSERT_TRUE(seen);
    EXPECT_EQ(seen->counters().changes_stored.value(), 200'000U);
    EXPECT_EQ(seen->counters().requests[0][0].value(), 200'000U);
    EXPECT_EQ(seen->counters().durations[0].total(), 600s);
}

TEST_F(worker_counters_test, keeps_what_a_process_counted_before_it_was_killed) {
    const auto file = make();
    const auto count_and_die = [&file] {
        file.counters().fields_lost.add(7);
        (void)::raise(SIGKILL);
    };
    await({in_child(count_and_die), in_child(count_and_die)});
    await({in_child([&file] { file.counters().fields_lost.add(); })});
    const auto seen = counters_view::of(path_);
    ASSERT_TRUE(seen);
    EXPECT_EQ(seen->counters().fields_lost.value(), 15U);
}

TEST_F(worker_counters_test, shows_what_is_counted_after_the_file_was_opened) {
    const auto file = make();
    const auto seen = counters_view::of(path_);
    ASSERT_TRUE(seen);
    file.counters().workers.set(3);
    EXPECT_EQ(seen->counters().workers.value(), 3U);
}

TEST(worker_counters, counts_a_request_by_route_and_status_with_its_wait) {
    worker_counters counted;
    counted.answered(route::pull, 503, 20ms, 10ms);
    counted.answered(route::other, 599, 0ms, 1ms);
    EXPECT_EQ(statuses.back(), 503);
    EXPECT_EQ(counted.requests[1][statuses.size() - 1].value(), 1U);
    EXPECT_EQ(counted.requests[2][statuses.size()].value(), 1U) << "a status without a place of its own";
    EXPECT_EQ(counted.durations[1].total(), 30ms);
    EXPECT_EQ(counted.waits.total(), 20ms);
}

TEST(latency, puts_a_duration_into_the_bucket_whose_bound_it_does_not_pass) {
    latency counted;
    for (const auto took : {-1us, 0us, 1'000us, 1'001us, 10'000'000us, 10'000'001us}) counted.observe(took);
    EXPECT_EQ(counted.in_bucket(0), 3U);
    EXPECT_EQ(counted.in_bucket(1), 1U);
    EXPECT_EQ(counted.in_bucket(latency::bucket_count - 2), 1U);
    EXPECT_EQ(counted.in_bucket(latency::bucket_count - 1), 1U);
    EXPECT_EQ(counted.total(), 20'002'002us);
}

// The file.

TEST_F(worker_counters_test, may_be_read_by_owner_and_group_whatever_the_umask) {
    const mode_t before = ::umask(0777);
    const auto file = make();
    ::umask(before);
    struct stat found {};
    ASSERT_EQ(::stat(path_.c_str(), &found), 0);
    EXPECT_EQ(found.st_mode & 0777U, 0640U);
}

TEST_F(worker_counters_test, gives_way_to_a_new_file_as_a_whole) {
    const auto old_file = make();
    old_file.counters().changes_stored.add(5);
    const auto old_view = counters_view::of(path_);
    std::ofstream{path_ + ".new"} << "left by one that was killed";
    const auto new_file = make();
    new_file.counters().changes_stored.add(1);
    const auto new_view = counters_view::of(path_);
    ASSERT_TRUE(old_view && new_view);
    EXPECT_EQ(old_view->counters().changes_stored.value(), 5U);
    EXPECT_EQ(new_view->counters().changes_stored.value(), 1U);
    EXPECT_FALSE(std::filesystem::exists(path_ + ".new"));
}

TEST_F(worker_counters_test, stays_and_is_served_until_the_last_process_has_ended) {
    std::vector<pid_t> children;
    {
        const auto file = make();
        file.counters().changes_stored.add(5);
        children.push_back(in_child([] { ::pause(); }));
    }
    EXPECT_TRUE(counters_view::of(path_)->served()) << "a worker lives";
    ::kill(children[0], SIGKILL);
    await(children);
    const auto seen = counters_view::of(path_);
    ASSERT_TRUE(seen);
    EXPECT_FALSE(seen->served());
    EXPECT_EQ(seen->counters().changes_stored.value(), 5U);
}

TEST_F(worker_counters_test, says_in_one_line_which_variable_names_no_usable_path) {
    path_ = folder_.file("no such folder") + "/worker.metrics";
    try {
        (void)make();
        FAIL() << "a file in no folder was made";
    } catch (const std::runtime_error& refused) {
        const std::string said = refused.what();
        EXPECT_TRUE(said.starts_with("WORKER_METRICS: " + path_ + ": ")) << said;
        EXPECT_EQ(said.find('\n'), std::string::npos) << said;
    }
}

// What is refused.

TEST_F(worker_counters_test, is_missing_where_there_were_no_workers) {
    EXPECT_EQ(refusal(), counters_fault::missing);
}

TEST_F(worker_counters_test, refuses_a_file_of_another_size) {
    (void)make();
    const auto size = std::filesystem::file_size(path_);
    for (const std::uintmax_t other : {std::uintmax_t{0}, size - 8, size + 8}) {
        std::filesystem::resize_file(path_, other);
        EXPECT_EQ(refusal(), counters_fault::foreign) << other;
    }
}

TEST_F(worker_counters_test, refuses_another_version) {
    (void)make();
    std::fstream{path_, std::ios::in | std::ios::out | std::ios::binary}.put('\x7f');
    EXPECT_EQ(refusal(), counters_fault::foreign);
}

TEST_F(worker_counters_test, refuses_what_is_no_file) {
    std::filesystem::create_directory(path_);
    EXPECT_EQ(refusal(), counters_fault::foreign);
}

} // namespace
} // namespace mana::metrics
