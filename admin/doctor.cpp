// doctor: one line a check, and what to do where one is not ok.
#include "admin/doctor_checks.hpp"
#include "admin/output.hpp"
#include "admin/subcommands.hpp"

#include <iostream>

namespace mana::admin {
namespace {

struct look {
    std::string_view word;
    shade in;
};

look look_of(verdict is) {
    switch (is) {
    case verdict::warning:
        return {"warning", shade::doubtful};
    case verdict::failed:
        return {"FAILED ", shade::bad};
    case verdict::skipped:
        return {"skipped", shade::faint};
    case verdict::ok:
        break;
    }
    return {"ok     ", shade::good};
}

// Each at once, since the next part may take seconds to be down.
class report {
  public:
    void add(const findings& found) {
        for (const auto& each : found) print(each);
        std::cout.flush();
    }
    [[nodiscard]] bool anything_failed() const { return failed_; }

  private:
    bool failed_ = false;

    void print(const finding& each) {
        constexpr std::size_t part_width = 22;
        const auto [word, in] = look_of(each.is);
        std::string part = each.part;
        if (part.size() < part_width) part.resize(part_width, ' ');
        std::cout << shaded(word, in) << "  " << part << ' ' << each.found;
        if (!each.to_do.empty()) std::cout << ". To do: " << each.to_do;
        std::cout << '\n';
        failed_ = failed_ || each.is == verdict::failed;
    }
};

} // namespace

int run_doctor(const settings_source& source, const std::string& sql_dir, const doctor_wanted& wanted) {
    const auto settings = source.load();
    std::string url = wanted.url.value_or("http://127.0.0.1:" + std::to_string(settings.port));
    while (url.ends_with('/')) url.pop_back();
    report all;
    all.add(check_postgres(settings, sql_dir));
    all.add(check_redis(settings));
    all.add(check_services(settings));
    all.add(check_front(settings, url));
    return all.anything_failed() ? 1 : 0;
}

} // namespace mana::admin
