#include "fcgi_worker/push.hpp"

#include "fcgi_worker/spaces.hpp"
#include "shared/store/scope_states.hpp"
#include "shared/sync/cursor.hpp"
#include "shared/sync/push_request.hpp"

#include <exception>
#include <vector>

namespace mana::fcgi_worker {
namespace {

std::vector<store::notification> notifications_of(const call& made, const std::string& client,
                                                  const store::committed_push& done) {
    std::vector<store::notification> told;
    for (const auto& scope : done.scopes)
        told.push_back({scope.scope, made.user, made.app, scope.tables, client, scope.count,
                        sync::to_text(sync::cursor{scope.newest, false}), made.request.request_id});
    return told;
}

void log_capped(const call& made, std::size_t fields) noexcept {
    if (fields == 0) return;
    runtime::log::warn(
        "claims_ahead_of_clock",
        {{"id", made.request.request_id}, {"app", made.app}, {"user", made.user}, {"fields", fields}});
}

} // namespace

push_handler::push_handler(gate::user_gate& users, store::database& tables, store::publisher& announcer,
                           metrics::worker_counters& counted, store::push_terms terms)
    : users_{users}, tables_{tables}, announcer_{announcer}, counted_{counted}, terms_{terms} {}

http_response push_handler::handle(const call& made, std::string_view body) {
    const auto push = sync::parse_push(body, made.request.client_id, terms_.limits);
    if (!push) return error_response(400, push.error().code, push.error().message);

    const auto spaces = spaces_to_write(made, *push, users_, tables_);
    const store::reader author{made.user, push->client_id, spaces.value_or(std::vector<std::string>{})};
    auto terms = terms_;
    terms.spaces_known = spaces.has_value();
    terms.remembered = &tables_.seen_spaces();
    counted_.changes_received.add(push->changes.size() + push->rejected.size());
    const auto told = [&](const store::committed_push& done) {
        count(done);
        announce(made, push->client_id, done);
        log_capped(made, done.capped);
    };
    try {
        const auto answer = tables_.run(made.until, [&](store::connection& on) {
            return store::run_push(on, made.app, author, *push, terms, told, made.until);
        });
        counted_.changes_rejected.add(answer.rejected.size());
        http_response response;
        response.body = sync::to_json(answer);
        return response;
    } catch (const store::records_too_large& too_much) {
        return error_response(413, "records_too_large", too_much.what());
    }
}

void push_handler::count(const store::committed_push& done) noexcept {
    counted_.changes_stored.add(done.stored);
    counted_.fields_lost.add(done.lost);
    counted_.claims_capped.add(done.capped);
}

// The push is durable: nothing here may undo its answer. What Redis does not take, the sweep of the log
// finds.
void push_handler::announce(const call& made, const std::string& client,
                            const store::committed_push& done) noexcept {
    try {
        announcer_.begin(notifications_of(made, client, done));
    } catch (const std::exception& failed) {
        not_told(made.request.request_id, failed.what());
    }
}

void push_handler::settle(const std::string& request_id) noexcept {
    try {
        if (const auto failure = announcer_.settle(); !failure.empty()) not_told(request_id, failure);
    } catch (const std::exception& failed) {
        not_told(request_id, failed.what());
    }
}

void push_handler::not_told(const std::string& request_id, std::string_view reason) noexcept {
    counted_.redis_failures.add();
    if (const auto suppressed = untold_.admit(std::chrono::steady_clock::now()))
        runtime::log::warn("redis_not_told",
                           {{"id", request_id}, {"reason", reason}, {"suppressed", *suppressed}});
}

} // namespace mana::fcgi_worker
