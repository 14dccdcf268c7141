#include "shared/store/encoding.hpp"

#include <chrono>
#include <stdexcept>

namespace mana::store {

namespace {

constexpr statement encoding_statement{"server_encoding", "select current_setting('server_encoding')"};

std::string encoding_of(postgres_settings settings) {
    settings.prepared = false;
    connection on{settings, {}};
    on.send(encoding_statement, {});
    return std::string{
        on.finish(std::chrono::steady_clock::now() + settings.connect_timeout).at(0).text(0, 0)};
}

} // namespace

std::string fault_of_encoding(std::string_view encoding) {
    if (encoding == "UTF8") return {};
    return "the database is encoded in " + std::string{encoding} +
           "; mana-sync needs one in UTF8, put such a one into DATABASE_URL";
}

void refuse_other_encoding(const postgres_settings& settings) {
    std::string fault;
    try {
        fault = fault_of_encoding(encoding_of(settings));
    } catch (const postgres_error&) { // it may come yet; each request says so until then
        return;
    }
    if (!fault.empty()) throw std::runtime_error{fault};
}

} // namespace mana::store
