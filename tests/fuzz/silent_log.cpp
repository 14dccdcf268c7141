// The log of the fuzz targets: none. The library behind the real one takes longer to compile than all that
// they test.
#include "shared/runtime/log.hpp"

namespace mana::runtime::log {

void debug(std::string_view /*event*/, fields /*what*/) noexcept {}
void info(std::string_view /*event*/, fields /*what*/) noexcept {}
void warn(std::string_view /*event*/, fields /*what*/) noexcept {}
void error(std::string_view /*event*/, fields /*what*/) noexcept {}

} // namespace mana::runtime::log
