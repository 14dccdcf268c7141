#include "tests/integration/store_fixture.hpp"

#include <boost/uuid/random_generator.hpp>
#include <boost/uuid/uuid_io.hpp>

#include <cstdlib>
#include <iterator>
#include <stdexcept>

namespace mana::tests {

namespace {

store::connection connect_to(const char* variable, const std::vector<store::statement>& more) {
    store::postgres_settings settings;
    settings.url = required_environment(variable);
    std::vector<store::statement> statements;
    for (const auto list :
         {store::transaction_statements(), store::push_statements(), store::page_statements()})
        statements.insert(statements.end(), list.begin(), list.end());
    statements.insert(statements.end(), more.begin(), more.end());
    return store::connection(settings, statements);
}

} // namespace

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

store::connection connect_as_superuser(std::vector<store::statement> more) {
    return connect_to("MANA_TEST_SUPERUSER_URL", more);
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
