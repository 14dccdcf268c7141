// Makes and reads gzip streams for tests, with zlib alone: the code under test must not check itself.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <zlib.h>

namespace mana::testing {

// `window` as zlib takes it: 16 more for gzip, less than 0 for neither header nor checksum.
inline std::string deflated(std::string_view bytes, int window) {
    z_stream stream{};
    constexpr int memory = 8; // zlib's default
    if (deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, window, memory, Z_DEFAULT_STRATEGY) != Z_OK)
        throw std::runtime_error{"no deflate"};
    std::string out(deflateBound(&stream, bytes.size()), '\0');
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    stream.avail_in = static_cast<uInt>(bytes.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    const int said = deflate(&stream, Z_FINISH);
    out.resize(stream.total_out);
    deflateEnd(&stream);
    if (said != Z_STREAM_END) throw std::runtime_error{"no deflated text"};
    return out;
}

inline std::string gzipped(std::string_view bytes) {
    return deflated(bytes, 16 + MAX_WBITS);
}

// Throws where it is no whole gzip stream of at most `most` bytes.
inline std::string ungzipped(std::string_view bytes, std::size_t most = 20'000'000) {
    z_stream stream{};
    if (inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK) throw std::runtime_error{"no inflate"};
    std::string out(most, '\0');
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    stream.avail_in = static_cast<uInt>(bytes.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    const int said = inflate(&stream, Z_FINISH);
    out.resize(stream.total_out);
    inflateEnd(&stream);
    if (said != Z_STREAM_END) throw std::runtime_error{"no gzip stream"};
    return out;
}

} // namespace mana::testing
