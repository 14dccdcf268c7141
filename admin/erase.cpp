// erase: an account goes from all places that hold a user's name or data, by the role that owns the tables.
#include "admin/output.hpp"
#include "admin/postgres_access.hpp"
#include "admin/redis_access.hpp"
#include "admin/subcommands.hpp"
#include "shared/store/notification.hpp"
#include "shared/sync/record.hpp"

#include <boost/uuid/random_generator.hpp>
#include <boost/uuid/uuid_io.hpp>

#include <cstdint>
#include <iomanip>
#include <iostream>
#include <stdexcept>
#include <string>

namespace mana::admin {
namespace {

using namespace std::chrono_literals;

constexpr auto ends_within = 1h; // all records of spaces are looked at
constexpr const char* owners_variable = "MIGRATE_DATABASE_URL";
constexpr std::string_view entries_at_once = "1000";

// $1 the user, $2 another name: see sql/0013_erase.sql.
constexpr store::statement erase_statement{"erase_user",
                                           "select place, done, how_many from erase_user($1, $2)"};

store::connection connect_as_owner(const settings_source& source) {
    const char* const url = source.find(owners_variable);
    if (url == nullptr || *url == '\0')
        throw std::runtime_error{std::string{owners_variable} +
                                 " is not set: it is the URL of the role that owns the tables"};
    store::postgres_settings owner;
    owner.url = url;
    owner.application = "mana-sync-admin";
    owner.prepared = false;
    owner.statement_timeout = 0ms; // none
    owner.lock_timeout = 30s;
    return store::connection{owner, {}};
}

void print_count(std::string_view place, std::int64_t count, std::string_view done) {
    constexpr int place_width = 22;
    std::cout << std::left << std::setw(place_width) << place << ' ' << count << ' ' << done << '\n';
}

void print_counts(const store::rows& counts) {
    for (int row = 0; row < counts.count(); ++row)
        print_count(counts.text(row, 0), counts.number(row, 2), counts.text(row, 1));
}

// What is the user's alone; a space's entries are for its members too.
bool is_own(const store::notification& told, const std::string& user) {
    return told.scope == sync::scope_of_user(user) || told.scope.starts_with("m:" + user + '\x1f');
}

// Before anything is erased. Throws where Redis gives no right to what comes after.
void require_rights(redisContext& on) {
    (void)ask(on, {"XREVRANGE", store::stream_name, "+", "-", "COUNT", "1"});
    (void)ask(on, {"XDEL", store::stream_name, "0-0"}); // which there cannot be
}

// The stream that tools which were away read. An entry of a space is told once more, under the other name,
// before the one that names the user goes: so no tool misses a push.
class stream_eraser {
  public:
    stream_eraser(redisContext& on, const erase_wanted& wanted, const std::string& known_as)
        : on_{on}, wanted_{wanted}, known_as_{known_as} {}

    void run() {
        const auto last = last_entry();
        for (std::string from = "-"; !last.empty();) {
            const auto some = ask(on_, {"XRANGE", store::stream_name, from, last, "COUNT", entries_at_once});
            if (some->elements == 0) break;
            for (std::size_t at = 0; at < some->elements; ++at) look_at(*some->element[at]);
            from = '(' + std::string{text_of(*some->element[some->elements - 1]->element[0])};
        }
        print_count("stream of Redis", deleted_, "deleted");
        print_count("stream of Redis", renamed_, "renamed");
    }

  private:
    redisContext& on_;
    const erase_wanted& wanted_;
    const std::string& known_as_;
    std::int64_t deleted_ = 0;
    std::int64_t renamed_ = 0;

    std::string last_entry() {
        const auto last = ask(on_, {"XREVRANGE", store::stream_name, "+", "-", "COUNT", "1"});
        return last->elements == 0 ? std::string{} : std::string{text_of(*last->element[0]->element[0])};
    }

    void look_at(const redisReply& entry) {
        const redisReply& fields = *entry.element[1];
        if (fields.elements != 2) return;
        auto told = store::parse_notification(text_of(*fields.element[1]));
        if (!told || (told->user != wanted_.user && !is_own(*told, wanted_.user))) return;
        const bool own = is_own(*told, wanted_.user);
        ++(own ? deleted_ : renamed_);
        if (wanted_.dry_run) return;
        if (!own) tell_again(*told);
        (void)ask(on_, {"XDEL", store::stream_name, text_of(*entry.element[0])});
    }

    void tell_again(store::notification told) {
        told.user = known_as_;
        told.client.clear();
        (void)ask(on_, {"XADD", store::stream_name, "*", text_of_field, store::to_json(told)});
    }

    static constexpr std::string_view text_of_field = "n";
};

} // namespace

int run_erase(const settings_source& source, const erase_wanted& wanted) {
    if (wanted.user.empty()) throw std::runtime_error{"USER is empty"};
    const auto settings = source.load();
    auto on = connect_as_owner(source);
    require_rights(*connect_to_redis(settings.redis_url));
    const std::string known_as = "erased-" + to_string(boost::uuids::random_generator{}());
    {
        store::transaction erasing{on, wanted.user, {}};
        erasing.send(erase_statement, {wanted.user, known_as});
        const auto until = from_now(ends_within);
        if (wanted.dry_run)
            print_counts(erasing.finish(until).at(0)); // and is rolled back
        else
            print_counts(erasing.commit(until).at(0));
    }
    stream_eraser{*connect_to_redis(settings.redis_url), wanted, known_as}
        .run(); // the first may be cut by now
    std::cout << (wanted.dry_run ? "nothing was changed; without --dry-run it is\n"
                                 : "erased; what was written into spaces is by " + known_as + " now\n");
    return 0;
}

} // namespace mana::admin
