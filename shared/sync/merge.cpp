#include "shared/sync/merge.hpp"

#include "shared/sync/held_rows.hpp"
#include "shared/sync/value_reader.hpp"

#include <algorithm>
#include <functional>
#include <iterator>
#include <map>
#include <set>
#include <utility>

namespace mana::sync {

namespace {

/// An insert without times was made before it was sent: it is shown as if this long before its receipt. So
/// who edits it is later by a clock that is two seconds behind, too.
constexpr std::chrono::seconds untimed_age{2};
constexpr std::chrono::milliseconds next_instant{1};
/// How far ahead of its receipt an insert's author may hold a time of its own clock, where nothing is known
/// of it (rule 5).
constexpr std::chrono::seconds unknown_clock{60};
/// A client waits for a second after the last edit before it pushes. So whatever it writes after it has sent
/// an insert is later than that by a second of its own clock, and a time that is less beyond beats none of
/// it.
constexpr std::chrono::milliseconds before_next_push{900};
/// The same where something is known.
constexpr std::chrono::seconds known_clock{10};
constexpr std::chrono::seconds lately{5};
constexpr std::chrono::hours any_clock{
    72}; ///< one that is further behind, or a queue that is older, says nothing
/// What all paths into values that lost writes met may take to be looked at.
constexpr std::size_t bytes_looked_at = 4'000'000; // as a tree a text takes some fifty times as much at worst

/// A write on its way through the merge.
struct pending_write {
    const field_write* given;
    instant compared;    ///< the claim, capped; an untimed one is the epoch
    bool folded = false; ///< another write of this push to the same field counts instead

    [[nodiscard]] const std::string& field() const { return given->field; }
    [[nodiscard]] bool untimed() const { return !given->at; }
    [[nodiscard]] bool capped() const { return given->at && compared < *given->at; }
};

/// When an insert was made, by its author's clock.
struct made_about {
    instant likely; ///< hardly later
    instant until;  ///< not later, as far as is known
};

/// A change with its home. Pointers into the given changes and into `records` stay good: a map's nodes do not
/// move.
struct pending_change {
    const change* given;
    const record_key* key;
    record_state* record;
    std::vector<pending_write> writes;
    bool shares_record = false; ///< with another change of this push
    made_about made{};          ///< of an insert
};

/// Records in the order of their keys, so that the same push is always answered the same way.
struct by_key {
    bool operator()(const record_key* a, const record_key* b) const { return *a < *b; }
};

instant later(instant a, std::optional<instant> b) {
    return b ? std::max(a, *b) : a;
}

/// What of a change goes into the log: it grows as the writes win.
class growing_row {
  public:
    explicit growing_row(const pending_change& of)
        : of_(of), op_(of.given->op == operation::remove ? operation::update : of.given->op) {}

    void put(std::string_view field, const value_text& value, instant shown) {
        if (const auto before = carried_.find(field); before != carried_.end()) carried_.erase(before);
        append(field, value, shown);
    }
    /// What lies inside a winner and is newer travels along, once, with the time that it is shown with last.
    void carry(const std::string& field, const value_text& value, instant shown) {
        carried_.try_emplace(field, value, shown).first->second.shown = shown;
        is_no_insert();
    }
    /// A soft delete is an update of deletedAt; an insert's row keeps that name while nothing held took a
    /// field from it, so that its data are what it brought.
    void is_no_insert() { op_ = operation::update; }
    void is_told() { told_ = true; }
    [[nodiscard]] bool is_told_already() const { return told_; }
    void is_held_for(const insert_hold& hold) { add_hold(held_, hold); }
    [[nodiscard]] bool empty() const { return !members_; }

    log_row finish() {
        const auto& given = *of_.given;
        for (const auto& [field, held] : carried_) append(field, held.value, held.shown);
        if (op_ == operation::insert && given.data_id) members_->data.member("id") += given.data_id->text;
        members_->data.close();
        members_->field_meta.close();
        return {of_.key->scope, given.heading,   op_, std::move(data_), std::move(field_meta_),
                told_,          std::move(held_)};
    }

  private:
    struct members {
        object_writer data;
        object_writer field_meta;
    };
    const pending_change& of_;
    operation op_;
    bool told_ = false;
    insert_holds held_;
    std::string data_;
    std::string field_meta_;
    std::optional<members> members_; ///< none before the first
    struct carried_field {
        value_text value;
        instant shown;
        carried_field(value_text held, instant at) : value(std::move(held)), shown(at) {}
    };
    std::map<std::string, carried_field, std::less<>> carried_;

