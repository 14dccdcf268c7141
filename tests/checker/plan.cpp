#include "tests/checker/plan.hpp"

#include <algorithm>
#include <random>

namespace mana::checker {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

namespace {

/// Changes that one record has on average: enough to meet, few enough to be read by a person.
constexpr int changes_of_a_record = 40;
constexpr int fewest_records = 4;

int records_of(const plan_size& size) {
    return std::max(fewest_records,
                    size.changes / std::max(1, size.users + size.spaces) / changes_of_a_record);
}

std::vector<std::string> numbered(const std::string& owner, int count) {
    std::vector<std::string> names;
    for (int i = 1; i <= count; ++i) names.push_back(owner + "-r" + std::to_string(i));
    return names;
}

class dice {
  public:
    explicit dice(std::seed_seq& seed) : random_(seed) {}
    int below(int limit) { return static_cast<int>(random_() % static_cast<std::uint64_t>(limit)); }
    bool chance(int percent) { return below(100) < percent; }
    template<class T>
    const T& one_of(const std::vector<T>& these) {
        return these[static_cast<std::size_t>(below(static_cast<int>(these.size())))];
    }

  private:
    std::mt19937_64 random_;
};

dice dice_for(const plan_size& size, int user, int device) {
    std::seed_seq seed{static_cast<std::uint32_t>(size.seed), static_cast<std::uint32_t>(size.seed >> 32U),
                       static_cast<std::uint32_t>(user), static_cast<std::uint32_t>(device)};
    return dice{seed};
}

/// One device's steps, or a program's.
class schedule_maker {
  public:
    schedule_maker(const plan_size& size, int user, int device)
        : dice_(dice_for(size, user, device)), own_(records_of_user(size, user)) {
        made_.user = user;
        made_.program = device == size.devices;
        made_.client = "u" + std::to_string(user) +
                       (made_.program ? "program"
                                      : std::string(1, static_cast<char>('A' + device % 26)) +
                                            (device < 26 ? "" : std::to_string(device / 26)));
        for (int space = 0; space < size.spaces; ++space)
            for (auto& record : records_of_space(size, space)) shared_.push_back(std::move(record));
        skew_ = skew();
    }

    schedule make(int changes) {
        while (changes > 0) changes -= made_.program ? program_burst() : burst(changes);
        return std::move(made_);
    }

  private:
    dice dice_;
    std::vector<std::string> own_;
    std::vector<std::string> shared_;
    schedule made_;
    milliseconds skew_{};
    int values_ = 0;

    milliseconds skew() {
        static const std::vector<milliseconds> skews{0ms,    0ms,  0ms, 0ms,  25ms, -40ms, -3s, 20s,    -90s,
                                                     -10min, 5min, 3h,  -26h, -72h, 72h,   0ms, -700ms, 2s};
        return dice_.one_of(skews);
    }

    const std::string& record() {
        return dice_.one_of(!shared_.empty() && dice_.chance(45) ? shared_ : own_);
    }

    void add(step made) {
        made.skew = skew_;
        made.number = made_.steps.size() + 1;
        made_.steps.push_back(std::move(made));
    }

    int burst(int most) {
        static const std::vector<int> sizes{1, 1, 1, 2, 2, 3, 5, 8, 14, 30};
        // Sometimes offline for so long that the queue takes more than one push.
        const int wanted = dice_.chance(3) ? 100 + dice_.below(200) : dice_.one_of(sizes);
        const int count = std::min(most, wanted);
        if (dice_.chance(4)) skew_ = skew();
        for (int i = 0; i < count; ++i) add(change());
        add(exchange());
        return count;
    }

    step change() {
        step made;
        made.record = record();
        const int kind = dice_.below(100);
        made.what = kind < 80   ? act::write
                    : kind < 87 ? act::soft_delete
                    : kind < 94 ? act::undelete
                                : act::hard_delete;
        made.whole_second = dice_.chance(20);
        made.timed = dice_.chance(60)   ? insert_time::none
                     : dice_.chance(60) ? insert_time::by_clock
                                        : insert_time::in_2019;
        made.fields = fields();
        if (dice_.chance(30))
            made.dotted = dice_.chance(60) ? member("rec.int", value()) : member("rec.unit", value());
        return made;
    }

    step exchange() {
        step made;
        const int kind = dice_.below(100);
        made.what = kind < 34   ? act::push
                    : kind < 46 ? act::push_and_lose_the_answer
                    : kind < 56 ? act::push_twice
                    : kind < 70 ? act::pull
                    : kind < 76 ? act::pull_page
                    : kind < 80 ? act::pull_and_close
                    : kind < 82 ? act::wipe
                                : act::sync;
        return made;
    }

    int program_burst() {
        step made;
        made.record = record();
        made.what = dice_.chance(12) ? act::program_delete : act::program_write;
        made.form = static_cast<time_form>(dice_.below(4));
        made.insert = dice_.chance(45);
        made.timed = dice_.chance(50) ? insert_time::by_clock : insert_time::none;
        made.whole_second = dice_.chance(20);
        made.fields = fields();
        if (dice_.chance(20)) skew_ = skew();
        add(std::move(made));
        return 1;
    }

