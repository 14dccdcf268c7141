#include "fcgi_worker/request_body.hpp"

#include <algorithm>
#include <limits>
#include <new>
#include <stdexcept>
#include <zlib.h>

namespace mana::fcgi_worker {
namespace {

// How much comes out, as the last four bytes of a whole stream say it (RFC 1952, ISIZE). No more than a
// hint: nothing of the stream is checked yet.
std::size_t announced_by(std::string_view bytes) {
    constexpr std::size_t length_bytes = 4;
    if (bytes.size() < length_bytes) return 0;
    std::size_t announced = 0;
    for (std::size_t i = 1; i <= length_bytes; ++i)
        announced = announced << 8U | static_cast<unsigned char>(bytes[bytes.size() - i]);
    return announced;
}

bool is_word(std::string_view text, std::string_view lower_case_word) {
    const auto same = [](char sent, char lower) {
        return (sent >= 'A' && sent <= 'Z' ? sent - 'A' + 'a' : sent) == lower;
    };
    return std::ranges::equal(text, lower_case_word, same);
}

// zlib's state, for one stream. It points at itself, so it stays where it is.
class gzip_reader {
  public:
    explicit gzip_reader(std::string_view bytes) {
        constexpr int gzip_alone = 16 + MAX_WBITS; // not zlib's own format as well
        if (::inflateInit2(&stream_, gzip_alone) != Z_OK) throw std::bad_alloc{};
        // NOLINTNEXTLINE(cppcoreguidelines-pro-type-const-cast): zlib only reads it
        stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
        stream_.avail_in = static_cast<uInt>(bytes.size());
    }
    gzip_reader(const gzip_reader&) = delete;
    gzip_reader& operator=(const gzip_reader&) = delete;
    gzip_reader(gzip_reader&&) = delete;
    gzip_reader& operator=(gzip_reader&&) = delete;
    ~gzip_reader() { ::inflateEnd(&stream_); }

    // Fills `out` from `have` on. Says what zlib does: Z_OK where `out` is too small for the rest.
    int read(std::string& out, std::size_t have) {
        stream_.next_out = reinterpret_cast<Bytef*>(out.data() + have);
        stream_.avail_out = static_cast<uInt>(out.size() - have);
        return ::inflate(&stream_, Z_NO_FLUSH);
    }

    [[nodiscard]] std::size_t total() const noexcept { return stream_.total_out; }
    [[nodiscard]] bool used_up() const noexcept { return stream_.avail_in == 0; }

  private:
    z_stream stream_{};
};

} // namespace

void throw_exception_from_error(body_fault /*fault*/, const boost::source_location& /*where*/) {
    throw std::runtime_error{"the body could not be read"};
}

boost::system::result<body_encoding, body_fault> body_encoding_of(std::string_view content_encoding) {
    if (content_encoding.empty() || is_word(content_encoding, "identity")) return body_encoding::none;
    if (is_word(content_encoding, "gzip") || is_word(content_encoding, "x-gzip")) return body_encoding::gzip;
    return body_fault::unknown_encoding;
}

body_result inflate(std::string_view bytes, std::size_t most) {
    if (bytes.size() > std::numeric_limits<uInt>::max()) return body_fault::too_large;
    gzip_reader reader{bytes};
    // There is room for one byte more than may come: who fills it is too large.
    std::string out(std::min(announced_by(bytes), most) + 1, '\0');
    for (;;) {
        const int said = reader.read(out, reader.total());
        const std::size_t have = reader.total();
        if (have > most) return body_fault::too_large;
        if (said == Z_MEM_ERROR) throw std::bad_alloc{};
        if (said == Z_STREAM_END) {
            if (!reader.used_up()) return body_fault::after_gzip;
            out.resize(have);
            return out;
        }
        if (said != Z_OK && said != Z_BUF_ERROR) return body_fault::no_gzip;
        if (have < out.size()) return body_fault::gzip_cut_short;
        out.resize(most + 1); // it announced too little, so it is damaged or too large: rare
    }
}

} // namespace mana::fcgi_worker
