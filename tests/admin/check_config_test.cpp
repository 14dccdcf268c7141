// check-config, migrate, and what is wrong with a command line.
#include "tests/admin/admin_program.hpp"
#include "tests/end_to_end/environment.hpp"

#include <algorithm>
#include <filesystem>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mana::tests {
namespace {

using end_to_end::fresh;
using end_to_end::required_environment;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

finished check(const std::string& env_file, const variables& set = {}) {
    return run_program(
        {required_environment("MANA_TEST_ADMIN_PROGRAM"), "check-config", "--env-file", env_file}, set);
}

TEST(check_config, shows_what_the_file_sets_and_what_the_environment_sets_over_it) {
    const scratch folder;
    const auto file = folder.write("env", "WORKERS=7\nLOCK_TIMEOUT=\"700ms\"\n");
    const auto done = check(file, {{"WORKERS", "9"}});
    EXPECT_EQ(done.status, 0) << done.err;
    EXPECT_THAT(done.out, HasSubstr("WORKERS=9  (from the environment)\n"));
    EXPECT_THAT(done.out, HasSubstr("LOCK_TIMEOUT=700ms  (from the file)\n"));
    EXPECT_THAT(done.out, HasSubstr("LOST_WRITES_DAYS=30  (default)\n"));
}

TEST(check_config, shows_no_secret) {
    const scratch folder;
    const auto done = check(folder.write("env", ""), {{"DATABASE_URL", "postgresql://mana:hush@db/mana_sync"},
                                                      {"REDIS_URL", "redis://:hush@cache"},
                                                      {"MANA_SERVICE_KEY", "hush"}});
    EXPECT_EQ(done.status, 0) << done.err;
    EXPECT_THAT(done.out + done.err, Not(HasSubstr("hush")));
}

TEST(check_config, names_the_bad_variable_in_one_line) {
    const scratch folder;
    const auto done = check(folder.write("env", ""), {{"LOCK_TIMEOUT", "5s"}});
    EXPECT_EQ(done.status, 1);
    EXPECT_EQ(done.out, "");
    EXPECT_THAT(done.err, StartsWith("mana-sync-admin: LOCK_TIMEOUT: "));
    EXPECT_EQ(std::count(done.err.begin(), done.err.end(), '\n'), 1);
}

TEST(check_config, refuses_what_would_stop_the_services) {
    const scratch folder;
    const auto file = folder.write("env", "");
    const std::vector<std::pair<std::string, std::string>> bad{
        {"REDIS_URL", "redis://cache/hush"},
        {"REDIS_URL", "redis://me:12/hush@cache"},
        {"REDIS_URL", "redis://:hush@a,b"},
        {"REDIS_URL", "redis://cache?password=hush"},
        {"DATABASE_URL", "postgresql://mana:12/hush@db/x"},
        {"DATABASE_URL", "postgresql://mana:p@hush@db/x"},
        {"DATABASE_URL", "host=db hush"},
        {"JWKS_URL", "http://ann:hush@a,b/"},
        {"CORS_ORIGINS", "https://*.example.org"}};
    for (const auto& [name, value] : bad) {
        const auto done = check(file, {{name, value}});
        EXPECT_EQ(done.status, 1) << value;
        EXPECT_EQ(done.out, "") << value;
        EXPECT_THAT(done.err, StartsWith("mana-sync-admin: " + name + ": ")) << value;
        EXPECT_EQ(std::count(done.err.begin(), done.err.end(), '\n'), 1) << done.err;
        EXPECT_THAT(done.err, Not(HasSubstr("hush")));
    }
}

TEST(check_config, shows_no_part_of_a_password_that_stands_where_none_is_expected) {
    const scratch folder;
    const auto done = check(folder.write("env", ""), {{"JWKS_URL", "https://ann:12/hush@keys/jwks"},
                                                      {"MANA_CREDITS_URL", "http://ann:hush@credits"},
                                                      {"MANA_AUTH_URL", "http://auth/hush@me"}});
    EXPECT_EQ(done.status, 0) << done.err;
    EXPECT_THAT(done.out + done.err, Not(HasSubstr("hush")));
}

TEST(check_config, warns_of_what_belongs_on_a_development_machine) {
    const scratch folder;
    const auto file = folder.write("env", "WROKERS=3\nMIGRATE_DATABASE_URL=postgresql://o@db/x\n");
    const variables development{{"DATABASE_URL", "postgresql://mana:devpassword@db/mana_sync"},
                                {"MANA_SERVICE_KEY", "dev-service-key"},
                                {"CORS_ORIGINS", "https://app.example.org,http://localhost:5173"}};
    const auto done = check(file, development);
    EXPECT_EQ(done.status, 0) << done.err;
    for (const char* const doubt :
         {"warning: DATABASE_URL", "warning: MANA_SERVICE_KEY", "warning: CORS_ORIGINS", "warning: WROKERS",
          "warning: MIGRATE_DATABASE_URL"})
        EXPECT_THAT(done.out, HasSubstr(doubt));
}

TEST(check_config, warns_of_nothing_where_all_is_as_it_should_be) {
    const scratch folder;
    const auto file = folder.write("env", "");
    std::filesystem::permissions(file, std::filesystem::perms::owner_read);
    const auto done = check(file, {{"DATABASE_URL", "postgresql://mana:good@db/mana_sync"},
                                   {"MANA_SERVICE_KEY", "another"},
                                   {"JWKS_URL", "https://id.example.org/jwks"},
                                   {"CORS_ORIGINS", "https://app.example.org"}});
    EXPECT_EQ(done.status, 0) << done.err;
    EXPECT_THAT(done.out, Not(HasSubstr("warning")));
}

TEST(command_line, answers_what_it_cannot_read_with_one_line_and_status_2) {
    for (const words& wrong :
         {words{}, words{"explain", "ann"}, words{"doctor", "--no-such"}, words{"no-such"},
          words{"restore-write", "a", "b", "c", "d", "e", "--id", "one"}}) {
        const auto done = run_admin(wrong);
        EXPECT_EQ(done.status, 2);
        EXPECT_THAT(done.err, StartsWith("mana-sync-admin: "));
        EXPECT_EQ(std::count(done.err.begin(), done.err.end(), '\n'), 1) << done.err;
    }
    const auto lost = check("/nowhere/env");
    EXPECT_EQ(lost.status, 1);
    EXPECT_EQ(lost.err, "mana-sync-admin: cannot read /nowhere/env: No such file or directory\n");
}

// A database of the test's own, for the role that owns tables.
class empty_database {
  public:
    explicit empty_database(const std::string& options = {}) {
        boss_.run("create database " + name_ + " owner mana_owner" + options);
    }
    ~empty_database() { boss_.run("drop database " + name_ + " with (force)"); }
    empty_database(const empty_database&) = delete;
    empty_database& operator=(const empty_database&) = delete;

