// How the processes of a host share keys in a file: whom it is taken from, and whose turn it is to fetch.
#include "shared/gate/key_file.hpp"
#include "shared/gate/key_set.hpp"
#include "tests/unit/scratch_folder.hpp"
#include "tests/unit/token_maker.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace mana::gate {
namespace {

using namespace std::chrono_literals;
using testing::jwks;
using testing::signing_key;

constexpr const char* url = "https://auth.example/jwks";

// Runs `work` in a process of its own, which ends by SIGKILL, as if it had died in the midst of its work.
template<typename Work>
void in_a_process_that_dies(Work work) {
    const pid_t pid = ::fork();
    if (pid == 0) {
        work();
        ::kill(::getpid(), SIGKILL);
    }
    int status = 0;
    ::waitpid(pid, &status, 0);
    EXPECT_TRUE(WIFSIGNALED(status));
}

class key_file_test : public ::testing::Test {
  protected:
    [[nodiscard]] key_file make_process(const std::string& from = url) const {
        return {path_, from, longest_fetch};
    }

    void publish(const std::string& document) const {
        auto process = make_process();
        (void)process.last_attempt();
        const auto turn = process.take_turn();
        ASSERT_NE(turn, nullptr);
        turn->publish(document);
    }

    [[nodiscard]] std::optional<std::string> news() const {
        auto process = make_process();
        const auto found = process.news();
        return found ? std::optional{found->jwks} : std::nullopt;
    }

    // What a process logs that looks at the file twice.
    [[nodiscard]] std::string refusal() const {
        auto process = make_process();
        ::testing::internal::CaptureStderr();
        EXPECT_FALSE(process.news());
        EXPECT_FALSE(process.news());
        return ::testing::internal::GetCapturedStderr();
    }

    void set_age(const std::string& file, std::chrono::seconds age) const {
        const auto then = std::chrono::system_clock::now() - age;
        const auto seconds = std::chrono::system_clock::to_time_t(then);
        const timespec times[] = {{seconds, 0}, {seconds, 0}};
        ASSERT_EQ(::utimensat(AT_FDCWD, file.c_str(), times, 0), 0);
    }

