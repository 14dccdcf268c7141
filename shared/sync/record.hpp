// The current state of a record: per field what is held, the time it claimed and the time it is shown with
// (SPEC §3). Pure.
#pragma once

#include "shared/sync/change.hpp"

#include <boost/container/small_vector.hpp>

#include <algorithm>
#include <compare>
#include <cstddef>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace mana::sync {

/// Where a record lives: its home scope and its names there. The app is the caller's to know: one push is one
/// app.
struct record_key {
    std::string scope;
    std::string table;
    std::string record_id;
    auto operator<=>(const record_key&) const = default; // NOLINT(modernize-use-nullptr): clang-tidy 14 errs
};

/// "u:<user>": what a user alone reads and writes.
std::string scope_of_user(std::string_view user);
/// "s:<space>": what the members of a space share.
std::string scope_of_space(std::string_view space);

/// Whether a change with this `spaceId` is for a space that is shared. None, and "_personal:<anything>", are
/// the caller's own scope (SPEC §6).
bool is_shared_space(std::string_view space);

/// A name that many fields share: a copy costs no memory.
class shared_name {
  public:
    shared_name() = default;
    // Implicit on purpose, both ways: it is a text.
    shared_name(std::string_view text) // NOLINT
        : text_(text.empty() ? nullptr : std::make_shared<const std::string>(text)) {}
    shared_name(const std::string& text) : shared_name(std::string_view(text)) {} // NOLINT
    shared_name(const char* text) : shared_name(std::string_view(text)) {}        // NOLINT
    operator const std::string&() const { return text(); }                        // NOLINT

    [[nodiscard]] const std::string& text() const;
    [[nodiscard]] bool empty() const { return text_ == nullptr; }
    bool operator==(const shared_name& other) const { return text_ == other.text_ || text() == other.text(); }

  private:
    std::shared_ptr<const std::string> text_; ///< null: empty
};

/// The client whose insert brought a value stamps it locally with its own clock, and tells nobody (SPEC §3
/// rule 5). To that client alone, what others write there is shown with the time that it probably holds, and
/// where it did not take it by then, after some time with one that it cannot be beyond.
struct insert_hold {
    shared_name user;
    shared_name client;
    instant likely; ///< by what is known of that clock; else the time of receipt
    instant until;  ///< not later than this, as far as is known
    /// When another client last wrote there, by the server's clock; none: nobody did.
    std::optional<instant> replaced;

    bool operator==(const insert_hold& other) const = default;
    [[nodiscard]] bool is_of(std::string_view some_user, std::string_view some_client) const {
        return !some_client.empty() && client.text() == some_client && user.text() == some_user;
    }
};

/// Mostly none or one.
using insert_holds = boost::container::small_vector<insert_hold, 1>;
/// The one of a client; null where it has none.
const insert_hold* find_hold(const insert_holds& holds, std::string_view user, std::string_view client);
/// Adds a hold, or makes that of the same client last as long.
void add_hold(insert_holds& holds, const insert_hold& hold);

// A small_vector allocates where it is moved only if allocators differ.
struct held_field { // NOLINT(bugprone-exception-escape)
    value_text value;
    std::optional<instant> claimed; ///< as the client said it, however far ahead; none: an untimed insert
    instant compared; ///< what later claims are compared with (claimed, or capped, or the epoch)
    instant shown;    ///< on the wire and in field_meta
    /// Of the inserts that brought it, or what it replaced, while they still count.
    insert_holds holds;
    shared_name user; ///< who wrote it, and from which client
    shared_name client;
    /// It is shown later than its author claimed, and its author was not told, as what it replaced was its
    /// own and held with its own times.
    bool quiet = false;
    bool fresh = false; ///< written by the push that is being merged
    bool dirty = false; ///< not yet stored
};

/// Ordered by name, so what lies inside a path follows "path.".
using field_map = std::map<std::string, held_field, std::less<>>;

/// The first of the fields that lie inside a path; where there is none, another field or the end.
field_map::const_iterator first_inside(const field_map& fields, std::string_view path);
field_map::iterator first_inside(field_map& fields, std::string_view path);

/// Calls `with` with each field held around a path, its name and what it holds, the innermost first. However
/// many dots the path has, it looks up no more than is held around or beside it.
template<class With>
void for_each_around(const field_map& fields, std::string_view path, With with) {
    for (auto dot = path.rfind('.'); dot != std::string_view::npos; dot = path.rfind('.')) {
        path = path.substr(0, dot);
        const auto behind = fields.upper_bound(path);
        if (behind == fields.begin()) return;
        const auto& before = *std::prev(behind);
        const auto& name = before.first;
        if (name == path) {
            with(before);
            continue;
        }
        // What else is held around the path comes before `name` too, so both begin with it.
        const auto differ = std::mismatch(path.begin(), path.end(), name.begin(), name.end()).first;
        path = path.substr(0, static_cast<std::size_t>(differ - path.begin()) + 1);
    }
}

struct record_state {
    field_map fields;
    std::optional<instant> tombstone;
    /// It ever had a tombstone, a reset or a dotted path, so a client's own changes are not left out (rule
    /// 8).
    bool marked = false;
    /// It is marked for another reason than a dotted path: some client was made to drop it, with what its
    /// user wrote there and did not push yet.
    bool dropped = false;
    /// It was written for a space that its author was no member of, and is kept for the author alone.
    bool refused = false;

    bool replaced = false; ///< fields were taken out: what is stored must be replaced, not added to
    bool touched = false;  ///< anything changed that must be stored
    std::size_t bytes = 0; ///< about what it takes as stored_record, see stored_bytes
};

/// About what a field takes of a stored_record, in bytes.
std::size_t stored_bytes(std::string_view name, const value_text& value);

using record_map = std::map<record_key, record_state>;

/// A record state as two JSON texts: the values, and for each field its times and author. What equals the
/// default is left out: `compared` and `shown` where they are the claimed time, the author where it is
/// `home_user`.
struct stored_record {
    std::string values;
    std::string meta;
};
/// `dirty_only`: just the fields that were changed since they were read.
stored_record to_stored(const record_state& state, std::string_view home_user, bool dirty_only);
/// [{"client", "likely", "replaced", "until", "user"}], the user left out where it is `home_user`.
std::string to_stored(const insert_holds& holds, std::string_view home_user);
insert_holds holds_from_stored(std::string_view text, std::string_view home_user);

/// Throws std::invalid_argument where the texts were not written by to_stored.
record_state from_stored(std::string_view values, std::string_view meta, std::string_view home_user);

} // namespace mana::sync
