// Rows that other programs insert with plain SQL are taken up by the rules of a push (SPEC §5).
//
// A hub may be at it too, on the same database: nothing here depends on who takes a row up.
#include "shared/store/take_up.hpp"
#include "tests/integration/store_fixture.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <optional>
#include <thread>
#include <vector>

namespace mana::tests {
namespace {

using store::parameter;

constexpr std::string_view first_of_january = "2026-01-01T00:00:00.000Z";
constexpr std::string_view second_of_january = "2026-01-02T00:00:00.000Z";
constexpr std::string_view third_of_january = "2026-01-03T00:00:00.000Z";

constexpr store::statement insert_row{"insert_row", R"(
insert into sync_changes (app_id, user_id, table_name, record_id, op, data, field_meta, client_id)
values ($1, $2, 'notes', $3, $4, $5::jsonb, $6::jsonb, 'importer')
returning id)"};
constexpr store::statement insert_at{"insert_at", R"(
insert into sync_changes (app_id, user_id, table_name, record_id, op, data, field_meta, client_id, created_at)
values ($1, $2, $3, $4, 'update', $5::jsonb, '{}', 'importer', $6::timestamptz)
returning id)"};
// As the migration left them: of `$3` records from 0 on, one row each, all of one moment.
constexpr store::statement insert_old{"insert_old", R"(
with made as (
    insert into sync_changes (app_id, user_id, table_name, record_id, op, data, field_meta, client_id, created_at,
                              keeps_position)
    select $1, $2, 'notes', place, 'update', $4::jsonb, $5::jsonb, 'phone', $6::timestamptz, true
    from generate_series(0, $3::int - 1) as place
)
insert into sync_old_rows (user_id, app_id) values ($2, $1) on conflict do nothing)"};
constexpr store::statement count_old{"count_old", "select count(*) from sync_old_rows where app_id = $1"};
constexpr store::statement count_waiting{"count_waiting", R"(
select count(*) from sync_changes where app_id = $1 and scope is null and set_aside is null)"};
constexpr store::statement last_waiting{"last_waiting", R"(
select data -> 'a' from sync_changes
where app_id = $1 and scope is null and set_aside is null
order by ctid desc limit 1)"};
constexpr store::statement read_row{"read_row", R"(
select set_aside, data, field_meta, (extract(epoch from created_at) * 1000000)::bigint from sync_changes
where id = $1::uuid)"};
constexpr store::statement read_lost{"read_lost", R"(
select field, value, claimed_at, client_id from sync_lost_writes where app_id = $1 order by field)"};
constexpr store::statement count_states{"count_states",
                                        "select count(*) from sync_records where app_id = $1"};
constexpr store::statement count_lost{"count_lost",
                                      "select count(*) from sync_lost_writes where app_id = $1"};
constexpr store::statement read_announced{"read_announced", R"(
select scope, client_id, changes from sync_pushes where app_id = $1 order by xid)"};
constexpr store::statement erase_user{"erase_user", "delete from sync_changes where user_id = $1"};
constexpr store::statement erase_row{"erase_row", "delete from sync_changes where id = $1::uuid"};
constexpr store::statement count_unlike{"count_unlike", R"(
select (select count(*) from sync_changes as change
        where app_id = $1 and not exists (select from sync_records as record
                                          where record.scope = change.scope and record.app_id = change.app_id
                                            and record.table_name = change.table_name
                                            and record.record_id = change.record_id))
     + (select count(*) from sync_records as record
        where app_id = $1 and not exists (select from sync_changes as change
                                          where record.scope = change.scope and record.app_id = change.app_id
                                            and record.table_name = change.table_name
                                            and record.record_id = change.record_id)))"};

store::rows as_superuser(const store::statement& what, const std::vector<parameter>& parameters) {
    return run_once(connect_as_superuser({what}), what, parameters);
}

store::rows as_owner(const store::statement& what, const std::vector<parameter>& parameters) {
    return run_once(connect_as_owner({what}), what, parameters);
}

/// Until none of the app's rows waits.
void take_up(const std::string& app) {
    auto on = connect();
    store::waiting_place place;
    const auto give_up = soon();
    while (as_superuser(count_waiting, {app}).number(0, 0) > 0) {
        if (std::chrono::steady_clock::now() > give_up) throw std::runtime_error("rows still wait");
        store::take_up_rows(on, place, {}, {}, std::chrono::seconds{20});
    }
}

struct kept_write {
    std::string field;
    std::string value;
    std::string claimed_at;
    bool operator==(const kept_write&) const = default;
};

class take_up_of_rows : public testing::Test {
  protected:
    const std::string app_ = fresh("app");
    const device phone_{{fresh("user"), "phone", {}}, app_};
    store::connection on_ = connect();

