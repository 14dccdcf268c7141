// Many more requests at once than workers and their backlog take: each is answered, served or told to come
// again.

#include "shared/runtime/unique_fd.hpp"
#include "tests/end_to_end/device.hpp"
#include "tests/end_to_end/environment.hpp"
#include "tests/end_to_end/frozen.hpp"

#include <array>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <cstdint>
#include <gtest/gtest.h>
#include <map>
#include <netinet/in.h>
#include <poll.h>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <vector>

namespace mana::end_to_end {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

constexpr const char* origin = "http://localhost:5173";

// One request over a connection of its own, whose answer is read later.
class raw_request {
  public:
    raw_request(std::uint16_t port, const std::string& text)
        : fd_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)} {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        EXPECT_EQ(::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
        EXPECT_EQ(::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL),
                  static_cast<ssize_t>(text.size()));
    }
    // All that came until nginx closed; what came by then where it has not.
    std::string answer(clock::time_point until) {
        std::string all;
        std::array<char, 16'384> buffer{};
        for (;;) {
            const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - clock::now());
            pollfd watched{fd_.get(), POLLIN, 0};
            if (left.count() <= 0 || ::poll(&watched, 1, static_cast<int>(left.count())) <= 0) return all;
            const auto got = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
            if (got <= 0) return all;
            all.append(buffer.data(), static_cast<std::size_t>(got));
        }
    }

  private:
    runtime::unique_fd fd_;
};

std::uint16_t port_of_nginx() {
    const auto url = required_environment("MANA_TEST_URL");
    return static_cast<std::uint16_t>(std::stoi(url.substr(url.rfind(':') + 1)));
}

std::string push_request(const std::string& token, int number) {
    const auto body = json::serialize(json::object{
        {"since", ""},
        {"changes", json::array{insert_of("t" + std::to_string(number), {{"n", 1}}, time_from_now(-1s))}}});
    return "POST /sync/todo HTTP/1.1\r\nHost: mana\r\nConnection: close\r\nOrigin: " + std::string{origin} +
           "\r\nAuthorization: Bearer " + token + "\r\nContent-Length: " + std::to_string(body.size()) +
           "\r\n\r\n" + body;
}

bool has(std::string_view text, std::string_view part) {
    return text.find(part) != std::string_view::npos;
}

// "200", "503", or what is wrong with the answer.
std::string kind_of(const std::string& answer) {
    const auto head_end = answer.find("\r\n\r\n");
    if (head_end == std::string::npos) return "no answer: " + answer.substr(0, 80);
    const auto head = answer.substr(0, head_end + 2);
    if (!has(head, "\r\nAccess-Control-Allow-Origin: " + std::string{origin} + "\r\n"))
        return "no CORS: " + head;
    if (head.starts_with("HTTP/1.1 200 ")) return "200";
    if (!head.starts_with("HTTP/1.1 503 ") || !has(head, "\r\nRetry-After: ")) return head;
    boost::system::error_code malformed;
    const auto body = json::parse(answer.substr(head_end + 4), malformed);
    if (malformed || !body.is_object() || body.as_object().at("error") != "unavailable")
        return "503, but not ours";
    return "503";
}

TEST(overload, of_a_burst_each_request_is_served_or_told_to_come_again) {
    constexpr int requests = 800;
    constexpr int users = 8; // each below nginx's limit for one
    std::vector<std::string> tokens;
    for (int i = 0; i < users; ++i) tokens.push_back(token_of(fresh("user")));
    const auto port = port_of_nginx();
    const auto began = clock::now();
    std::vector<raw_request> burst;
    {
        // So that it is too much on the fastest host: the workers wait, and their backlog fills up.
        const frozen postgresql{"postgres"};
        for (int i = 0; i < requests; ++i)
            burst.emplace_back(port, push_request(tokens[static_cast<std::size_t>(i % users)], i));
        EXPECT_EQ(kind_of(raw_request{port, push_request(tokens[0], requests)}.answer(began + 5s)), "503")
            << "beyond the backlog the answer comes at once";
    }
    std::map<std::string, int> answers;
    for (auto& each : burst) ++answers[kind_of(each.answer(began + 25s))];
    EXPECT_EQ(answers["200"] + answers["503"], requests) << testing::PrintToString(answers);
    EXPECT_GT(answers["200"], 0);
    EXPECT_GT(answers["503"], 0);
    for (int i = 0; i < users;
         ++i) { // what was answered with 503 goes through the second time, the rest changes nothing
        const auto again =
            kind_of(raw_request{port, push_request(tokens[static_cast<std::size_t>(i)], i)}.answer(
                clock::now() + 5s));
        EXPECT_EQ(again, "200");
    }
}

} // namespace
} // namespace mana::end_to_end
