// explain and restore-write: what became of a write, and giving it back.
#include "tests/admin/admin_program.hpp"
#include "tests/end_to_end/device.hpp"
#include "tests/end_to_end/environment.hpp"

#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value_to.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mana::tests {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;
using end_to_end::device;
using end_to_end::fresh;
using end_to_end::insert_of;
using end_to_end::time_from_now;
using end_to_end::token_of;
using end_to_end::update_of;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class explaining : public testing::Test {
  protected:
    const std::string user = fresh("user");
    const std::string token = token_of(user);
    device phone{token, "phone"};
    device laptop{token, "laptop"};
    const std::string won_at = time_from_now(-10s);
    const std::string lost_at = time_from_now(-20s);

    // The laptop's title loses to the phone's.
    void make_conflict(const std::string& lost = "milk") {
        push(phone, update_of("t1", "title", "bread", won_at));
        push(laptop, update_of("t1", "title", json::value(lost), lost_at));
    }

    static void push(device& from, const json::object& change) {
        const auto reply = from.push({change});
        ASSERT_EQ(reply.status, 200) << reply.body;
    }

    [[nodiscard]] finished explain(const words& more = {}) const { return run("explain", more); }
    [[nodiscard]] finished restore(words more = {}) const {
        more.insert(more.begin(), "title");
        return run("restore-write", more);
    }

    // What a new device is told of the title, last.
    [[nodiscard]] json::value title() const {
        device tablet{token, "tablet"};
        json::value newest;
        const auto answer = tablet.pull("tasks").json();
        for (const auto& change : end_to_end::server_changes(answer))
            if (const auto* const fields = change.as_object().if_contains("fields"))
                if (fields->as_object().contains("title")) newest = change;
        return newest;
    }
    [[nodiscard]] std::string title_value() const {
        const auto change = title();
        return change.is_null() ? "none" : json::serialize(change.at("fields").at("title").at("value"));
    }

  private:
    [[nodiscard]] finished run(const std::string& command, const words& more) const {
        words all{command, user, "todo", "tasks", "t1"};
        all.insert(all.end(), more.begin(), more.end());
        return run_admin(all);
    }
};

TEST_F(explaining, tells_who_won_who_lost_and_when) {
    make_conflict();
    const auto done = explain();
    EXPECT_EQ(done.status, 0) << done.err;
    EXPECT_THAT(done.out, HasSubstr("home: own scope of " + user));
    EXPECT_THAT(done.out, HasSubstr("title = \"bread\"\n    claimed " + won_at + ", shown " + won_at +
                                    "\n    by " + user + ", client phone\n    written 2"));
    EXPECT_THAT(done.out, HasSubstr("lost: \"milk\"  (older)\n          claimed " + lost_at + ", by " + user +
                                    ", client laptop\n          lost 2"));
    EXPECT_THAT(done.out, HasSubstr("tombstone: none\nmarked: no\n"));
}

TEST_F(explaining, says_the_same_to_programs) {
    make_conflict();
    const auto done = explain({"--json"});
    ASSERT_EQ(done.status, 0) << done.err;
    const auto said = json::parse(done.out);
    const auto& title_field = said.at("records").at(0).at("fields").at("title");
    EXPECT_EQ(title_field.at("value"), "bread");
    EXPECT_EQ(title_field.at("client"), "phone");
    EXPECT_EQ(title_field.at("claimed"), json::value(won_at));
    EXPECT_TRUE(title_field.as_object().contains("writtenAt"));
    EXPECT_EQ(said.at("lostWrites").at(0).at("value"), "milk");
    EXPECT_EQ(said.at("lostWrites").at(0).at("client"), "laptop");
    EXPECT_EQ(said.at("lostWrites").at(0).at("reason"), "older");
}

// A later value of an object has the newer ones inside it travel in its own row.
TEST_F(explaining, tells_the_row_of_the_writer_and_not_one_in_which_the_field_travelled_along) {
    push(phone, update_of("t1", "rec", {{"int", 1}}, time_from_now(-30s)));
    push(laptop, update_of("t1", "rec.int", 2, won_at));
    push(phone, update_of("t1", "rec", {{"int", 3}}, lost_at));
    const auto done = explain({"--json"});
    ASSERT_EQ(done.status, 0) << done.err;
    const auto said = json::parse(done.out);
    const auto& fields = said.at("records").at(0).at("fields");
    EXPECT_EQ(fields.at("rec.int").at("client"), "laptop");
    EXPECT_NE(fields.at("rec.int").at("eventId"), fields.at("rec").at("eventId"));
}

