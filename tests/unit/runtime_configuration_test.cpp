// The configuration table: defaults, refusals, and what it prints (SPEC §7).
#include "shared/runtime/command_line.hpp"
#include "shared/runtime/configuration.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <gtest/gtest.h>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace mana::runtime {
namespace {

using namespace std::chrono_literals;
using settings = std::map<std::string, std::string>;

configuration load(const settings& set) {
    return load_configuration([&set](const char* name) -> const char* {
        const auto found = set.find(name);
        return found == set.end() ? nullptr : found->second.c_str();
    });
}

// The one line that stops the start, or "accepted".
std::string refusal(const std::string& name, const std::string& value) {
    try {
        (void)load({{name, value}});
    } catch (const configuration_error& why) {
        return why.what();
    }
    return "accepted";
}

testing::AssertionResult is_refused(const std::string& name, const std::string& value) {
    const std::string line = refusal(name, value);
    if (!line.starts_with(name + ": "))
        return testing::AssertionFailure() << name << '=' << value << " gives " << line;
    if (line.find('\n') != std::string::npos)
        return testing::AssertionFailure() << "more than one line: " << line;
    if (line.find("; allowed: ") == std::string::npos)
        return testing::AssertionFailure() << "what is allowed? " << line;
    return testing::AssertionSuccess();
}

TEST(configuration, has_the_documented_defaults) {
    const configuration c = load({});
    EXPECT_EQ(c.port, 3050);
    EXPECT_EQ(c.database_url, "postgresql://mana:devpassword@localhost:5432/mana_sync");
    EXPECT_EQ(c.jwks_url, "http://localhost:3001/api/auth/jwks");
    EXPECT_EQ(c.cors_origins, (std::vector<std::string>{"http://localhost:5173", "http://localhost:5188"}));
    EXPECT_EQ(c.mana_credits_url, "http://localhost:3061");
    EXPECT_EQ(c.mana_service_key, "dev-service-key");
    EXPECT_EQ(c.redis_url, "redis://localhost:6379");
    EXPECT_EQ(c.mana_auth_url, "");
    EXPECT_EQ(c.max_clock_skew, 24h);
    EXPECT_EQ(c.workers, 4U);
    EXPECT_EQ(c.worker_requests, 10'000U);
    EXPECT_EQ(c.worker_memory, 512U);
    EXPECT_EQ(c.worker_socket, "/run/mana-sync/worker.sock");
    EXPECT_EQ(c.worker_metrics, "/run/mana-sync/worker.metrics");
    EXPECT_EQ(c.hub_socket, "/run/mana-sync/hub.sock");
    EXPECT_EQ(c.keys_file, "/run/mana-sync/keys.json");
    EXPECT_EQ(c.lost_writes_kept, std::chrono::days{30});
    EXPECT_EQ(c.spaces_stale, 24h);
    EXPECT_EQ(c.statement_timeout, 5s);
    EXPECT_EQ(c.lock_timeout, 800ms);
    EXPECT_TRUE(c.prepared_statements);
    EXPECT_EQ(c.log_level, log::level::info);
}

TEST(configuration, takes_an_empty_variable_for_one_that_is_not_set) {
    EXPECT_EQ(load({{"PORT", ""}}).port, 3050);
    EXPECT_EQ(load({{"MANA_AUTH_URL", ""}}).mana_auth_url, "");
}

TEST(configuration, reads_what_is_set) {
    EXPECT_EQ(load({{"PORT", "80"}}).port, 80);
    EXPECT_EQ(load({{"DATABASE_URL", "host=/run/postgresql dbname=sync"}}).database_url,
              "host=/run/postgresql dbname=sync");
    EXPECT_EQ(load({{"REDIS_URL", "unix:///run/redis.sock"}}).redis_url, "unix:///run/redis.sock");
    EXPECT_EQ(load({{"REDIS_URL", "redis://:pass@[::1]:7000/2"}}).redis_url, "redis://:pass@[::1]:7000/2");
    EXPECT_EQ(load({{"CORS_ORIGINS", " https://a.example , tauri://localhost,"}}).cors_origins,
              (std::vector<std::string>{"https://a.example", "tauri://localhost"}));
    EXPECT_FALSE(load({{"PREPARED_STATEMENTS", "off"}}).prepared_statements);
    EXPECT_EQ(load({{"LOG_LEVEL", "warn"}}).log_level, log::level::warn);
}

TEST(configuration, drops_the_slash_at_the_end_of_a_base_url) {
    EXPECT_EQ(load({{"MANA_CREDITS_URL", "https://credits.example/"}}).mana_credits_url,
              "https://credits.example");
    EXPECT_EQ(load({{"MANA_AUTH_URL", "https://x.example/auth//"}}).mana_auth_url, "https://x.example/auth");
}

TEST(configuration, reads_durations_in_every_unit) {
    EXPECT_EQ(load({{"STATEMENT_TIMEOUT", "1500ms"}}).statement_timeout, 1500ms);
    EXPECT_EQ(load({{"STATEMENT_TIMEOUT", "30s"}}).statement_timeout, 30s);
    EXPECT_EQ(load({{"MAX_CLOCK_SKEW", "5m"}}).max_clock_skew, 5min);
    EXPECT_EQ(load({{"MAX_CLOCK_SKEW", "2h"}}).max_clock_skew, 2h);
    EXPECT_EQ(load({{"MAX_CLOCK_SKEW", "7d"}}).max_clock_skew, 168h);
}

TEST(configuration, refuses_bad_durations) {
    for (const char* const bad :
         {"5", "s", "ms", "-5s", "+5s", " 5s", "5 s", "5s ", "1.5s", "5S", "5sec", "0x5s", "1h30m",
          "99999999999999999999s", "9223372036854775807d", "18446744073709551615ms", "0s"})
        EXPECT_TRUE(is_refused("STATEMENT_TIMEOUT", bad));
}

TEST(configuration, refuses_a_lock_timeout_that_reaches_the_deadlock_timeout) {
    EXPECT_EQ(load({{"LOCK_TIMEOUT", "999ms"}}).lock_timeout, 999ms);
    EXPECT_TRUE(is_refused("LOCK_TIMEOUT", "1s"));
    EXPECT_NE(refusal("LOCK_TIMEOUT", "1s").find("deadlock_timeout"), std::string::npos);
}

TEST(configuration, refuses_bad_numbers) {
    for (const char* const bad : {"0", "65536", "-1", "+80", "80 ", "0x50", "80.0", "eighty", "4294967376",
                                  "99999999999999999999999"})
        EXPECT_TRUE(is_refused("PORT", bad));
    EXPECT_TRUE(is_refused("WORKERS", "0"));
    EXPECT_TRUE(is_refused("WORKERS", "1025"));
    EXPECT_TRUE(is_refused("LOST_WRITES_DAYS", "0"));
    EXPECT_TRUE(is_refused("SPACES_STALE_HOURS", "soon"));
}

TEST(configuration, refuses_bad_urls) {
    for (const char* const name : {"JWKS_URL", "MANA_CREDITS_URL", "MANA_AUTH_URL"})
        for (const char* const bad :
             {"localhost:3061", "ftp://x", "file:///etc/passwd", "http://", "http:// x", "//x",
              "http://x:99999", "http://x:0", "http://x:", "http://x\n"})
            EXPECT_TRUE(is_refused(name, bad));
    EXPECT_TRUE(is_refused("MANA_CREDITS_URL", "http://x?a=b"));
    for (const char* const bad :
         {"localhost:6379", "rediss://x", "redis://", "unix://relative", "unix:///", "http://x"})
        EXPECT_TRUE(is_refused("REDIS_URL", bad));
    for (const char* const bad : {"localhost", "mysql://x/y", "http://x?host=y"})
        EXPECT_TRUE(is_refused("DATABASE_URL", bad));
}

TEST(configuration, refuses_http_urls_that_lead_nowhere) {
    for (const char* const name : {"JWKS_URL", "MANA_CREDITS_URL", "MANA_AUTH_URL"})
        for (const char* const bad :
             {"http://a,b", "http://a,b:80/x", "http://a%2Fb", "http://a%00b", "http://*.example",
              "http://a;b", "http://[v1.x]", "http://a:80:90", "http://p@ss@a/"})
            EXPECT_TRUE(is_refused(name, bad));
}

TEST(configuration, refuses_a_redis_url_of_which_anything_would_be_passed_over) {
    for (const char* const bad : {"redis://a,b",
                                  "redis://a:6379,b:6379",
                                  "redis://a/2?db=3",
                                  "redis://a?db=3",
                                  "redis://a?password=x",
                                  "redis://a/2#3",
                                  "redis://a/two",
                                  "redis://a/1/2",
                                  "redis://a/-1",
                                  "redis://a/1e3",
                                  "redis://user@a",
                                  "redis://user:@a",
                                  "redis://a%00b",
                                  "redis://a:",
                                  "redis://p@ss@a",
                                  "redis://p:p@ss@2",
                                  "redis:a",
                                  "redis+sentinel://a",
                                  "unix:///run/redis.sock?db=2",
                                  "unix://:pass@/run/redis.sock",
                                  "unix:///run/%00redis.sock",
                                  "unix:run"})
        EXPECT_TRUE(is_refused("REDIS_URL", bad));
    EXPECT_TRUE(is_refused("REDIS_URL", "unix:///" + std::string(107, 'x')));
    EXPECT_NE(refusal("REDIS_URL", "redis://a?db=3").find("the database follows the host, as /2"),
              std::string::npos);
}

TEST(configuration, refuses_a_database_url_that_libpq_would_fail_for) {
    for (const char* const bad :
         {"postgresql://mana:50%@db/x", "postgresql://db:port/x", "postgresql://db:99999/x",
          "postgresql://db:0/x", "postgresql://db/x?sslmode=on", "postgresql://db/x?colour=red",
          "host=db dbname", "host=db colour=red", "host=db port=any", "host=a,b,c port=1,2",
          "postgresql://a:1,b:2,c/x?port=1,2", "host='db", "postgresql://[::1/x", "host=db connect",
          "host=a@b user=c"})
        EXPECT_TRUE(is_refused("DATABASE_URL", bad));
}

TEST(configuration, takes_the_database_urls_that_libpq_takes) {
    for (const char* const good :
         {"postgresql:///x", "postgresql://%2Frun%2Fpostgresql/x", "postgresql://mana@db",
          "postgres://a:1,b:2/x",
          "postgresql://mana:p%40ss%2Fword@[::1]:5432/x?sslmode=verify-full&application_name=a@b",
          "host=/run dbname=x", "host=a,b port=5433", "hostaddr=127.0.0.1 host=db user=mana", "service=mana",
          "postgresql://db/x?target_session_attrs=read-write&options=-c%20work_mem%3D1MB"}) {
        EXPECT_EQ(refusal("DATABASE_URL", good), "accepted") << good;
    }
    EXPECT_EQ(refusal("DATABASE_URL", "host=db password='it\\'s a secret'"), "accepted");
}

// Each holds "hunter" or "7331" where a password was meant, in a form in which it is none.
TEST(configuration, tells_no_part_of_a_password_of_which_a_letter_should_have_been_escaped) {
    for (const std::string name :
         {"DATABASE_URL", "REDIS_URL", "JWKS_URL", "MANA_CREDITS_URL", "MANA_AUTH_URL"})
        for (const std::string scheme : {"postgresql", "redis", "http", "mysql"})
            for (const std::string password :
                 {"hunter/7331", "hunter@7331", "hunter#7331", "hunter?7331", "hunter%7331", "7331/hunter",
                  "7331?hunter", "7331#hunter", "hunter 7331", "[hunter7331", "7331@/hunter"}) {
                const auto line = refusal(name, scheme + "://mana:" + password + "@host/2");
                EXPECT_EQ(line.find("hunter"), std::string::npos) << line;
                EXPECT_EQ(line.find("7331"), std::string::npos) << line;
            }
    EXPECT_EQ(refusal("DATABASE_URL", "host=db password=hunter 7331").find("7331"), std::string::npos);
    EXPECT_EQ(refusal("JWKS_URL", "ftp://ann:hunter@keys/").find("hunter"), std::string::npos);
    EXPECT_EQ(refusal("CORS_ORIGINS", "https://ann:hunter@app.example").find("hunter"), std::string::npos);
}

TEST(configuration, refuses_passwords_of_which_libpq_would_make_hosts_and_databases) {
    for (const char* const bad : {"postgresql://mana:p@ss@db/x", "postgresql://mana:12/34@db/x",
                                  "postgresql://mana:p/ss@db/x", "postgresql://mana:p@/ss@db/x"})
        EXPECT_TRUE(is_refused("DATABASE_URL", bad));
}

TEST(configuration, brings_origins_to_the_form_that_browsers_send) {
    const auto origins = [](const char* text) { return load({{"CORS_ORIGINS", text}}).cors_origins; };
    using list = std::vector<std::string>;
    EXPECT_EQ(origins("HTTPS://App.Example.ORG"), (list{"https://app.example.org"}));
    EXPECT_EQ(origins("https://a:443,http://b:80,https://c:80,http://d:443,http://e:08080"),
              (list{"https://a", "http://b", "https://c:80", "http://d:443", "http://e:8080"}));
    EXPECT_EQ(origins("http://[2001:DB8:0:0::1]:5173,http://[::1]"),
              (list{"http://[2001:db8::1]:5173", "http://[::1]"}));
    EXPECT_EQ(origins("https://a , https://A,\thttps://a:443,,https://a"), (list{"https://a"}));
    EXPECT_EQ(origins("Tauri://localhost,capacitor://Host,chrome-extension://abc:80"),
              (list{"tauri://localhost", "capacitor://Host", "chrome-extension://abc:80"}));
    EXPECT_EQ(origins("https://xn--bcher-kva.example,http://127.0.0.1:1,http://my_host,http://a.b."),
              (list{"https://xn--bcher-kva.example", "http://127.0.0.1:1", "http://my_host", "http://a.b."}));
}

TEST(configuration, refuses_origins_that_no_browser_sends) {
    for (const char* const bad : {"*",
                                  "http://a/",
                                  "http://a/path",
                                  "localhost:5173",
                                  "http://a,*",
                                  "http://u@a",
                                  "http://a?b",
                                  "http://a http://b",
                                  "null",
                                  "https://*.example.org",
                                  "https://app.*",
                                  "http://a;b",
                                  "https://b%C3%BCcher",
                                  "https://b\xc3\xbc",
                                  "http://a..b",
                                  "http://.a",
                                  "http://1.2.3",
                                  "http://127.1",
                                  "http://256.1.1.1",
                                  "http://127.0.0.01",
                                  "http://0x7f.1",
                                  "http://2130706433",
                                  "http://[::ffff:1.2.3.4]",
                                  "http://[v1.x]",
                                  "http://a:0",
                                  "http://a:65536",
                                  "http://a:",
                                  "ws://a",
                                  "wss://a",
                                  "ftp://a",
                                  "file://a",
                                  "file:///a",
                                  "http://",
                                  "http:a",
                                  "//a",
                                  "http://a#b",
                                  "http://'a'",
                                  "http://a$b",
                                  "http://a\nb"})
        EXPECT_TRUE(is_refused("CORS_ORIGINS", bad));
}

TEST(configuration, names_the_origin_that_is_refused) {
    EXPECT_NE(refusal("CORS_ORIGINS", "https://good.example,https://*.example.org")
                  .find(R"(has the entry "https://*.example.org", which has a wildcard)"),
              std::string::npos);
}

TEST(configuration, refuses_bad_paths_switches_and_levels) {
    EXPECT_TRUE(is_refused("WORKER_SOCKET", "worker.sock"));
    EXPECT_TRUE(is_refused("HUB_SOCKET", "/" + std::string(107, 'x')));
    EXPECT_EQ(load({{"HUB_SOCKET", "/" + std::string(106, 'x')}}).hub_socket.size(), 107U);
    EXPECT_TRUE(is_refused("WORKER_METRICS", "worker.metrics"));
    EXPECT_TRUE(is_refused("WORKER_METRICS", "/worker metrics"));
    EXPECT_EQ(load({{"WORKER_METRICS", "/" + std::string(3'999, 'x')}}).worker_metrics.size(), 4'000U);
    EXPECT_TRUE(is_refused("WORKER_METRICS", "/" + std::string(4'000, 'x')));
    EXPECT_TRUE(is_refused("KEYS_FILE", "keys.json"));
    EXPECT_TRUE(is_refused("PREPARED_STATEMENTS", "yes"));
    EXPECT_TRUE(is_refused("LOG_LEVEL", "INFO"));
}

TEST(configuration, refuses_a_service_key_that_breaks_a_header) {
    EXPECT_TRUE(is_refused("MANA_SERVICE_KEY", "key\r\nX-Evil: 1"));
    EXPECT_TRUE(is_refused("MANA_SERVICE_KEY", "two words"));
}

TEST(configuration, never_prints_a_secret) {
    EXPECT_EQ(refusal("MANA_SERVICE_KEY", "hunter2 hunter2").find("hunter2"), std::string::npos);
    EXPECT_EQ(refusal("DATABASE_URL", "mysql://mana:hunter2@db/x").find("hunter2"), std::string::npos);
    EXPECT_EQ(refusal("REDIS_URL", "rediss://:hunter2@redis").find("hunter2"), std::string::npos);
}

TEST(configuration, names_variable_value_problem_and_remedy_in_one_line) {
    EXPECT_EQ(refusal("PORT", "http"),
              "PORT: \"http\" is not a whole number; allowed: a whole number from 1 to 65535");
    EXPECT_TRUE(is_refused("PORT", "1\n2\x1b[31m"));
    EXPECT_LT(refusal("PORT", std::string(100'000, '9')).size(), 200U);
}

TEST(configuration, prints_every_variable_in_every_form) {
    for (const char* const name : {"PORT",
                                   "DATABASE_URL",
                                   "JWKS_URL",
                                   "CORS_ORIGINS",
                                   "MANA_CREDITS_URL",
                                   "MANA_SERVICE_KEY",
                                   "REDIS_URL",
                                   "MANA_AUTH_URL",
                                   "GATE_CACHE",
                                   "MAX_CLOCK_SKEW",
                                   "WORKERS",
                                   "WORKER_REQUESTS",
                                   "WORKER_MEMORY",
                                   "WORKER_SOCKET",
                                   "WORKER_METRICS",
                                   "HUB_SOCKET",
                                   "KEYS_FILE",
                                   "MAX_CHANGES",
                                   "MAX_FIELDS",
                                   "MAX_NESTING",
                                   "MAX_SPACES",
                                   "MAX_REQUESTS",
                                   "MAX_CONNECTIONS",
                                   "PAGE_ROWS",
                                   "LOST_WRITES_DAYS",
                                   "SPACES_STALE_HOURS",
                                   "STATEMENT_TIMEOUT",
                                   "LOCK_TIMEOUT",
                                   "PREPARED_STATEMENTS",
                                   "LOG_LEVEL"}) {
        const std::string text{name};
        EXPECT_NE(environment_help().find("  " + text + "  ("), std::string::npos) << text;
        EXPECT_NE(sample_environment_file().find("\n#" + text + "="), std::string::npos) << text;
        EXPECT_NE(readme_rows().find("| `" + text + "` | "), std::string::npos) << text;
        EXPECT_EQ(std::ranges::count(variable_defaults(), text, &variable_default::name), 1) << text;
    }
}

TEST(configuration, prints_rows_of_four_cells) {
    const std::string rows = readme_rows();
    std::size_t bars = 0;
    for (std::size_t at = 0; at < rows.size(); ++at)
        if (rows[at] == '|' && (at == 0 || rows[at - 1] != '\\')) ++bars;
    EXPECT_EQ(bars, 5 * static_cast<std::size_t>(std::count(rows.begin(), rows.end(), '\n')));
}

// The command line.

class command_line_test : public testing::Test {
  protected:
    std::optional<int> parse(std::vector<const char*> arguments) {
        arguments.insert(arguments.begin(), "hub");
        testing::internal::CaptureStdout();
        testing::internal::CaptureStderr();
        const auto outcome = parse_command_line(static_cast<int>(arguments.size()), arguments.data(), "hub",
                                                "Pushes notifications");
        out_ = testing::internal::GetCapturedStdout();
        err_ = testing::internal::GetCapturedStderr();
        return outcome;
    }

    std::string out_;
    std::string err_;
};

TEST_F(command_line_test, goes_on_without_arguments) {
    EXPECT_EQ(parse({}), std::nullopt);
    EXPECT_EQ(out_ + err_, "");
}

TEST_F(command_line_test, answers_help_with_the_environment) {
    EXPECT_EQ(parse({"--help"}), 0);
    EXPECT_NE(out_.find("Pushes notifications"), std::string::npos);
    EXPECT_NE(out_.find("MAX_CLOCK_SKEW"), std::string::npos);
}

TEST_F(command_line_test, answers_version) {
    EXPECT_EQ(parse({"--version"}), 0);
    EXPECT_TRUE(out_.starts_with("hub ")) << out_;
}

TEST_F(command_line_test, refuses_anything_else) {
    for (const char* const odd : {"--port", "--port=1", "-h", "start"}) {
        const auto outcome = parse({odd});
        ASSERT_TRUE(outcome) << odd;
        EXPECT_NE(*outcome, 0) << odd;
        EXPECT_NE(err_.find(odd), std::string::npos) << err_;
    }
}

} // namespace
} // namespace mana::runtime