    std::string insert(const std::string& record_id, const std::string& op, const parameter& data,
                       const parameter& field_meta = "{}") const {
        const auto made = as_owner(insert_row, {app_, phone_.who.user, record_id, op, data, field_meta});
        return std::string(made.text(0, 0));
    }

    /// What a device that has nothing is shown of one record: fields with their times.
    std::vector<sync::shown_field> shown(const std::string& record_id) {
        std::vector<sync::shown_field> fields;
        const device fresh_one{{phone_.who.user, "fresh", {}}, app_};
        for (const auto& change : changes_in(fresh_one.pull(on_, "notes", ""))) {
            if (change.heading.record_id != record_id) continue;
            if (change.op == sync::operation::remove) fields.clear();
            std::ranges::copy(change.fields, std::back_inserter(fields));
        }
        return fields;
    }

    void expect_shown(const std::string& record_id, const std::string& field, const std::string& value,
                      std::string_view at) {
        const auto fields = shown(record_id);
        const auto last = std::find_if(fields.rbegin(), fields.rend(),
                                       [&](const auto& held) { return held.name == field; });
        ASSERT_NE(last, fields.rend()) << field << " is not shown";
        EXPECT_EQ(sync::to_json_text(last->value), value);
        EXPECT_EQ(sync::to_text(last->at), at);
    }

    void push(const std::string& record_id, const std::string& field, const std::string& value,
              std::string_view at) {
        phone_.push(on_, {R"("table":"notes","id":")" + record_id + R"(","op":"update","fields":{")" + field +
                          R"(":{"value":)" + value + R"(,"at":")" + std::string(at) + R"("}})"});
    }

    [[nodiscard]] std::vector<kept_write> lost() const {
        const auto found = as_superuser(read_lost, {app_});
        std::vector<kept_write> writes;
        for (int row = 0; row < found.count(); ++row)
            writes.push_back({std::string(found.text(row, 0)), std::string(found.text(row, 1)),
                              std::string(found.text(row, 2))});
        return writes;
    }

