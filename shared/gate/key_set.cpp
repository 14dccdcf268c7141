#include "shared/gate/key_set.hpp"

#include "shared/gate/base64url.hpp"
#include "shared/runtime/log.hpp"

#include <algorithm>
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

struct fetched_keys {
    key_map keys;
    std::string document;
};
using fetch_outcome = boost::system::result<fetched_keys, fetch_error>;

fetch_outcome read_reply(fetch_result reply) {
    if (!reply) return reply.error();
    if (reply->status != 200) return fetch_error{"status " + std::to_string(reply->status)};
    auto keys = parse_jwks(reply->body);
    if (!keys) return keys.error();
    return fetched_keys{std::move(*keys), std::move(reply->body)};
}

fetch_outcome fetch_keys(const jwks_fetcher& fetch) {
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
    return keys;
}

jwks_fetcher jwks_over_http(std::string url, std::chrono::milliseconds total) {
    return
        [url = std::move(url), total] { return http_client{}.get(url, total, {"Accept: application/json"}); };
}

// Lets go of the lock while its thread fetches, or waits for a process that does; the other threads are told
// when that is over.
class key_set::outside_lock {
  public:
    outside_lock(key_set& keys, std::unique_lock<std::mutex>& lock) : keys_{keys}, lock_{lock} {
        keys_.fetching_ = true;
        lock_.unlock();
    }
    outside_lock(const outside_lock&) = delete;
    outside_lock& operator=(const outside_lock&) = delete;
    ~outside_lock() {
        lock_.lock();
        keys_.fetching_ = false;
        keys_.fetched_.notify_all(); // they go on when the lock is free
    }

  private:
    key_set& keys_;
    std::unique_lock<std::mutex>& lock_;
};

boost::system::result<public_key, key_fault> key_set::find(std::string_view kid, clock::time_point now) {
    std::unique_lock lock{mutex_};
    look_around(now);
    const bool known = keys_.contains(kid);
    if (!known) await_fetch(lock, now);
    const bool wanted = !fetching_ && due(keys_.contains(kid), now);
    const bool fetched = wanted && fetch_in_turn(lock, now);
    if (wanted && !fetched && !known) await_fetch(lock, now);
    ++(known && !fetched ? counts_.hits : counts_.misses);
    if (const auto found = keys_.find(kid); found != keys_.end()) return found->second;
    return last_success_ ? key_fault::unknown : key_fault::unavailable;
}

public_key key_set::find_held(std::string_view kid, clock::time_point now) {
    const std::lock_guard lock{mutex_};
    look_around(now);
    const auto held = keys_.find(kid);
    if (held == keys_.end() || (!fetching_ && due(true, now))) return nullptr;
    ++counts_.hits;
    return held->second;
}

public_key key_set::renewed(std::string_view kid, const public_key& than, clock::time_point now) {
    std::unique_lock lock{mutex_};
    look_around(now);
    const auto another = [&]() -> public_key {
        const auto held = keys_.find(kid);
        return held == keys_.end() || held->second == than ? nullptr : held->second;
    };
    auto found = another();
    if (!found && !fetching_ && due(false, now) && fetch_in_turn(lock, now)) found = another();
    return found;
}

bool key_set::may_renew(clock::time_point now) {
    const std::lock_guard lock{mutex_};
    look_around(now);
    return !fetching_ && due(false, now);
}

bool key_set::refresh(clock::time_point now) {
    std::unique_lock lock{mutex_};
    look_around(now);
    if (!fetching_ && !fresh(now) && !fetch_in_turn(lock, now)) await_fetch(lock, now);
    return !keys_.empty();
}

key_counts key_set::counts() const {
    const std::lock_guard lock{mutex_};
    return counts_;
}

void key_set::replace_keys(key_map keys, clock::time_point fetched) {
    keys_ = std::move(keys);
    last_success_ = fetched;
    last_attempt_ = std::max(last_attempt_.value_or(fetched), fetched);
}

// What the other processes have done since the last look.
void key_set::look_around(clock::time_point now) {
    if (const auto age = share_->last_attempt())
        last_attempt_ = std::max(last_attempt_.value_or(now - *age), now - *age);
    const auto news = share_->news();
    if (!news) return;
    auto keys = parse_jwks(news->jwks);
    if (keys) {
        replace_keys(std::move(*keys), now - news->age);
    } else {
        log::warn("shared_keys_unusable", {{"reason", keys.error().reason}});
    }
}

// Until no other thread and no other process fetches: nor one that began when this had looked for one, and
// has marked its attempt, which would keep this process from fetching itself.
void key_set::await_fetch(std::unique_lock<std::mutex>& lock, clock::time_point now) {
    std::optional<clock::time_point> attempt;
    do {
        attempt = last_attempt_;
        fetched_.wait(lock, [this] { return !fetching_; });
        {
            const outside_lock waiting{*this, lock};
            share_->await_turn();
        }
        look_around(now);
    } while (last_attempt_ != attempt);
}

// False, and nothing done, where another process is at it.
bool key_set::fetch_in_turn(std::unique_lock<std::mutex>& lock, clock::time_point now) {
    const auto turn = share_->take_turn();
    if (!turn) return false;
    last_attempt_ = now;
    auto fetched = [&] {
        const outside_lock fetching{*this, lock};
        return fetch_keys(fetch_);
    }();
    ++(fetched ? counts_.fetched : counts_.failed);
    if (fetched) {
        turn->publish(fetched->document);
        if (fetched->keys.empty()) log::error("jwks_without_keys", {{"withdrawn", keys_.size()}});
        replace_keys(std::move(fetched->keys), now);
    } else { // rare by construction: each attempt is at least seconds after the last one
        log::warn("jwks_refresh_failed", {{"reason", fetched.error().reason}, {"cached", keys_.size()}});
    }
    return true;
}

bool key_set::fresh(clock::time_point now) const {
    return last_success_ && now - *last_success_ < fresh_for;
}

bool key_set::due(bool known, clock::time_point now) const {
    if (!last_attempt_) return true;
    const auto since = now - *last_attempt_;
    if (!known) return since >= unknown_retry;
    return !fresh(now) && since >= stale_retry;
}

} // namespace mana::gate
