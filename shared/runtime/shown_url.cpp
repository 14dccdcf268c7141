#include "shared/runtime/shown_url.hpp"

#include <algorithm>
#include <boost/url/parse.hpp>
#include <boost/url/url.hpp>

namespace mana::runtime {
namespace {

constexpr const char* mask = "***";

bool may_hold_part_of_password(const boost::urls::url_view& url) {
    const auto at_signs = std::ranges::count(url.buffer(), '@');
    return at_signs > (url.has_userinfo() ? 1 : 0);
}

} // namespace

std::string shown_url(const std::string& url) {
    const auto parsed = boost::urls::parse_uri(url);
    if (!parsed || may_hold_part_of_password(*parsed)) return mask;
    boost::urls::url shown{*parsed};
    if (shown.has_password())
        shown.set_password(mask);
    else if (shown.has_userinfo())
        shown.set_userinfo(mask);
    if (shown.has_query()) shown.set_encoded_query(mask);
    shown.remove_fragment();
    return {shown.buffer().data(), shown.buffer().size()};
}

} // namespace mana::runtime
