// A running server, reached through its public address; how tests find it: tests/end_to_end/environment.hpp.
#include "tests/end_to_end/environment.hpp"
#include "tests/end_to_end/http_client.hpp"
#include "tests/history/server.hpp"

#include <chrono>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace mana::history {

namespace {

constexpr std::string_view beginning = "1970-01-01T00:00:00.000Z";

class http_server : public server {
  public:
    std::string push(const caller& who, const std::string& body) override {
        return body_of(http_.post("/sync/history", body, headers_of(who)));
    }
    std::string pull(const caller& who, const std::string& table, const std::string& since,
                     bool include_own) override {
        // Neither tables nor cursors of the histories hold a character that a query would have to escape.
        return body_of(http_.get("/sync/history/pull?collection=" + table +
                                     "&since=" + (since.empty() ? std::string(beginning) : since) +
                                     (include_own ? "&includeOwn=true" : ""),
                                 headers_of(who)));
    }
    sync::instant now() override {
        return std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
    }
    void pass(std::chrono::milliseconds /*time*/) override {}
    std::optional<sync::json_value> held(const std::string& /*user*/, const std::string& /*table*/,
                                         const std::string& /*record_id*/) override {
        return std::nullopt;
    }

  private:
    end_to_end::http_client::header_lines headers_of(const caller& who) {
        auto& token = tokens_[who.user];
        if (token.empty()) token = end_to_end::token_of(who.user);
        return {"Authorization: Bearer " + token, "Content-Type: application/json",
                "X-Client-Id: " + who.client};
    }
    static std::string body_of(end_to_end::http_reply reply) {
        if (reply.status != 200) throw std::runtime_error(std::to_string(reply.status) + ' ' + reply.body);
        return std::move(reply.body);
    }

    end_to_end::http_client http_{end_to_end::required_environment("MANA_TEST_URL")};
    std::map<std::string, std::string> tokens_;
};

} // namespace

std::unique_ptr<server> make_server() {
    return std::make_unique<http_server>();
}

} // namespace mana::history
