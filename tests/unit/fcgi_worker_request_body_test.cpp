// What becomes of a body with Content-Encoding (docs/protocol.md).
#include "fcgi_worker/request_body.hpp"
#include "tests/unit/gzip_maker.hpp"

#include <cstddef>
#include <gtest/gtest.h>
#include <ostream>
#include <stdexcept>
#include <string>

namespace mana::fcgi_worker {
namespace {

using testing::deflated;
using testing::gzipped;

constexpr std::size_t most = 1'000'000;

body_fault fault_of(std::string_view bytes) {
    const auto outcome = inflate(bytes, most);
    EXPECT_FALSE(outcome) << outcome->size();
    return outcome ? body_fault::malformed : outcome.error();
}

// Not all alike, so that it does not shrink to nothing.
std::string text_of(std::size_t bytes) {
    std::string text;
    for (std::size_t i = 0; text.size() < bytes; ++i) text += std::to_string(i * 7'919);
    text.resize(bytes);
    return text;
}

TEST(body_encoding, is_none_or_gzip) {
    for (const std::string_view none : {"", "identity", "Identity"})
        EXPECT_EQ(body_encoding_of(none).value(), body_encoding::none) << none;
    for (const std::string_view gzip : {"gzip", "GZip", "x-gzip"})
        EXPECT_EQ(body_encoding_of(gzip).value(), body_encoding::gzip) << gzip;
    for (const std::string_view other :
         {"deflate", "br", "zstd", "gzip, gzip", "gzip,br", "gzip;q=1", "gzi", "gzipp", "*", " "})
        EXPECT_EQ(body_encoding_of(other).error(), body_fault::unknown_encoding) << other;
}

TEST(inflate, gives_back_what_was_deflated) {
    for (const std::size_t bytes : {0U, 1U, 7U, 100U, 8'000U, 65'536U, 999'999U, 1'000'000U}) {
        const auto text = text_of(bytes);
        EXPECT_EQ(inflate(gzipped(text), most).value(), text) << bytes;
        const std::string same(bytes, 'x');
        EXPECT_EQ(inflate(gzipped(same), most).value(), same) << bytes;
    }
    const std::string bytes{"\0\xff\r\n\0", 5};
    EXPECT_EQ(inflate(gzipped(bytes), most).value(), bytes);
}

TEST(inflate, stops_a_byte_above_what_may_come_out) {
    EXPECT_EQ(fault_of(gzipped(text_of(most + 1))), body_fault::too_large);
    EXPECT_EQ(fault_of(gzipped(std::string(most + 1, 'x'))), body_fault::too_large);
    EXPECT_EQ(inflate(gzipped("x"), 0).error(), body_fault::too_large);
    EXPECT_EQ(inflate(gzipped(""), 0).value(), "");
}

TEST(inflate, reads_no_more_of_a_bomb_than_it_may_take_up) {
    auto bomb = gzipped(std::string(50'000'000, '\0'));
    ASSERT_LT(bomb.size(), 100'000U);
    // What is behind the limit is not even looked at.
    bomb.replace(bomb.size() / 2, std::string::npos, "no gzip any more");
    EXPECT_EQ(fault_of(bomb), body_fault::too_large);
}

TEST(inflate, believes_no_length_that_a_stream_announces) {
    auto lying = gzipped(text_of(10'000));
    for (const std::string_view length :
         {std::string_view{"\0\0\0\0", 4}, std::string_view{"\xff\xff\xff\xff"}}) {
        lying.replace(lying.size() - 4, 4, length);
        EXPECT_EQ(fault_of(lying), body_fault::no_gzip);
    }
}

TEST(inflate, tells_a_stream_that_is_cut_short) {
    const auto whole = gzipped(text_of(10'000));
    for (std::size_t length = 0; length < whole.size(); ++length)
        EXPECT_EQ(fault_of(whole.substr(0, length)), body_fault::gzip_cut_short) << length;
}

TEST(inflate, tells_what_follows_the_stream) {
    const auto whole = gzipped(text_of(10'000));
    for (const auto& more : {std::string{"x"}, std::string(1, '\0'), whole, gzipped("")})
        EXPECT_EQ(fault_of(whole + more), body_fault::after_gzip);
}

TEST(inflate, refuses_what_is_no_gzip) {
    const auto text = text_of(10'000);
    for (const auto& other : {text, std::string{R"({"since":""})"}, std::string(100, '\0'),
                              deflated(text, MAX_WBITS), deflated(text, -MAX_WBITS)})
        EXPECT_EQ(fault_of(other), body_fault::no_gzip) << other.substr(0, 20);
}

TEST(inflate, refuses_a_stream_whose_checksum_or_length_is_not_that_of_the_text) {
    const auto whole = gzipped(text_of(10'000));
    for (std::size_t back = 1; back <= 8; ++back) {
        auto changed = whole;
        auto& byte = changed[changed.size() - back];
        byte = static_cast<char>(byte ^ 1);
        EXPECT_EQ(fault_of(changed), body_fault::no_gzip) << back;
    }
}

TEST(inflate, never_takes_a_damaged_stream_for_another_text) {
    const auto text = text_of(2'000);
    const auto whole = gzipped(text);
    for (std::size_t at = 0; at < whole.size(); ++at)
        for (unsigned bit = 0; bit < 8; ++bit) {
            auto changed = whole;
            changed[at] = static_cast<char>(changed[at] ^ (1 << bit));
            const auto outcome = inflate(changed, most);
            // Some bits of its header say nothing of the text.
            EXPECT_EQ(outcome ? *outcome : text, text) << at;
        }
}

TEST(body_result, throws_for_a_fault) {
    EXPECT_THROW((void)inflate("", most).value(), std::runtime_error);
}

} // namespace
} // namespace mana::fcgi_worker
