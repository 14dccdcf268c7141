#include "shared/gate/http_fetch.hpp"

#include "shared/gate/header_list.hpp"

#include <array>
#include <curl/curl.h>
#include <stdexcept>
#include <utility>

namespace mana::gate {
namespace {

// Once in a process, before its first handle; C++ makes a local static's initialisation thread-safe.
void prepare_libcurl() {
    static const CURLcode outcome = curl_global_init(CURL_GLOBAL_DEFAULT);
    if (outcome != CURLE_OK) throw std::runtime_error{"libcurl cannot be initialised"};
}

// Called from C: must not throw. Taking fewer bytes than offered makes libcurl stop with CURLE_WRITE_ERROR.
extern "C" std::size_t take_body(char* data, std::size_t size, std::size_t count, void* into) {
    auto& body = *static_cast<std::string*>(into);
    const std::size_t bytes = size * count;
    if (bytes > max_reply_bytes - body.size()) return 0;
    try {
        body.append(data, bytes);
    } catch (...) {
        return 0;
    }
    return bytes;
}

bool is_unreserved(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

} // namespace

struct http_client::handle {
    CURL* curl = nullptr;
    std::array<char, CURL_ERROR_SIZE> reason{};

    handle() {
        prepare_libcurl();
        curl = curl_easy_init();
        if (curl == nullptr) throw std::runtime_error{"libcurl gives no handle"};
    }
    handle(const handle&) = delete;
    handle& operator=(const handle&) = delete;
    handle(handle&&) = delete;
    handle& operator=(handle&&) = delete;
    ~handle() { curl_easy_cleanup(curl); }

    template<typename Value>
    void set(CURLoption option, Value value) {
        if (curl_easy_setopt(curl, option, value) != CURLE_OK)
            throw std::runtime_error{"libcurl refuses an option"};
    }

    // Forgets options, keeps connections.
    void prepare(const std::string& url, std::chrono::milliseconds total, std::string& body) {
        curl_easy_reset(curl);
        reason.front() = '\0';
        set(CURLOPT_ERRORBUFFER, reason.data());
        set(CURLOPT_URL, url.c_str());
        set(CURLOPT_PROTOCOLS_STR, "http,https");
        set(CURLOPT_FOLLOWLOCATION, 0L);
        set(CURLOPT_PATH_AS_IS, 1L);
        set(CURLOPT_NOSIGNAL, 1L); // signals belong to the worker, and the resolver must not longjmp
        set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(connect_timeout.count()));
        set(CURLOPT_TIMEOUT_MS, static_cast<long>(total.count()));
        set(CURLOPT_USERAGENT, "mana-sync");
        set(CURLOPT_WRITEFUNCTION, take_body);
        set(CURLOPT_WRITEDATA, &body);
    }

    [[nodiscard]] fetch_error explain(CURLcode failure) const {
        if (failure == CURLE_WRITE_ERROR) return {"the answer is larger than 1 MB", true};
        return {reason.front() != '\0' ? reason.data() : curl_easy_strerror(failure), false};
    }
};

http_client::http_client() : handle_{std::make_unique<handle>()} {}

http_client::~http_client() = default;

fetch_result http_client::get(const std::string& url, std::chrono::milliseconds total,
                              const std::vector<std::string>& headers) {
    http_reply reply;
    const header_list list = header_list_of(headers);
    handle_->prepare(url, total, reply.body);
    handle_->set(CURLOPT_HTTPHEADER, list.get());
    const CURLcode outcome = curl_easy_perform(handle_->curl);
    if (outcome != CURLE_OK) return handle_->explain(outcome);
    curl_easy_getinfo(handle_->curl, CURLINFO_RESPONSE_CODE, &reply.status);
    return reply;
}

std::string path_segment(std::string_view text) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    const bool is_dots = text == "." || text == "..";
    std::string segment;
    for (const char c : text) {
        if (is_unreserved(c) && !is_dots) {
            segment += c;
            continue;
        }
        const auto byte = static_cast<unsigned char>(c);
        segment += '%';
        segment += digits[byte >> 4U];
        segment += digits[byte & 0xfU];
    }
    return segment;
}

} // namespace mana::gate
