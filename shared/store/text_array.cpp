#include "shared/store/text_array.hpp"

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

namespace mana::store {

std::vector<std::string> texts_in(std::string_view json) {
    const auto parsed = boost::json::parse({json.data(), json.size()});
    std::vector<std::string> texts;
    for (const auto& item : parsed.as_array())
        texts.emplace_back(item.as_string().data(), item.as_string().size());
    return texts;
}

std::string texts_as_json(std::span<const std::string> texts) {
    boost::json::array items;
    for (const auto& text : texts) items.emplace_back(text);
    return boost::json::serialize(items);
}

} // namespace mana::store
