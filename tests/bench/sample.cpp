#include "tests/bench/sample.hpp"

#include "shared/sync/time.hpp"

#include <chrono>

namespace mana::bench {

std::string sample_insert(std::string_view id, std::string_view at, int number) {
    const std::string name{id};
    const std::string time{at};
    const std::string count = std::to_string(number);
    return R"({"table":"notes","id":")" + name + R"(","op":"insert","data":{"id":")" + name +
           R"(","title":"Buy bread and milk )" + count +
           R"(","body":"Two loaves if there are any left, otherwise rolls; and ask about the order.","done":false,)" +
           R"("position":)" + count + R"(,"tags":["home","errands"],"createdAt":")" + time +
           R"(","updatedAt":")" + time + R"("}})";
}

std::string sample_update(std::string_view id, std::string_view at, int number) {
    const std::string when = R"(,"at":")" + std::string{at} + R"("})";
    return R"({"table":"notes","id":")" + std::string{id} +
           R"(","op":"update","fields":{"title":{"value":"Buy rolls )" + std::to_string(number) + '"' + when +
           R"(,"done":{"value":true)" + when + R"(,"position":{"value":)" + std::to_string(number) + when +
           "}}";
}

std::string sample_update_of_all(std::string_view id, std::string_view at, int number) {
    const std::string time{at};
    const std::string count = std::to_string(number);
    const std::string when = R"(,"at":")" + time + R"("})";
    return R"({"table":"notes","id":")" + std::string{id} +
           R"(","op":"update","fields":{"title":{"value":"Buy bread and rolls )" + count + '"' + when +
           R"(,"body":{"value":"Two loaves if there are any left, otherwise rolls; and ask about the order.")" +
           when + R"(,"done":{"value":true)" + when + R"(,"position":{"value":)" + count + when +
           R"(,"tags":{"value":["home","errands"])" + when + R"(,"createdAt":{"value":")" + time + '"' +
           when + R"(,"updatedAt":{"value":")" + time + '"' + when + "}}";
}

std::string push_body(std::string_view client, std::string_view since,
                      const std::vector<std::string>& changes) {
    std::string body = R"({"clientId":")" + std::string{client} + R"(","since":")" + std::string{since} +
                       R"(","schemaVersion":1,"changes":[)";
    for (const auto& change : changes) {
        if (&change != &changes.front()) body += ',';
        body += change;
    }
    return body + "]}";
}

std::string sample_time() {
    return sync::to_text(std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now()));
}

} // namespace mana::bench
