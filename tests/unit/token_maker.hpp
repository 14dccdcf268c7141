// Makes tokens and JWKS documents for tests, good ones and forged ones, with OpenSSL alone: the code under
// test must not check itself.
#pragma once

#include <algorithm>
#include <array>
#include <memory>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdexcept>
#include <string>
#include <string_view>

namespace mana::testing {

inline const unsigned char* bytes_of(std::string_view text) {
    return reinterpret_cast<const unsigned char*>(text.data());
}

inline std::string base64url(std::string_view bytes) {
    std::string text(4 * ((bytes.size() + 2) / 3) + 1, '\0'); // EVP_EncodeBlock writes a NUL behind
    const int written = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), bytes_of(bytes),
                                        static_cast<int>(bytes.size()));
    text.resize(static_cast<std::size_t>(written));
    while (text.ends_with('=')) text.pop_back();
    std::replace(text.begin(), text.end(), '+', '-');
    std::replace(text.begin(), text.end(), '/', '_');
    return text;
}

// The bytes of unpadded base64url whose length is that of whole bytes.
inline std::string base64url_bytes(std::string text) {
    std::replace(text.begin(), text.end(), '-', '+');
    std::replace(text.begin(), text.end(), '_', '/');
    const std::size_t bytes = text.size() * 3 / 4;
    text.resize((text.size() + 3) / 4 * 4, '=');
    std::string decoded(text.size(), '\0');
    EVP_DecodeBlock(reinterpret_cast<unsigned char*>(decoded.data()), bytes_of(text),
                    static_cast<int>(text.size()));
    decoded.resize(bytes);
    return decoded;
}

using key_handle = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

inline std::string signature_by(const key_handle& key, std::string_view text) {
    const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context{EVP_MD_CTX_new(), EVP_MD_CTX_free};
    std::string signature(static_cast<std::size_t>(EVP_PKEY_get_size(key.get())), '\0');
    std::size_t size = signature.size();
    EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key.get());
    if (EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size,
                       bytes_of(text), text.size()) != 1)
        throw std::runtime_error{"no test signature"};
    return signature;
}

// An Ed25519 key pair from a fixed seed, so that a failing test fails alike everywhere.
class signing_key {
  public:
    explicit signing_key(unsigned char seed) {
        std::array<unsigned char, 32> raw{};
        raw.fill(seed);
        key_.reset(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, raw.data(), raw.size()));
        if (!key_) throw std::runtime_error{"no test key"};
    }

    [[nodiscard]] std::string public_bytes() const {
        std::string raw(32, '\0');
        std::size_t size = raw.size();
        EVP_PKEY_get_raw_public_key(key_.get(), reinterpret_cast<unsigned char*>(raw.data()), &size);
        return raw;
    }

    [[nodiscard]] std::string sign(std::string_view text) const { return signature_by(key_, text); }

    [[nodiscard]] std::string jwk(std::string_view kid) const {
        return R"({"kty":"OKP","crv":"Ed25519","alg":"EdDSA","kid":")" + std::string{kid} + R"(","x":")" +
               base64url(public_bytes()) + R"("})";
    }

  private:
    key_handle key_{nullptr, EVP_PKEY_free};
};

inline std::string jwks(std::string_view keys) {
    return R"({"keys":[)" + std::string{keys} + "]}";
}

inline std::string make_token(const signing_key& key, std::string_view header, std::string_view payload) {
    const std::string text = base64url(header) + '.' + base64url(payload);
    return text + '.' + base64url(key.sign(text));
}

// Signed on the other curve of EdDSA (RFC 8032): 114 bytes of signature.
inline std::string ed448_token(std::string_view header, std::string_view payload) {
    constexpr std::array<unsigned char, 57> raw{7};
    const key_handle key{EVP_PKEY_new_raw_private_key(EVP_PKEY_ED448, nullptr, raw.data(), raw.size()),
                         EVP_PKEY_free};
    const std::string text = base64url(header) + '.' + base64url(payload);
    return text + '.' + base64url(signature_by(key, text));
}

inline std::string hs256_token(std::string_view secret, std::string_view header, std::string_view payload) {
    const std::string text = base64url(header) + '.' + base64url(payload);
    std::string mac(32, '\0');
    unsigned size = 0;
    HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()), bytes_of(text), text.size(),
         reinterpret_cast<unsigned char*>(mac.data()), &size);
    return text + '.' + base64url(mac);
}

} // namespace mana::testing
