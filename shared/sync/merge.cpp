#include "shared/sync/merge.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <utility>

namespace mana::sync {

namespace {

/// How long after its receipt an insert's author may still hold a time of its own clock (rule 5).
constexpr std::chrono::seconds insert_hold{60};
constexpr std::chrono::milliseconds next_instant{1};

/// A write on its way through the merge.
struct pending_write {
    field_write given;
    instant compared;    ///< the claim, capped; an untimed one is the epoch
    bool folded = false; ///< another write of this push to the same field counts instead

    [[nodiscard]] bool untimed() const { return !given.at; }
    [[nodiscard]] bool capped() const { return given.at && compared < *given.at; }
};

/// A change with its home. Pointers into `records` stay good: a map's nodes do not move.
struct pending_change {
    change given;
    const record_key* key = nullptr;
    record_state* record = nullptr;
    std::vector<pending_write> writes;
};

/// Records in the order of their keys, so that the same push is always answered the same way.
struct by_key {
    bool operator()(const record_key* a, const record_key* b) const { return *a < *b; }
};

instant later(instant a, std::optional<instant> b) {
    return b ? std::max(a, *b) : a;
}

class push_merge {
  public:
    push_merge(const writer& author, const merge_terms& terms, record_map& records)
        : author_(author), terms_(terms), records_(records) {}

    merge_outcome run(std::vector<change> changes) {
        for (auto& given : changes) place(std::move(given));
        fold();
        for (auto& pending : pending_) {
            if (pending.given.hard_delete)
                bury(pending);
            else
                land(pending);
        }
        tell_the_author();
        return std::move(out_);
    }

  private:
    const writer& author_;
    const merge_terms& terms_;
    record_map& records_;
    std::vector<pending_change> pending_;
    merge_outcome out_;
    std::map<const record_key*, change_heading, by_key> reset_; ///< records whose author is told all anew
    std::map<const record_key*, std::pair<change_heading, std::set<std::string>>, by_key>
        retold_; ///< … or these root fields

    void place(change given) {
        const auto home = home_of(given, author_, records_);
        if (!home) {
            out_.rejected.push_back({given.index,
                                     given.heading.table,
                                     given.heading.record_id,
                                     "not_a_member",
                                     "you are no member of space " + given.heading.space,
                                     {}});
            keep_refused(given);
            return;
        }
        auto& [key, record] =
            *records_.try_emplace({*home, given.heading.table, given.heading.record_id}).first;
        pending_change pending{std::move(given), &key, &record, {}};
        for (auto& write : pending.given.writes) {
            const instant compared = write.at.value_or(epoch);
            pending.writes.push_back({std::move(write), compared});
        }
        pending_.push_back(std::move(pending));
    }

    void keep_refused(const change& given) {
        for (const auto& write : given.writes)
            out_.lost.push_back({scope_of_user(author_.user), given.heading.table, given.heading.record_id,
                                 write.field, to_json_text(write.value), write.at ? to_text(*write.at) : "",
                                 "not_a_member"});
    }

    /// Several writes to one field fold into the latest, of equal times the last in order; a hard delete
    /// between two keeps them apart. Outer paths come before what lies inside them.
    void fold() {
        std::map<const record_key*, std::map<std::string_view, pending_write*>> latest;
        for (auto& pending : pending_) {
            auto& of_record = latest[pending.key];
            if (pending.given.hard_delete) of_record.clear();
            for (auto& write : pending.writes) {
                auto& best = of_record[write.given.field];
                if (best != nullptr && best->compared > write.compared) {
                    write.folded = true;
                    tell_of_folded(pending, write);
                    continue;
                }
                if (best != nullptr) best->folded = true;
                best = &write;
            }
        }
        const instant limit = terms_.receipt + terms_.max_clock_skew;
        for (auto& pending : pending_) {
            std::erase_if(pending.writes, [](const pending_write& write) { return write.folded; });
            std::ranges::stable_sort(
                pending.writes, {}, [](const pending_write& write) { return path_depth(write.given.field); });
            for (auto& write : pending.writes) {
                if (write.compared <= limit) continue;
                write.compared = limit;
                ++out_.capped;
            }
        }
    }

    /// The author wrote it last, and so holds it, though an earlier write of theirs counts: their clock went
    /// back, or they added a record anew of which an edit still waited in the queue.
    void tell_of_folded(pending_change& pending, const pending_write& write) {
        if (!write.given.from_insert) {
            retell(pending, write.given.field);
            return;
        }
        mark(*pending.record);
        reset_.try_emplace(pending.key, pending.given.heading);
    }

    void bury(pending_change& pending) {
        auto& record = *pending.record;
        record.fields.clear();
        record.tombstone = later(terms_.receipt, record.tombstone);
        record.marked = record.touched = record.replaced = true;
        log_row row{pending.key->scope, pending.given.heading, operation::remove, {}, {}, true};
        out_.rows.push_back(std::move(row));
    }

