#include "tests/checker/claims.hpp"

#include "shared/sync/change.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <stdexcept>
#include <string_view>

namespace mana::checker {

using sync::find_member;
using sync::instant;
using sync::json_object;
using sync::json_value;

namespace {

const json_object& object_in(const json_value& value) {
    if (value.as_object() == nullptr)
        throw std::runtime_error("an object was expected: " + sync::to_json_text(value));
    return *value.as_object();
}

std::optional<instant> time_in(const json_object& object, std::string_view key) {
    const auto* value = find_member(object, key);
    const auto* text = value != nullptr ? value->as_string() : nullptr;
    return text != nullptr ? sync::parse_instant(*text) : std::nullopt;
}

const json_value& member(const json_value& object, std::string_view key) {
    static const json_value none;
    const auto* found = object.as_object() != nullptr ? find_member(*object.as_object(), key) : nullptr;
    return found != nullptr ? *found : none;
}

using claim_list = std::vector<const claim*>;

/// Nothing can have taken it away: success was told of a request that began when no delete could come any
/// more.
bool is_certain(const claim& made, const std::vector<tombstone>& deletes) {
    if (!made.acknowledged) return false;
    return std::ranges::all_of(deletes, [&](const tombstone& deleted) {
        return made.time.lo > deleted.time.hi && *made.acknowledged > deleted.over;
    });
}

bool is_possible(const claim& made, const std::vector<tombstone>& deletes) {
    return std::ranges::none_of(deletes, [&](const tombstone& deleted) {
        return deleted.acknowledged && made.time.hi <= deleted.time.lo;
    });
}

bool is_exact(const span& time) {
    return time.lo == time.hi;
}

/// It was cut to what the server takes at most.
bool is_capped(const claim& made) {
    return made.time.hi < made.claimed;
}

/// Of claims too far ahead, writes of one push fold into the one that claims the latest, and the same claim
/// again changes nothing; and where the server's clock was set back the one that claims more may be cut to
/// less. So one that claims less says little.
bool is_later(const claim& other, const claim& made) {
    return other.time.lo > made.time.hi && (!is_capped(made) || other.claimed > made.claimed);
}

/// Whether `other`, of which we are certain, leaves no place for `made`: it is later, or of the same time and
/// was there for sure before `made` was sent at all.
bool beats(const claim& other, const claim& made) {
    if (is_later(other, made)) return true;
    const bool tie = is_exact(made.time) && is_exact(other.time) && made.time.lo == other.time.lo;
    return tie && other.settled && *other.settled < made.begun;
}

/// What a path may hold: one of `candidates`, or nothing unless something must be there.
struct outcome {
    claim_list candidates;
    bool required = false;
};

/// The last one of those that are certain bounds all others. What is not later than what lies around it has
/// lost; of equal times either may have come first.
outcome outcome_of(const claim_list& made, const std::vector<tombstone>& deletes, const claim* around) {
    claim_list certain;
    for (const auto* one : made)
        if (is_certain(*one, deletes) && (around == nullptr || is_later(*one, *around)))
            certain.push_back(one);
    outcome found;
    found.required = !certain.empty();
    for (const auto* one : made) {
        const bool beaten =
            (around != nullptr && is_later(*around, *one)) ||
            std::ranges::any_of(certain, [&](const claim* other) { return beats(*other, *one); });
        if (!beaten && is_possible(*one, deletes)) found.candidates.push_back(one);
    }
    return found;
}

/// All claims to one top-level field and to what lies inside it.
struct family {
    claim_list root;
    std::map<std::string, claim_list> inner; ///< by the step behind the dot
};

class family_check {
  public:
    family_check(const family& claims, const std::vector<tombstone>& deletes, const json_value& held)
        : claims_(claims), deletes_(deletes), held_(held) {}

    [[nodiscard]] bool allowed() const {
        const auto roots = outcome_of(claims_.root, deletes_, nullptr);
        if (!roots.required && fits(nullptr)) return true;
        return std::ranges::any_of(roots.candidates, [&](const claim* root) { return fits(root); });
    }

  private:
    const family& claims_;
    const std::vector<tombstone>& deletes_;
    const json_value& held_;

