// Prints the statements of shared/store, and the values that a push sends with them, for pgbench. What is
// measured as the baseline is thereby always the very SQL that the programs run.
#include "shared/store/page_reader.hpp"
#include "shared/store/postgres.hpp"
#include "shared/store/push_transaction.hpp"
#include "shared/store/scope_states.hpp"
#include "shared/sync/json.hpp"
#include "shared/sync/merge.hpp"
#include "shared/sync/push_request.hpp"
#include "shared/sync/record.hpp"
#include "tests/bench/sample.hpp"

#include <CLI/CLI.hpp>
#include <cctype>
#include <chrono>
#include <cstdio>
#include <exception>
#include <map>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mana::bench {
namespace {

std::string_view sql_of(const std::string& name) {
    for (const auto list :
         {store::transaction_statements(), store::push_statements(), store::page_statements()})
        for (const auto& known : list)
            if (known.name == name) return known.sql;
    throw std::runtime_error("there is no statement " + name);
}

/// The statement with $1, $2, … replaced by the expressions. Each of them must have its place: a statement
/// that has changed since stops the run.
std::string fill_in(std::string_view sql, const std::vector<std::string>& expressions) {
    std::string out;
    std::set<std::size_t> used;
    for (std::size_t i = 0; i < sql.size();) {
        std::size_t end = i + 1;
        while (sql[i] == '$' && end < sql.size() && std::isdigit(static_cast<unsigned char>(sql[end])) != 0)
            ++end;
        const auto token = sql.substr(i, end - i);
        if (token.size() == 1) {
            out += token;
        } else {
            const auto number = std::stoul(std::string(token.substr(1)));
            if (number == 0 || number > expressions.size())
                throw std::runtime_error("no expression for " + std::string(token));
            used.insert(number);
            out += '(' + expressions[number - 1] + ')';
        }
        i = end;
    }
    if (used.size() != expressions.size()) throw std::runtime_error("the statement has fewer parameters");
    return out.substr(out.find_first_not_of('\n')) + ";\n";
}

/// What a push of a new record writes into a column of the log, or of the record states.
std::string value_of(const std::string& column) {
    const auto now = sample_time();
    const auto body = push_body("client", "", {sample_insert("0123456789abcdef0123456789abcdef", now, 1)});
    auto read = sync::parse_push(body, "", {});
    if (!read) throw std::runtime_error("the sample push is not accepted");
    sync::record_map records;
    const auto merged = sync::merge_push(read->changes, {"user", "client", std::nullopt},
                                         {*sync::parse_instant(now), std::chrono::hours{24}}, records);
    const auto row = store::to_stored(merged.rows.at(0));
    const auto stored = sync::to_stored(records.begin()->second, "user", true);
    const std::map<std::string, std::string> values{
        {"data", row.data.value()},     {"field_meta", row.field_meta}, {"bytes", row.bytes},
        {"record_data", stored.values}, {"record_meta", stored.meta},
    };
    const auto found = values.find(column);
    if (found == values.end()) throw std::runtime_error("there is no such column");
    return found->second;
}

int run(int argc, char** argv) {
    CLI::App app{"Prints SQL of mana-sync, and values to run it with."};
    app.require_subcommand(1);
    std::string name;
    std::vector<std::string> expressions;
    auto* const sql = app.add_subcommand("sql", "A statement, its parameters replaced by expressions");
    sql->add_option("name", name, "The statement's name")->required();
    sql->add_option("expressions", expressions, "One for each parameter");
    auto* const value = app.add_subcommand("value", "What a push of a new record writes into a column");
    value->add_option("name", name, "data, field_meta, bytes, record_data or record_meta")->required();
    CLI11_PARSE(app, argc, argv);
    try {
        const auto text = sql->parsed() ? fill_in(sql_of(name), expressions) : value_of(name);
        return std::fputs(text.c_str(), stdout) < 0 ? 1 : 0;
    } catch (const std::exception& failed) {
        std::fprintf(stderr, "statements: %s: %s\n", name.c_str(), failed.what());
        return 1;
    }
}

} // namespace
} // namespace mana::bench

int main(int argc, char** argv) {
    return mana::bench::run(argc, argv);
}
