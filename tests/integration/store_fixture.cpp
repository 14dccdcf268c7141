#include "tests/integration/store_fixture.hpp"

#include <boost/uuid/random_generator.hpp>
#include <boost/uuid/uuid_io.hpp>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <stdexcept>
#include <utility>

namespace mana::tests {

namespace {

store::connection connect_to(const char* variable, const std::vector<store::statement>& more,
                             const std::string& options = {}) {
    store::postgres_settings settings;
    settings.url = required_environment(variable) + options;
    settings.application = "mana-sync-test";
    std::vector<store::statement> statements;
    for (const auto list : {store::transaction_statements(), store::push_statements(),
                            store::page_statements(), store::user_standing_statements()})
        statements.insert(statements.end(), list.begin(), list.end());
    statements.insert(statements.end(), more.begin(), more.end());
    // Behind a pooler, as tests/pgbouncer/run has it.
    if (const char* const set = std::getenv("PREPARED_STATEMENTS")) // NOLINT(concurrency-mt-unsafe)
        settings.prepared = std::string_view{set} != "off";
    return store::connection(settings, statements);
}

std::string text_in(const sync::json_object& change, std::string_view key) {
    const auto* value = sync::find_member(change, key);
    return value != nullptr ? *value->as_string() : std::string{};
}

sync::wire_change read_change(const sync::shown_change& shown) {
    const auto whole = sync::parse_stored_json(shown.json);
    const auto& object = *whole.as_object();
    sync::wire_change change;
    change.event_id = text_in(object, "eventId");
    change.heading.table = text_in(object, "table");
    change.heading.record_id = text_in(object, "id");
    change.heading.space = text_in(object, "spaceId");
    change.heading.origin = text_in(object, "origin");
    if (const auto* actor = sync::find_member(object, "actor")) change.heading.actor = *actor;
    change.op = sync::parse_operation(text_in(object, "op")).value();
    if (const auto* data = sync::find_member(object, "data")) change.data = *data->as_object();
    change.at = shown.at;
    const auto* fields = sync::find_member(object, "fields");
    if (fields == nullptr) return change;
    for (const auto& [name, field] : *fields->as_object()) {
        const auto at = sync::parse_instant(text_in(*field.as_object(), "at"));
        change.fields.push_back({name, *sync::find_member(*field.as_object(), "value"), at.value()});
    }
    return change;
}

} // namespace

std::vector<sync::wire_change> changes_in(const sync::answer& given) {
    std::vector<sync::wire_change> changes;
    std::ranges::transform(given.server_changes, std::back_inserter(changes), read_change);
    return changes;
}

std::string required_environment(const char* name) {
    const char* value = std::getenv(name); // NOLINT(concurrency-mt-unsafe): nothing sets it
    if (value == nullptr) throw std::runtime_error(std::string(name) + " is not set; run ./dev test");
    return value;
}

int number_from(const char* name, int otherwise) {
    const char* value = std::getenv(name); // NOLINT(concurrency-mt-unsafe): nothing sets it
    return value != nullptr ? std::stoi(value) : otherwise;
}

std::string fresh(std::string_view name) {
    return std::string(name) + "-" + to_string(boost::uuids::random_generator{}());
}

store::deadline soon() {
    return std::chrono::steady_clock::now() + std::chrono::seconds{20};
}

store::connection connect(std::vector<store::statement> more) {
    return connect_to("MANA_TEST_DATABASE_URL", more);
}

store::connection connect_as_superuser(std::vector<store::statement> more, const std::string& options) {
    return connect_to("MANA_TEST_SUPERUSER_URL", more, options);
}

store::connection connect_as_owner(std::vector<store::statement> more) {
    return connect_to("MANA_TEST_OWNER_URL", more);
}

store::rows run_once(store::connection on, const store::statement& what,
                     const std::vector<store::parameter>& parameters) {
    on.send(what, parameters);
    return std::move(on.finish(soon()).at(0));
}

void make_member(store::reader& user, std::vector<std::string> spaces) {
    auto on = connect();
    store::keep_spaces(on, user.user, spaces, soon());
    user.spaces = std::move(spaces);
}

void make_commits_uneven() {
    static constexpr store::statement make_uneven{"make_uneven", R"(
do $do$
begin
    if exists (select from pg_trigger where tgname = 'uneven_commit') then return; end if;
    create function uneven_commit() returns trigger language plpgsql as $$
        begin perform pg_sleep(random() * 0.004); return null; end $$;
    create constraint trigger uneven_commit after insert or update on sync_changes
        deferrable initially deferred for each row
        when (new.app_id like 'uneven%' and new.table_name = 'last') execute function uneven_commit();
end $do$)"};
    run_once(connect_as_superuser({make_uneven}), make_uneven, {});
}

std::vector<std::string> follow_until(const std::atomic<bool>& written, const store::reader& who,
                                      const std::string& app) {
    auto on = connect();
    std::vector<std::string> seen;
    store::page_request wanted;
    wanted.app = app;
    wanted.rows = 37;
    wanted.spaces_shared = true;
    for (;;) {
        const bool was_written = written;
        const auto page = store::read_page(on, who, wanted, soon());
        for (const auto& change : changes_in(page)) seen.push_back(change.event_id);
        wanted.since = page.synced_until;
        if (was_written && page.server_changes.empty()) return seen;
    }
}

std::vector<std::string> log_of(const std::vector<std::string>& scopes, const std::string& app) {
    static constexpr store::statement log_of_scopes{
        "log_of_scopes",
        "select id from sync_changes where scope = any ($1::text[]) and app_id = $2 order by created_at"};
    const auto found = run_once(connect_as_superuser({log_of_scopes}), log_of_scopes,
                                {store::parameter::array(scopes), app});
    std::vector<std::string> ids;
    for (int row = 0; row < found.count(); ++row) ids.emplace_back(found.text(row, 0));
    return ids;
}

push_done device::push(store::connection& on, const std::vector<std::string>& changes,
                       const std::string& since) const {
    std::string body = R"({"since":")" + since + R"(","changes":[)";
    for (const auto& change : changes) {
        if (body.back() == '}') body += ',';
        body += '{' + change + '}';
    }
    body += "]}";
    const auto request = sync::parse_push(body, who.client, {});
    if (!request) throw std::runtime_error("test push: " + request.error().message);
    store::push_terms terms;
    terms.spaces_shared = true;
    push_done done;
    done.answer = store::run_push(
        on, app, who, *request, terms,
        [&](const store::committed_push& committed) { done.committed = committed; }, soon());
    return done;
}

sync::answer device::pull(store::connection& on, const std::string& table, const std::string& since,
                          int rows) const {
    store::page_request wanted;
    wanted.app = app;
    wanted.tables = {std::string{table}};
    wanted.since = sync::parse_since(since);
    wanted.rows = rows;
    wanted.spaces_shared = true;
    return store::read_page(on, who, wanted, soon());
}

std::string update_of(const std::string& table, const std::string& id, const std::string& field,
                      const std::string& value_json, const std::string& space) {
    const auto now = std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
    std::string change = R"("table":")" + table + R"(","id":")" + id + R"(","op":"update","fields":{")" +
                         field + R"(":{"value":)" + value_json + R"(,"at":")" + sync::to_text(now) + R"("}})";
    if (!space.empty()) change += R"(,"spaceId":")" + space + '"';
    return change;
}

} // namespace mana::tests
