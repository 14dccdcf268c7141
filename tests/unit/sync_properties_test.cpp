// Whatever value a client pushes comes out as it went in: random values, and those that are known to get lost
// elsewhere, through request, merge and stored state. MANA_TEST_SEED plays one seed alone.
#include "shared/sync/merge.hpp"
#include "shared/sync/push_request.hpp"
#include "shared/sync/value_reader.hpp"

#include <array>
#include <cstdint>
#include <cstdlib>
#include <gtest/gtest.h>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace mana::sync {
namespace {

constexpr std::string_view at = "2026-01-31T09:00:00.000Z";
constexpr instant receipt = std::chrono::sys_days{std::chrono::year{2026} / 2 / 1};
constexpr std::string_view user = "ann";
constexpr std::string_view client = "phone";
constexpr std::size_t nesting = request_limits{}.nesting;

json_value read(std::string_view text) {
    auto parsed = parse_json(text, nesting + 1);
    if (!parsed) ADD_FAILURE() << parsed.error().message << ": " << text.substr(0, 200);
    return parsed ? *parsed : json_value{};
}

std::string as_json(std::string_view text) {
    std::string out;
    append_json_string(out, text);
    return out;
}

/// Texts of values that lose something in the hands of a careless program.
std::vector<std::string> delicate_values() {
    return {R"("")",
            "\"\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa7 ok\"",
            "9223372036854775807",
            "-9223372036854775808",
            "18446744073709551615",
            "123456789012345678901234567890.000000000000000000001",
            "1e-300",
            "5e-324",
            "1.7976931348623157e308",
            "0.1",
            "1.0",
            "-0",
            "null",
            "false",
            "[]",
            "{}",
            R"({"__proto__":{"admin":true},"constructor":1})",
            R"({"":1,"a\"b":2,"a.b":3,"a\\b":4})",
            std::string(nesting, '[') + std::string(nesting, ']'),
            '"' + std::string(1'000'000, 'x') + '"'};
}

// ---- the ways that a value takes ----

/// The only value of the only field of a push's only change; none where it was refused.
std::string through_request(const std::string& change) {
    const auto push = parse_push(R"({"changes":[{"table":"notes","id":"n",)" + change + "}]}", client, {});
    if (!push) return push.error().message;
    if (push->changes.size() != 1 || push->changes[0].writes.size() != 1)
        return push->rejected.empty() ? "not one write" : push->rejected[0].message;
    return to_json_text(push->changes[0].writes[0].value);
}

std::string as_update(std::string_view field, std::string_view value) {
    return R"("op":"update","fields":{)" + as_json(field) + R"(:{"value":)" + std::string(value) +
           R"(,"at":")" + std::string(at) + "\"}}";
}

std::string as_insert(std::string_view field, std::string_view value) {
    return R"("op":"insert","data":{)" + as_json(field) + ':' + std::string(value) + '}';
}

/// What the record's state holds of the field after it was stored and read again.
json_value through_state(const std::string& change, std::string_view field) {
    auto push = parse_push(R"({"changes":[{"table":"notes","id":"n",)" + change + "}]}", client, {});
    if (!push) return push.error().message;
    record_map records;
    merge_push(push->changes, {std::string(user), std::string(client), {}}, {receipt, std::chrono::hours{24}},
               records);
    const auto& [key, state] = *records.begin();
    const auto stored = to_stored(state, user, false);
    return value_at(from_stored(stored.values, stored.meta, user), field);
}

void expect_unchanged(const std::string& value) {
    const auto text = to_json_text(read(value));
    const auto shown = value.substr(0, 200);
    EXPECT_EQ(to_json_text(read(text)), text) << shown;
    EXPECT_EQ(to_json_text(parse_stored_json(text)), text) << shown;
    EXPECT_EQ(through_request(as_update("f", value)), text) << shown;
    EXPECT_EQ(through_request(as_insert("f", value)), text) << shown;
    EXPECT_EQ(to_json_text(through_state(as_update("f", value), "f")), text) << shown;
    EXPECT_EQ(to_json_text(through_state(as_insert("f", value), "f")), text) << shown;
    EXPECT_TRUE(same(read(value), read(text))) << shown;
}

// ---- random values ----

class random_value {
  public:
    explicit random_value(std::uint64_t seed) : random_(seed) {}

    /// The text of a value, of every kind; of containers at most `deep` levels.
    std::string text(std::size_t deep) {
        switch (deep == 0 ? pick(4) : pick(6)) {
        case 0:
            return as_json(string());
        case 1:
        case 2:
            return number();
        case 3:
            return std::array{"null", "true", "false"}.at(pick(3));
        case 4:
            return list(deep - 1);
        default:
            return object(deep - 1);
        }
    }

    std::string key() {
        constexpr std::array delicate{"__proto__", "constructor", "a\"b", "a.b", "", " ", "\\", "\n", "id"};
        return pick(2) == 0 ? delicate.at(pick(delicate.size())) : string();
    }