    /// Strictly later wins. A tie stays, and so does the same claim again, however it was capped; within one
    /// push the later in order wins (rule 3).
    ///
    /// A capped one meets something not earlier where both came in the same moment, or where the database's
    /// clock was set back between them. Then the claims themselves decide: its author holds what it wrote
    /// with the time that it claimed, and takes nothing that is shown with an earlier one.
    static bool beats(const pending_write& write, const held_field& held) {
        if (write.untimed()) return false;
        const bool repeated = write.given.at == held.claimed && !held.fresh;
        if (repeated) return false;
        if (write.compared > held.compared || (write.compared == held.compared && held.fresh)) return true;
        return write.capped() && *write.given.at > held.shown;
    }

    static bool beats_tombstone(const pending_write& write, const record_state& record) {
        return !record.tombstone || (!write.untimed() && write.compared > *record.tombstone);
    }

    /// What a write loses to: a value held around it, or the one held at its path; null where it wins.
    static const held_field* rival_of(const pending_write& write, const record_state& record) {
        const std::string_view field = write.given.field;
        for (auto dot = field.find('.'); dot != std::string_view::npos; dot = field.find('.', dot + 1)) {
            const auto around = record.fields.find(field.substr(0, dot));
            if (around != record.fields.end() && !beats(write, around->second)) return &around->second;
        }
        const auto held = record.fields.find(field);
        return held != record.fields.end() && !beats(write, held->second) ? &held->second : nullptr;
    }

    [[nodiscard]] bool is_authors(const held_field& held) const {
        return held.user == author_.user && held.client == author_.client && !held.client.empty();
    }

    static field_map::iterator first_inside(record_state& record, std::string_view field) {
        return record.fields.lower_bound(std::string(field) + '.');
    }

    /// Whether an insert finds another client's value, another value, or a record of which its author may
    /// hold something else (rule 6): then only all of the record, told anew, makes the author equal.
    [[nodiscard]] bool finds_another(const pending_write& write, record_state& record) const {
        if (record.marked) return true;
        const auto held = record.fields.find(write.given.field);
        if (held != record.fields.end() &&
            (!is_authors(held->second) || !same(held->second.value, write.given.value)))
            return true;
        const auto inner = first_inside(record, write.given.field);
        return inner != record.fields.end() && lies_inside(inner->first, write.given.field);
    }

    [[nodiscard]] instant held_by_an_inserter() const { return terms_.receipt + insert_hold; }

    /// The latest time that any client but the writer may hold at the path, around it or inside it (rule 5).
    std::optional<instant> latest_shown(const record_state& record, std::string_view field) const {
        std::optional<instant> latest;
        const auto count = [&](instant shown) { latest = later(shown, latest); };
        const auto held = record.fields.find(field);
        if (held != record.fields.end()) {
            count(held->second.shown);
            if (held->second.hold && !is_authors(held->second)) count(*held->second.hold);
        }
        for (auto dot = field.find('.'); dot != std::string_view::npos; dot = field.find('.', dot + 1)) {
            const auto around = record.fields.find(field.substr(0, dot));
            if (around != record.fields.end()) count(around->second.shown);
        }
        for (auto inner = record.fields.lower_bound(std::string(field) + '.');
             inner != record.fields.end() && lies_inside(inner->first, field); ++inner)
            count(inner->second.shown);
        return latest;
    }

    /// An insert's row keeps that name while nothing held took a field from it, so that its data are what it
    /// brought.
    void land(pending_change& pending) {
        auto& record = *pending.record;
        log_row row{pending.key->scope, pending.given.heading, pending.given.op, {}, {}, false};
        if (row.op == operation::remove)
            row.op = operation::update; // a soft delete is an update of deletedAt
        for (auto& write : pending.writes) {
            if (is_dotted(write.given.field)) mark(record);
            const auto* rival = rival_of(write, record);
            const bool beaten = rival != nullptr || !beats_tombstone(write, record);
            if (write.given.from_insert) meet(pending, write, beaten);
            if (beaten) {
                row.op = operation::update;
                lose(pending, write, rival);
            } else {
                win(pending, write, row);
            }
        }
        if (row.data.empty()) return;
        if (row.op == operation::insert && pending.given.data_id)
            set_member(row.data, "id", *pending.given.data_id);
        out_.rows.push_back(std::move(row));
    }

    static void mark(record_state& record) {
        if (record.marked) return;
        record.marked = record.touched = true;
    }

    void meet(pending_change& pending, const pending_write& write, bool beaten) {
        auto& record = *pending.record;
        if (finds_another(write, record)) {
            mark(record);
            reset_.try_emplace(pending.key, pending.given.heading);
            return;
        }
        const auto held = record.fields.find(write.given.field);
        if (!beaten || held == record.fields.end()) return;
        held->second.hold = later(held_by_an_inserter(), held->second.hold);
        held->second.dirty = record.touched = true;
    }

