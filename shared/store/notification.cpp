#include "shared/store/notification.hpp"

#include "shared/sync/cursor.hpp"

#include <boost/crc.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <optional>

namespace mana::store {
namespace {

namespace json = boost::json;

constexpr std::int64_t contract_version = 1;

/// Takes the members of one payload; the first that is not as it must be is kept as the error.
class payload_reader {
  public:
    explicit payload_reader(const json::object& from) : from_(from) {}

    std::string text(std::string_view key) {
        const json::value* const found = from_.if_contains(key);
        if (found != nullptr && found->is_string())
            return {found->get_string().data(), found->get_string().size()};
        fail(key, "a string");
        return {};
    }

    std::string text_not_empty(std::string_view key) {
        std::string read = text(key);
        if (read.empty()) fail(key, "a string that is not empty");
        return read;
    }

    std::size_t number(std::string_view key) {
        const json::value* const found = from_.if_contains(key);
        boost::system::error_code failure;
        const auto read = found == nullptr ? 0 : found->to_number<std::size_t>(failure);
        if (found == nullptr || failure) fail(key, "a whole number");
        return read;
    }

    std::vector<std::string> texts(std::string_view key) {
        std::vector<std::string> read;
        const json::value* const found = from_.if_contains(key);
        if (found == nullptr || !found->is_array()) fail(key, "an array of strings");
        if (error_) return read;
        for (const json::value& item : found->get_array()) {
            if (!item.is_string()) fail(key, "an array of strings");
            if (error_) return read;
            read.emplace_back(item.get_string().data(), item.get_string().size());
        }
        return read;
    }

    [[nodiscard]] const std::optional<std::string>& error() const { return error_; }

  private:
    const json::object& from_;
    std::optional<std::string> error_;

    void fail(std::string_view key, std::string_view wanted) {
        if (!error_) error_ = '"' + std::string{key} + "\" is not " + std::string{wanted};
    }
};

bool is_contract_version(const json::object& payload) {
    const json::value* const version = payload.if_contains("v");
    return version != nullptr && version->is_int64() && version->get_int64() == contract_version;
}

std::optional<sync::position> time_in(const json::value& text) {
    if (!text.is_string()) return std::nullopt;
    const auto read = sync::parse_since({text.get_string().data(), text.get_string().size()}).at;
    return read == sync::position{} ? std::nullopt : std::optional{read};
}

/// Said in full, since a notification can be made of a string too.
boost::system::result<notification, std::string> refused(std::string why) {
    return {boost::system::in_place_error, std::move(why)};
}

} // namespace

std::string channel_of(std::string_view scope) {
    boost::crc_32_type crc;
    crc.process_bytes(scope.data(), scope.size());
    return channel_name(crc.checksum() % channel_count);
}

std::string channel_name(unsigned number) {
    const std::string digits = std::to_string(number);
    return (digits.size() < 2 ? "mana-sync:1:0" : "mana-sync:1:") + digits;
}

void shorten(std::vector<std::string>& tables) {
    std::size_t bytes = 0;
    const auto too_much = [&](const std::string& table) {
        return (bytes += table.size()) > table_names_bytes;
    };
    const auto first = std::ranges::find_if(tables, too_much);
    if (first == tables.end()) return;
    tables.erase(first, tables.end());
    tables.insert(tables.begin(), std::string(any_table)); // it may stand twice, which means the same
}

std::string to_json(const notification& told) {
    json::array tables;
    for (const std::string& table : told.tables) tables.emplace_back(table);
    json::object payload{{"v", contract_version}, {"scope", told.scope},         {"user", told.user},
                         {"app", told.app},       {"tables", std::move(tables)}, {"client", told.client},
                         {"count", told.count},   {"cursor", told.cursor}};
    if (!told.request.empty()) payload["request"] = told.request;
    if (told.published_at) payload["publishedAt"] = sync::to_text(sync::cursor{*told.published_at, false});
    return json::serialize(payload);
}

boost::system::result<notification, std::string> parse_notification(std::string_view text) {
    boost::system::error_code failure;
    const json::value parsed = json::parse({text.data(), text.size()}, failure);
    if (failure) return refused("not JSON: " + failure.message());
    if (!parsed.is_object()) return refused("not a JSON object");
    if (!is_contract_version(parsed.get_object())) return refused("another version than 1");
    payload_reader payload{parsed.get_object()};
    notification told;
    told.scope = payload.text_not_empty("scope");
    told.user = payload.text_not_empty("user");
    told.app = payload.text_not_empty("app");
    told.tables = payload.texts("tables");
    told.client = payload.text("client");
    told.count = payload.number("count");
    told.cursor = payload.text("cursor");
    // The rest is not of the first contract: who published without it is understood too.
    if (const json::value* const request = parsed.get_object().if_contains("request"))
        if (request->is_string()) told.request = {request->get_string().data(), request->get_string().size()};
    if (const json::value* const at = parsed.get_object().if_contains("publishedAt"))
        told.published_at = time_in(*at);
    if (payload.error()) return refused(*payload.error());
    return told;
}

} // namespace mana::store
