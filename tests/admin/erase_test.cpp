// erase: afterwards no place holds the user's name, and the members of the user's spaces hold what they held.
#include "shared/store/notification.hpp"
#include "tests/admin/admin_program.hpp"
#include "tests/end_to_end/device.hpp"
#include "tests/end_to_end/environment.hpp"

#include <boost/json/serialize.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <sstream>

namespace mana::tests {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;
using end_to_end::device;
using end_to_end::fresh;
using end_to_end::insert_of;
using end_to_end::required_environment;
using end_to_end::time_from_now;
using end_to_end::token_of;
using end_to_end::update_of;
using testing::HasSubstr;
using testing::Not;

// How many lines of a dump of the whole database name `text`.
std::ptrdiff_t lines_of_dump_with(const std::string& text) {
    auto url = required_environment("MANA_TEST_SUPERUSER_URL");
    const auto dump = run_program({"/usr/bin/pg_dump", "-d", url});
    if (dump.err.find("version mismatch") != std::string::npos) return -1;
    EXPECT_EQ(dump.status, 0) << dump.err;
    EXPECT_THAT(dump.out, HasSubstr("sync_changes"));
    std::istringstream lines{dump.out};
    std::ptrdiff_t found = 0;
    for (std::string line; std::getline(lines, line);) found += line.find(text) == std::string::npos ? 0 : 1;
    return found;
}

// What tools that were away find in Redis.
std::string stream() {
    const auto url = required_environment("MANA_TEST_REDIS_URL");
    return run_program({"/usr/bin/redis-cli", "-s", url.substr(std::string{"unix://"}.size()), "--raw",
                        "xrange", std::string{store::stream_name}, "-", "+"})
        .out;
}

class erasing : public testing::Test {
  protected:
    const std::string ann = fresh("ann");
    const std::string bob = fresh("bob");
    const std::string space = fresh("space");
    const std::string new_space = fresh("space");
    device phone{token_of(ann), fresh("phone")};
    device laptop{token_of(ann), fresh("laptop")};
    device others{token_of(bob), fresh("tablet")};
    superuser boss;

    // Of each table, the rows in which the text stands, whatever the column.
    std::map<std::string, std::int64_t> places_of(const std::string& text) {
        std::map<std::string, std::int64_t> found;
        const auto tables =
            boss.run("select relname from pg_class where relnamespace = 'public'::regnamespace "
                     "and relkind in ('r', 'p') and relname like 'sync%'");
        for (int row = 0; row < tables.count(); ++row) {
            const std::string name{tables.text(row, 0)};
            const auto count = boss.run("select count(*) from public." + name +
                                            " as any_row where strpos(any_row::text, $1) > 0",
                                        {text})
                                   .number(0, 0);
            if (count > 0) found[name] = count;
        }
        return found;
    }

    static void join(const std::string& user, const std::vector<std::string>& spaces) {
        json::array memberships;
        for (const auto& each : spaces)
            memberships.push_back(json::object{{"organizationId", each}, {"role", "member"}});
        end_to_end::http_client identity{required_environment("MANA_TEST_IDENTITY_URL")};
        identity.post("/control", json::serialize(json::object{{"memberships", {{user, memberships}}}}));
    }

    static json::object in_space(json::object change, const std::string& where) {
        change["spaceId"] = where;
        return change;
    }
    [[nodiscard]] json::object by_ann(json::object change) const {
        change["actor"] = json::object{{"kind", "user"}, {"id", ann}};
        return in_space(std::move(change), space);
    }

    static void push(device& from, const json::object& change) {
        const auto reply = from.push({change});
        ASSERT_EQ(reply.status, 200) << reply.body;
        ASSERT_FALSE(reply.json().as_object().contains("rejected")) << reply.body;
    }

    // Ann has records of her own, a lost write in each scope, a part in what bob wrote, copies of a space
    // that she joined late, and rows of other programs that wait, or never will be used.
    void live() {
        join(ann, {space, new_space});
        join(bob, {space, new_space});
        const auto now = time_from_now(-10s);
        push(phone, insert_of("mine", {{"n", 1}}, now));
        push(laptop, update_of("mine", "n", 2, time_from_now(-20s)));
        push(others, in_space(insert_of("ours", {{"title", "bob's"}, {"n", 1}}, now), space));
        push(phone, by_ann(update_of("ours", "title", "hers", time_from_now(-5s))));
        push(laptop, by_ann(update_of("ours", "title", "late", time_from_now(-30s))));
        push(laptop, by_ann(insert_of("theirs", {{"n", 3}}, now)));
        boss.run("insert into sync_changes (app_id, table_name, record_id, user_id, op, data, client_id, "
                 "set_aside) "
                 "values ('todo', 'tasks', 'x', $1, 'update', '[]', $1, 'no_object')",
                 {ann});
        boss.run("insert into sync_old_rows (user_id, app_id) values ($1, 'old')", {ann});
        boss.run("insert into sync_lost_writes (scope, app_id, table_name, record_id, field, user_id, "
                 "client_id, value, "
                 "reason) values ('s:' || $2, 'todo', 'tasks', 'ours', 'title', $1, $1, '\"late\"', 'older')",
                 {ann, space});
        ASSERT_EQ(phone.pull("tasks").status, 200);
        boss.run(
            "insert into sync_changes (app_id, table_name, record_id, user_id, op, data, client_id, scope, "
            "space_id) "
            "values ('todo', 'tasks', 'copied', $1, 'update', '{}', '', 'm:' || $1 || E'\\x1f' || $2, $2)",
            {ann, new_space});
    }