    void append(std::string_view field, const value_text& value, instant shown) {
        if (empty()) make_room();
        members_->data.member(field) += value.text;
        auto& meta = members_->field_meta.member(field);
        meta += '"';
        append_text(meta, shown);
        meta += '"';
    }

    void make_room() {
        constexpr std::size_t around_member = 4;
        constexpr std::size_t time = 26;
        std::size_t values = 2;
        std::size_t times = 2;
        for (const auto& write : of_.writes) {
            values += write.field().size() + around_member + write.given->value.text.size();
            times += write.field().size() + around_member + time;
        }
        if (const auto& id = of_.given->data_id) values += id->text.size() + around_member + 2;
        data_.reserve(values);
        field_meta_.reserve(times);
        members_.emplace(members{object_writer(data_), object_writer(field_meta_)});
    }
};

/// Fields of one change that lost, as the update that would write them.
class lost_fields {
  public:
    void add(const field_write& write) {
        if (!writer_) writer_.emplace(fields_);
        object_writer field(writer_->member(write.field));
        field.member("value") += write.value.text;
        if (write.at) append_json_string(field.member("at"), to_text(*write.at));
        field.close();
    }
    [[nodiscard]] bool empty() const { return !writer_; }

    /// Begins anew.
    std::string change_of(const change_heading& heading) {
        writer_->close();
        writer_.reset();
        std::string text;
        object_writer change(text);
        append_json_string(change.member("table"), heading.table);
        append_json_string(change.member("id"), heading.record_id);
        append_json_string(change.member("op"), to_text(operation::update));
        change.member("fields") += std::exchange(fields_, {});
        change.close();
        return text;
    }

  private:
    std::string fields_;
    std::optional<object_writer> writer_; ///< none before the first
};

std::size_t stored_bytes_of(const std::vector<field_write>& writes) {
    std::size_t bytes = 0;
    for (const auto& write : writes) bytes += stored_bytes(write.field, write.value);
    return bytes;
}

/// How large records become, change by change, if all that is written there wins.
class record_growth {
  public:
    explicit record_growth(std::size_t limit) : limit_(limit) {}

    /// False, and not counted, where the change would make its record too large. A delete never does.
    bool takes(const change& given, const record_state& record) {
        auto& at = records_.try_emplace(&record, record.bytes).first->second;
        if (given.hard_delete) {
            at = sizes{0};
            at.emptied = true;
            return true;
        }
        std::size_t after = at.bytes;
        std::size_t before = 0;
        for (const auto& write : given.writes) {
            if (write.field == "deletedAt") continue;
            after += stored_bytes(write.field, write.value);
            before += size_of(write.field, at, record);
        }
        after -= std::min(after, before);
        if (after > std::max(at.bytes, limit_)) return false;
        at.bytes = after;
        for (const auto& write : given.writes)
            at.written[write.field] = stored_bytes(write.field, write.value);
        return true;
    }

  private:
    struct sizes {
        std::size_t bytes;
        std::map<std::string_view, std::size_t> written;
        bool emptied = false; ///< what was held is gone
        explicit sizes(std::size_t held) : bytes(held) {}
    };
    std::size_t limit_;
    std::map<const record_state*, sizes> records_;

    static std::size_t size_of(std::string_view field, const sizes& at, const record_state& record) {
        if (const auto found = at.written.find(field); found != at.written.end()) return found->second;
        const auto held = record.fields.find(field);
        return at.emptied || held == record.fields.end() ? 0 : stored_bytes(field, held->second.value);
    }
};

class push_merge {
  public:
    push_merge(const writer& author, const merge_terms& terms, record_map& records)
        : author_(author), user_(author.user), client_(author.client), own_scope_(scope_of_user(author.user)),
          terms_(terms), records_(records) {}

    merge_outcome run(const std::vector<change>& changes) {
        pending_.reserve(changes.size());
        for (const auto& given : changes) place(given);
        refuse_what_grows_too_large();
        date_inserts();
        fold();
        out_.rows.reserve(pending_.size());
        for (auto& pending : pending_) {
            if (pending.given->hard_delete)
                bury(pending);
            else
                land(pending);
        }
        tell_the_author();
        return std::move(out_);
    }