TEST_F(explaining, tells_of_a_tombstone_and_what_lost_to_it) {
    push(phone, update_of("t1", "title", "bread", lost_at));
    push(phone, {{"table", "tasks"}, {"id", "t1"}, {"op", "delete"}});
    push(laptop, update_of("t1", "title", "milk", won_at));
    const auto done = explain();
    EXPECT_EQ(done.status, 0) << done.err;
    EXPECT_THAT(done.out, HasSubstr("tombstone: 2"));
    EXPECT_THAT(done.out, HasSubstr("marked: yes"));
    EXPECT_THAT(done.out, HasSubstr("title\n    lost: \"milk\"  (tombstone)"));
}

TEST_F(explaining, tells_why_a_row_of_another_program_is_not_shown) {
    superuser{}.run("insert into sync_changes (app_id, table_name, record_id, user_id, op, data, client_id) "
                    "values ('todo', 'tasks', 't1', $1, 'update', '[]', 'tool')",
                    {user});
    const auto is_told = [this] {
        return explain().out.find("set aside: malformed_field") != std::string::npos;
    };
    EXPECT_TRUE(end_to_end::await(is_told)) << explain().out;
}

TEST_F(explaining, shows_a_terminal_no_commands_of_clients) {
    push(phone, update_of("t1", "\x1b[2Jname", "\x1b[31mred", won_at));
    const auto done = explain();
    EXPECT_EQ(done.status, 0) << done.err;
    EXPECT_THAT(done.out, HasSubstr("[31mred"));
    EXPECT_THAT(done.out, Not(HasSubstr("\x1b")));
}

TEST_F(explaining, finds_nothing_of_another_user) {
    make_conflict();
    const auto other = fresh("other");
    const auto done = run_admin({"explain", other, "todo", "tasks", "t1"});
    EXPECT_EQ(done.status, 1);
    EXPECT_EQ(done.out, "");
    EXPECT_THAT(done.err, StartsWith("mana-sync-admin: " + other + " has no record t1"));
    EXPECT_EQ(std::count(done.err.begin(), done.err.end(), '\n'), 1);
    EXPECT_EQ(run_admin({"restore-write", other, "todo", "tasks", "t1", "title", "--yes"}).status, 1);
}

TEST_F(explaining, refuses_to_look_with_more_rights_than_the_service) {
    make_conflict();
    const auto done =
        run_admin({"explain", user, "todo", "tasks", "t1"},
                  {{"DATABASE_URL", end_to_end::required_environment("MANA_TEST_SUPERUSER_URL")}});
    EXPECT_EQ(done.status, 1);
    EXPECT_EQ(done.out, "");
    EXPECT_THAT(done.err, HasSubstr("is a superuser"));
}

TEST_F(explaining, shows_a_space_to_its_members_and_to_nobody_else) {
    const auto member = fresh("member");
    const auto space = fresh("space");
    const json::array in_space{json::object{{"organizationId", space}, {"role", "member"}}};
    end_to_end::http_client identity{end_to_end::required_environment("MANA_TEST_IDENTITY_URL")};
    identity.post("/control", json::serialize(json::object{
                                  {"memberships", json::object{{user, in_space}, {member, in_space}}}}));
    auto change = update_of("t1", "title", "bread", won_at);
    change["spaceId"] = space;
    push(phone, change);
    device others{token_of(member), "desk"};
    ASSERT_EQ(others.pull("tasks").status, 200); // memberships are asked once
    const auto done = run_admin({"explain", member, "todo", "tasks", "t1"});
    EXPECT_EQ(done.status, 0) << done.err;
    EXPECT_THAT(done.out, HasSubstr("home: space " + space));
    EXPECT_THAT(done.out, HasSubstr("by " + user + ", client phone"));
    EXPECT_EQ(run_admin({"explain", fresh("other"), "todo", "tasks", "t1"}).status, 1);
}

