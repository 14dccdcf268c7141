// What every device of a run will do, decided beforehand: the same seed and numbers give the same plan. When
// the steps of different devices meet is left to the run. Pure.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace mana::checker {

struct plan_size {
    std::uint64_t seed = 1;
    int changes = 3'000;
    int users = 4;
    int devices = 4; ///< of each user, beside a program
    int spaces = 2;
};

enum class act {
    write, ///< edits the record, or adds it where the device holds none
    soft_delete,
    undelete,
    hard_delete,
    program_write,  ///< pushes one change of a program that keeps no store
    program_delete, ///< a hard delete of such a program
    push,
    push_and_lose_the_answer,
    push_twice, ///< the same body on two connections at once
    pull,
    pull_page,
    pull_and_close,
    wipe,
    sync
};
const char* to_text(act what);

enum class insert_time { none, by_clock, in_2019 };
enum class time_form { browser, with_offset, nine_digits, no_fraction };

struct step {
    act what = act::push;
    std::string record;
    std::string fields;                    ///< JSON members without braces, as an add may have them
    std::string dotted;                    ///< one more for an edit; may be empty
    insert_time timed = insert_time::none; ///< of an add, and of a program's insert
    bool insert = false;                   ///< a program's
    bool whole_second = false;             ///< the clock goes on to the next second, so that times meet
    time_form form = time_form::browser;   ///< a program's
    std::chrono::milliseconds skew{};      ///< of the device's clock from now on
    std::size_t number = 0;                ///< in its schedule as it was made, from 1
};

/// A device, or the program of a user.
struct schedule {
    int user = 0;
    bool program = false;
    std::string client;
    std::vector<step> steps;
};

/// A user joins or leaves a space once so many changes of the run were made.
struct membership_change {
    int after_changes = 0;
    int user = 0;
    int space = 0;
    bool member = true;
    std::size_t number = 0; ///< in the plan as it was made, from 1
};

struct plan {
    plan_size size;
    std::vector<schedule> schedules;
    std::vector<membership_change> memberships; ///< in their order; those at 0 hold from the beginning
    int changes = 0;                            ///< `count_changes`
};

plan make_plan(const plan_size& size);

/// Those who have a schedule, in their order.
std::vector<int> users_of(const plan& made);
/// Steps that make a change.
int count_changes(const plan& made);

// Names without the prefix of a run.
/// The records that are the user's own.
std::vector<std::string> records_of_user(const plan_size& size, int user);
std::vector<std::string> records_of_space(const plan_size& size, int space);
/// Whether the step makes a change of a record.
bool makes_a_change(act what);

} // namespace mana::checker
