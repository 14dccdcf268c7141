// What worker and hub take from the configuration alike.
#pragma once

#include "shared/gate/user_gate.hpp"
#include "shared/runtime/configuration.hpp"
#include "shared/store/postgres.hpp"
#include "shared/store/push_transaction.hpp"

#include <string_view>

namespace mana::gate {

// `application`: by which PostgreSQL shows the program's connections.
[[nodiscard]] store::postgres_settings postgres_of(const runtime::configuration& settings,
                                                   std::string_view application);

// By which pushes are merged, and rows of other programs.
[[nodiscard]] store::push_terms terms_of(const runtime::configuration& settings);

[[nodiscard]] user_gate_settings gates_of(const runtime::configuration& settings);

} // namespace mana::gate
