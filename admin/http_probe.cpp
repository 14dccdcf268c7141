#include "admin/http_probe.hpp"

#include "shared/gate/header_list.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <curl/curl.h>
#include <memory>
#include <string_view>

namespace mana::admin {
namespace {

constexpr std::size_t most_bytes = 1'048'576;

struct free_easy {
    void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};

// Called from C: must not throw, which a body of some kilobytes and an allocation that fails would.
extern "C" std::size_t take_probe_body(char* bytes, std::size_t size, std::size_t count, void* into) {
    auto& body = static_cast<probe_reply*>(into)->body;
    if (size * count > most_bytes - body.size()) return 0;
    try {
        body.append(bytes, size * count);
    } catch (...) {
        return 0;
    }
    return size * count;
}

void keep_header(std::string_view line, probe_reply& reply) {
    const auto colon = line.find(':');
    if (colon == std::string_view::npos) return;
    std::string name{line.substr(0, colon)};
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
    const auto first = line.find_first_not_of(" \t", colon + 1);
    const auto last = line.find_last_not_of("\r\n \t");
    const bool empty = first == std::string_view::npos || last < first;
    reply.headers.emplace(std::move(name), empty ? std::string_view{} : line.substr(first, last - first + 1));
}

extern "C" std::size_t take_probe_header(char* bytes, std::size_t size, std::size_t count, void* into) {
    try {
        keep_header({bytes, size * count}, *static_cast<probe_reply*>(into));
    } catch (...) {
        return 0;
    }
    return size * count;
}

// The body of a POST: spaces, as many as are left.
extern "C" std::size_t give_probe_body(char* room, std::size_t size, std::size_t count, void* left) {
    auto& bytes = *static_cast<std::size_t*>(left);
    const std::size_t given = std::min(size * count, bytes);
    std::fill_n(room, given, ' ');
    bytes -= given;
    return given;
}

void prepare(CURL* easy, const probe& wanted, std::size_t& left, probe_reply& reply) {
    curl_easy_setopt(easy, CURLOPT_URL, wanted.url.c_str());
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(wanted.total.count()));
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "mana-sync-admin");
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_probe_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &reply);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_probe_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, &reply);
    if (!wanted.unix_socket.empty())
        curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, wanted.unix_socket.c_str());
    if (wanted.post_bytes == 0) return;
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(wanted.post_bytes));
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, give_probe_body);
    curl_easy_setopt(easy, CURLOPT_READDATA, &left);
}

} // namespace

boost::system::result<probe_reply, std::string> send(const probe& wanted) {
    using failure = boost::system::result<probe_reply, std::string>;
    const std::unique_ptr<CURL, free_easy> easy{curl_easy_init()};
    if (!easy) return failure{boost::system::in_place_error, "libcurl gives no handle"};
    auto lines = wanted.headers;
    lines.emplace_back("Expect:"); // a browser asks for no 100
    const auto headers = gate::header_list_of(lines);
    probe_reply reply;
    std::size_t left = wanted.post_bytes;
    std::array<char, CURL_ERROR_SIZE> reason{};
    prepare(easy.get(), wanted, left, reply);
    curl_easy_setopt(easy.get(), CURLOPT_HTTPHEADER, headers.get());
    curl_easy_setopt(easy.get(), CURLOPT_ERRORBUFFER, reason.data());
    const CURLcode outcome = curl_easy_perform(easy.get());
    if (outcome != CURLE_OK)
        return failure{boost::system::in_place_error,
                       reason.front() != '\0' ? reason.data() : curl_easy_strerror(outcome)};
    curl_easy_getinfo(easy.get(), CURLINFO_RESPONSE_CODE, &reply.status);
    return reply;
}

} // namespace mana::admin