  private:
    struct told_anew {
        const change_heading* heading = nullptr;
        std::set<std::string, std::less<>> roots;
    };

    const writer& author_;
    const shared_name user_; ///< the author's names, for all fields that win
    const shared_name client_;
    const std::string own_scope_;
    const merge_terms& terms_;
    record_map& records_;
    std::vector<pending_change> pending_;
    merge_outcome out_;
    /// Records whose author is told all anew, or some root fields.
    std::map<const record_key*, const change_heading*, by_key> reset_;
    std::map<const record_key*, told_anew, by_key> retold_;
    value_reader values_{bytes_looked_at};
    std::size_t conflict_bytes_ = 0; ///< of the conflicts so far
    std::size_t lost_bytes_ = 0;     ///< of the lost writes so far
    lost_fields lost_together_;      ///< of the change that lands

    void place(const change& given) {
        auto home = home_of(given, author_, records_);
        const bool is_own = home == own_scope_;
        const auto [place, is_new] =
            records_.try_emplace({std::move(home), given.heading.table, given.heading.record_id});
        auto& [key, record] = *place;
        if (is_own && (is_new || record.refused)) tell_of_refused_space(given, record);
        auto& pending = pending_.emplace_back(pending_change{&given, &key, &record, {}, false, {}});
        pending.writes.reserve(given.writes.size());
        for (const auto& write : given.writes) pending.writes.push_back({&write, write.at.value_or(epoch)});
    }

    /// A record for a space that its author may not write is the author's own: the space is never shown what
    /// its members did not let in.
    void tell_of_refused_space(const change& given, record_state& record) {
        const auto& heading = given.heading;
        if (!author_.spaces || !is_shared_space(heading.space)) return;
        record.refused = record.touched = true;
        out_.rejected.push_back(
            {given.index,
             heading.table,
             heading.record_id,
             "not_a_member",
             "you are no member of space " + heading.space + ": the record is kept for your own devices",
             {}});
    }

    /// Refuses a change alone, and keeps it for its author's eyes only.
    void refuse(const change& given, const std::string& code, std::string message) {
        const auto& heading = given.heading;
        out_.rejected.push_back(
            {given.index, heading.table, heading.record_id, code, std::move(message), {}});
        for (const auto& write : given.writes) keep(own_scope_, heading, write, code);
        keep_together(own_scope_, heading, code);
    }

    /// When inserts were made, by their author's clock: not much after what they claim or what comes before
    /// them in the queue, and before what comes behind them, and before the push.
    void date_inserts() {
        std::optional<instant> before;
        for (auto& pending : pending_) {
            for (const auto& write : pending.given->writes)
                if (is_of_a_clock(write)) before = later(*write.at, before);
            if (pending.given->op == operation::insert) pending.made = made_after(before);
        }
        std::optional<instant> after;
        if (is_slow_clock(terms_.author_clock, terms_.receipt)) after = terms_.author_clock;
        for (auto place = pending_.rbegin(); place != pending_.rend(); ++place) {
            auto& pending = *place;
            if (pending.given->op == operation::insert && after) made_before(pending.made, *after);
            for (const auto& write : pending.given->writes)
                if (!write.from_insert && write.at && *write.at > terms_.receipt - any_clock)
                    after = std::min(after.value_or(*write.at), *write.at);
        }
    }

    /// Whether it claims a time that the author's clock may have shown not long ago, or will show.
    [[nodiscard]] bool is_of_a_clock(const field_write& write) const {
        return write.at && *write.at >= terms_.receipt - lately;
    }

    [[nodiscard]] made_about made_after(std::optional<instant> claim) const {
        if (!claim) return {terms_.receipt, terms_.receipt + unknown_clock};
        const instant likely = *claim + before_next_push;
        return {likely, likely + known_clock};
    }

    static void made_before(made_about& made, instant after) {
        made.likely = std::min(made.likely, after);
        made.until = std::min(made.until, after + known_clock);
    }

