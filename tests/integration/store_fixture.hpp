// A connection as the workers have it, and users that no other test has met.
#pragma once

#include "shared/store/page_reader.hpp"
#include "shared/store/postgres.hpp"
#include "shared/store/push_transaction.hpp"
#include "shared/store/user_standing.hpp"

#include <atomic>
#include <chrono>
#include <string>
#include <string_view>
#include <vector>

namespace mana::tests {

/// An environment variable that ./dev test sets. Throws where it is missing.
std::string required_environment(const char* name);

/// A number from the environment, where it is set.
int number_from(const char* name, int otherwise);

/// "name-<random>"
std::string fresh(std::string_view name);

store::deadline soon();

/// The statements of push and page, and those of the test itself.
store::connection connect(std::vector<store::statement> more = {});
/// With superuser rights: sees everything.
/// `options`: further ones of the connection string.
store::connection connect_as_superuser(std::vector<store::statement> more, const std::string& options = {});
/// As the role that owns the tables: another program.
store::connection connect_as_owner(std::vector<store::statement> more);

/// One statement outside of any transaction.
store::rows run_once(store::connection on, const store::statement& what,
                     const std::vector<store::parameter>& parameters);

/// What a push's author was answered, and what was committed.
struct push_done {
    sync::answer answer;
    store::committed_push committed;
};

/// Pushes one change given as JSON (its object's inside), e.g.
/// R"("table":"todo","id":"1","op":"insert","data":{})".
struct device {
    store::reader who;
    std::string app;

    push_done push(store::connection& on, const std::vector<std::string>& changes,
                   const std::string& since = {}) const;
    sync::answer pull(store::connection& on, const std::string& table, const std::string& since,
                      int rows = 1'000) const;
};

/// The changes of an answer, read back as a client reads them.
std::vector<sync::wire_change> changes_in(const sync::answer& given);

/// Memberships say that these are the user's spaces, sorted by their ids, and no others.
void make_member(store::reader& user, std::vector<std::string> spaces);

/// From now on transactions that write into a table "last" of an app "uneven…" commit late, one later than
/// another.
void make_commits_uneven();

/// Follows the cursor in small pages until `written` is set and nothing is left; gives the rows' ids in the
/// order seen.
std::vector<std::string> follow_until(const std::atomic<bool>& written, const store::reader& who,
                                      const std::string& app);
/// The ids of all rows of these scopes, in the order of positions.
std::vector<std::string> log_of(const std::vector<std::string>& scopes, const std::string& app);

/// `"table":…,"id":…,"op":"update","fields":{field:{"value":value,"at":now}}`
std::string update_of(const std::string& table, const std::string& id, const std::string& field,
                      const std::string& value_json, const std::string& space = {});

} // namespace mana::tests
