// One push is one transaction (SPEC §3): lock the scopes it writes, read the states of the touched records,
// merge by the rules, write log, states and lost writes, commit. The author's page is read after it, in a
// transaction of its own, so that no lock is held for it: where the author reads no space, in the same round
// trip as the COMMIT. Two round trips then, whatever the push's size; three or four where the author reads
// spaces, or the push wrote nothing; one more where spaces have to be looked up.
#pragma once

#include "shared/store/postgres.hpp"
#include "shared/store/scopes.hpp"
#include "shared/store/spaces_memory.hpp"
#include "shared/sync/merge.hpp"
#include "shared/sync/push_request.hpp"
#include "shared/sync/wire.hpp"

#include <chrono>
#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace mana::store {

struct push_terms {
    sync::request_limits limits; ///< of a push, and of a row that another program inserted
    std::chrono::milliseconds max_clock_skew{std::chrono::hours{24}};
    int lost_writes_days = 30;
    int page_rows = 5'000;
    int page_bytes = 8'000'000;
    bool spaces_shared = false;          ///< MANA_AUTH_URL is set; also see page_request
    bool spaces_known = true;            ///< see page_request
    spaces_memory* remembered = nullptr; ///< see page_request
};

/// What a committed push wrote into one scope: what others are told of.
struct committed_scope {
    std::string scope;
    std::vector<std::string> tables; ///< each once, sorted; see shorten() in notification.hpp
    std::size_t count = 0;           ///< rows of the log
    sync::position newest{};         ///< of its rows
};

/// A push that is durable.
struct committed_push {
    std::vector<committed_scope> scopes; ///< empty where nothing was written to the log
    std::size_t stored = 0;              ///< rows of the log
    std::size_t lost = 0;                ///< fields that lost
    std::size_t capped = 0;              ///< claims further ahead than max_clock_skew
};

/// Called right after the COMMIT: others are told while the author's page is still being read. Must not
/// throw.
using on_commit = std::function<void(const committed_push&)>;

/// Statements that run_push uses, for the connection to prepare.
std::span<const statement> push_statements();

/// Runs one push to its commit and gives the author's answer. Throws postgres_error; nothing was stored
/// unless `told` was called, or the error says in_doubt.
sync::answer run_push(connection& on, const std::string& app, const reader& who,
                      const sync::push_request& push, const push_terms& terms, const on_commit& told,
                      deadline until);

} // namespace mana::store