    /// Before anything is folded: a change that is refused takes no other one's writes with it.
    void refuse_what_grows_too_large() {
        std::size_t largest = 0;
        std::size_t written = 0;
        for (const auto& pending : pending_) {
            largest = std::max(largest, pending.record->bytes);
            written += stored_bytes_of(pending.given->writes);
        }
        if (largest + written <= terms_.record_bytes) return;
        record_growth growth(terms_.record_bytes);
        std::erase_if(pending_, [&](const pending_change& pending) {
            if (growth.takes(*pending.given, *pending.record)) return false;
            refuse(*pending.given, "record_too_large",
                   "the record would be larger than " + std::to_string(terms_.record_bytes) + " bytes");
            return true;
        });
    }

    /// Several writes to one field fold into the latest, of equal times the last in order. Outer paths come
    /// before what lies inside them.
    void fold() {
        find_shared_records();
        fold_shared_records();
        const instant limit = terms_.receipt + terms_.max_clock_skew;
        for (auto& pending : pending_) {
            std::erase_if(pending.writes, [](const pending_write& write) { return write.folded; });
            const auto depth = [](const pending_write& write) { return path_depth(write.field()); };
            if (!std::ranges::is_sorted(pending.writes, {}, depth))
                std::ranges::stable_sort(pending.writes, {}, depth);
            for (auto& write : pending.writes) {
                if (write.compared <= limit) continue;
                write.compared = limit;
                ++out_.capped;
            }
        }
    }

    /// One change writes a field once: only where several meet at a record is there something to fold.
    void find_shared_records() {
        std::vector<pending_change*> by_record;
        by_record.reserve(pending_.size());
        for (auto& pending : pending_) by_record.push_back(&pending);
        std::ranges::sort(by_record, std::less<>{}, [](const pending_change* one) { return one->record; });
        for (std::size_t i = 1; i < by_record.size(); ++i)
            if (by_record[i - 1]->record == by_record[i]->record)
                by_record[i - 1]->shares_record = by_record[i]->shares_record = true;
    }

    /// A hard delete between two writes keeps them apart.
    void fold_shared_records() {
        std::map<const record_state*, std::map<std::string_view, pending_write*>> latest;
        for (auto& pending : pending_) {
            if (!pending.shares_record) continue;
            auto& of_record = latest[pending.record];
            if (pending.given->hard_delete) of_record.clear();
            for (auto& write : pending.writes) {
                auto& best = of_record[write.field()];
                if (best != nullptr && best->compared > write.compared) {
                    write.folded = true;
                    tell_of_folded(pending, write);
                    continue;
                }
                if (best != nullptr) best->folded = true;
                best = &write;
            }
        }
    }

    /// The author wrote it last, and so holds it, though an earlier write of theirs counts: their clock went
    /// back, or they added a record anew of which an edit still waited in the queue.
    void tell_of_folded(pending_change& pending, const pending_write& write) {
        if (!write.given->from_insert) {
            retell(pending, write.field());
            return;
        }
        drop(*pending.record);
        reset_.try_emplace(pending.key, &pending.given->heading);
    }

    void bury(pending_change& pending) {
        auto& record = *pending.record;
        for (const auto& [name, held] : record.fields) values_.forget(held);
        record.fields.clear();
        record.bytes = 0;
        record.tombstone = later(terms_.receipt, record.tombstone);
        record.marked = record.dropped = record.touched = record.replaced = true;
        out_.rows.push_back(
            {pending.key->scope, pending.given->heading, operation::remove, "{}", "{}", true, {}});
    }

    /// Strictly later wins. A tie stays, and so does the same claim again, however it was capped; within one
    /// push the later in order wins (rule 3).
    ///
    /// A capped one meets something not earlier where both came in the same moment, or where the database's
    /// clock was set back between them. Then the claims themselves decide: its author holds what it wrote
    /// with the time that it claimed, and takes nothing that is shown with an earlier one.
    static bool beats(const pending_write& write, const held_field& held) {
        if (write.untimed()) return false;
        const bool repeated = write.given->at == held.claimed && !held.fresh;
        if (repeated) return false;
        if (write.compared > held.compared || (write.compared == held.compared && held.fresh)) return true;
        return write.capped() && *write.given->at > held.shown;
    }

    static bool beats_tombstone(const pending_write& write, const record_state& record) {
        return !record.tombstone || (!write.untimed() && write.compared > *record.tombstone);
    }

