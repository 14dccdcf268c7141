#include "tests/end_to_end/fastcgi_client.hpp"

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <linux/sockios.h>
#include <poll.h>
#include <stdexcept>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <system_error>

namespace mana::end_to_end {
namespace {

// The FastCGI specification, 8: record types.
constexpr unsigned char begin_request = 1;
constexpr unsigned char end_request = 3;
constexpr unsigned char params = 4;
constexpr unsigned char standard_input = 5;
constexpr unsigned char standard_output = 6;
constexpr std::size_t header_bytes = 8;

unsigned char byte_of(std::size_t number, unsigned place) {
    return static_cast<unsigned char>(number >> (8 * place));
}

void append_length(std::string& out, std::size_t length) {
    if (length > 127) {
        out += static_cast<char>(byte_of(length, 3) | 0x80U);
        out += static_cast<char>(byte_of(length, 2));
        out += static_cast<char>(byte_of(length, 1));
    }
    out += static_cast<char>(byte_of(length, 0));
}

runtime::unique_fd connect_to(const std::string& path) {
    runtime::unique_fd fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    if (!fd || ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        throw std::system_error{errno, std::generic_category(), "connect to " + path};
    return fd;
}

// Adds what has come; false where the peer has closed. Throws at `until`.
bool read_more(int fd, std::string& to, std::chrono::steady_clock::time_point until) {
    std::array<char, 65'536> buffer{};
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    pollfd watched{fd, POLLIN, 0};
    if (left.count() <= 0 || ::poll(&watched, 1, static_cast<int>(left.count())) <= 0)
        throw std::runtime_error{"no answer in time"};
    const auto got = ::recv(fd, buffer.data(), buffer.size(), 0);
    if (got <= 0) return false;
    to.append(buffer.data(), static_cast<std::size_t>(got));
    return true;
}

// The worker waits for us to close once it has said the end.
bool says_the_end(std::string_view all) {
    return all.size() >= 2 * header_bytes && all[all.size() - 15] == static_cast<char>(end_request);
}

std::string output_of(std::string_view records) {
    std::string output;
    while (records.size() >= header_bytes) {
        const auto at = [&](std::size_t i) {
            return static_cast<std::size_t>(static_cast<unsigned char>(records[i]));
        };
        const std::size_t length = at(4) << 8U | at(5);
        const std::size_t whole = header_bytes + length + at(6);
        if (records.size() < whole) break;
        if (records[1] == static_cast<char>(standard_output)) output += records.substr(header_bytes, length);
        records.remove_prefix(whole);
    }
    return output;
}

fastcgi_reply parse(std::string_view output) {
    fastcgi_reply reply;
    const auto end_of_head = output.find("\r\n\r\n");
    if (end_of_head == std::string_view::npos) return reply;
    reply.body = output.substr(end_of_head + 4);
    std::string_view head = output.substr(0, end_of_head + 2);
    while (!head.empty()) {
        const auto line = head.substr(0, head.find("\r\n"));
        const auto colon = line.find(": ");
        reply.headers.emplace(line.substr(0, colon), line.substr(colon + 2));
        head.remove_prefix(line.size() + 2);
    }
    reply.status = std::stoi(reply.headers["Status"]);
    return reply;
}

} // namespace

fastcgi_request::fastcgi_request(const std::string& socket_path) : fd_{connect_to(socket_path)} {}

void fastcgi_request::send_record(unsigned char type, std::string_view content) {
    std::string record{'\1', static_cast<char>(type), '\0', '\1'};
    record += static_cast<char>(byte_of(content.size(), 1));
    record += static_cast<char>(byte_of(content.size(), 0));
    record.append(2, '\0'); // no padding
    record += content;
    send_bytes(record);
}

void fastcgi_request::send_bytes(std::string_view bytes) {
    if (::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(bytes.size()))
        throw std::system_error{errno, std::generic_category(), "send"};
}

void fastcgi_request::send_head(const std::map<std::string, std::string>& parameters, wish afterwards) {
    std::string responder{'\0', '\1', '\0', '\0', '\0', '\0', '\0', '\0'};
    if (afterwards == wish::keep) responder[2] = '\1';
    send_record(begin_request, responder);
    std::string pairs;
    for (const auto& [name, value] : parameters) {
        append_length(pairs, name.size());
        append_length(pairs, value.size());
        pairs += name + value;
    }
    send_record(params, pairs);
    send_record(params, "");
}

void fastcgi_request::send_body(std::string_view part) {
    if (!part.empty()) send_record(standard_input, part);
}

void fastcgi_request::end_body() {
    send_record(standard_input, "");
}

bool fastcgi_request::taken() const {
    int unread = 0;
    return ::ioctl(fd_.get(), SIOCOUTQ, &unread) == 0 && unread == 0;
}

fastcgi_reply fastcgi_request::receive(std::chrono::milliseconds longest) {
    const auto until = std::chrono::steady_clock::now() + longest;
    std::string all;
    while (!says_the_end(all) && read_more(fd_.get(), all, until)) {
    }
    fd_.reset();
    return parse(output_of(all));
}

void fastcgi_request::await_close(std::chrono::milliseconds longest) {
    const auto until = std::chrono::steady_clock::now() + longest;
    std::string all;
    while (read_more(fd_.get(), all, until)) {
    }
    fd_.reset();
}

fastcgi_reply ask(const std::string& socket_path, const std::string& method, const std::string& path,
                  const std::string& token, std::string_view body, std::map<std::string, std::string> more) {
    fastcgi_request request{socket_path};
    more["REQUEST_METHOD"] = method;
    more["DOCUMENT_URI"] = path;
    more["CONTENT_LENGTH"] = std::to_string(body.size());
    if (!token.empty()) more["HTTP_AUTHORIZATION"] = "Bearer " + token;
    request.send_head(more);
    request.send_body(body);
    request.end_body();
    return request.receive();
}

} // namespace mana::end_to_end
