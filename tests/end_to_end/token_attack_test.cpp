// Tokens that must not open the gate, keys that come and go, and an issuer that is away or talks nonsense:
// through nginx, with all workers and the hub, and with an issuer under the test's control.

#include "shared/runtime/unique_fd.hpp"
#include "tests/end_to_end/device.hpp"
#include "tests/end_to_end/environment.hpp"
#include "tests/end_to_end/fastcgi_client.hpp"
#include "tests/end_to_end/worker_process.hpp"
#include "tests/unit/token_maker.hpp"

#include <arpa/inet.h>
#include <atomic>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value_from.hpp>
#include <boost/json/value_to.hpp>
#include <chrono>
#include <cstdint>
#include <fcntl.h>
#include <functional>
#include <gtest/gtest.h>
#include <mutex>
#include <netinet/in.h>
#include <ostream>
#include <string>
#include <sys/socket.h>
#include <sys/stat.h>
#include <thread>
#include <vector>

namespace mana::end_to_end {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;
using testing::base64url;
using testing::signing_key;

constexpr auto between_fetches = 5s; // for unknown kids, all processes of the host together

std::string text_of(const json::value& value) {
    return json::value_to<std::string>(value);
}

std::int64_t seconds_from_now(std::chrono::seconds ahead) {
    return std::chrono::duration_cast<std::chrono::seconds>(
               (std::chrono::system_clock::now() + ahead).time_since_epoch())
        .count();
}

json::object claims_of(std::string_view user) {
    return {{"sub", user}, {"exp", seconds_from_now(1h)}};
}

// ---- the issuer of the stack ----

class issuer {
  public:
    // Signed with the newest key, or with that of `kid`, where it has one; `headers` overrule the usual ones.
    std::string sign(const json::object& claims, const json::object& headers = {},
                     const std::string& kid = {}) {
        json::object wish{{"claims", claims}, {"headers", headers}};
        if (!kid.empty()) wish["kid"] = kid;
        const auto reply = http_.post("/token", json::serialize(wish));
        EXPECT_EQ(reply.status, 200) << reply.body;
        return reply.body;
    }

    json::value control(const json::object& wish) {
        return http_.post("/control", json::serialize(wish)).json();
    }

    std::string newest_kid() { return text_of(http_.get("/control").json().at("kids").as_array().back()); }

    // Of the newest key, as the JWKS has it.
    std::string public_text() {
        return text_of(http_.get("/api/auth/jwks").json().at("keys").as_array().back().at("x"));
    }

    std::int64_t fetches() {
        const auto counts = http_.get("/control/counts").json();
        const auto* const found = counts.as_object().if_contains("/api/auth/jwks");
        return found == nullptr ? 0 : found->to_number<std::int64_t>();
    }

  private:
    http_client http_{required_environment("MANA_TEST_IDENTITY_URL")};
};

// Whatever a test does to the issuer that all tests share is undone.
class with_issuer : public ::testing::Test {
  protected:
    ~with_issuer() override = default;
    void TearDown() override { issuer_.control({{"reset", true}}); }

    issuer issuer_;
};

// Through nginx, to workers and hub.
class client {
  public:
    http_reply push(const std::string& token) {
        const auto change = insert_of("t1", {{"n", 1}}, time_from_now(-1s));
        return http_.post("/sync/todo",
                          json::serialize(json::object{{"since", ""}, {"changes", json::array{change}}}),
                          bearer(token));
    }
    http_reply pull(const std::string& token) {
        return http_.get("/sync/todo/pull?collection=tasks&since=", bearer(token));
    }
    // Only for a token that is refused: a stream has no end.
    http_reply stream(const std::string& token) {
        return http_.get("/sync/todo/stream?collections=tasks", bearer(token));
    }

  private:
    static http_client::header_lines bearer(const std::string& token) {
        return {"Authorization: Bearer " + token};
    }

    http_client http_{required_environment("MANA_TEST_URL")};
};

void expect_refused(const http_reply& reply) {
    EXPECT_EQ(reply.status, 401) << reply.body;
    EXPECT_EQ(reply.error_code(), "unauthorized") << reply.body;
}

// ---- tokens ----

// What a forger has: the public keys, good tokens of others, keys of his own, and, for what the issuer would
// only sign by mistake, the issuer.
struct forger {
    issuer& from;
    std::string victim;
    std::string kid;
    std::string good;
    signing_key own_key{9};