    static constexpr auto longest_fetch = 300ms;
    const std::string document_ = jwks(signing_key{1}.jwk("a"));
    const testing::scratch_folder folder_;
    const std::string path_ = folder_.file("keys.json");
    const std::string lock_path_ = path_ + ".lock";
};

std::size_t lines_in(const std::string& text) {
    return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

// ---- the document ----

TEST_F(key_file_test, there_is_no_news_before_anyone_has_fetched) {
    auto process = make_process();
    EXPECT_FALSE(process.news());
    EXPECT_FALSE(process.last_attempt());
}

TEST_F(key_file_test, what_one_publishes_is_news_to_each_other_one_once) {
    auto author = make_process();
    auto one = make_process();
    auto other = make_process();
    author.take_turn()->publish(document_);
    EXPECT_FALSE(author.news());
    for (key_file* const reader : {&one, &other}) {
        const auto found = reader->news();
        ASSERT_TRUE(found);
        EXPECT_TRUE(parse_jwks(found->jwks)->contains("a"));
        EXPECT_LT(found->age, 5s);
        EXPECT_FALSE(reader->news());
    }
}

TEST_F(key_file_test, a_document_is_as_old_as_its_fetch) {
    publish(document_);
    set_age(path_, 1h);
    const auto found = make_process().news();
    ASSERT_TRUE(found);
    EXPECT_GE(found->age, 1h);
    EXPECT_LT(found->age, 1h + 5s);
}

TEST_F(key_file_test, the_files_are_for_their_owner_alone_whatever_the_umask) {
    const auto before = ::umask(0);
    publish(document_);
    ::umask(before);
    for (const auto& file : {path_, lock_path_}) {
        struct stat found {};
        ASSERT_EQ(::stat(file.c_str(), &found), 0);
        EXPECT_EQ(found.st_mode & 0777U, 0600U) << file;
    }
    EXPECT_FALSE(std::filesystem::exists(path_ + ".new"));
}

TEST_F(key_file_test, a_file_that_others_may_write_is_refused_with_one_line) {
    publish(document_);
    for (const mode_t mode : {0620U, 0602U, 0666U}) {
        ASSERT_EQ(::chmod(path_.c_str(), mode), 0);
        const auto said = refusal();
        EXPECT_NE(said.find("keys_file_refused"), std::string::npos);
        EXPECT_EQ(lines_in(said), 1U) << said;
    }
    ASSERT_EQ(::chmod(path_.c_str(), 0640), 0);
    EXPECT_TRUE(news());
}

TEST_F(key_file_test, a_file_of_another_user_is_refused) {
    if (::geteuid() != 0) GTEST_SKIP() << "only root can make one";
    publish(document_);
    ASSERT_EQ(::chown(path_.c_str(), 65'534, 65'534), 0);
    EXPECT_NE(refusal().find("another user"), std::string::npos);
}

TEST_F(key_file_test, a_link_a_folder_and_a_pipe_are_refused) {
    publish(document_);
    std::filesystem::rename(path_, folder_.file("real"));
    std::filesystem::create_symlink(folder_.file("real"), path_);
    EXPECT_EQ(lines_in(refusal()), 1U);
    std::filesystem::remove(path_);
    std::filesystem::create_directory(path_);
    EXPECT_EQ(lines_in(refusal()), 1U);
    std::filesystem::remove(path_);
    ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
    EXPECT_EQ(lines_in(refusal()), 1U);
}

TEST_F(key_file_test, a_document_of_another_issuer_is_refused) {
    publish(document_);
    EXPECT_FALSE(make_process("https://elsewhere.example/jwks").news());
    EXPECT_TRUE(make_process().news());
}

TEST_F(key_file_test, a_document_is_believed_for_a_day) {
    publish(document_);
    set_age(path_, 24h - 5s);
    EXPECT_TRUE(news());
    set_age(path_, 24h + 1s);
    EXPECT_NE(refusal().find("more than a day"), std::string::npos);
    set_age(path_, -1h);
    EXPECT_NE(refusal().find("yet to come"), std::string::npos);
}

TEST_F(key_file_test, garbage_is_refused) {
    for (const std::string& text :
         {std::string{}, std::string{"{"}, std::string{"null"}, std::string{"[]"}, document_,
          R"({"url":7,"jwks":)" + document_ + "}", std::string{R"({"url":"https://auth.example/jwks"})"},
          std::string(5'000'000, ' '), std::string(100'000, '[')}) {
        std::ofstream{path_, std::ios::trunc} << text;
        ASSERT_EQ(::chmod(path_.c_str(), 0600), 0);
        EXPECT_EQ(lines_in(refusal()), 1U) << text.substr(0, 80);
    }
}

TEST_F(key_file_test, a_good_file_that_replaces_a_refused_one_is_taken) {
    auto process = make_process();
    std::ofstream{path_} << "garbage";
    EXPECT_FALSE(process.news());
    publish(document_);
    EXPECT_TRUE(process.news());
}

TEST_F(key_file_test, without_its_folder_a_process_is_alone) {
    key_file process{folder_.file("nowhere/keys.json"), url};
    ::testing::internal::CaptureStderr();
    EXPECT_FALSE(process.news());
    EXPECT_FALSE(process.last_attempt());
    process.await_turn();
    for (int i = 0; i < 3; ++i) {
        const auto turn = process.take_turn();
        ASSERT_NE(turn, nullptr);
        turn->publish(document_);
    }
    const auto said = ::testing::internal::GetCapturedStderr();
    EXPECT_NE(said.find("keys_not_shared"), std::string::npos);
    EXPECT_EQ(lines_in(said), 1U) << said;
}

// ---- whose turn it is ----

TEST_F(key_file_test, one_process_has_the_turn_at_a_time) {
    auto one = make_process();
    auto other = make_process();
    auto turn = one.take_turn();
    ASSERT_NE(turn, nullptr);
    EXPECT_TRUE(other.last_attempt());
    EXPECT_EQ(other.take_turn(), nullptr);
    turn.reset();
    EXPECT_NE(other.take_turn(), nullptr);
}

TEST_F(key_file_test, an_attempt_is_known_to_all) {
    auto one = make_process();
    auto other = make_process();
    (void)one.take_turn();
    for (key_file* const process : {&one, &other}) {
        const auto age = process->last_attempt();
        ASSERT_TRUE(age);
        EXPECT_LT(*age, 5s);
    }
    set_age(lock_path_, 1h);
    EXPECT_GE(other.last_attempt().value(), 1h);
    set_age(lock_path_, -1h);
    EXPECT_FALSE(other.last_attempt()) << "a time that is yet to come must hold up nobody";
}

TEST_F(key_file_test, who_decided_before_another_had_the_turn_does_not_get_it) {
    auto one = make_process();
    auto other = make_process();
    EXPECT_FALSE(other.last_attempt());
    (void)one.take_turn();
    EXPECT_EQ(other.take_turn(), nullptr);
    EXPECT_TRUE(other.last_attempt());
    EXPECT_NE(other.take_turn(), nullptr);
}

TEST_F(key_file_test, a_process_that_dies_frees_the_turn) {
    auto process = make_process();
    in_a_process_that_dies([this] {
        auto dying = make_process();
        (void)dying.take_turn().release(); // NOLINT: nothing frees it but the end of the process
    });
    EXPECT_TRUE(process.last_attempt());
    process.await_turn();
    EXPECT_NE(process.take_turn(), nullptr);
}

TEST_F(key_file_test, waiting_ends_with_the_turn) {
    auto one = make_process();
    const auto other = make_process();
    auto turn = one.take_turn();
    std::atomic<bool> over{false};
    std::jthread waiting{[&] {
        other.await_turn();
        EXPECT_TRUE(over);
    }};
    std::this_thread::sleep_for(50ms);
    over = true;
    turn.reset();
}

TEST_F(key_file_test, waiting_for_nobody_takes_no_time) {
    auto process = make_process();
    (void)process.take_turn();
    const auto began = std::chrono::steady_clock::now();
    for (int i = 0; i < 100; ++i) process.await_turn();
    EXPECT_LT(std::chrono::steady_clock::now() - began, 100ms);
}

TEST_F(key_file_test, a_process_that_is_frozen_in_its_turn_holds_up_the_others_for_a_fetch_at_most) {
    auto frozen = make_process();
    auto other = make_process();
    auto its_turn = frozen.take_turn();
    (void)other.last_attempt();
    const auto began = std::chrono::steady_clock::now();
    other.await_turn();
    const auto waited = std::chrono::steady_clock::now() - began;
    EXPECT_GE(waited, longest_fetch - 50ms);
    EXPECT_LT(waited, longest_fetch + 1s);
    auto turn = other.take_turn();
    ASSERT_NE(turn, nullptr);
    auto third = make_process();
    EXPECT_LT(third.last_attempt().value(), longest_fetch) << "the pace is still that of all";
    its_turn->publish(document_);
    EXPECT_FALSE(third.news()) << "what a frozen process once fetched is no news";
}

TEST_F(key_file_test, a_lock_that_others_may_take_is_not_used) {
    std::ofstream{lock_path_} << "1\n";
    ASSERT_EQ(::chmod(lock_path_.c_str(), 0644), 0);
    auto process = make_process();
    ::testing::internal::CaptureStderr();
    EXPECT_FALSE(process.last_attempt());
    EXPECT_NE(process.take_turn(), nullptr);
    EXPECT_NE(::testing::internal::GetCapturedStderr().find("keys_not_shared"), std::string::npos);
}

// ---- together with the cache ----

// Counts across processes.
class shared_counter {
  public:
    shared_counter()
        : count_{new (::mmap(nullptr, sizeof(std::atomic<int>), PROT_READ | PROT_WRITE,
                             MAP_SHARED | MAP_ANONYMOUS, -1, 0)) std::atomic<int>{0}} {}
    shared_counter(const shared_counter&) = delete;
    shared_counter& operator=(const shared_counter&) = delete;
    ~shared_counter() { ::munmap(count_, sizeof *count_); }
    std::atomic<int>& operator*() const { return *count_; }

  private:
    std::atomic<int>* count_;
};

TEST_F(key_file_test, many_processes_that_ask_at_once_make_one_fetch) {
    const shared_counter fetches;
    const shared_counter found;
    constexpr int processes = 8;
    std::vector<pid_t> children;
    for (int i = 0; i < processes; ++i) {
        children.push_back(::fork());
        if (children.back() != 0) continue;
        key_set keys{[&]() -> fetch_result {
                         ++*fetches;
                         std::this_thread::sleep_for(50ms);
                         return http_reply{200, document_};
                     },
                     std::make_unique<key_file>(path_, url)};
        *found += keys.find("a", key_set::clock::now()).has_value() ? 1 : 0;
        for (int guess = 0; guess < 50; ++guess)
            *found += keys.find(std::to_string(guess), key_set::clock::now()).has_value() ? 1 : 0;
        std::_Exit(0);
    }
    for (const pid_t child : children) ::waitpid(child, nullptr, 0);
    EXPECT_EQ(*found, processes);
    EXPECT_EQ(*fetches, 1);
}

TEST_F(key_file_test, threads_share_what_two_processes_fetch) {
    const auto fetch = [this]() -> fetch_result { return http_reply{200, document_}; };
    key_set one{fetch, std::make_unique<key_file>(path_, url)};
    key_set other{fetch, std::make_unique<key_file>(path_, url)};
    const auto now = key_set::clock::now();
    std::atomic<int> found{0};
    {
        std::vector<std::jthread> callers;
        for (key_set* const keys : {&one, &other, &one, &other})
            callers.emplace_back([&found, keys, now] {
                for (int i = 0; i < 200; ++i) {
                    found += keys->find("a", now + i * 10s).has_value() ? 1 : 0;
                    (void)keys->find("guess", now + i * 10s);
                }
            });
    }
    EXPECT_EQ(found, 4 * 200);
}

} // namespace
} // namespace mana::gate
