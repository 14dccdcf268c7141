// A database that is not encoded in UTF8 cannot hold what clients write: it is refused at the start.
#pragma once

#include "shared/store/postgres.hpp"

#include <string>
#include <string_view>

namespace mana::store {

/// One line that says so, or nothing where `encoding`, as PostgreSQL names it in server_encoding, is UTF8.
[[nodiscard]] std::string fault_of_encoding(std::string_view encoding);

/// Asks the database that the settings name. Throws std::runtime_error with one line where it has another
/// encoding. One that cannot be reached now is not refused: it is looked at again by each connection
/// (database.hpp). Waits for settings.connect_timeout at most twice.
void refuse_other_encoding(const postgres_settings& settings);

} // namespace mana::store
