// gzip on the way out, by nginx, and on the way in, by the workers: what is said stays the same.

#include "tests/end_to_end/device.hpp"
#include "tests/end_to_end/environment.hpp"
#include "tests/end_to_end/fastcgi_client.hpp"
#include "tests/end_to_end/worker_process.hpp"
#include "tests/unit/gzip_maker.hpp"

#include <boost/json/serialize.hpp>
#include <chrono>
#include <cstddef>
#include <fstream>
#include <gtest/gtest.h>
#include <string>
#include <string_view>

namespace mana::end_to_end {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;
using testing::gzipped;
using testing::ungzipped;

constexpr std::size_t most_bytes = 10'485'760;
constexpr std::string_view all_tasks = "/sync/todo/pull?collection=tasks&since=";

std::string push_body(const json::array& changes) {
    return json::serialize(json::object{{"since", ""}, {"changes", changes}});
}

class compression : public ::testing::Test {
  protected:
    http_reply get(const std::string& path, const std::string& accept_encoding) {
        auto headers = laptop.headers();
        headers.push_back("Accept-Encoding: " + accept_encoding);
        return laptop.http().get(path, headers);
    }

    http_reply push(std::string_view body, const std::string& content_encoding = "gzip") {
        auto headers = phone.headers();
        headers.push_back("Content-Encoding: " + content_encoding);
        return phone.http().post("/sync/todo", body, headers);
    }

    // Records enough for a page that is worth compressing.
    void fill() {
        json::array changes;
        for (int i = 0; i < 200; ++i)
            changes.push_back(insert_of("t" + std::to_string(i), {{"title", "a task"}, {"n", i}}, now));
        ASSERT_EQ(phone.push(changes).status, 200);
    }

