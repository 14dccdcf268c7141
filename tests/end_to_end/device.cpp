#include "tests/end_to_end/device.hpp"

#include "tests/end_to_end/environment.hpp"

#include <boost/json/serialize.hpp>
#include <boost/json/value_to.hpp>
#include <utility>

namespace mana::end_to_end {

namespace json = boost::json;

device::device(std::string token, std::string client_id, std::string app)
    : token_{std::move(token)},
      client_id_{std::move(client_id)}, app_{std::move(app)}, http_{required_environment("MANA_TEST_URL")} {}

http_client::header_lines device::headers() const {
    http_client::header_lines lines{"Authorization: Bearer " + token_};
    if (!client_id_.empty()) lines.push_back("X-Client-Id: " + client_id_);
    return lines;
}

http_reply device::push(const json::array& changes, const std::string& since) {
    return push_text(
        json::serialize(json::object{{"clientId", client_id_}, {"since", since}, {"changes", changes}}));
}

http_reply device::push_text(std::string_view body) {
    return http_.post("/sync/" + app_, body, headers());
}

http_reply device::pull(const std::string& collection, const std::string& since, const std::string& more) {
    return http_.get("/sync/" + app_ + "/pull?collection=" + collection + "&since=" + since + more,
                     headers());
}

json::object insert_of(std::string_view id, json::object data, const std::string& at) {
    data["updatedAt"] = at;
    return {{"table", table}, {"id", id}, {"op", "insert"}, {"data", std::move(data)}};
}

json::object update_of(std::string_view id, std::string_view field, json::value value,
                       const std::string& at) {
    json::object fields;
    fields[field] = {{"value", std::move(value)}, {"at", at}};
    return {{"table", table}, {"id", id}, {"op", "update"}, {"fields", std::move(fields)}};
}

const json::array& server_changes(const json::value& answer) {
    return answer.as_object().at("serverChanges").as_array();
}

std::string synced_until(const json::value& answer) {
    return json::value_to<std::string>(answer.as_object().at("syncedUntil"));
}

bool has_more(const json::value& answer) {
    const auto* const more = answer.as_object().if_contains("hasMore");
    return more != nullptr && more->as_bool();
}

} // namespace mana::end_to_end