    static std::string reason(const std::string& id) {
        return std::string(as_superuser(read_row, {id}).text(0, 0));
    }
    static sync::position position(const std::string& id) {
        return as_superuser(read_row, {id}).position(0, 3);
    }
};

// ---- what a row claims ----

TEST_F(take_up_of_rows, shows_a_row_with_the_times_of_its_field_meta) {
    insert("1", "update", R"({"a":1,"b":2})",
           R"({"a":"2026-01-01T01:00:00+01:00","b":{"at":"2026-01-02T00:00:00Z"}})");
    take_up(app_);
    expect_shown("1", "a", "1", first_of_january);
    expect_shown("1", "b", "2", second_of_january);
}

TEST_F(take_up_of_rows, shows_what_field_meta_lacks_with_the_time_of_the_data) {
    insert("1", "insert", R"({"id":"1","a":1,"b":2,"updatedAt":"2026-01-02T00:00:00Z"})",
           R"({"a":"2026-01-01T00:00:00Z"})");
    take_up(app_);
    expect_shown("1", "a", "1", first_of_january);
    expect_shown("1", "b", "2", second_of_january);
}

TEST_F(take_up_of_rows, lets_an_untimed_row_fill_what_has_no_value_and_overwrite_nothing) {
    push("1", "a", "1", first_of_january);
    insert("1", "insert", R"({"a":2,"b":3})", parameter(std::nullopt));
    take_up(app_);
    expect_shown("1", "a", "1", first_of_january);
    EXPECT_EQ(shown("1").size(), 2U);
}

TEST_F(take_up_of_rows, compares_claims_with_what_is_held) {
    push("1", "older", "1", second_of_january);
    push("1", "newer", "1", second_of_january);
    insert("1", "update", R"({"older":2,"newer":2})",
           R"({"older":"2026-01-03T00:00:00Z","newer":{"at":"2026-01-01T00:00:00Z"}})");
    take_up(app_);
    expect_shown("1", "older", "2", third_of_january);
    expect_shown("1", "newer", "1", second_of_january);
}

TEST_F(take_up_of_rows, strips_fields_that_lost_and_keeps_them) {
    push("1", "a", "1", second_of_january);
    const auto id = insert("1", "update", R"({"a":2,"b":2})",
                           R"({"a":"2026-01-01T00:00:00Z","b":"2026-01-01T00:00:00Z"})");
    take_up(app_);
    const auto row = as_superuser(read_row, {id});
    EXPECT_EQ(row.text(0, 1), R"({"b": 2})");
    EXPECT_EQ(row.text(0, 2), R"({"b": "2026-01-01T00:00:00.000Z"})");
    EXPECT_EQ(lost(), (std::vector<kept_write>{{"a", "2", std::string(first_of_january)}}));
}

TEST_F(take_up_of_rows, shows_nobody_a_row_of_which_nothing_won) {
    push("1", "a", "1", second_of_january);
    const auto id = insert("1", "update", R"({"a":2})", R"({"a":"2026-01-01T00:00:00Z"})");
    take_up(app_);
    EXPECT_EQ(reason(id), "nothing_won");
    EXPECT_EQ(as_superuser(read_row, {id}).text(0, 1), "{}");
    EXPECT_EQ(lost(), (std::vector<kept_write>{{"a", "2", std::string(first_of_january)}}));
    EXPECT_EQ(shown("1").size(), 1U);
}

TEST_F(take_up_of_rows, lets_each_row_meet_what_the_one_before_left) {
    as_owner(insert_at, {app_, phone_.who.user, "notes", "1", R"({"a":1,"updatedAt":"2026-01-02T00:00:00Z"})",
                         "2026-02-01T00:00:00Z"});
    as_owner(insert_at, {app_, phone_.who.user, "notes", "1", R"({"a":2,"updatedAt":"2026-01-02T00:00:00Z"})",
                         "2026-02-02T00:00:00Z"});
    take_up(app_);
    expect_shown("1", "a", "1", second_of_january);
}

TEST_F(take_up_of_rows, takes_the_rows_of_one_transaction_in_the_order_of_their_inserts) {
    static constexpr store::statement insert_both{"insert_both", R"(
insert into sync_changes (app_id, user_id, table_name, record_id, op, data, client_id)
select $1, $2, 'notes', '1', 'update',
       jsonb_build_object('updatedAt', '2026-01-0' || (1 + i / 50) || 'T00:00:00Z', 'a', i), 'importer'
from generate_series(0, 399) as i)"};
    as_owner(insert_both, {app_, phone_.who.user});
    take_up(app_);
    expect_shown("1", "a", "350", "2026-01-08T00:00:00.000Z"); // the first of the last day: ties lose
}

TEST_F(take_up_of_rows, buries_a_record_by_a_hard_delete) {
    push("1", "a", "1", second_of_january);
    insert("1", "delete", parameter(std::nullopt));
    take_up(app_);
    EXPECT_TRUE(shown("1").empty());
    push("1", "b", "1", second_of_january);
    EXPECT_TRUE(shown("1").empty()) << "a write from before the delete brought the record back";
}

TEST_F(take_up_of_rows, reads_a_delete_with_a_time_as_a_soft_one) {
    push("1", "a", "1", first_of_january);
    insert("1", "delete", R"({"deletedAt":"2026-01-02T00:00:00Z"})");
    push("2", "a", "1", first_of_january);
    insert("2", "delete", R"({"deletedAt":true})", R"({"deletedAt":"2026-01-02T00:00:00Z"})");
    take_up(app_);
    expect_shown("1", "deletedAt", R"("2026-01-02T00:00:00Z")", second_of_january);
    expect_shown("2", "deletedAt", "true", second_of_january);
}

TEST_F(take_up_of_rows, keeps_the_rows_id_actor_origin_and_space) {
    static constexpr store::statement insert_all{"insert_all", R"(
insert into sync_changes (app_id, user_id, table_name, record_id, op, data, client_id, actor, origin, space_id)
values ($1, $2, 'notes', '1', 'insert', '{"a":1}', '', '{"kind":"robot"}', 'import', '_personal:me') returning id)"};
    const auto made = as_superuser(insert_all, {app_, phone_.who.user});
    take_up(app_);
    const auto page = phone_.pull(on_, "notes", "");
    ASSERT_EQ(page.server_changes.size(), 1U);
    EXPECT_EQ(changes_in(page)[0].event_id, made.text(0, 0));
    EXPECT_EQ(sync::to_json_text(changes_in(page)[0].heading.actor.value()), R"({"kind":"robot"})");
    EXPECT_EQ(changes_in(page)[0].heading.origin, "import");
    EXPECT_EQ(changes_in(page)[0].heading.space, "_personal:me");
}

TEST_F(take_up_of_rows, announces_them_once_a_transaction) {
    insert("1", "update", R"({"a":1})");
    insert("2", "update", R"({"a":1})");
    take_up(app_);
    const auto found = as_superuser(read_announced, {app_});
    std::int64_t rows = 0;
    for (int row = 0; row < found.count(); ++row) {
        EXPECT_EQ(found.text(row, 0), "u:" + phone_.who.user);
        EXPECT_EQ(found.text(row, 1), "importer");
        rows += found.number(row, 2);
    }
    EXPECT_EQ(rows, 2);
}

TEST_F(take_up_of_rows, takes_rows_of_the_services_own_role) {
    auto on = connect({insert_row});
    store::transaction planting(on, phone_.who.user, {});
    planting.send(insert_row, {app_, phone_.who.user, "1", "update", R"({"a":1})", "{}"});
    planting.commit(soon());
    take_up(app_);
    EXPECT_EQ(shown("1").size(), 1U);
}

// ---- positions ----

TEST_F(take_up_of_rows, brings_a_row_to_readers_whatever_position_it_named) {
    push("0", "a", "1", second_of_january);
    const device laptop{{phone_.who.user, "laptop", {}}, app_};
    const auto cursor = to_text(laptop.pull(on_, "notes", "").synced_until);
    for (const auto* named : {"2001-01-01T00:00:00Z", "2200-01-01T00:00:00Z", "infinity", "-infinity"})
        as_owner(insert_at, {app_, phone_.who.user, "notes", named, R"({"a":1})", named});
    take_up(app_);
    const auto page = laptop.pull(on_, "notes", cursor);
    EXPECT_EQ(page.server_changes.size(), 4U);
    EXPECT_LT(page.synced_until.at, std::chrono::system_clock::now() + std::chrono::minutes{1});
}

// ---- rows that can't be used ----

TEST_F(take_up_of_rows, sets_unusable_rows_aside_and_takes_up_the_others) {
    const std::string deep = std::string(300, '[') + std::string(300, ']');
    struct bad_row {
        std::string record_id;
        parameter data;
        parameter field_meta;
        std::string reason;
    };
    const std::vector<bad_row> bad{
        {"1", "[1]", "{}", "malformed_field"},
        {"1", parameter(std::nullopt), "{}", "no_data"},
        {"1", "null", "{}", "no_data"},
        {"1", R"({"a":1})", "[]", "malformed_field"},
        {"1", R"({"a":1})", R"({"a":"yesterday"})", "malformed_time"},
        {"1", R"({"a":1})", R"({"a":{"at":5}})", "malformed_time"},
        {"1", R"({"a":1e400})", "{}", "number_out_of_range"},
        {"1", R"({"a":)" + deep + "}", "{}", "too_deep"},
        {"", R"({"a":1})", "{}", "invalid_change"},
        {std::string(1'500, 'x'), R"({"a":1})", "{}", "too_long"},
        {"1", R"({"a":")" + std::string(11'000'000, 'x') + R"("})", "{}", "too_large"},
    };
    insert("good", "update", R"({"a":1})");
    std::vector<std::string> ids;
    for (const auto& row : bad) ids.push_back(insert(row.record_id, "update", row.data, row.field_meta));
    insert("better", "update", R"({"a":1})");
    take_up(app_);
    for (std::size_t i = 0; i < bad.size(); ++i) EXPECT_EQ(reason(ids[i]), bad[i].reason) << i;
    EXPECT_EQ(shown("good").size(), 1U);
    EXPECT_EQ(shown("better").size(), 1U);
    EXPECT_EQ(phone_.pull(on_, "notes", "").server_changes.size(), 2U);
}

TEST_F(take_up_of_rows, sets_a_row_of_nobody_aside) {
    const auto made = as_owner(insert_row, {app_, "", "1", "update", R"({"a":1})", "{}"});
    take_up(app_);
    EXPECT_EQ(reason(std::string(made.text(0, 0))), "no_user");
}

/// A hub may be first, but not every time.
template<class Attempt>
bool comes_true(Attempt attempt) {
    constexpr int tries = 20;
    for (int i = 0; i < tries; ++i)
        if (attempt()) return true;
    return false;
}

store::taken_up take_all_up(store::connection& on, const store::push_terms& terms,
                            const store::spaces_of& spaces) {
    store::taken_up all;
    store::waiting_place place;
    do {
        const auto some = store::take_up_rows(on, place, terms, spaces, std::chrono::seconds{20});
        all.rows += some.rows;
        all.skipped += some.skipped;
        all.more = some.more;
    } while (all.more);
    return all;
}

TEST_F(take_up_of_rows, counts_what_it_did) {
    EXPECT_TRUE(comes_true([&] {
        insert(fresh("record"), "update", R"({"a":1})");
        insert(fresh("record"), "update", "[]");
        const auto done = take_all_up(on_, {}, {});
        return done.rows == 1 && done.skipped == 1;
    }));
}

TEST_F(take_up_of_rows, sets_aside_what_the_operators_limits_refuse_in_a_push) {
    store::push_terms terms;
    terms.limits.fields = 2;
    terms.limits.nesting = 3;
    const auto is_aside = [&](std::string_view data, std::string_view code) {
        return comes_true([&] { // the hub of the stack, which has other limits, may be first
            const auto row = insert(fresh("record"), "update", data);
            take_all_up(on_, terms, {});
            return reason(row) == code;
        });
    };
    EXPECT_TRUE(is_aside(R"({"a":1,"b":2,"c":3})", "too_many_fields"));
    EXPECT_TRUE(is_aside(R"({"a":[[[[[[1]]]]]]})", "too_deep"));
    EXPECT_TRUE(is_aside(R"({"a":[[1]],"b":1})", ""));
    std::string path = "a";
    for (int i = 0; i < 200'000; ++i) path += ".b";
    EXPECT_TRUE(is_aside("{\"" + path + "\":1}", "too_long")) << "no limit of the operator's";
}

TEST_F(take_up_of_rows, shows_members_of_a_space_what_names_it_and_sets_aside_what_names_anothers) {
    static constexpr store::statement insert_in_space{"insert_in_space", R"(
insert into sync_changes (app_id, user_id, table_name, record_id, op, data, client_id, space_id)
values ($1, $2, 'notes', $3, 'insert', '{"a":1}', 'importer', $4) returning id)"};
    const auto space = fresh("space");
    const device member{{fresh("member"), "m", {space}}, app_};
    member.pull(on_, "notes", ""); // before anything is there: who joins later is shown copies
    store::push_terms terms;
    terms.spaces_shared = true;
    const auto spaces = [&](const std::string& user) -> std::optional<std::vector<std::string>> {
        if (user != phone_.who.user) return std::nullopt;
        return std::vector{space};
    };
    EXPECT_TRUE(comes_true([&] {
        as_owner(insert_in_space, {app_, phone_.who.user, fresh("record"), space});
        const auto foreign =
            as_owner(insert_in_space, {app_, phone_.who.user, fresh("record"), fresh("space")});
        take_all_up(on_, terms, spaces);
        return member.pull(on_, "notes", "").server_changes.size() == 1 &&
               reason(std::string(foreign.text(0, 0))).empty() &&
               !phone_.pull(on_, "notes", "").server_changes.empty();
    }));
}

// ---- rows from before the migrations ----

TEST_F(take_up_of_rows, leaves_old_rows_their_positions_one_after_the_other) {
    constexpr auto same_moment = "2025-06-01T12:00:00.000005Z";
    as_owner(insert_old,
             {app_, phone_.who.user, "450", R"({"a":1})", R"({"a":"2025-06-01T12:00:00Z"})", same_moment});
    const auto newer = insert("newer", "update", R"({"a":1})");
    take_up(app_);

    const auto log = log_of({"u:" + phone_.who.user}, app_);
    ASSERT_EQ(log.size(), 451U);
    EXPECT_EQ(log.back(), newer);
    const auto first = *sync::split_rfc3339(same_moment);
    const sync::position named = first.second + std::chrono::microseconds{5};
    EXPECT_EQ(position(log[0]), named);
    EXPECT_EQ(position(log[449]), named + std::chrono::microseconds{449});
    std::size_t seen = 0;
    std::string since;
    for (bool more = true; more;) {
        const auto page = phone_.pull(on_, "notes", since, 100);
        seen += page.server_changes.size();
        since = to_text(page.synced_until);
        more = page.has_more;
    }
    EXPECT_EQ(seen, 451U);
}

TEST_F(take_up_of_rows, leaves_old_rows_for_a_space_of_others_to_their_author) {
    as_owner(insert_old, {app_, phone_.who.user, "1", R"({"a":1,"spaceId":"of-others"})",
                          R"({"a":"2025-06-01T12:00:00Z"})", "2025-06-01T12:00:00Z"});
    store::push_terms terms;
    terms.spaces_shared = true;
    const auto no_spaces = [](const std::string&) { return std::optional(std::vector<std::string>{}); };
    const device stranger{{fresh("stranger"), "s", {}}, app_};
    EXPECT_TRUE(comes_true([&] {
        take_all_up(on_, terms, no_spaces);
        return !phone_.pull(on_, "notes", "").server_changes.empty();
    }));
    EXPECT_TRUE(stranger.pull(on_, "notes", "").server_changes.empty());
}

TEST_F(take_up_of_rows, takes_the_last_of_equal_old_claims_as_their_readers_did) {
    for (const auto* value : {R"({"a":1})", R"({"a":2})"})
        as_owner(insert_old, {app_, phone_.who.user, "1", value, R"({"a":"2025-06-01T12:00:00Z"})",
                              "2025-06-01T12:00:01Z"});
    // Where rows lie decided what the Go server's readers saw last, too.
    const auto last = as_superuser(last_waiting, {app_});
    take_up(app_);
    const auto fields = shown("0");
    ASSERT_FALSE(fields.empty());
    if (last.count() == 0) GTEST_SKIP() << "a hub took them up first";
    EXPECT_EQ(sync::to_json_text(fields.back().value), last.text(0, 0));
}

TEST_F(take_up_of_rows, merges_no_push_before_its_authors_old_rows) {
    as_owner(insert_old, {app_, phone_.who.user, "250", R"({"a":1})", R"({"a":"2026-01-02T00:00:00Z"})",
                          "2026-01-02T00:00:00Z"});
    const auto done = phone_.push(
        on_,
        {R"("table":"notes","id":"249","op":"update","fields":{"a":{"value":2,"at":"2026-01-01T00:00:00Z"}})"});
    ASSERT_EQ(done.answer.conflicts.size(), 1U);
    EXPECT_EQ(done.answer.conflicts[0].server_value.value().text, "1");
    EXPECT_EQ(as_superuser(count_waiting, {app_}).number(0, 0), 0);
    EXPECT_EQ(as_superuser(count_old, {app_}).number(0, 0), 0);
}

// ---- at once ----

void insert_many(const device& author, int inserts) {
    auto on = connect_as_owner({insert_at});
    for (int i = 0; i < inserts; ++i) {
        const auto table = i % 10 == 0 ? "last" : "notes";
        const auto named = i % 2 == 0 ? "2001-01-01T00:00:00Z" : "2100-01-01T00:00:00Z";
        const std::string data = R"({"f)" + std::to_string(i) + R"(":1})";
        const std::array<parameter, 6> row{
            author.app, author.who.user, table, "shared-" + std::to_string(i % 20), data, named};
        on.send(insert_at, row);
        on.finish(soon());
    }
}

void push_many(const device& author, int pushes) {
    auto on = connect();
    for (int i = 0; i < pushes; ++i)
        author.push(on, {update_of("notes", "shared-" + std::to_string(i % 20),
                                   author.who.client + std::to_string(i), "1"),
                         update_of("last", fresh("record"), "x", "1")});
}

void take_up_while(const std::atomic<bool>& busy) {
    auto on = connect();
    store::waiting_place place;
    while (busy) store::take_up_rows(on, place, {}, {}, std::chrono::seconds{20});
}

TEST_F(take_up_of_rows, keeps_the_cursor_promise_among_pushes_and_inserts) {
    make_commits_uneven();
    const int times = number_from("MANA_TEST_PUSHES", 60);
    const std::string app = fresh("uneven");
    const store::reader reader{phone_.who.user, "reader", {}};
    std::atomic<bool> busy = true;
    std::atomic<bool> written = false;
    std::vector<std::string> seen;
    {
        std::jthread following([&] { seen = follow_until(written, reader, app); });
        std::vector<std::jthread> takers;
        for (int i = 0; i < 2; ++i) takers.emplace_back([&] { take_up_while(busy); });
        std::vector<std::jthread> writers;
        for (int i = 0; i < 2; ++i) {
            const device writer{{phone_.who.user, "w" + std::to_string(i), {}}, app};
            writers.emplace_back([writer, times] { push_many(writer, times); });
            writers.emplace_back([writer, times] { insert_many(writer, 3 * times); });
        }
        for (auto& writer : writers) writer.join();
        busy = false;
        for (auto& taker : takers) taker.join();
        take_up(app);
        written = true;
    }
    const auto log = log_of({"u:" + phone_.who.user}, app);
    // Of two inserters' equal fields, one's rows won nothing.
    EXPECT_GE(log.size(), static_cast<std::size_t>(2 * 2 * times + 3 * times));
    EXPECT_TRUE(seen == log) << seen.size() << " seen of " << log.size();
}

// ---- rows that are deleted ----

TEST_F(take_up_of_rows, erases_states_and_lost_writes_with_a_users_rows) {
    const device other{{fresh("other"), "o", {}}, app_};
    for (const auto* author : {&phone_, &other})
        for (const auto* at : {"2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z"})
            author->push(on_, {R"("table":"notes","id":"1","op":"update","fields":{"a":{"value":")" +
                               std::string(at) + R"(","at":")" + at + R"("}})"});
    ASSERT_EQ(as_superuser(count_states, {app_}).number(0, 0), 2);
    ASSERT_EQ(as_superuser(count_lost, {app_}).number(0, 0), 2);
    insert("2", "update", R"({"a":1})"); // waits, or does not

    as_owner(erase_user, {phone_.who.user});

    EXPECT_EQ(as_superuser(count_states, {app_}).number(0, 0), 1);
    EXPECT_EQ(as_superuser(count_lost, {app_}).number(0, 0), 1);
    EXPECT_TRUE(phone_.pull(on_, "notes", "").server_changes.empty());
    EXPECT_EQ(other.pull(on_, "notes", "").server_changes.size(), 1U);
}

TEST_F(take_up_of_rows, keeps_the_state_of_a_record_of_which_rows_are_left) {
    push("1", "a", "1", first_of_january);
    push("1", "b", "1", first_of_january);
    push("2", "a", "1", first_of_january);
    const auto log = log_of({"u:" + phone_.who.user}, app_);
    ASSERT_EQ(log.size(), 3U);
    as_owner(erase_row, {log[0]});
    EXPECT_EQ(as_superuser(count_states, {app_}).number(0, 0), 2);
    as_owner(erase_row, {log[2]});
    EXPECT_EQ(as_superuser(count_states, {app_}).number(0, 0), 1);
}

TEST_F(take_up_of_rows, leaves_rows_and_states_together_when_a_user_is_erased_among_writes) {
    const int times = number_from("MANA_TEST_PUSHES", 60);
    std::atomic<bool> busy = true;
    {
        std::jthread taker([&] { take_up_while(busy); });
        std::jthread eraser([&] {
            auto on = connect_as_owner({erase_user});
            const std::array<parameter, 1> user{phone_.who.user};
            while (busy) {
                on.send(erase_user, user);
                on.finish(soon());
            }
        });
        std::vector<std::jthread> writers;
        writers.emplace_back([&] { push_many(phone_, 2 * times); });
        writers.emplace_back([&] { insert_many(phone_, 2 * times); });
        for (auto& writer : writers) writer.join();
        busy = false;
    }
    take_up(app_);
    EXPECT_EQ(as_superuser(count_unlike, {app_}).number(0, 0), 0);
}

} // namespace
} // namespace mana::tests
