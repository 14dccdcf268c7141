#include "tests/end_to_end/http_client.hpp"

#include "shared/gate/header_list.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/value_to.hpp>
#include <cctype>
#include <curl/curl.h>
#include <memory>
#include <utility>

namespace mana::end_to_end {
namespace {

std::size_t take_body(const char* bytes, std::size_t size, std::size_t count, void* reply) {
    static_cast<http_reply*>(reply)->body.append(bytes, size * count);
    return size * count;
}

std::size_t take_header(const char* bytes, std::size_t size, std::size_t count, void* reply) {
    const std::string_view line{bytes, size * count};
    const auto colon = line.find(':');
    if (colon == std::string_view::npos) return line.size();
    std::string name{line.substr(0, colon)};
    for (char& letter : name) letter = static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
    auto value = line.substr(colon + 1);
    while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
    while (!value.empty() && (value.back() == '\r' || value.back() == '\n')) value.remove_suffix(1);
    static_cast<http_reply*>(reply)->headers.emplace(std::move(name), value);
    return line.size();
}

[[noreturn]] void fail(CURLcode why) {
    const auto said = std::string{"no reply: "} + curl_easy_strerror(why);
    if (why == CURLE_OPERATION_TIMEDOUT) throw no_reply_in_time{said};
    throw std::runtime_error{said};
}

} // namespace

std::string http_reply::header(const std::string& lower_case_name) const {
    return headers.count(lower_case_name) == 1 ? headers.find(lower_case_name)->second : std::string{};
}

boost::json::value http_reply::json() const {
    return boost::json::parse({body.data(), body.size()});
}

std::string http_reply::error_code() const {
    boost::system::error_code failure;
    const auto parsed = boost::json::parse({body.data(), body.size()}, failure);
    if (failure || !parsed.is_object()) return {};
    const auto& object = parsed.get_object();
    if (!object.contains("error") || !object.contains("message")) return {};
    return boost::json::value_to<std::string>(object.at("error"));
}

struct http_client::handle {
    struct free_easy {
        void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
    };
    std::unique_ptr<CURL, free_easy> easy{curl_easy_init()};

    // Options last from one request to the next, unlike the connection they are not wanted to.
    void prepare(const std::string& url, const std::string& unix_socket, curl_slist* headers,
                 http_reply& reply) {
        curl_easy_reset(easy.get());
        if (!unix_socket.empty()) curl_easy_setopt(easy.get(), CURLOPT_UNIX_SOCKET_PATH, unix_socket.c_str());
        curl_easy_setopt(easy.get(), CURLOPT_URL, url.c_str());
        curl_easy_setopt(easy.get(), CURLOPT_HTTPHEADER, headers);
        curl_easy_setopt(easy.get(), CURLOPT_TIMEOUT_MS, long{http_client::longest_wait.count()});
        curl_easy_setopt(easy.get(), CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(easy.get(), CURLOPT_WRITEFUNCTION, take_body);
        curl_easy_setopt(easy.get(), CURLOPT_WRITEDATA, &reply);
        curl_easy_setopt(easy.get(), CURLOPT_HEADERFUNCTION, take_header);
        curl_easy_setopt(easy.get(), CURLOPT_HEADERDATA, &reply);
    }

    void perform(http_reply& reply) {
        const CURLcode result = curl_easy_perform(easy.get());
        if (result != CURLE_OK) fail(result);
        curl_easy_getinfo(easy.get(), CURLINFO_RESPONSE_CODE, &reply.status);
    }
};

http_client::http_client(std::string base_url, std::string unix_socket)
    : base_url_{std::move(base_url)}, unix_socket_{std::move(unix_socket)}, handle_{
                                                                                std::make_unique<handle>()} {
    if (!handle_->easy) throw std::runtime_error{"libcurl gives no handle"};
}
http_client::~http_client() = default;
http_client::http_client(http_client&&) noexcept = default;
http_client& http_client::operator=(http_client&&) noexcept = default;

http_reply http_client::get(const std::string& path, const header_lines& headers) {
    return send("GET", path, headers);
}

http_reply http_client::post(const std::string& path, std::string_view body, const header_lines& headers) {
    http_reply reply;
    auto lines = headers;
    lines.emplace_back("Content-Type: application/json");
    lines.emplace_back("Expect:"); // a browser asks for no 100
    const auto list = gate::header_list_of(lines);
    handle_->prepare(base_url_ + path, unix_socket_, list.get(), reply);
    curl_easy_setopt(handle_->easy.get(), CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
    curl_easy_setopt(handle_->easy.get(), CURLOPT_POSTFIELDS, body.data());
    handle_->perform(reply);
    return reply;
}

http_reply http_client::send(const std::string& method, const std::string& path,
                             const header_lines& headers) {
    http_reply reply;
    const auto list = gate::header_list_of(headers);
    handle_->prepare(base_url_ + path, unix_socket_, list.get(), reply);
    curl_easy_setopt(handle_->easy.get(), CURLOPT_CUSTOMREQUEST, method.c_str());
    handle_->perform(reply);
    return reply;
}

} // namespace mana::end_to_end