    // A default of every session in it.
    void set(const std::string& setting) { boss_.run("alter database " + name_ + " set " + setting); }
    [[nodiscard]] std::string url_for(const char* variable) const {
        auto url = required_environment(variable);
        return url.replace(url.find("/mana_sync"), std::string{"/mana_sync"}.size(), '/' + name_);
    }

  private:
    superuser boss_;
    const std::string name_ = "migrate_" + fresh("x").substr(2);
};

TEST(migrate, is_not_cut_off_in_its_midst_nor_led_astray_by_defaults_of_the_owner) {
    empty_database hostile;
    for (const char* const setting : {"statement_timeout = '40ms'", "lock_timeout = '1ms'",
                                      "default_transaction_read_only = on", "search_path = elsewhere"})
        hostile.set(setting);
    const scratch folder;
    std::filesystem::copy_file(sql_folder() + "/migrate", folder.file("migrate"));
    (void)folder.write("0001_slow.sql",
                       "select pg_sleep(0.2);\n"
                       "create table what_holds as select current_setting('lock_timeout') as lock;\n");
    const auto done = run_program({folder.file("migrate")},
                                  {{"MIGRATE_DATABASE_URL", hostile.url_for("MANA_TEST_OWNER_URL")}});
    EXPECT_EQ(done.status, 0) << done.err;
    const auto seen = run_program({"/usr/bin/psql", "-XAtc", "select lock from public.what_holds",
                                   hostile.url_for("MANA_TEST_SUPERUSER_URL")});
    EXPECT_EQ(seen.out, "30s\n") << seen.err;
}

TEST(migrate, refuses_a_database_that_is_not_encoded_in_utf8_by_one_line) {
    const empty_database latin{" encoding 'LATIN1' locale 'C' template template0"};
    const auto done =
        run_admin({"migrate"}, {{"MIGRATE_DATABASE_URL", latin.url_for("MANA_TEST_OWNER_URL")}});
    EXPECT_NE(done.status, 0);
    EXPECT_THAT(done.err, HasSubstr("the database is encoded in LATIN1; mana-sync needs one in UTF8"));
    EXPECT_EQ(std::ranges::count(done.err, '\n'), 1) << done.err;
}

TEST(migrate, brings_an_empty_database_up_to_date_and_then_changes_nothing) {
    superuser boss;
    const std::string name = "migrate_" + fresh("x").substr(2);
    boss.run("create database " + name + " owner mana_owner");
    auto url = required_environment("MANA_TEST_OWNER_URL");
    url.replace(url.find("/mana_sync"), std::string{"/mana_sync"}.size(), '/' + name);
    const auto first = run_admin({"migrate"}, {{"MIGRATE_DATABASE_URL", url}});
    EXPECT_EQ(first.status, 0) << first.err;
    EXPECT_THAT(first.out, HasSubstr("this writes"));
    EXPECT_THAT(first.out, HasSubstr("migrate: 0009_admin\n"));
    const auto second = run_admin({"migrate"}, {{"MIGRATE_DATABASE_URL", url}});
    EXPECT_EQ(second.status, 0) << second.err;
    EXPECT_THAT(second.out, Not(HasSubstr("migrate: ")));
    boss.run("drop database " + name);
}

TEST(migrate, shows_the_password_to_nobody) {
    const scratch folder;
    (void)folder.write("migrate",
                       "#!/bin/sh\necho \"words=$*\" \"url=$MIGRATE_DATABASE_URL\" \"secret=$PGPASSWORD\"\n",
                       true);
    for (const char* const url :
         {"postgresql://o:hu%20sh@db/x", "host=db dbname=x user=o password='hu sh'"}) {
        const auto done =
            run_admin({"migrate", "--sql-dir", folder.file("")}, {{"MIGRATE_DATABASE_URL", url}});
        EXPECT_THAT(done.out, HasSubstr("words= "));
        EXPECT_THAT(done.out, HasSubstr("secret=hu sh\n"));
        EXPECT_EQ(done.out.find("hu sh"), done.out.rfind("hu sh"))
            << "it stands in the url too: " << done.out;
    }
}

TEST(migrate, tells_no_part_of_a_bad_url) {
    for (const char* const url : {"postgresql://o:12/hush@db/x", "postgresql://o:p@hush@db/x", "host=db hush",
                                  "postgresql://o:hu%sh@db/x"}) {
        const auto done = run_admin({"migrate"}, {{"MIGRATE_DATABASE_URL", url}});
        EXPECT_EQ(done.status, 1);
        EXPECT_THAT(done.err, StartsWith("mana-sync-admin: MIGRATE_DATABASE_URL: its value "));
        EXPECT_THAT(done.out + done.err, Not(HasSubstr("hush")));
        EXPECT_THAT(done.out + done.err, Not(HasSubstr("sh@db")));
    }
}

TEST(migrate, says_which_variable_it_lacks) {
    const auto done = run_admin({"migrate"}, {{"MIGRATE_DATABASE_URL", ""}});
    EXPECT_EQ(done.status, 1);
    EXPECT_THAT(done.err, StartsWith("mana-sync-admin: MIGRATE_DATABASE_URL is not set"));
}

// The script itself, with a psql that tells what it was given.
TEST(migrate_script, takes_its_url_from_the_environment_and_hides_the_password) {
    const scratch folder;
    (void)folder.write("psql", "#!/bin/sh\ncat >/dev/null\necho \"words=$*\" \"secret=$PGPASSWORD\"\n", true);
    const std::string path = folder.file("") + ":/usr/bin:/bin";
    const std::string url = "postgresql://o:p%40%25s@db/x?application_name=a@b";
    for (const bool as_word : {true, false}) {
        words command{sql_folder() + "/migrate"};
        if (as_word) command.push_back(url);
        const auto done =
            run_program(command, {{"PATH", path}, {"MIGRATE_DATABASE_URL", as_word ? "" : url}});
        EXPECT_EQ(done.status, 0) << done.err;
        EXPECT_THAT(done.out, HasSubstr("postgresql://o@db/x?application_name=a@b secret=p@%s\n"));
    }
    EXPECT_EQ(run_program({sql_folder() + "/migrate"}, {{"MIGRATE_DATABASE_URL", ""}}).status, 2);
}

} // namespace
} // namespace mana::tests