    /// What a write loses to: a value held around it, the outermost first, or the one held at its path; null
    /// where it wins.
    static const held_field* rival_of(const pending_write& write, const record_state& record) {
        const held_field* rival = nullptr;
        const auto count = [&](const field_map::value_type& held) {
            if (!beats(write, held.second)) rival = &held.second;
        };
        const auto held = record.fields.find(write.field());
        if (held != record.fields.end()) count(*held);
        for_each_around(record.fields, write.field(), count);
        return rival;
    }

    [[nodiscard]] bool is_authors(const held_field& held) const {
        return held.user == user_ && held.client == client_ && !client_.empty();
    }

    /// Whether an insert finds another client's value, another value, or a record of which its author may
    /// hold something else (rule 6): then only all of the record, told anew, makes the author equal.
    [[nodiscard]] bool finds_another(const pending_write& write, const record_state& record) const {
        if (record.marked) return true;
        const auto held = record.fields.find(write.field());
        if (held != record.fields.end() &&
            (!is_authors(held->second) || !held->second.value.is_same(write.given->value)))
            return true;
        const auto inner = first_inside(record.fields, write.field());
        return inner != record.fields.end() && lies_inside(inner->first, write.field());
    }

    [[nodiscard]] insert_hold hold_of(const pending_change& pending) const {
        return {user_, client_, pending.made.likely, pending.made.until, {}};
    }

    /// The latest time that any client may hold at the path, around it or inside it (rule 5), but for the
    /// one that inserted what is there: that one is shown what others write as shown_to() says.
    std::optional<instant> latest_shown(const record_state& record, std::string_view field) const {
        std::optional<instant> latest;
        const auto count = [&](const field_map::value_type& held) {
            latest = later(held.second.shown, latest);
        };
        const auto held = record.fields.find(field);
        if (held != record.fields.end()) {
            count(*held);
            const auto* hold = find_hold(held->second.holds, author_.user, author_.client);
            if (hold != nullptr && !is_authors(held->second))
                latest = later(latest_shown_to_inserter(*hold), latest);
        }
        for_each_around(record.fields, field, count);
        for (auto inner = first_inside(record.fields, field);
             inner != record.fields.end() && lies_inside(inner->first, field); ++inner)
            count(*inner);
        return latest;
    }

    /// The latest time with which the author, who inserted it, was shown what others wrote there: a settled
    /// one only if its cursor has passed their row.
    [[nodiscard]] instant latest_shown_to_inserter(const insert_hold& hold) const {
        constexpr std::chrono::seconds from_receipt_to_position{5};
        const auto passed =
            terms_.since.shown_until ? terms_.since.at - from_receipt_to_position : terms_.since.at;
        const bool settled =
            terms_.receipt >= hold.until + settling && hold.replaced && passed >= *hold.replaced;
        return settled ? hold.until + next_instant : hold.likely;
    }

    void land(pending_change& pending) {
        auto& record = *pending.record;
        growing_row row(pending);
        const bool is_known = is_known_insert(pending);
        for (auto& write : pending.writes) {
            if (is_dotted(write.field())) mark(record);
            const auto* rival = rival_of(write, record);
            const bool beaten = rival != nullptr || !beats_tombstone(write, record);
            if (write.given->from_insert && !is_known) meet(pending, write, beaten);
            if (beaten) {
                row.is_no_insert();
                lose(pending, write, rival);
            } else {
                win(pending, write, row);
            }
        }
        if (row.is_told_already()) end_quiet(pending);
        if (!row.empty()) out_.rows.push_back(row.finish());
        keep_together(pending.key->scope, pending.given->heading, "older");
    }

    /// Its author is shown the whole row.
    static void end_quiet(const pending_change& pending) {
        for (const auto& write : pending.writes)
            if (const auto held = pending.record->fields.find(write.field());
                held != pending.record->fields.end())
                held->second.quiet = false;
    }

    static void mark(record_state& record) {
        if (record.marked) return;
        record.marked = record.touched = true;
    }

    static void drop(record_state& record) {
        if (record.dropped) return;
        record.dropped = record.marked = record.touched = true;
    }

    /// Whether the same client inserted the same before, and sends it again as it had no answer: then it
    /// holds what it did not push since, and was not made to drop it.
    [[nodiscard]] bool is_known_insert(const pending_change& pending) const {
        const auto& record = *pending.record;
        if (record.dropped || terms_.since.from_epoch) return false;
        return std::ranges::any_of(pending.writes, [&](const pending_write& write) {
            const auto held = record.fields.find(write.field());
            if (!write.given->from_insert || held == record.fields.end() || held->second.fresh) return false;
            if (!is_authors(held->second))
                return find_hold(held->second.holds, author_.user, author_.client) != nullptr;
            return held->second.claimed == write.given->at && held->second.value.is_same(write.given->value);
        });
    }