    // What a new device of bob's is shown of the space: the last value of each field.
    std::map<std::string, std::string> held_by_bob() {
        device fresh_one{token_of(bob), fresh("new")};
        std::map<std::string, std::string> held;
        const auto answer = fresh_one.pull("tasks").json();
        for (const auto& change : end_to_end::server_changes(answer)) {
            const std::string id{change.at("id").as_string()};
            for (const auto* const part : {"data", "fields"})
                if (const auto* const found = change.as_object().if_contains(part))
                    for (const auto& [name, value] : found->as_object())
                        if (name != "updatedAt" && part == std::string_view{"fields"})
                            held[id + '.' + std::string{name}] = json::serialize(value);
        }
        return held;
    }

    static finished erase(const words& more) {
        words command{"erase"};
        command.insert(command.end(), more.begin(), more.end());
        return run_admin(command);
    }
};

TEST_F(erasing, leaves_the_name_nowhere_and_members_with_what_they_held) {
    live();
    for (const char* const table : {"sync_changes", "sync_records", "sync_lost_writes", "sync_pushes",
                                    "sync_users", "sync_reader_spaces", "sync_old_rows"})
        EXPECT_TRUE(places_of(ann).contains(table)) << table << " is to be tried too";
    const auto held = held_by_bob();
    ASSERT_THAT(held.at("ours.title"), HasSubstr("hers"));

    const auto done = erase({ann});
    ASSERT_EQ(done.status, 0) << done.err;
    EXPECT_EQ(places_of(ann), (std::map<std::string, std::int64_t>{})) << done.out;
    EXPECT_LE(lines_of_dump_with(ann), 0);
    EXPECT_EQ(held_by_bob(), held);
    EXPECT_THAT(run_admin({"explain", bob, "todo", "tasks", "ours"}).out, HasSubstr("erased-"));
}

TEST_F(erasing, leaves_nothing_of_the_user_in_the_stream_of_redis_and_misses_no_push_of_a_space) {
    live();
    ASSERT_TRUE(end_to_end::await([&] { return stream().find('"' + ann + '"') != std::string::npos; }));
    const auto done = erase({ann});
    ASSERT_EQ(done.status, 0) << done.err;
    EXPECT_EQ(stream().find(ann), std::string::npos) << done.out;
    EXPECT_THAT(stream(), HasSubstr("\"scope\":\"s:" + space + "\",\"user\":\"erased-"));
}

TEST_F(erasing, counts_and_changes_nothing_in_a_dry_run) {
    live();
    const auto before = places_of(ann);
    const auto dry = erase({ann, "--dry-run"});
    EXPECT_EQ(dry.status, 0) << dry.err;
    EXPECT_THAT(dry.out, HasSubstr("nothing was changed"));
    EXPECT_EQ(places_of(ann), before);
    const auto counts = [](const std::string& out) { return out.substr(0, out.find("stream of Redis")); };
    EXPECT_EQ(counts(erase({ann}).out), counts(dry.out));
}

TEST_F(erasing, of_a_user_who_is_not_there_changes_nothing) {
    live();
    const auto before = places_of(ann);
    const auto nobody = erase({ann.substr(0, ann.size() - 1)});
    EXPECT_EQ(nobody.status, 0) << nobody.err;
    EXPECT_THAT(nobody.out, Not(testing::ContainsRegex(" [1-9][0-9]* (deleted|renamed)")));
    EXPECT_EQ(places_of(ann), before);
}

TEST_F(erasing, is_the_owners_and_nobody_elses) {
    const auto done =
        run_admin({"erase", ann}, {{"MIGRATE_DATABASE_URL", required_environment("MANA_TEST_DATABASE_URL")}});
    EXPECT_EQ(done.status, 1);
    EXPECT_THAT(done.err, HasSubstr("permission denied for function erase_user"));
}

} // namespace
} // namespace mana::tests