    std::string value() { return '"' + made_.client + '.' + std::to_string(++values_) + '"'; }
    static std::string member(const std::string& name, const std::string& value) {
        return '"' + name + "\":" + value;
    }

    std::string fields() {
        std::string text;
        const auto put = [&](const std::string& name, const std::string& held) {
            text += (text.empty() ? "" : ",") + member(name, held);
        };
        if (dice_.chance(60)) put("content", dice_.chance(6) ? "\"\"" : value());
        if (dice_.chance(40)) put("color", dice_.chance(12) ? "null" : value());
        if (dice_.chance(25))
            put("rec", dice_.chance(20) ? "null"
                       : dice_.chance(12)
                           ? value()
                           : "{" + member("int", value()) + ',' + member("unit", value()) + '}');
        if (text.empty()) put("content", value());
        return text;
    }
};

/// Everyone is a member of a space at first whose number fits; then users come and go, and at the end most
/// are there.
std::vector<membership_change> make_memberships(const plan_size& size) {
    std::vector<membership_change> made;
    if (size.users < 2) {
        for (int space = 0; space < size.spaces; ++space) made.push_back({0, 0, space, true});
        return made;
    }
    auto dice = dice_for(size, size.users, 0);
    std::vector<std::vector<bool>> member(static_cast<std::size_t>(size.spaces));
    for (int space = 0; space < size.spaces; ++space)
        for (int user = 0; user < size.users; ++user) {
            const bool from_the_start = user < 2 || dice.chance(65);
            member[static_cast<std::size_t>(space)].push_back(from_the_start);
            if (from_the_start) made.push_back({0, user, space, true});
        }
    const int moves = size.spaces == 0 ? 0 : 2 * size.spaces + size.users;
    for (int i = 1; i <= moves; ++i) {
        const int space = dice.below(size.spaces);
        const int user = 1 + dice.below(size.users - 1); // the first one stays
        auto of_user = member[static_cast<std::size_t>(space)].begin() + user;
        *of_user = !*of_user;
        // Not to the very end: who leaves while everyone settles would be shown what is not compared.
        const auto after = std::int64_t{size.changes} * 8 * i / (std::int64_t{10} * (moves + 1));
        made.push_back({static_cast<int>(after) + 1, user, space, *of_user});
    }
    return made;
}

} // namespace

const char* to_text(act what) {
    switch (what) {
    case act::write:
        return "write";
    case act::soft_delete:
        return "soft delete";
    case act::undelete:
        return "undelete";
    case act::hard_delete:
        return "hard delete";
    case act::program_write:
        return "program writes";
    case act::program_delete:
        return "program deletes";
    case act::push:
        return "push";
    case act::push_and_lose_the_answer:
        return "push, answer lost";
    case act::push_twice:
        return "push twice at once";
    case act::pull:
        return "pull";
    case act::pull_page:
        return "pull of one page";
    case act::pull_and_close:
        return "pull, closed after a page";
    case act::wipe:
        return "wipe";
    case act::sync:
        break;
    }
    return "sync";
}

bool makes_a_change(act what) {
    return what <= act::program_delete;
}

std::vector<std::string> records_of_user(const plan_size& size, int user) {
    return numbered("u" + std::to_string(user), records_of(size));
}

std::vector<std::string> records_of_space(const plan_size& size, int space) {
    return numbered("s" + std::to_string(space), records_of(size));
}

plan make_plan(const plan_size& size) {
    plan made{size, {}, make_memberships(size), 0};
    for (int user = 0; user < size.users; ++user) {
        const int of_user = size.changes / size.users + (user < size.changes % size.users ? 1 : 0);
        const int of_program = of_user / 12;
        const int of_devices = of_user - of_program;
        for (int device = 0; device < size.devices; ++device) {
            const int share = of_devices / size.devices + (device < of_devices % size.devices ? 1 : 0);
            made.schedules.push_back(schedule_maker{size, user, device}.make(share));
        }
        made.schedules.push_back(schedule_maker{size, user, size.devices}.make(of_program));
    }
    for (std::size_t i = 0; i < made.memberships.size(); ++i) made.memberships[i].number = i + 1;
    made.changes = count_changes(made);
    return made;
}

std::vector<int> users_of(const plan& made) {
    std::vector<int> users;
    for (const auto& one : made.schedules) users.push_back(one.user);
    std::ranges::sort(users);
    const auto rest = std::ranges::unique(users);
    users.erase(rest.begin(), rest.end());
    return users;
}

int count_changes(const plan& made) {
    std::ptrdiff_t count = 0;
    for (const auto& one : made.schedules)
        count += std::ranges::count_if(one.steps, [](const step& next) { return makes_a_change(next.what); });
    return static_cast<int>(count);
}

} // namespace mana::checker