    void meet(pending_change& pending, const pending_write& write, bool beaten) {
        auto& record = *pending.record;
        if (finds_another(write, record)) {
            drop(record);
            reset_.try_emplace(pending.key, &pending.given->heading);
            return;
        }
        if (!beaten) return;
        const auto held = record.fields.find(write.field());
        if (held == record.fields.end()) return;
        add_hold(held->second.holds, hold_of(pending));
        held->second.dirty = record.touched = true;
    }

    void lose(pending_change& pending, const pending_write& write, const held_field* rival) {
        const auto& record = *pending.record;
        const auto& heading = pending.given->heading;
        const auto& given = *write.given;
        const bool by_tombstone = !beats_tombstone(write, record);
        // What is beaten has a rival, or meets a tombstone.
        const instant beaten_at = by_tombstone || rival == nullptr ? *record.tombstone : rival->shown;
        auto held = by_tombstone ? value_text{} : values_.at(record, given.field);
        const bool as_given = !by_tombstone && held && held->is_same(given.value);
        if (by_tombstone)
            reset_.try_emplace(pending.key, &heading);
        else if (!as_given || is_part_of_object(record, given.field))
            retell(pending, given.field);
        if (as_given) return;
        ++out_.fields_lost;
        keep(pending.key->scope, heading, given, by_tombstone ? "tombstone" : "older");
        tell_of({heading.table, heading.record_id, given.field, given.value, given.at, std::move(held),
                 beaten_at});
    }

    void keep(const std::string& scope, const change_heading& heading, const field_write& given,
              const std::string& reason) {
        if (lost_bytes_ > lost_bytes) return lost_together_.add(given);
        out_.lost.push_back({scope, heading.table, heading.record_id, given.field, given.value.text,
                             given.at ? to_text(*given.at) : "", reason});
        constexpr std::size_t time_and_reason = 40;
        lost_bytes_ += scope.size() + heading.table.size() + heading.record_id.size() + given.field.size() +
                       given.value.text.size() + time_and_reason;
    }

    /// What keep() left for the end of the change.
    void keep_together(const std::string& scope, const change_heading& heading, const std::string& reason) {
        if (lost_together_.empty()) return;
        out_.lost.push_back(
            {scope, heading.table, heading.record_id, "", lost_together_.change_of(heading), "", reason});
    }

    void tell_of(conflict lost) {
        constexpr std::size_t keys_and_times = 160;
        conflict_bytes_ += keys_and_times + lost.table.size() + lost.record_id.size() + lost.field.size() +
                           lost.client_value.text.size() +
                           (lost.server_value ? lost.server_value->text.size() : 0);
        if (conflict_bytes_ <= conflict_bytes) out_.conflicts.push_back(std::move(lost));
    }

    void win(pending_change& pending, const pending_write& write, growing_row& row) {
        auto& record = *pending.record;
        const auto& given = *write.given;
        const instant claim = given.at.value_or(terms_.receipt - untimed_age);
        const auto latest = latest_shown(record, given.field);
        const auto before = record.fields.find(given.field);
        const instant shown = latest && claim <= *latest ? *latest + next_instant : claim;
        held_field held{given.value, given.at, write.compared, shown, {}, user_, client_, false, true, true};
        if (before != record.fields.end()) keep_holds(before->second, held, row);
        if (given.from_insert) add_hold(held.holds, hold_of(pending));
        held.quiet =
            given.at && shown != *given.at && before != record.fields.end() && is_unseen(record, *before);
        const bool quiet = held.quiet;
        if (before != record.fields.end()) goes(record, *before);
        record.bytes += stored_bytes(given.field, given.value);
        record.fields.insert_or_assign(given.field, std::move(held));
        record.touched = true;
        row.put(given.field, given.value, shown);
        // All of an undeleted record is told again, to its fields' authors too (rule 7).
        if (given.field == "deletedAt" && given.value.text == "null") drop(record);
        if (given.at && shown != *given.at && !quiet) {
            row.is_told();
            if (!given.from_insert) retell(pending, given.field);
        }
        settle_what_lies_inside(record, write, shown, row);
    }

