#include "shared/http/query.hpp"

#include <algorithm>
#include <boost/url/encode.hpp>
#include <boost/url/params_encoded_view.hpp>
#include <boost/url/parse_query.hpp>
#include <boost/url/rfc/pchars.hpp>

namespace mana::http {
namespace {

namespace urls = boost::urls;

// Boost.URL takes only what RFC 3986 lets stand in a query; encode() itself would escape the percent signs of
// the escapes that are already there.
std::string with_the_rest_escaped(std::string_view encoded) {
    constexpr auto allowed = urls::pchars + '/' + '?';
    std::string out;
    out.reserve(encoded.size());
    for (const char& letter : encoded) {
        if (letter == '%' || allowed(static_cast<unsigned char>(letter)))
            out += letter;
        else
            out += urls::encode(urls::string_view{&letter, 1}, allowed);
    }
    return out;
}

} // namespace

std::optional<std::string_view> query_parameters::find(std::string_view name) const {
    const auto found =
        std::ranges::find(decoded_, name, [](const auto& pair) { return std::string_view{pair.first}; });
    if (found == decoded_.end()) return std::nullopt;
    return found->second;
}

std::optional<query_parameters> parse_query(std::string_view encoded) {
    const std::string escaped = with_the_rest_escaped(encoded);
    const auto parsed = urls::parse_query(escaped);
    if (!parsed) return std::nullopt;
    urls::encoding_opts as_form;
    as_form.space_as_plus = true;
    query_parameters all;
    for (const auto& parameter : *parsed)
        all.decoded_.emplace_back(parameter.key.decode(as_form), parameter.value.decode(as_form));
    return all;
}

} // namespace mana::http
