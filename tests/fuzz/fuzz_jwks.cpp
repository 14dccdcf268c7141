// The document of public keys. It comes from a service of ours, but tokens are only as good as it is read.
#include "shared/gate/base64url.hpp"
#include "shared/gate/key_set.hpp"
#include "shared/sync/json.hpp"
#include "tests/fuzz/property.hpp"
#include "tests/unit/token_maker.hpp"

#include <openssl/evp.h>
#include <string>

namespace mana::fuzz {
namespace {

std::string raw_bytes(EVP_PKEY* key) {
    std::string raw(32, '\0');
    std::size_t size = raw.size();
    must(EVP_PKEY_get_raw_public_key(key, reinterpret_cast<unsigned char*>(raw.data()), &size) == 1 &&
             size == raw.size(),
         "a key has 32 bytes");
    return raw;
}

void must_survive_publishing(const std::string& kid, const std::string& bytes) {
    std::string quoted;
    sync::append_json_string(quoted, kid);
    const auto again = gate::parse_jwks(testing::jwks(R"({"kty":"OKP","crv":"Ed25519","kid":)" + quoted +
                                                      R"(,"x":")" + testing::base64url(bytes) + "\"}"));
    must(again && again->size() == 1 && again->contains(kid), "a key that is published again is read again");
    must(raw_bytes(again->find(kid)->second.get()) == bytes, "and is the same key");
}

void check_keys(std::string_view text) {
    const auto keys = gate::parse_jwks(text);
    if (!keys) return;
    for (const auto& [kid, key] : *keys) {
        must(!kid.empty() && key != nullptr, "a key has a name");
        must_survive_publishing(kid, raw_bytes(key.get()));
    }
}

void check_base64url(std::string_view text) {
    const auto bytes = gate::decode_base64url(text);
    must(bytes.has_value() == gate::is_canonical_base64url(text), "the canonical form is decoded, no other");
    if (bytes) must(testing::base64url(*bytes) == text, "bytes have one spelling");
    const auto again = gate::decode_base64url(testing::base64url(text));
    must(text.empty() || again == text, "any bytes survive");
}

} // namespace
} // namespace mana::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto text = mana::fuzz::text_of(data, size);
    mana::fuzz::check_keys(text);
    mana::fuzz::check_base64url(text);
    return 0;
}
