#include "admin/env_file.hpp"

#include <algorithm>

namespace mana::admin {
namespace {

bool is_newline(char c) {
    return c == '\n' || c == '\r';
}

bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

bool is_name(std::string_view text) {
    return !text.empty() && !is_digit(text.front()) &&
           std::all_of(text.begin(), text.end(), [](char c) { return is_letter(c) || is_digit(c); });
}

class reader {
  public:
    explicit reader(std::string_view text) : text_{text} {}

    assignments run() {
        while (!at_end()) line();
        return std::move(found_);
    }

  private:
    std::string_view text_;
    assignments found_;

    [[nodiscard]] bool at_end() const { return text_.empty(); }
    [[nodiscard]] bool at_line_end() const { return at_end() || is_newline(text_.front()); }

    char take() {
        const char c = text_.front();
        text_.remove_prefix(1);
        return c;
    }

    void skip_blanks() {
        while (!at_end() && is_blank(text_.front())) take();
    }

    void line() {
        while (!at_end() && (is_blank(text_.front()) || is_newline(text_.front()))) take();
        if (at_end()) return;
        if (text_.front() == '#' || text_.front() == ';') return comment();
        std::string name;
        while (!at_line_end() && text_.front() != '=') name += take();
        if (at_line_end()) return;
        take();
        while (!name.empty() && is_blank(name.back())) name.pop_back();
        std::string read = value();
        if (is_name(name)) found_.emplace_back(std::move(name), std::move(read));
    }

    // A backslash at its end makes the next line a comment too.
    void comment() {
        while (!at_line_end())
            if (take() == '\\' && !at_end()) take();
    }

    // Pieces, quoted or not, one behind the other up to the end of the line.
    std::string value() {
        std::string read;
        while (true) {
            skip_blanks();
            if (at_line_end()) return read;
            if (text_.front() == '\'')
                single_quoted(read);
            else if (text_.front() == '"')
                double_quoted(read);
            else
                return bare(std::move(read));
        }
    }

    void single_quoted(std::string& read) {
        take();
        while (!at_end()) {
            const char c = take();
            if (c == '\'') return;
            read += c;
        }
    }

    void double_quoted(std::string& read) {
        constexpr std::string_view escaped = "\"\\`$";
        take();
        while (!at_end()) {
            const char c = take();
            if (c == '"') return;
            if (c != '\\' || at_end()) {
                read += c;
                continue;
            }
            const char next = take();
            if (is_newline(next)) continue;
            if (escaped.find(next) == std::string_view::npos) read += c;
            read += next;
        }
    }

    // To the end of the line, quotes and all. Blanks at the end are cut, but for those after a backslash.
    std::string bare(std::string read) {
        std::size_t kept = read.size();
        while (!at_line_end()) {
            const char c = take();
            const bool after_backslash = c == '\\';
            if (after_backslash && at_end()) break;
            const char meant = after_backslash ? take() : c;
            if (after_backslash && is_newline(meant)) continue;
            read += meant;
            if (after_backslash || !is_blank(meant)) kept = read.size();
        }
        read.resize(kept);
        return read;
    }
};

} // namespace

assignments parse_env_file(std::string_view text) {
    return reader{text}.run();
}

} // namespace mana::admin