    void lose(pending_change& pending, const pending_write& write, const held_field* rival) {
        const auto& record = *pending.record;
        const auto& heading = pending.given.heading;
        const auto& given = write.given;
        const bool by_tombstone = !beats_tombstone(write, record);
        if (by_tombstone)
            reset_.try_emplace(pending.key, heading);
        else
            retell(pending, given.field);

        auto held = by_tombstone ? json_value{} : value_at(record, given.field);
        if (!by_tombstone && same(held, given.value)) return;
        out_.lost.push_back({pending.key->scope, heading.table, heading.record_id, given.field,
                             to_json_text(given.value), given.at ? to_text(*given.at) : "",
                             by_tombstone ? "tombstone" : "older"});
        out_.conflicts.push_back({heading.table, heading.record_id, given.field, given.value, given.at,
                                  std::move(held), by_tombstone ? *record.tombstone : rival->shown});
    }

    void win(pending_change& pending, const pending_write& write, log_row& row) {
        auto& record = *pending.record;
        const auto& given = write.given;
        const instant claim = given.at.value_or(terms_.receipt);
        const auto latest = latest_shown(record, given.field);
        const instant shown = latest && claim <= *latest ? *latest + next_instant : claim;
        held_field held{given.value,  given.at,       write.compared, shown, std::nullopt,
                        author_.user, author_.client, true,           true};
        if (given.from_insert) held.hold = held_by_an_inserter();
        record.fields.insert_or_assign(given.field, std::move(held));
        record.touched = true;
        put(row, given.field, given.value, shown);
        if (given.at && shown != *given.at) {
            row.told = true;
            if (!given.from_insert) retell(pending, given.field);
        }
        settle_what_lies_inside(record, write, shown, row);
    }

    /// A later `a` removes every older `a.…`; the newer ones stay, and travel in its row with its shown time
    /// (rule 4).
    static void settle_what_lies_inside(record_state& record, const pending_write& write, instant shown,
                                        log_row& row) {
        auto inner = first_inside(record, write.given.field);
        while (inner != record.fields.end() && lies_inside(inner->first, write.given.field)) {
            auto& held = inner->second;
            if (beats(write, held)) {
                record.replaced = true;
                inner = record.fields.erase(inner);
                continue;
            }
            held.shown = shown;
            held.dirty = true;
            put(row, inner->first, held.value, shown);
            row.op = operation::update;
            ++inner;
        }
    }

    static void put(log_row& row, const std::string& field, const json_value& value, instant shown) {
        set_member(row.data, field, value);
        set_member(row.field_meta, field, to_text(shown));
    }

    void retell(const pending_change& pending, std::string_view field) {
        auto& [heading, roots] = retold_[pending.key];
        heading = pending.given.heading;
        roots.emplace(root_of(field));
    }

    /// For each field that lost, what is held for its root field and inside it; where a reset is due, all
    /// that lives.
    void tell_the_author() {
        for (const auto& [key, heading] : reset_) add(reset_of(bare(heading), records_.at(*key)));
        for (const auto& [key, told] : retold_) {
            if (reset_.contains(key)) continue;
            const auto& record = records_.at(*key);
            std::vector<std::string> names;
            for (const auto& [name, field] : record.fields)
                if (told.second.contains(std::string(root_of(name)))) names.push_back(name);
            add(changes_of(bare(told.first), record, names));
        }
    }

    void add(std::vector<wire_change> changes) {
        std::ranges::move(changes, std::back_inserter(out_.repairs));
    }

    /// What is held was written by others too: the pusher's actor and origin do not go with it.
    static change_heading bare(change_heading heading) {
        heading.actor.reset();
        heading.origin.clear();
        return heading;
    }
};

} // namespace

std::optional<std::string> home_of(const change& given, const writer& author, const record_map& records) {
    const auto& heading = given.heading;
    const auto own = scope_of_user(author.user);
    if (!author.spaces) return own;
    const auto lives_in = [&](const std::string& scope) {
        return records.contains({scope, heading.table, heading.record_id});
    };
    if (lives_in(own)) return own;
    for (const auto& space : *author.spaces)
        if (lives_in(scope_of_space(space))) return scope_of_space(space);
    if (!is_shared_space(heading.space)) return own;
    if (std::ranges::find(*author.spaces, heading.space) == author.spaces->end()) return std::nullopt;
    return scope_of_space(heading.space);
}

merge_outcome merge_push(std::vector<change> changes, const writer& author, const merge_terms& terms,
                         record_map& records) {
    return push_merge(author, terms, records).run(std::move(changes));
}

} // namespace mana::sync
