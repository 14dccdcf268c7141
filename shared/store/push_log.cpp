#include "shared/store/push_log.hpp"

#include "shared/store/text_array.hpp"
#include "shared/sync/cursor.hpp"

#include <array>
#include <string_view>
#include <utility>

namespace mana::store {

namespace {

constexpr int batch = 1'000;
constexpr std::string_view after_all = "18446744073709551615"; // the last transaction that there can be
constexpr int forgotten_at_once = 20'000;

constexpr statement look_statement{"look", "select pg_current_snapshot()"};

// $1 seen, $2 until, $3 and $4 the last push of the batch before, $5 how many.
constexpr statement between_statement{"pushes_between", R"(
select scope, app_id, user_id, client_id, to_json(tables), changes, (extract(epoch from newest) * 1000000)::bigint, xid
from pushes_between($1::pg_snapshot, $2::pg_snapshot, $3::xid8, $4, $5::int))"};

constexpr statement last_statement{"pushes_of_last", R"(
select scope, app_id, user_id, client_id, to_json(tables), changes, (extract(epoch from newest) * 1000000)::bigint
from pushes_of_last($1::int * interval '1 second', $2::int))"};

constexpr statement oldest_statement{"oldest_untold", R"(
select (channels * 1000000)::bigint, (stream * 1000000)::bigint from oldest_untold())"};
// $1 place. With $2 what begin_publishing gave, $3 the look, $4 the first transaction that was not told.
constexpr statement begin_statement{"begin_publishing", "select begin_publishing($1)"};
constexpr statement end_statement{"end_publishing",
                                  "select end_publishing($1, $2::pg_snapshot, $3::pg_snapshot, $4::xid8)"};
constexpr statement forget_statement{"forget_pushes", "select forget_pushes($1::int)"};

std::vector<notification> pushes_in(const rows& found) {
    std::vector<notification> pushes;
    for (int row = 0; row < found.count(); ++row) {
        notification push;
        push.scope = found.text(row, 0);
        push.app = found.text(row, 1);
        push.user = found.text(row, 2);
        push.client = found.text(row, 3);
        push.tables = texts_in(found.text(row, 4));
        shorten(push.tables); // by another program's rows it may be any number
        push.count = static_cast<std::size_t>(found.number(row, 5));
        push.cursor = sync::to_text(sync::cursor{found.position(row, 6), false});
        pushes.push_back(std::move(push));
    }
    return pushes;
}

deadline from_now(std::chrono::milliseconds patience) {
    return std::chrono::steady_clock::now() + patience;
}

/// One statement in a transaction of nobody.
rows ask(connection& on, const statement& what, std::initializer_list<parameter> parameters,
         std::chrono::milliseconds patience) {
    transaction asking(on, "", {});
    asking.send(what, parameters);
    auto results = asking.commit_repeatable(from_now(patience));
    return std::move(results.at(0));
}

/// The pushes between two looks, a batch at a time.
class walk {
  public:
    walk(std::string seen, std::string look) : seen_(std::move(seen)), look_(std::move(look)) {}

    [[nodiscard]] bool over() const { return over_; }

    std::vector<notification> next(transaction& in, std::chrono::milliseconds patience) {
        in.send(between_statement, {seen_, look_, last_xid_, last_scope_, parameter::number(batch)});
        const auto results = in.finish(from_now(patience));
        const rows& found = results.back();
        over_ = found.count() < batch;
        xids_.clear();
        for (int row = 0; row < found.count(); ++row) xids_.emplace_back(found.text(row, 7));
        if (found.count() > 0) {
            last_scope_ = found.text(found.count() - 1, 0);
            last_xid_ = xids_.back();
        }
        return pushes_in(found);
    }

    /// The transaction of one that next() gave last.
    [[nodiscard]] const std::string& xid_of(std::size_t place) const { return xids_.at(place); }

  private:
    const std::string seen_;
    const std::string look_;
    std::vector<std::string> xids_;
    std::string last_xid_ = "0";
    std::string last_scope_;
    bool over_ = false;
};

} // namespace

std::span<const statement> push_log_statements() {
    static constexpr std::array list{look_statement,  between_statement, last_statement,  oldest_statement,
                                     begin_statement, end_statement,     forget_statement};
    return list;
}

std::string look_now(connection& on, std::chrono::milliseconds patience) {
    return std::string(ask(on, look_statement, {}, patience).text(0, 0));
}

void pushes_between(connection& on, const std::string& seen, const std::string& look, const pushes_seen& take,
                    std::chrono::milliseconds patience) {
    transaction reading(on, "", {});
    walk pushes(seen, look);
    while (!pushes.over()) take(pushes.next(reading, patience));
    reading.commit_repeatable(from_now(patience));
}

std::vector<notification> pushes_of_last(connection& on, std::chrono::seconds span, int most,
                                         std::chrono::milliseconds patience) {
    return pushes_in(
        ask(on, last_statement, {parameter::number(span.count()), parameter::number(most)}, patience));
}

untold_age oldest_untold(connection& on, std::chrono::milliseconds patience) {
    const auto found = ask(on, oldest_statement, {}, patience);
    return {std::chrono::microseconds{found.number(0, 0)}, std::chrono::microseconds{found.number(0, 1)}};
}

bool tell_until(connection& on, told_place place, const std::string& look, const pushes_told& tell,
                std::chrono::milliseconds patience) {
    transaction telling(on, "", {});
    const std::string_view where = place == told_place::stream ? "stream" : "channels";
    telling.send(begin_statement, {where});
    const auto begun = telling.finish(from_now(patience));
    if (begun.at(0).is_null(0, 0)) return false;
    const std::string told(begun[0].text(0, 0));
    std::string untold{after_all};
    walk pushes(told, look);
    while (!pushes.over() && untold == after_all) {
        const auto some = pushes.next(telling, patience);
        const auto count = some.empty() ? 0 : tell(some);
        if (count < some.size()) untold = pushes.xid_of(count);
    }
    telling.send(end_statement, {where, told, look, untold});
    telling.commit_repeatable(from_now(patience));
    return true;
}

std::int64_t forget_pushes(connection& on, std::chrono::milliseconds patience) {
    return ask(on, forget_statement, {parameter::number(forgotten_at_once)}, patience).number(0, 0);
}

} // namespace mana::store
