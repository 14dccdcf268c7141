#include "fcgi_worker/http_message.hpp"

#include "shared/sync/json.hpp"

namespace mana::fcgi_worker {
namespace {

std::string_view reason_of(int status) {
    switch (status) {
    case 200:
        return " OK";
    case 400:
        return " Bad Request";
    case 401:
        return " Unauthorized";
    case 402:
        return " Payment Required";
    case 404:
        return " Not Found";
    case 405:
        return " Method Not Allowed";
    case 413:
        return " Payload Too Large";
    case 415:
        return " Unsupported Media Type";
    case 429:
        return " Too Many Requests";
    case 500:
        return " Internal Server Error";
    case 503:
        return " Service Unavailable";
    default:
        return "";
    }
}

} // namespace

std::string status_line(int status) {
    return std::to_string(status).append(reason_of(status));
}

http_response error_response(int status, std::string_view code, std::string_view message) {
    http_response response;
    response.status = status;
    response.body = R"({"error":)";
    sync::append_json_string(response.body, code);
    response.body += R"(,"message":)";
    sync::append_json_string(response.body, message);
    response.body += '}';
    return response;
}

http_response unavailable_response(std::string_view message) {
    http_response response = error_response(503, "unavailable", message);
    response.headers.emplace_back("Retry-After", "1");
    return response;
}

} // namespace mana::fcgi_worker
