// mana-sync-nginx-conf: nginx is told of the origins that worker and hub go by.
#include "tests/admin/admin_program.hpp"
#include "tests/end_to_end/environment.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sstream>

namespace mana::tests {
namespace {

using end_to_end::required_environment;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

finished tell_nginx(const words& arguments) {
    words command{required_environment("MANA_TEST_NGINX_CONF_PROGRAM")};
    command.insert(command.end(), arguments.begin(), arguments.end());
    return run_program(command);
}

finished printed(const scratch& folder, const std::string& settings) {
    return tell_nginx({"-e", folder.write("env", settings), "-o", "-"});
}

std::string contents_of(const std::string& file) {
    std::ostringstream text;
    text << std::ifstream{file}.rdbuf();
    return text.str();
}

TEST(nginx_conf, prints_a_pattern_for_each_origin_as_browsers_send_it) {
    const scratch folder;
    const auto done =
        printed(folder, "WORKERS=none\nCORS_ORIGINS=\"HTTPS://App.Example.org:443, http://[::1]:5173,\"\n");
    EXPECT_EQ(done.status, 0) << done.err;
    EXPECT_THAT(done.out, StartsWith("# Made by mana-sync-nginx-conf of CORS_ORIGINS in "));
    EXPECT_THAT(done.out, EndsWith(".\n\"~^https://app\\.example\\.org$\" $http_origin;\n"
                                   "\"~^http://\\[::1\\]:5173$\" $http_origin;\n"));
}

TEST(nginx_conf, has_the_default_of_the_settings) {
    const scratch folder;
    EXPECT_THAT(printed(folder, "").out, EndsWith(".\n\"~^http://localhost:5173$\" $http_origin;\n"
                                                  "\"~^http://localhost:5188$\" $http_origin;\n"));
}

TEST(nginx_conf, refuses_what_check_config_refuses_in_the_same_words) {
    const scratch folder;
    for (const char* const bad :
         {"https://*.example.org", "*", "https://app.example.org/", "null", "ws://app", "http://a;b",
          "https://ann:hush@app", "http://127.1", "https://b%C3%BCcher"}) {
        const std::string origins = "https://good.example," + std::string{bad};
        const auto told = printed(folder, "CORS_ORIGINS=" + origins + '\n');
        const auto checked = run_admin({"check-config"}, {{"CORS_ORIGINS", origins}});
        EXPECT_EQ(told.status, 1) << bad;
        EXPECT_EQ(checked.status, 1) << bad;
        EXPECT_EQ(told.out, "") << bad;
        EXPECT_THAT(told.err, StartsWith("mana-sync-nginx-conf: CORS_ORIGINS: ")) << bad;
        EXPECT_EQ(told.err.substr(told.err.find(": ")), checked.err.substr(checked.err.find(": "))) << bad;
        EXPECT_EQ(std::count(told.err.begin(), told.err.end(), '\n'), 1) << told.err;
    }
}

TEST(nginx_conf, writes_its_file_once_and_leaves_it_as_it_was_where_the_settings_are_bad) {
    const scratch folder;
    const auto settings = folder.write("env", "CORS_ORIGINS=https://app.example.org\n");
    const auto map = folder.file("new/cors.map");
    const auto first = tell_nginx({"-e", settings, "-o", map});
    EXPECT_EQ(first.status, 0) << first.err;
    EXPECT_THAT(first.out, HasSubstr("wrote " + map));
    const auto written = contents_of(map);
    EXPECT_THAT(written, HasSubstr("app\\.example\\.org"));
    EXPECT_EQ(std::filesystem::status(map).permissions(), std::filesystem::perms{0644});
    EXPECT_EQ(tell_nginx({"-e", settings, "-o", map}).out, "");
    (void)folder.write("env", "CORS_ORIGINS=*\n");
    EXPECT_EQ(tell_nginx({"-e", settings, "-o", map}).status, 1);
    EXPECT_EQ(contents_of(map), written);
    EXPECT_EQ(std::ranges::distance(std::filesystem::directory_iterator{folder.file("new")}), 1);
}

TEST(nginx_conf, says_what_it_lacks) {
    EXPECT_EQ(tell_nginx({"-e", "/nowhere/env"}).err,
              "mana-sync-nginx-conf: cannot read /nowhere/env: No such file or directory\n");
    EXPECT_EQ(tell_nginx({"-e"}).status, 2);
    EXPECT_EQ(tell_nginx({"--no-such"}).status, 2);
    EXPECT_EQ(tell_nginx({"--help"}).status, 0);
}

} // namespace
} // namespace mana::tests