    const std::string token = token_of(fresh("user"));
    const std::string now = time_from_now(-1s);
    device phone{token, "phone"};
    device laptop{token, "laptop"};
};

// ---- answers ----

TEST_F(compression, a_page_is_the_same_with_and_without_it) {
    fill();
    const auto plain = get(std::string{all_tasks}, "identity");
    ASSERT_EQ(plain.status, 200);
    EXPECT_EQ(plain.headers.count("content-encoding"), 0U);
    EXPECT_EQ(plain.header("content-length"), std::to_string(plain.body.size()));
    const auto compressed = get(std::string{all_tasks}, "gzip, deflate, br");
    EXPECT_EQ(compressed.status, 200);
    EXPECT_EQ(compressed.header("content-encoding"), "gzip");
    EXPECT_EQ(compressed.header("content-type"), "application/json");
    EXPECT_EQ(compressed.header("cache-control"), "no-store");
    EXPECT_EQ(ungzipped(compressed.body), plain.body);
    EXPECT_LT(compressed.body.size(), plain.body.size() / 3);
    for (const auto& reply : {plain, compressed}) EXPECT_EQ(reply.header("vary"), "Origin, Accept-Encoding");
}

TEST_F(compression, an_answer_to_a_push_has_it_too) {
    fill();
    auto headers = laptop.headers();
    headers.emplace_back("Accept-Encoding: gzip");
    const auto reply = laptop.http().post("/sync/todo", push_body({}), headers);
    EXPECT_EQ(reply.status, 200);
    EXPECT_EQ(reply.header("content-encoding"), "gzip");
    EXPECT_EQ(ungzipped(reply.body), laptop.push({}).body);
}

TEST_F(compression, small_answers_and_errors_go_without) {
    const auto empty = get(std::string{all_tasks}, "gzip");
    EXPECT_EQ(empty.status, 200);
    const auto wrong = get("/sync/todo/pull?since=", "gzip");
    EXPECT_EQ(wrong.error_code(), "invalid_request");
    const auto nowhere = get("/sync/todo/nothing", "gzip");
    EXPECT_EQ(nowhere.error_code(), "not_found");
    for (const auto& reply : {empty, wrong, nowhere}) {
        EXPECT_EQ(reply.headers.count("content-encoding"), 0U);
        EXPECT_EQ(reply.header("content-length"), std::to_string(reply.body.size()));
        EXPECT_EQ(reply.header("vary"), "Origin, Accept-Encoding");
    }
}

TEST_F(compression, other_methods_are_refused_as_ever) {
    fill();
    auto headers = laptop.headers();
    headers.emplace_back("Accept-Encoding: gzip");
    const auto reply = laptop.http().send("PUT", std::string{all_tasks}, headers);
    EXPECT_EQ(reply.error_code(), "method_not_allowed");
    EXPECT_EQ(reply.headers.count("content-encoding"), 0U);
}

// ---- pushes ----

TEST_F(compression, a_compressed_push_does_what_a_plain_one_does) {
    const auto body = push_body({insert_of("t1", {{"title", "h\u00e9llo"}}, now)});
    for (const std::string encoding : {"gzip", "GZIP", "x-gzip"}) {
        const auto reply = push(gzipped(body), encoding);
        EXPECT_EQ(reply.status, 200) << reply.body;
    }
    EXPECT_EQ(push(body, "identity").status, 200);
    // Pushed four times, it is one change: the bodies were the same.
    const auto pulled = laptop.pull("tasks").json();
    ASSERT_EQ(server_changes(pulled).size(), 1U);
    EXPECT_EQ(server_changes(pulled)[0].at("data").at("title"), "h\u00e9llo");
}

TEST_F(compression, a_push_may_have_ten_megabytes_also_before_it_is_compressed) {
    std::string body = push_body({insert_of("t1", {{"title", "x"}}, now)});
    body.resize(most_bytes, ' ');
    EXPECT_EQ(push(gzipped(body)).status, 200);
    const auto reply = push(gzipped(body + ' '));
    EXPECT_EQ(reply.status, 413);
    EXPECT_EQ(reply.error_code(), "body_too_large");
    EXPECT_NE(reply.body.find("send fewer changes at a time"), std::string::npos) << reply.body;
}

TEST_F(compression, what_is_no_gzip_stream_is_refused_and_named) {
    const auto body = push_body({insert_of("t1", {{"title", "x"}}, now)});
    const auto good = gzipped(body);
    const auto message_of = [&](const std::string& bytes) {
        const auto reply = push(bytes);
        EXPECT_EQ(reply.status, 400) << reply.body;
        EXPECT_EQ(reply.error_code(), "invalid_request");
        return reply.body;
    };
    EXPECT_NE(message_of(body).find("not what gzip makes"), std::string::npos);
    EXPECT_NE(message_of("").find("ends before"), std::string::npos);
    EXPECT_NE(message_of(good.substr(0, good.size() - 1)).find("ends before"), std::string::npos);
    EXPECT_NE(message_of(good + "x").find("goes on after"), std::string::npos);
    EXPECT_NE(message_of(good + good).find("goes on after"), std::string::npos);
    EXPECT_TRUE(server_changes(laptop.pull("tasks").json()).empty());
}

TEST_F(compression, gzip_made_of_no_push_is_refused_like_its_text) {
    const auto reply = push(gzipped("no json"));
    EXPECT_EQ(reply.status, 400);
    EXPECT_EQ(reply.error_code(), "invalid_json");
}

TEST_F(compression, another_encoding_is_refused_with_the_one_that_is_known) {
    const auto body = push_body({insert_of("t1", {{"title", "x"}}, now)});
    for (const std::string encoding : {"deflate", "br", "zstd", "gzip, gzip", "nonsense"}) {
        const auto reply = push(body, encoding);
        EXPECT_EQ(reply.status, 415) << encoding;
        EXPECT_EQ(reply.error_code(), "unsupported_encoding") << encoding;
        EXPECT_EQ(reply.header("accept-encoding"), "gzip") << encoding;
    }
}

TEST_F(compression, a_browser_is_told_why_its_encoding_is_refused) {
    auto headers = phone.headers();
    headers.emplace_back("Content-Encoding: br");
    headers.emplace_back("Origin: http://localhost:5173");
    const auto reply = phone.http().post("/sync/todo", "x", headers);
    EXPECT_EQ(reply.status, 415);
    EXPECT_EQ(reply.header("access-control-allow-origin"), "http://localhost:5173");
}

TEST_F(compression, a_pull_heeds_no_content_encoding) {
    auto headers = laptop.headers();
    headers.emplace_back("Content-Encoding: br");
    EXPECT_EQ(laptop.http().get(std::string{all_tasks}, headers).status, 200);
}

// ---- bombs ----

// The most memory that a process ever had.
std::size_t peak_kilobytes(pid_t pid) {
    std::ifstream status{"/proc/" + std::to_string(pid) + "/status"};
    for (std::string word; status >> word;) {
        std::size_t kilobytes = 0;
        if (word == "VmHWM:" && status >> kilobytes) return kilobytes;
    }
    return 0;
}

TEST(gzip_bomb, takes_no_more_of_a_worker_than_the_largest_body) {
    const scratch_folder folder;
    worker_process master{folder, worker_settings(folder)};
    ASSERT_TRUE(master.await_ready()) << master.log();
    const auto token = token_of(fresh("user"));
    const auto push = [&](std::string_view body) {
        return ask(master.socket(), "POST", "/sync/todo", token, body, {{"HTTP_CONTENT_ENCODING", "gzip"}})
            .status;
    };
    constexpr std::size_t bomb_bytes = 60'000'000;
    const auto bomb = gzipped(std::string(bomb_bytes, ' '));
    ASSERT_LT(bomb.size(), bomb_bytes / 1'000);
    const auto that_lies = bomb.substr(0, bomb.size() - 4) + std::string(4, '\0'); // about its length
    ASSERT_EQ(push(gzipped(push_body({}))), 200);
    const auto workers = master.workers();
    ASSERT_EQ(workers.size(), 1U);
    const auto before = peak_kilobytes(workers[0]);
    ASSERT_GT(before, 0U);
    for (int i = 0; i < 5; ++i) {
        EXPECT_EQ(push(bomb), 413);
        EXPECT_EQ(push(that_lies), 413);
    }
    EXPECT_EQ(master.workers(), workers);
    constexpr std::size_t beside_the_text = 1'024;
    EXPECT_LT(peak_kilobytes(workers[0]) - before, most_bytes / 1'024 + beside_the_text);
}

} // namespace
} // namespace mana::end_to_end
