#include "shared/gate/from_settings.hpp"

namespace mana::gate {
namespace {

constexpr std::chrono::milliseconds connect_to_postgres_within{2'000};

} // namespace

store::postgres_settings postgres_of(const runtime::configuration& settings, std::string_view application) {
    store::postgres_settings made;
    made.url = settings.database_url;
    made.application = application;
    made.prepared = settings.prepared_statements;
    made.connect_timeout = connect_to_postgres_within;
    made.statement_timeout = settings.statement_timeout;
    made.lock_timeout = settings.lock_timeout;
    return made;
}

store::push_terms terms_of(const runtime::configuration& settings) {
    store::push_terms terms;
    terms.limits.changes = settings.max_changes;
    terms.limits.fields = settings.max_fields;
    terms.limits.nesting = settings.max_nesting;
    terms.max_clock_skew = settings.max_clock_skew;
    terms.lost_writes_days = static_cast<int>(settings.lost_writes_kept.count());
    terms.page_rows = 5 * static_cast<int>(settings.page_rows);
    terms.spaces_shared = !settings.mana_auth_url.empty();
    return terms;
}

user_gate_settings gates_of(const runtime::configuration& settings) {
    user_gate_settings made;
    made.credits_url = settings.mana_credits_url;
    made.auth_url = settings.mana_auth_url;
    made.service_key = settings.mana_service_key;
    made.kept = settings.gate_cache;
    made.spaces_stale = settings.spaces_stale;
    made.spaces_at_most = settings.max_spaces;
    return made;
}

} // namespace mana::gate
