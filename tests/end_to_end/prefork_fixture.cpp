#include "tests/end_to_end/prefork_fixture.hpp"

#include "tests/end_to_end/environment.hpp"

#include <cstring>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace mana::end_to_end {

std::map<std::string, std::string> with(std::map<std::string, std::string> settings, const std::string& name,
                                        const std::string& value) {
    settings[name] = value;
    return settings;
}

int status_of_any_request(const std::string& socket) {
    return ask(socket, "POST", "/sync/todo", "", "").status;
}

runtime::unique_fd listen_at(const std::string& path, int backlog) {
    runtime::unique_fd fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(fd.get(), backlog), 0);
    return fd;
}

push_in_flight::push_in_flight(const std::string& socket) : request_{socket} {
    request_.send_head({{"REQUEST_METHOD", "POST"},
                        {"DOCUMENT_URI", "/sync/todo"},
                        {"HTTP_AUTHORIZATION", "Bearer " + token_of(fresh("user"))},
                        {"CONTENT_LENGTH", std::to_string(body_.size())}});
    request_.send_body(body_.substr(0, 5));
    EXPECT_TRUE(await([&] { return request_.taken(); })) << "no worker took the request";
}

fastcgi_reply push_in_flight::finish() {
    request_.send_body(body_.substr(5));
    request_.end_body();
    return request_.receive();
}

} // namespace mana::end_to_end