    /// As the client sets paths: what is false on the way becomes an object, any other value hides them.
    [[nodiscard]] bool fits(const claim* root) const {
        const json_value base = root != nullptr ? root->value : json_value{};
        if (base.as_object() == nullptr && sync::truthy(base)) return same(held_, base);
        std::set<std::string> steps;
        for (const auto* object : {&base, &held_})
            if (object->as_object() != nullptr)
                for (const auto& one : *object->as_object()) steps.insert(one.key);
        for (const auto& [step, made] : claims_.inner) steps.insert(step);
        const bool inner_fit =
            std::ranges::all_of(steps, [&](const std::string& step) { return step_fits(step, base, root); });
        if (!inner_fit) return false;
        if (held_.as_object() == nullptr) return base.as_object() == nullptr && same(held_, base);
        return base.as_object() != nullptr || !held_.as_object()->empty();
    }

    [[nodiscard]] bool step_fits(const std::string& step, const json_value& base, const claim* root) const {
        const auto& held = member(held_, step);
        const auto made = claims_.inner.find(step);
        const auto inner = made != claims_.inner.end() ? outcome_of(made->second, deletes_, root) : outcome{};
        if (!inner.required && same(held, member(base, step))) return true;
        return std::ranges::any_of(inner.candidates,
                                   [&](const claim* one) { return same(held, one->value); });
    }
};

std::map<std::string, family> families_of(const record_claims& made) {
    std::map<std::string, family> families;
    for (const auto& one : made.writes) {
        auto& of_root = families[std::string(sync::root_of(one.field))];
        const auto dot = one.field.find('.');
        if (dot == std::string::npos)
            of_root.root.push_back(&one);
        else
            of_root.inner[one.field.substr(dot + 1)].push_back(&one);
    }
    return families;
}

std::string told(const outcome& found) {
    std::string text = found.required ? "" : " nothing;";
    for (const auto* one : found.candidates)
        text += ' ' + one->field + '=' + sync::to_json_text(one->value) + " of " + one->origin + " at " +
                sync::to_text(one->time.lo) +
                (one->time.hi != one->time.lo ? ".." + sync::to_text(one->time.hi) : "") + ';';
    return text;
}

std::string objection(const std::string& name, const family& claims, const std::vector<tombstone>& deletes,
                      const json_value& held) {
    std::string text = name + " is " + sync::to_json_text(held) + ", but the claims allow" +
                       told(outcome_of(claims.root, deletes, nullptr));
    for (const auto& [step, made] : claims.inner) text += told(outcome_of(made, deletes, nullptr));
    return text;
}

void read_fields(claimed_change& read, const json_object& fields) {
    for (const auto& [name, held] : fields) {
        const auto& field = object_in(held);
        read.writes.push_back({name, member(held, "value"), time_in(field, "at").value_or(sync::epoch)});
    }
}

void read_data(claimed_change& read, const json_object& data) {
    auto at = time_in(data, "updatedAt");
    if (!at) at = time_in(data, "createdAt");
    for (const auto& [name, value] : data)
        if (name != "id") read.writes.push_back({name, value, at.value_or(sync::epoch)});
}

} // namespace

claimed_change claims_of(const json_object& change) {
    claimed_change read;
    const auto* op = find_member(change, "op");
    const auto* fields = find_member(change, "fields");
    const auto* data = find_member(change, "data");
    if (op == nullptr || op->as_string() == nullptr) throw std::runtime_error("a change lacks its op");
    if (*op->as_string() == "delete" && find_member(change, "deletedAt") == nullptr)
        read.hard_delete = true;
    else if (*op->as_string() == "insert" && data != nullptr)
        read_data(read, object_in(*data));
    else if (fields != nullptr)
        read_fields(read, object_in(*fields));
    else
        throw std::runtime_error("a change of a form that the checker does not send");
    return read;
}

std::vector<std::string> objections(const record_claims& made, const json_value& record) {
    auto families = families_of(made);
    if (record.as_object() != nullptr)
        for (const auto& held : *record.as_object()) families.try_emplace(held.key);
    std::vector<std::string> found;
    for (const auto& [name, claims] : families) {
        const auto& held = member(record, name);
        if (!family_check{claims, made.deletes, held}.allowed())
            found.push_back(objection(name, claims, made.deletes, held));
    }
    return found;
}

} // namespace mana::checker