  private:
    std::mt19937_64 random_;

    std::size_t pick(std::size_t below) {
        return std::uniform_int_distribution<std::size_t>{0, below - 1}(random_);
    }

    /// Of all planes, but without NUL, which is refused, and surrogates, which are no characters.
    std::string string() {
        std::string out;
        for (auto left = pick(12); left > 0; --left) {
            constexpr std::array<unsigned, 5> ends{0x20, 0x7f, 0x7ff, 0xd7ff, 0x10ffff};
            auto code = static_cast<unsigned>(1 + pick(ends.at(pick(ends.size())) - 1));
            if (code >= 0xd800 && code < 0xe000) code = 0x1f600;
            append_utf8(out, code);
        }
        return out;
    }

    static void append_utf8(std::string& out, unsigned code) {
        const auto put = [&](unsigned byte) { out += static_cast<char>(byte); };
        const auto rest = [&](unsigned shift) { put(0x80U | (code >> shift & 0x3fU)); };
        if (code < 0x80) return put(code);
        if (code < 0x800) return put(0xc0U | code >> 6U), rest(0);
        if (code < 0x10000) return put(0xe0U | code >> 12U), rest(6), rest(0);
        put(0xf0U | code >> 18U), rest(12), rest(6), rest(0);
    }

    std::string digits(std::size_t most) {
        std::string out;
        for (auto left = 1 + pick(most); left > 0; --left) out += static_cast<char>('0' + pick(10));
        return out;
    }

    std::string number() {
        std::string out = pick(2) == 0 ? "-" : "";
        out += pick(3) == 0 ? "0" : static_cast<char>('1' + pick(9)) + digits(25);
        if (pick(2) == 0) out += '.' + digits(25);
        if (pick(3) == 0)
            out += std::array{"e", "E", "e+", "e-", "E-"}.at(pick(5)) + std::to_string(pick(250));
        return out;
    }

    std::string list(std::size_t deep) {
        std::string out;
        for (auto left = pick(5); left > 0; --left) out += (out.empty() ? "" : ",") + text(deep);
        return '[' + out + ']';
    }

    std::string object(std::size_t deep) {
        std::string out;
        for (auto left = pick(5); left > 0; --left)
            out += (out.empty() ? "" : ", ") + as_json(key()) + " : " + text(deep);
        return '{' + out + '}';
    }
};

std::uint64_t seed_from_environment() {
    const char* text = std::getenv("MANA_TEST_SEED"); // NOLINT(concurrency-mt-unsafe): one thread
    return text != nullptr ? std::stoull(text) : 0;
}

TEST(sync_properties, values_that_get_lost_elsewhere_come_out_as_they_went_in) {
    for (const auto& value : delicate_values()) expect_unchanged(value);
}

TEST(sync_properties, random_values_come_out_as_they_went_in) {
    constexpr std::uint64_t values = 2'000;
    constexpr std::size_t deep = 6;
    const auto only = seed_from_environment();
    const auto first = only != 0 ? only : 1;
    const auto end = only != 0 ? only + 1 : first + values;
    for (auto seed = first; seed < end && !testing::Test::HasFailure(); ++seed) {
        SCOPED_TRACE("MANA_TEST_SEED=" + std::to_string(seed));
        expect_unchanged(random_value{seed}.text(deep));
    }
}

TEST(sync_properties, names_of_fields_come_out_as_they_went_in) {
    for (std::uint64_t seed = 1; seed < 500 && !testing::Test::HasFailure(); ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        const auto name = random_value{seed}.key();
        if (!is_field(name)) continue;
        const auto push = parse_push(
            R"({"changes":[{"table":"notes","id":"n",)" + as_update(name, "1") + "}]}", client, {});
        ASSERT_TRUE(push && push->changes.size() == 1 && push->changes[0].writes.size() == 1);
        EXPECT_EQ(push->changes[0].writes[0].field, name);
        EXPECT_EQ(to_json_text(through_state(as_update(name, "1"), name)), "1");
    }
}

TEST(sync_properties, equality_is_that_of_the_numbers_and_not_of_their_texts) {
    for (std::uint64_t seed = 1; seed < 2'000; ++seed) {
        random_value random{seed};
        const auto value = read(random.text(0));
        const auto* const number = value.as_number();
        if (number == nullptr || number->text.find_first_of(".eE") != std::string::npos) continue;
        EXPECT_TRUE(same(value, read(number->text + ".000"))) << number->text;
        EXPECT_TRUE(same(value, read(number->text + "e0"))) << number->text;
        EXPECT_TRUE(same(value, read(number->text + ".0000E+0"))) << number->text;
        EXPECT_FALSE(same(value, read(number->text + ".001"))) << number->text;
    }
}

} // namespace
} // namespace mana::sync