    /// What the writer replaces may still be held by other clients that inserted it, with times that nobody
    /// knows, and no earlier than it is shown.
    void keep_holds(const held_field& before, held_field& now, growing_row& row) const {
        for (auto hold : before.holds) {
            if (hold.is_of(author_.user, author_.client) || now.shown > hold.until) continue;
            hold.replaced = terms_.receipt;
            now.holds.push_back(hold);
            row.is_held_for(hold);
        }
    }

    /// Whether the author holds what is there as the author wrote it, and was never shown another time of it.
    [[nodiscard]] bool is_unseen(const record_state& record, const field_map::value_type& before) const {
        const auto& held = before.second;
        if (record.marked || !is_authors(held) || is_part_of_object(record, before.first)) return false;
        return held.quiet || !held.claimed || held.shown == *held.claimed;
    }

    /// A dotted path, or an object of which parts are held by themselves.
    static bool is_part_of_object(const record_state& record, std::string_view field) {
        const auto inner = first_inside(record.fields, field);
        return is_dotted(field) || (inner != record.fields.end() && lies_inside(inner->first, field));
    }

    /// A later `a` removes every older `a.…`; the newer ones stay, and travel in its row with its shown time
    /// (rule 4).
    void settle_what_lies_inside(record_state& record, const pending_write& write, instant shown,
                                 growing_row& row) {
        auto inner = first_inside(record.fields, write.field());
        while (inner != record.fields.end() && lies_inside(inner->first, write.field())) {
            auto& held = inner->second;
            if (beats(write, held)) {
                record.replaced = true;
                goes(record, *inner);
                inner = record.fields.erase(inner);
                continue;
            }
            held.shown = shown;
            held.dirty = true;
            row.carry(inner->first, held.value, shown);
            ++inner;
        }
    }

    /// A held value is about to be overwritten or taken out.
    void goes(record_state& record, const field_map::value_type& held) {
        values_.forget(held.second);
        record.bytes -= std::min(record.bytes, stored_bytes(held.first, held.second.value));
    }

    void retell(const pending_change& pending, std::string_view field) {
        auto& [heading, roots] = retold_[pending.key];
        heading = &pending.given->heading;
        const auto root = root_of(field);
        if (!roots.contains(root)) roots.emplace(root);
    }

    /// For each field that lost, what is held for its root field and inside it; where a reset is due, all
    /// that lives.
    void tell_the_author() {
        for (const auto& [key, heading] : reset_) add(reset_of(bare(*heading), records_.at(*key)));
        for (const auto& [key, told] : retold_) {
            if (reset_.contains(key)) continue;
            const auto& record = records_.at(*key);
            std::vector<std::string> names;
            for (const auto& [name, field] : record.fields)
                if (told.roots.contains(root_of(name))) names.push_back(name);
            add(changes_of(bare(*told.heading), record, names,
                           {author_.user, author_.client, terms_.receipt}));
        }
    }

    void add(std::vector<wire_change> changes) {
        std::ranges::move(changes, std::back_inserter(out_.repairs));
    }
};

} // namespace

bool is_slow_clock(std::optional<instant> author_clock, instant receipt) {
    return author_clock && *author_clock > receipt - any_clock;
}

change_heading bare(const change_heading& heading) {
    return {heading.table, heading.record_id, heading.schema_version, heading.space, std::nullopt, {}};
}

std::string home_of(const change& given, const writer& author, const record_map& records) {
    const auto& heading = given.heading;
    auto own = scope_of_user(author.user);
    if (!author.spaces) return own;
    record_key place{own, heading.table, heading.record_id};
    const auto kept = records.find(place);
    if (kept != records.end() && !kept->second.refused) return own;
    for (const auto& space : *author.spaces) {
        place.scope = scope_of_space(space);
        if (records.contains(place)) return place.scope;
    }
    const bool is_member = std::ranges::find(*author.spaces, heading.space) != author.spaces->end();
    return is_member && is_shared_space(heading.space) ? scope_of_space(heading.space) : own;
}

merge_outcome merge_push(const std::vector<change>& changes, const writer& author, const merge_terms& terms,
                         record_map& records) {
    return push_merge(author, terms, records).run(changes);
}

} // namespace mana::sync
