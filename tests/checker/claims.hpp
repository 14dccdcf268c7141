// What a record may hold in the end, given what its writers claimed (SPEC §3). Times that the server decided
// lie between two bounds; a claim whose answer never came may count or not. Pure.
#pragma once

#include "shared/sync/json.hpp"
#include "shared/sync/time.hpp"

#include <optional>
#include <string>
#include <vector>

namespace mana::checker {

/// From the earliest to the latest that a time may be, both included.
struct span {
    sync::instant lo;
    sync::instant hi;
};

/// One write of one field.
struct claim {
    std::string field; ///< a name, or a path of two steps ("rec.int")
    sync::json_value value;
    span time;             ///< what it compares as; an untimed insert is the epoch
    sync::instant claimed; ///< as its author said it, however far ahead
    /// When the last request was begun that carried it and was answered with success; nothing: none was.
    std::optional<sync::instant> acknowledged;
    std::string origin;                   ///< of the change
    sync::instant begun;                  ///< when it was first sent
    std::optional<sync::instant> settled; ///< when the last of its successes was told
};

/// A hard delete, once for each request that carried it.
struct tombstone {
    span time;          ///< of its receipt, by the server's clock
    sync::instant over; ///< when it can't come any more, by the clock that `claim::acknowledged` goes by
    bool acknowledged = false;
    std::string origin;
};

struct record_claims {
    std::vector<claim> writes;
    std::vector<tombstone> deletes;
};

/// What a change of a push's body claims, before the server's clock bounds it.
struct claimed_write {
    std::string field;
    sync::json_value value;
    sync::instant at;
};
struct claimed_change {
    bool hard_delete = false; ///< then there are no writes
    std::vector<claimed_write> writes;
};

/// Reads the forms that the checker's writers send; throws std::runtime_error on another one.
claimed_change claims_of(const sync::json_object& change);

/// Why the record (without `id` and top-level nulls; null: there is none) can't be what became of the claims:
/// one line for each field. Empty where it can.
std::vector<std::string> objections(const record_claims& made, const sync::json_value& record);

} // namespace mana::checker
