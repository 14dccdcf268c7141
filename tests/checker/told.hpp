// Whether every device that stays connected heard of every commit in time. Pure. All times are of the
// checker's host.
//
// A commit that has a table of its own is told by that name, and nothing else can be taken for it. The others
// are taken for told by any notification since the push was sent: it may be an earlier commit's, but it
// brings the device to pull, and a later one is then still owed only where both meet within the time of one
// request.
#pragma once

#include "shared/sync/time.hpp"
#include "tests/checker/journal.hpp"
#include "tests/checker/outages.hpp"

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace mana::checker {

/// How soon a device must have heard of a commit, once all parts are there.
inline constexpr std::chrono::seconds told_within{5};

/// What one push made in one scope.
struct commit {
    std::string scope;  ///< "u:<user>" or "s:<space>"
    std::string client; ///< that pushed it
    std::string origin; ///< of one of its changes
    sync::instant begun;
    sync::instant made_by; ///< by then at the latest: the answer, or when it can't be done any more
    bool answered = false;
    std::optional<unsigned> named; ///< number of the table that is its own
};

/// Table, and part of the origin, of the change that names its commit.
std::string name_of_commit(unsigned number);
/// Nothing: it is another table.
std::optional<unsigned> number_of_named(std::string_view table);

struct commits_found {
    std::vector<commit> commits;
    std::size_t left_out = 0; ///< rows of changes that won anew: nobody knows by which request
};
/// A row of the log.
struct stored_row {
    std::string origin;
    std::string scope;
};
commits_found commits_in(const std::vector<stored_row>& stored, const journal& book);

/// From auth-ok on.
struct connection_time {
    sync::instant opened;
    sync::instant lost; ///< the end of time: it is open
    std::string reason;
};

/// What a device heard.
struct hearing {
    std::string user;
    std::string client;
    std::vector<connection_time> connections;          ///< in their order
    std::vector<sync::instant> told;                   ///< each sync-available, in their order
    std::unordered_map<unsigned, sync::instant> named; ///< commits that it was told of by name: when first
};

struct membership {
    std::string user;
    std::string scope;
    sync::instant from;
    sync::instant until; ///< the end of time: it goes on
};

struct happenings {
    std::vector<commit> commits;
    std::vector<hearing> devices;
    std::vector<membership> members;
    std::vector<outage> outages; ///< in the order of their beginnings
};

struct tellings {
    std::size_t told = 0;       ///< devices of commits
    std::size_t named = 0;      ///< of them, by name
    std::size_t by_pulling = 0; ///< of them, since it was there before the device came back, and pulled
    std::size_t left_out = 0;   ///< its user came to the space or left it meanwhile
    std::size_t cuts = 0;       ///< connections that were lost
    std::chrono::milliseconds median{};   ///< from the answer on
    std::chrono::milliseconds late_one{}; ///< the same, of the 99th of a hundred
    std::chrono::milliseconds longest{};
    std::chrono::milliseconds longest_after_return{}; ///< of all parts, and of the device
    std::size_t faults = 0;
    std::vector<std::string> stories; ///< of the first faults, lines
    /// There is no more to wait for then. In the past: the judgement is final.
    sync::instant final_at = sync::epoch;
};
/// What is not told yet but still may be in time, by `now`, is no fault yet.
tellings judge(const happenings& all, sync::instant now);

} // namespace mana::checker
