// Which spaces a request may read and write (SPEC §6).
#pragma once

#include "fcgi_worker/call.hpp"
#include "shared/gate/user_gate.hpp"
#include "shared/store/database.hpp"
#include "shared/sync/push_request.hpp"

#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace mana::fcgi_worker {

// Something that the request cannot do without is away: 503.
class unavailable : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

using known_spaces = std::optional<std::vector<std::string>>;

// The spaces of a caller who reads. Nothing where they are not known: then nothing of them is shown, and the
// cursor stays. Where spaces are not shared there are none. Throws postgres_error.
[[nodiscard]] known_spaces spaces_to_read(const call& made, gate::user_gate& users, store::database& tables);

// The same for a push. One that names a space that the caller was not known to be in is decided by a look-up
// that begins now, since the space may be new; where there can be none, throws unavailable.
[[nodiscard]] known_spaces spaces_to_write(const call& made, const sync::push_request& push,
                                           gate::user_gate& users, store::database& tables);

} // namespace mana::fcgi_worker
