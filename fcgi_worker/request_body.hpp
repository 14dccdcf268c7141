// What the bytes of a request's body stand for: themselves, or what gzip made of them.
#pragma once

#include <boost/system/result.hpp>
#include <cstddef>
#include <string>
#include <string_view>

namespace mana::fcgi_worker {

enum class body_fault {
    too_large,        // more than max_body_bytes were announced, then none were read; or came out of gzip
    malformed,        // CONTENT_LENGTH is no number
    incomplete,       // fewer bytes came than were announced, or not in time
    unknown_encoding, // Content-Encoding names another one than gzip, or several; nothing was read
    no_gzip,          // gzip was announced, and the bytes are something else or damaged
    gzip_cut_short,   // they end before the gzip stream does
    after_gzip,       // they go on after it, perhaps with another one
};

using body_result = boost::system::result<std::string, body_fault>;

// What boost's result<…>::value() throws for a body_fault: std::runtime_error.
[[noreturn]] void throw_exception_from_error(body_fault fault, const boost::source_location& where);

enum class body_encoding { none, gzip };

// What a Content-Encoding says (RFC 9110 §8.4), in any case: nothing and "identity" are none, "x-gzip" is
// gzip. All else is unknown_encoding.
[[nodiscard]] boost::system::result<body_encoding, body_fault>
body_encoding_of(std::string_view content_encoding);

// The one gzip stream (RFC 1952) that `bytes` are, with its checksum and length checked. One that would
// become longer than `most` bytes is too_large as soon as it does, and takes no memory beyond that. Throws
// std::bad_alloc.
[[nodiscard]] body_result inflate(std::string_view bytes, std::size_t most);

} // namespace mana::fcgi_worker
