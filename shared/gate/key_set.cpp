#include "shared/gate/key_set.hpp"

#include "shared/gate/base64url.hpp"
#include "shared/runtime/log.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <exception>
#include <openssl/evp.h>
#include <utility>

namespace mana::gate {
namespace {

namespace json = boost::json;
namespace log = runtime::log;

constexpr std::size_t ed25519_key_bytes = 32;

std::string_view text_of(const json::object& key, std::string_view member) {
    const json::value* const found = key.if_contains(member);
    const json::string* const text = found == nullptr ? nullptr : found->if_string();
    return text == nullptr ? std::string_view{} : std::string_view{text->data(), text->size()};
}

bool verifies_signatures(const json::object& key) {
    const std::string_view use = text_of(key, "use");
    const std::string_view algorithm = text_of(key, "alg");
    return text_of(key, "kty") == "OKP" && text_of(key, "crv") == "Ed25519" &&
           (use.empty() || use == "sig") &&
           (algorithm.empty() || algorithm == "EdDSA" ||
            algorithm == "Ed25519"); // RFC 9864 renames the algorithm
}

public_key import_key(std::string_view x) {
    const auto bytes = decode_base64url(x);
    if (!bytes || bytes->size() != ed25519_key_bytes) return nullptr;
    const auto* const raw = reinterpret_cast<const unsigned char*>(bytes->data());
    return {EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, raw, bytes->size()), EVP_PKEY_free};
}

void add_key(key_map& keys, const json::value& entry) {
    const json::object* const key = entry.if_object();
    if (key == nullptr || !verifies_signatures(*key)) return;
    const std::string_view kid = text_of(*key, "kid");
    if (kid.empty()) return;
    if (public_key imported = import_key(text_of(*key, "x"))) keys.emplace(kid, std::move(imported));
}

const json::array* keys_of(const json::value& document) {
    const json::object* const object = document.if_object();
    const json::value* const keys = object == nullptr ? nullptr : object->if_contains("keys");
    return keys == nullptr ? nullptr : keys->if_array();
}

boost::system::result<key_map, fetch_error> read_reply(const fetch_result& reply) {
    if (!reply) return reply.error();
    if (reply->status != 200) return fetch_error{"status " + std::to_string(reply->status)};
    return parse_jwks(reply->body);
}

boost::system::result<key_map, fetch_error> fetch_keys(const jwks_fetcher& fetch) {
    try {
        return read_reply(fetch());
    } catch (const std::exception& failure) {
        return fetch_error{failure.what()};
    } catch (...) { // whatever it is, a waiting thread must hear that the fetch is over
        return fetch_error{"unknown failure"};
    }
}

} // namespace

boost::system::result<key_map, fetch_error> parse_jwks(std::string_view text) {
    boost::system::error_code failure;
    const json::value document = json::parse(json::string_view{text.data(), text.size()}, failure);
    if (failure) return fetch_error{"not JSON: " + failure.message()};
    const json::array* const entries = keys_of(document);
    if (entries == nullptr) return fetch_error{"not a JWKS: no array \"keys\""};
    key_map keys;
    for (const json::value& entry : *entries) add_key(keys, entry);
    if (keys.empty()) return fetch_error{"no Ed25519 key in it"};
    return keys;
}

jwks_fetcher jwks_over_http(std::string url, std::chrono::milliseconds total) {
    return
        [url = std::move(url), total] { return http_client{}.get(url, total, {"Accept: application/json"}); };
}

boost::system::result<public_key, key_fault> key_set::find(std::string_view kid, clock::time_point now) {
    std::unique_lock lock{mutex_};
    const bool known = keys_.contains(kid);
    if (!known) fetched_.wait(lock, [this] { return !fetching_; });
    const bool fetches = !fetching_ && due(keys_.contains(kid), now);
    if (fetches) refresh(lock, now);
    ++(known && !fetches ? counts_.hits : counts_.misses);
    if (const auto found = keys_.find(kid); found != keys_.end()) return found->second;
    return last_success_ ? key_fault::unknown : key_fault::unavailable;
}

bool key_set::refresh(clock::time_point now) {
    std::unique_lock lock{mutex_};
    if (!fetching_) refresh(lock, now);
    return !keys_.empty();
}

key_counts key_set::counts() const {
    const std::lock_guard lock{mutex_};
    return counts_;
}

bool key_set::due(bool known, clock::time_point now) const {
    if (!last_attempt_) return true;
    if (!known) return now - *last_attempt_ >= unknown_retry;
    if (now - *last_success_ < fresh_for) return false; // a known key has come from a success
    return !last_failed_ || now - *last_attempt_ >= stale_retry;
}

void key_set::refresh(std::unique_lock<std::mutex>& lock, clock::time_point now) {
    fetching_ = true;
    last_attempt_ = now;
    lock.unlock();
    auto fetched = fetch_keys(fetch_);
    lock.lock();
    fetching_ = false;
    last_failed_ = !fetched;
    ++(fetched ? counts_.fetched : counts_.failed);
    if (fetched) {
        keys_ = std::move(*fetched);
        last_success_ = now;
    }
    fetched_.notify_all();
    // Rare by construction: each attempt is at least seconds after the last one.
    if (last_failed_)
        log::warn("jwks_refresh_failed", {{"reason", fetched.error().reason}, {"cached", keys_.size()}});
}

} // namespace mana::gate