TEST_F(explaining, gives_nothing_back_without_a_yes) {
    make_conflict();
    const auto done = restore();
    EXPECT_EQ(done.status, 0) << done.err;
    EXPECT_THAT(done.out, HasSubstr("to give back: number "));
    EXPECT_THAT(done.out, HasSubstr("held now:     \"bread\""));
    EXPECT_THAT(done.out, HasSubstr("nothing was written"));
    EXPECT_EQ(title_value(), "\"bread\"");
}

TEST_F(explaining, gives_a_lost_write_back_to_all_devices) {
    make_conflict();
    const auto cursor = end_to_end::synced_until(laptop.pull("tasks").json());
    const auto done = restore({"--yes"});
    EXPECT_EQ(done.status, 0) << done.out << done.err;
    EXPECT_THAT(done.out, HasSubstr("Redis was told"));
    EXPECT_EQ(title_value(), "\"milk\"");
    EXPECT_EQ(title().at("origin"), "mana-sync-admin");
    // The device that lost it goes on from its cursor.
    const auto news = laptop.pull("tasks", cursor).json();
    ASSERT_EQ(end_to_end::server_changes(news).size(), 1U);
    EXPECT_EQ(end_to_end::server_changes(news)[0].at("fields").at("title").at("value"), "milk");
    EXPECT_THAT(explain().out, HasSubstr("origin mana-sync-admin"));
    const auto again = restore({"--yes"});
    EXPECT_EQ(again.status, 0) << again.err;
    EXPECT_THAT(again.out, HasSubstr("nothing to do"));
}

TEST_F(explaining, gives_back_even_what_lost_to_a_clock_that_is_ahead) {
    push(phone, update_of("t1", "title", "bread", time_from_now(5h)));
    push(laptop, update_of("t1", "title", "milk", won_at));
    const auto done = restore({"--yes"});
    EXPECT_EQ(done.status, 0) << done.err;
    EXPECT_EQ(title_value(), "\"milk\"");
}

TEST_F(explaining, gives_back_what_lost_to_a_delete) {
    push(phone, update_of("t1", "title", "bread", lost_at));
    push(phone, {{"table", "tasks"}, {"id", "t1"}, {"op", "delete"}});
    push(laptop, update_of("t1", "title", "milk", won_at));
    const auto done = restore({"--yes"});
    EXPECT_EQ(done.status, 0) << done.err;
    EXPECT_THAT(done.out, HasSubstr("the record is deleted"));
    EXPECT_EQ(title_value(), "\"milk\"");
}

TEST_F(explaining, lists_several_lost_writes_and_gives_back_the_chosen_one) {
    make_conflict("milk");
    push(laptop, update_of("t1", "title", "eggs", lost_at));
    const auto which = restore({"--yes"});
    EXPECT_EQ(which.status, 1);
    EXPECT_THAT(which.out, HasSubstr("\"milk\""));
    EXPECT_THAT(which.out, HasSubstr("\"eggs\""));
    EXPECT_THAT(which.err, HasSubstr("choose one"));
    EXPECT_EQ(title_value(), "\"bread\"");

    const auto said = json::parse(explain({"--json"}).out);
    const auto& milk = said.at("lostWrites").at(0);
    const auto by_id = restore({"--yes", "--id", json::serialize(milk.at("number"))});
    EXPECT_EQ(by_id.status, 0) << by_id.err;
    EXPECT_EQ(title_value(), "\"milk\"");
    const auto eggs_lost = json::value_to<std::string>(said.at("lostWrites").at(1).at("lostAt"));
    const auto by_time = restore({"--yes", "--lost-at", eggs_lost});
    EXPECT_EQ(by_time.status, 0) << by_time.err;
    EXPECT_EQ(title_value(), "\"eggs\"");
    EXPECT_EQ(restore({"--yes", "--lost-at", "2001"}).status, 1);
}

TEST_F(explaining, gives_values_back_digit_by_digit) {
    push(phone, update_of("t1", "title", 1, won_at));
    laptop.push_text(R"({"changes":[{"table":"tasks","id":"t1","op":"update","fields":{"title":{"value":)"
                     R"({"n":9007199254740993,"t":"\u00e4\"\\"},"at":")" +
                     lost_at + R"("}}}]})");
    ASSERT_EQ(restore({"--yes"}).status, 0);
    EXPECT_THAT(explain().out, HasSubstr("title = {\"n\":9007199254740993,\"t\":\"ä\\\"\\\\\"}"));
}

} // namespace
} // namespace mana::tests