    [[nodiscard]] std::string payload() const { return json::serialize(claims_of(victim)); }
    [[nodiscard]] std::string header(std::string_view algorithm) const {
        return json::serialize(json::object{{"alg", algorithm}, {"kid", kid}, {"typ", "JWT"}});
    }
    [[nodiscard]] std::string forge(std::string_view with_header) const {
        return testing::make_token(own_key, with_header, payload());
    }
    // The public key as it is, not as text.
    [[nodiscard]] std::string public_bytes() const { return testing::base64url_bytes(from.public_text()); }

    [[nodiscard]] std::string unsigned_good() const { return good.substr(0, good.rfind('.')); }
    [[nodiscard]] std::string signature() const { return good.substr(good.rfind('.') + 1); }
    template<typename Value>
    [[nodiscard]] json::object claims_but(std::string_view name, const Value& other) const {
        auto claims = claims_of(victim);
        claims[name] = json::value_from(other);
        return claims;
    }
    [[nodiscard]] json::object claims_without(std::string_view name) const {
        auto claims = claims_of(victim);
        claims.erase(name);
        return claims;
    }
};

struct attack {
    const char* name;
    std::function<std::string(const forger&)> token;
};

void PrintTo(const attack& made, std::ostream* out) {
    *out << made.name;
}

// The last character of a signature of 64 bytes carries four bits that decoding would drop.
std::string with_other_last_bits(std::string token) {
    constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    token.back() = alphabet[alphabet.find(token.back()) + 1];
    return token;
}

const attack attacks[] = {
    // the algorithm
    {"alg_none_unsigned",
     [](const forger& by) { return base64url(by.header("none")) + '.' + base64url(by.payload()) + '.'; }},
    {"alg_none_with_an_old_signature",
     [](const forger& by) {
         return base64url(by.header("none")) + '.' + base64url(by.payload()) + '.' + by.signature();
     }},
    {"alg_none_in_odd_letters", [](const forger& by) { return by.forge(by.header("nOnE")); }},
    {"hs256_keyed_with_the_public_bytes",
     [](const forger& by) {
         return testing::hs256_token(by.public_bytes(), by.header("HS256"), by.payload());
     }},
    {"hs256_keyed_with_the_public_text",
     [](const forger& by) {
         return testing::hs256_token(by.from.public_text(), by.header("HS256"), by.payload());
     }},
    {"hs256_by_hmac_named_eddsa",
     [](const forger& by) {
         return testing::hs256_token(by.public_bytes(), by.header("EdDSA"), by.payload());
     }},
    {"es256", [](const forger& by) { return by.forge(by.header("ES256")); }},
    {"rs256", [](const forger& by) { return by.forge(by.header("RS256")); }},
    {"curve_ed448", [](const forger& by) { return testing::ed448_token(by.header("EdDSA"), by.payload()); }},
    {"alg_a_number", [](const forger& by) { return by.forge(R"({"alg":7,"kid":")" + by.kid + "\"}"); }},
    {"alg_an_array",
     [](const forger& by) { return by.forge(R"({"alg":["EdDSA"],"kid":")" + by.kid + "\"}"); }},
    {"no_alg", [](const forger& by) { return by.forge(R"({"kid":")" + by.kid + "\"}"); }},
    {"typ_a_number",
     [](const forger& by) {
         return by.from.sign(claims_of(by.victim), {{"typ", 7}});
     }},
    {"typ_an_array",
     [](const forger& by) {
         return by.from.sign(claims_of(by.victim), {{"typ", json::array{"JWT"}}});
     }},
    {"critical_members",
     [](const forger& by) {
         return by.from.sign(claims_of(by.victim), {{"crit", json::array{"x"}}});
     }},
    // the key
    {"no_kid", [](const forger& by) { return by.forge(R"({"alg":"EdDSA","typ":"JWT"})"); }},
    {"empty_kid", [](const forger& by) { return by.forge(R"({"alg":"EdDSA","kid":""})"); }},
    {"kid_a_number", [](const forger& by) { return by.forge(R"({"alg":"EdDSA","kid":7})"); }},
    {"kid_a_path", [](const forger& by) { return by.forge(R"({"alg":"EdDSA","kid":"../../dev/null"})"); }},
    {"unknown_kid", [](const forger& by) { return by.from.sign(claims_of(by.victim), {}, "unknown"); }},
    {"kid_with_another_keys_signature", [](const forger& by) { return by.forge(by.header("EdDSA")); }},
    {"key_that_the_token_brings",
     [](const forger& by) {
         return by.forge(R"({"alg":"EdDSA","kid":")" + by.kid + R"(","jwk":)" + by.own_key.jwk(by.kid) + "}");
     }},
    {"key_from_where_the_token_says",
     [](const forger& by) {
         return by.forge(R"({"alg":"EdDSA","kid":")" + by.kid + R"(","jku":"http://127.0.0.1:1/jwks"})");
     }},
    // the claims
    {"expired", [](const forger& by) { return by.from.sign(by.claims_but("exp", seconds_from_now(-2min))); }},
    {"exp_zero", [](const forger& by) { return by.from.sign(by.claims_but("exp", 0)); }},
    {"exp_a_text",
     [](const forger& by) {
         return by.from.sign(by.claims_but("exp", std::to_string(seconds_from_now(1h))));
     }},
    {"no_exp", [](const forger& by) { return by.from.sign(by.claims_without("exp")); }},
    {"not_yet_valid",
     [](const forger& by) { return by.from.sign(by.claims_but("nbf", seconds_from_now(2min))); }},
    {"nbf_a_text", [](const forger& by) { return by.from.sign(by.claims_but("nbf", "0")); }},
    {"no_sub", [](const forger& by) { return by.from.sign(by.claims_without("sub")); }},
    {"empty_sub", [](const forger& by) { return by.from.sign(by.claims_but("sub", "")); }},
    {"sub_a_number", [](const forger& by) { return by.from.sign(by.claims_but("sub", 7)); }},
    {"sub_with_a_nul",
     [](const forger& by) { return by.from.sign(by.claims_but("sub", by.victim + '\0' + 'x')); }},
    {"sub_too_long",
     [](const forger& by) { return by.from.sign(by.claims_but("sub", std::string(256, 'u'))); }},
    // the form
    {"padded", [](const forger& by) { return by.good + "=="; }},
    {"padded_payload", [](const forger& by) { return by.unsigned_good() + "=." + by.signature(); }},
    {"second_spelling_of_the_signature", [](const forger& by) { return with_other_last_bits(by.good); }},
    {"other_base64_alphabet",
     [](const forger& by) { return by.unsigned_good() + ".+/" + by.signature().substr(2); }},
    {"signature_a_byte_short",
     [](const forger& by) { return by.unsigned_good() + '.' + base64url(std::string(63, 's')); }},
    {"signature_a_byte_long",
     [](const forger& by) { return by.unsigned_good() + '.' + base64url(std::string(65, 's')); }},
    {"signature_of_zeros",
     [](const forger& by) { return by.unsigned_good() + '.' + base64url(std::string(64, '\0')); }},
    {"no_signature", [](const forger& by) { return by.unsigned_good() + '.'; }},
    {"two_parts", [](const forger& by) { return by.unsigned_good(); }},
    {"four_parts", [](const forger& by) { return by.good + ".AAAA"; }},
    {"five_parts", [](const forger& by) { return by.good + ".AAAA.AAAA"; }},
    {"dots", [](const forger&) { return std::string{"...."}; }},
    {"other_claims_under_a_good_signature",
     [](const forger& by) {
         return by.good.substr(0, by.good.find('.')) + '.' +
                base64url(json::serialize(claims_of(by.victim + "-x"))) + '.' + by.signature();
     }},
    {"payload_no_object",
     [](const forger& by) { return testing::make_token(by.own_key, by.header("EdDSA"), "[]"); }},
    {"header_nested_deeply",
     [](const forger& by) { return by.forge(std::string(2'000, '[') + std::string(2'000, ']')); }},
    {"as_large_as_nginx_lets_through",
     [](const forger& by) { return by.from.sign(by.claims_but("x", std::string(5'800, 'x'))) + "A"; }},
};

class attack_test : public with_issuer, public ::testing::WithParamInterface<attack> {};

TEST_P(attack_test, is_refused_everywhere_and_stores_nothing) {
    const auto victim = fresh("victim");
    forger by{issuer_, victim, issuer_.newest_kid(), issuer_.sign(claims_of(victim))};
    client through_nginx;
    const auto token = GetParam().token(by);
    const auto pushed = through_nginx.push(token);
    expect_refused(pushed);
    EXPECT_EQ(pushed.header("www-authenticate"), "Bearer");
    expect_refused(through_nginx.pull(token));
    expect_refused(through_nginx.stream(token));
    const auto pulled = through_nginx.pull(by.good);
    ASSERT_EQ(pulled.status, 200) << pulled.body;
    EXPECT_TRUE(server_changes(pulled.json()).empty()) << "something was stored";
}

INSTANTIATE_TEST_SUITE_P(tokens, attack_test, ::testing::ValuesIn(attacks),
                         [](const auto& made) { return std::string{made.param.name}; });

TEST_F(with_issuer, the_good_token_of_the_attacks_is_accepted) {
    const auto user = fresh("user");
    client through_nginx;
    EXPECT_EQ(through_nginx.push(issuer_.sign(claims_of(user))).status, 200);
    EXPECT_EQ(through_nginx.push(issuer_.sign(claims_of(user), {{"x", 1}})).status, 200);
}

TEST_F(with_issuer, a_huge_token_is_refused_by_nginx_or_by_the_worker) {
    client through_nginx;
    for (const std::size_t size : {8'193U, 20'000U, 100'000U}) {
        const auto reply = through_nginx.push(std::string(size, 'A'));
        EXPECT_EQ(reply.status, 431) << size;
        EXPECT_FALSE(reply.error_code().empty()) << reply.body;
    }
    const auto socket = required_environment("WORKER_SOCKET");
    for (const std::size_t size : {8'193U, 60'000U})
        EXPECT_EQ(ask(socket, "POST", "/sync/todo", std::string(size, 'A'), "{}").status, 401) << size;
}

TEST_F(with_issuer, no_token_and_another_scheme_are_refused) {
    http_client http{required_environment("MANA_TEST_URL")};
    const auto good = issuer_.sign(claims_of(fresh("user")));
    for (const http_client::header_lines& lines : {http_client::header_lines{},
                                                   {"Authorization;"},
                                                   {"Authorization: Bearer"},
                                                   {"Authorization: Basic dTpw"},
                                                   {"Authorization: " + good},
                                                   {"Authorization: Bearer " + good + " " + good}})
        for (const char* const path : {"/sync/todo/pull?collection=tasks&since=", "/sync/todo/stream"})
            expect_refused(http.get(path, lines));
    expect_refused(http.get("/sync/todo/pull?collection=tasks&since=&access_token=" + good));
}

// ---- a storm of unknown kids ----

// Several clients at once, so that nginx's connections reach every worker.
void at_once(int clients, const std::function<void(client&)>& work) {
    std::vector<std::jthread> running;
    for (int i = 0; i < clients; ++i)
        running.emplace_back([&work] {
            client through_nginx;
            work(through_nginx);
        });
}

TEST_F(with_issuer, a_storm_of_unknown_kids_costs_one_fetch_every_five_seconds_in_all) {
    const signing_key own{9};
    const auto payload = json::serialize(claims_of(fresh("user")));
    issuer_.control({{"reset_counts", true}});
    const auto began = clock::now();
    const auto until = began + between_fetches + 1s;
    std::atomic<int> asked{0};
    std::atomic<int> refused{0};
    at_once(8, [&](client& through_nginx) {
        while (clock::now() < until) {
            const auto number = ++asked;
            const auto kid = R"({"alg":"EdDSA","kid":"guess-)" + std::to_string(number) + "\"}";
            const auto token = testing::make_token(own, kid, payload);
            const auto reply = number % 3 == 0   ? through_nginx.stream(token)
                               : number % 3 == 1 ? through_nginx.pull(token)
                                                 : through_nginx.push(token);
            refused += reply.status == 401 ? 1 : 0;
        }
    });
    const auto fetches = issuer_.fetches();
    const auto took = clock::now() - began;
    EXPECT_GE(asked, 400);
    EXPECT_EQ(refused, asked);
    EXPECT_GE(fetches, 1);
    EXPECT_LE(fetches, 1 + took / between_fetches);
}

// ---- keys that come and go ----

// How many of many requests, over all workers, were answered with that status.
int count_of(long status, const std::string& token) {
    std::atomic<int> found{0};
    at_once(8, [&](client& through_nginx) {
        for (int i = 0; i < 20; ++i) found += through_nginx.pull(token).status == status ? 1 : 0;
    });
    return found;
}

constexpr int all = 160;

// Waits for the next fetch; not so eagerly that nginx's limit of requests for each token is met.
bool await_status(client& through_nginx, long status, const std::string& token) {
    return await(
        [&] {
            std::this_thread::sleep_for(50ms);
            return through_nginx.pull(token).status == status;
        },
        between_fetches + 2s);
}

TEST_F(with_issuer, after_a_rotation_both_keys_live_and_every_worker_knows_the_new_one_at_once) {
    const auto user = fresh("user");
    const auto old_token = issuer_.sign(claims_of(user));
    const auto old_kid = issuer_.newest_kid();
    client through_nginx;
    ASSERT_EQ(through_nginx.push(old_token).status, 200);

    issuer_.control({{"rotate", true}});
    const auto new_token = issuer_.sign(claims_of(user));
    EXPECT_TRUE(await_status(through_nginx, 200, new_token));
    EXPECT_EQ(count_of(200, new_token), all);
    EXPECT_EQ(count_of(200, old_token), all);

    // Withdrawn, the old key stops serving with the next fetch, which an unknown kid brings about.
    issuer_.control({{"forget", old_kid}, {"reset_counts", true}});
    const auto stranger = issuer_.sign(claims_of(user), {}, "unknown");
    EXPECT_TRUE(await(
        [&] {
            std::this_thread::sleep_for(50ms);
            expect_refused(through_nginx.pull(stranger));
            return issuer_.fetches() > 0;
        },
        between_fetches + 2s));
    EXPECT_TRUE(await_status(through_nginx, 401, old_token));
    EXPECT_EQ(count_of(401, old_token), all);
    EXPECT_EQ(count_of(200, new_token), all);
    expect_refused(through_nginx.stream(old_token));
}

// ---- an issuer that is away or talks nonsense ----

// A server of one canned answer, whatever it is asked.
class odd_issuer {
  public:
    odd_issuer() : fd_{::socket(AF_INET, SOCK_STREAM, 0)} {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        EXPECT_EQ(::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), size), 0);
        EXPECT_EQ(::listen(fd_.get(), 16), 0);
        EXPECT_EQ(::getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
        url_ = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port)) + "/jwks";
        serving_ = std::jthread{[this] { serve(); }};
    }
    odd_issuer(const odd_issuer&) = delete;
    odd_issuer& operator=(const odd_issuer&) = delete;
    ~odd_issuer() { ::shutdown(fd_.get(), SHUT_RDWR); }

    [[nodiscard]] const std::string& url() const { return url_; }

    // Bytes as they are sent. An empty answer closes the connection without one.
    void answer(std::string bytes, std::chrono::milliseconds after = 0ms) {
        const std::lock_guard lock{mutex_};
        answer_ = std::move(bytes);
        after_ = after;
    }

  private:
    void serve() {
        while (true) {
            const runtime::unique_fd caller{::accept(fd_.get(), nullptr, nullptr)};
            if (!caller) return;
            std::string request(4096, '\0');
            if (::recv(caller.get(), request.data(), request.size(), 0) <= 0) continue;
            const auto [bytes, after] = next();
            std::this_thread::sleep_for(after);
            std::string_view rest = bytes;
            while (!rest.empty()) {
                const auto sent = ::send(caller.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
                if (sent <= 0) break;
                rest.remove_prefix(static_cast<std::size_t>(sent));
            }
        }
    }
    std::pair<std::string, std::chrono::milliseconds> next() {
        const std::lock_guard lock{mutex_};
        return {answer_, after_};
    }

    runtime::unique_fd fd_;
    std::string url_;
    std::mutex mutex_; // guards the two below
    std::string answer_;
    std::chrono::milliseconds after_{};
    std::jthread serving_; // last: it uses all above
};

std::string http_answer(std::string_view status, std::string_view body) {
    return "HTTP/1.1 " + std::string{status} + "\r\nContent-Length: " + std::to_string(body.size()) +
           "\r\nConnection: close\r\n\r\n" + std::string{body};
}

struct outage_kind {
    const char* name;
    std::string answer;
    std::chrono::milliseconds after{};
};

void PrintTo(const outage_kind& kind, std::ostream* out) {
    *out << kind.name;
}

const std::string other_jwks = testing::jwks(signing_key{9}.jwk("other"));

const outage_kind outages[] = {
    {"closes_the_connection", "", {}},
    {"fails", http_answer("500 Internal Server Error", other_jwks), {}},
    {"is_not_found", http_answer("404 Not Found", "<html>"), {}},
    {"sends_elsewhere",
     "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
     {}},
    {"sends_garbage", http_answer("200 OK", "<html>not what you expected"), {}},
    {"sends_no_key_set", http_answer("200 OK", R"({"keys":{}})"), {}},
    {"sends_half_of_it", http_answer("200 OK", other_jwks).substr(0, 120), {}},
    {"sends_too_much", http_answer("200 OK", other_jwks + std::string(2'000'000, ' ')), {}},
    {"speaks_no_http", "SSH-2.0-OpenSSH_9.2\r\n", {}},
    {"is_slow", http_answer("200 OK", other_jwks), 2'500ms},
};

class issuer_under_control : public ::testing::Test {
  protected:
    issuer_under_control() {
        settings_["JWKS_URL"] = issuer_.url();
        settings_["WORKERS"] = "2";
    }
    ~issuer_under_control() override = default;

    [[nodiscard]] std::string token(std::string_view kid) const {
        const auto header = json::serialize(json::object{{"alg", "EdDSA"}, {"kid", kid}});
        return testing::make_token(key_, header, json::serialize(claims_of(user_)));
    }
    void publish_keys() { issuer_.answer(http_answer("200 OK", testing::jwks(key_.jwk("known")))); }

    [[nodiscard]] fastcgi_reply pull(std::string_view kid) const {
        return ask(settings_.at("WORKER_SOCKET"), "GET", "/sync/todo/pull", token(kid), "",
                   {{"QUERY_STRING", "collection=tasks&since="}});
    }

    // Runs a master that has the keys from the issuer, and ends it: what stays is the file.
    void know_the_keys() {
        publish_keys();
        worker_process master{folder_, settings_};
        ASSERT_TRUE(master.await_ready(2));
        ASSERT_EQ(pull("known").status, 200);
    }

    void set_age(const std::string& file, std::chrono::seconds age) const {
        const auto then = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now() - age);
        const timespec times[] = {{then, 0}, {then, 0}};
        ASSERT_EQ(::utimensat(AT_FDCWD, folder_.file(file).c_str(), times, 0), 0);
    }
    // As if the last fetch had been so long ago.
    void keys_are(std::chrono::seconds old) const {
        set_age("keys.json", old);
        set_age("keys.json.lock", old);
    }

    scratch_folder folder_;
    odd_issuer issuer_;
    std::map<std::string, std::string> settings_ = worker_settings(folder_);
    const signing_key key_{5};
    const std::string user_ = fresh("user");
};

class outage_of_issuer : public issuer_under_control, public ::testing::WithParamInterface<outage_kind> {};

TEST_P(outage_of_issuer, known_keys_go_on_serving_after_a_restart_and_unknown_ones_are_refused) {
    know_the_keys();
    keys_are(10min);
    issuer_.answer(GetParam().answer, GetParam().after);
    worker_process master{folder_, settings_};
    ASSERT_TRUE(master.await_ready(2));
    EXPECT_TRUE(master.logs("event=jwks_refresh_failed")) << "it did not even ask";
    EXPECT_EQ(pull("known").status, 200);
    EXPECT_EQ(pull("unknown").status, 401);
    EXPECT_EQ(pull("other").status, 401);
}

TEST_P(outage_of_issuer, without_any_key_the_answer_is_503) {
    issuer_.answer(GetParam().answer, GetParam().after);
    worker_process master{folder_, settings_};
    ASSERT_TRUE(master.await_ready(2));
    const auto reply = pull("known");
    EXPECT_EQ(reply.status, 503) << reply.body;
    EXPECT_EQ(json::parse(reply.body).at("error"), "unavailable");
    EXPECT_TRUE(reply.headers.contains("Retry-After"));
    EXPECT_EQ(ask(master.socket(), "POST", "/sync/todo", "", "{}").status, 401) << "no token needs no key";
}

INSTANTIATE_TEST_SUITE_P(issuer, outage_of_issuer, ::testing::ValuesIn(outages),
                         [](const auto& kind) { return std::string{kind.param.name}; });

TEST_F(issuer_under_control, a_key_set_without_a_key_of_our_kind_withdraws_them_all) {
    for (const char* const without :
         {R"({"keys":[]})", R"({"keys":[{"kty":"RSA","kid":"known","n":"AQAB"}]})"}) {
        know_the_keys();
        keys_are(6min);
        issuer_.answer(http_answer("200 OK", without));
        worker_process master{folder_, settings_};
        ASSERT_TRUE(master.await_ready(2));
        EXPECT_EQ(pull("known").status, 401) << without;
        EXPECT_TRUE(master.logs("level=error event=jwks_without_keys"));
        publish_keys();
        EXPECT_TRUE(await([&] { return pull("known").status == 200; }, between_fetches + 2s)) << without;
    }
}

TEST_F(issuer_under_control, a_key_that_has_become_another_one_under_its_kid_serves_no_more) {
    know_the_keys();
    keys_are(290s); // within some seconds they are old enough to be fetched again
    worker_process master{folder_, settings_};
    ASSERT_TRUE(master.await_ready(2));
    for (int i = 0; i < 8; ++i) ASSERT_EQ(pull("known").status, 200) << "the workers remember the token";
    issuer_.answer(http_answer("200 OK", testing::jwks(signing_key{9}.jwk("known"))));
    EXPECT_TRUE(await([&] { return pull("known").status == 401; }, 20s));
    for (int i = 0; i < 8; ++i) EXPECT_EQ(pull("known").status, 401);
}

TEST_F(issuer_under_control, fresh_keys_of_the_file_spare_a_restarted_master_the_fetch) {
    know_the_keys();
    issuer_.answer("");
    worker_process master{folder_, settings_};
    ASSERT_TRUE(master.await_ready(2));
    EXPECT_EQ(pull("known").status, 200);
    EXPECT_FALSE(master.logs("event=jwks_refresh_failed"));
}

TEST_F(issuer_under_control, an_issuer_that_comes_back_is_found_again) {
    worker_process master{folder_, settings_};
    ASSERT_TRUE(master.await_ready(2));
    EXPECT_EQ(pull("known").status, 503);
    publish_keys();
    EXPECT_TRUE(await([&] { return pull("known").status == 200; }, between_fetches + 2s));
}

TEST_F(issuer_under_control, keys_older_than_a_day_are_not_believed) {
    know_the_keys();
    keys_are(25h);
    issuer_.answer("");
    worker_process master{folder_, settings_};
    ASSERT_TRUE(master.await_ready(2));
    EXPECT_TRUE(master.logs("event=keys_file_refused"));
    EXPECT_EQ(pull("known").status, 503);
}

TEST_F(issuer_under_control, keys_that_others_may_write_are_fetched_instead) {
    know_the_keys();
    ASSERT_EQ(::chmod(folder_.file("keys.json").c_str(), 0666), 0);
    worker_process master{folder_, settings_};
    ASSERT_TRUE(master.await_ready(2));
    EXPECT_TRUE(master.logs("event=keys_file_refused"));
    EXPECT_EQ(pull("known").status, 200);
    struct stat made {};
    ASSERT_EQ(::stat(folder_.file("keys.json").c_str(), &made), 0);
    EXPECT_EQ(made.st_mode & 0777U, 0600U) << "it must have been replaced";
}

} // namespace
} // namespace mana::end_to_end
