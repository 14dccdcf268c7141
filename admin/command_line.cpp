#include "admin/command_line.hpp"

#include "admin/settings.hpp"

#include <CLI/CLI.hpp>
#include <iostream>

namespace mana::admin {
namespace {

void take_record(CLI::App& from, record_wanted& record) {
    from.add_option("USER", record.user, "Whose record; no more is shown than this user may see")->required();
    from.add_option("APP", record.app, "The app")->required();
    from.add_option("TABLE", record.table, "The table of the app")->required();
    from.add_option("RECORD", record.record_id, "The record's id")->required();
}

// One place for each subcommand's options, since CLI11 fills them while it parses.
class parser {
  public:
    parser() {
        app_.set_version_flag("--version", "mana-sync-admin " MANA_SYNC_VERSION,
                              "Print the version and exit");
        app_.set_help_flag("--help", "Print this help and exit");
        app_.add_option(
                "--env-file", made_.env_file,
                std::string{"Settings in the form of systemd's EnvironmentFile; environment variables win "
                            "over it. Default: "} +
                    default_env_file + ", if it is there")
            ->type_name("FILE");
        app_.add_option("--sql-dir", made_.sql_dir,
                        "The migrations that the database should have. Default: " MANA_SYNC_SQL_DIR)
            ->type_name("FOLDER");
        app_.require_subcommand(1);
        app_.fallthrough();
        app_.footer("All commands only read, but for migrate, restore-write --yes and erase. "
                    "More: man mana-sync-admin");
        add_doctor();
        add("check-config", "Print the settings with secrets masked, or the line that names the bad one",
            check_config_wanted{});
        add("migrate", "Apply the migrations that the database lacks, by MIGRATE_DATABASE_URL (writes)",
            migrate_wanted{});
        add("status", "How much there is, how far Redis was told, who is connected", status_wanted{});
        add_tail();
        add_explain();
        add_restore_write();
        add_erase();
    }

    std::variant<command, int> parse(int argc, const char* const* argv) {
        try {
            app_.parse(argc, argv);
        } catch (const CLI::Success& answered) {
            return app_.exit(answered);
        } catch (const CLI::ParseError& wrong) {
            std::cerr << "mana-sync-admin: " << in_words(wrong) << " (see mana-sync-admin --help)\n";
            return usage_fault;
        }
        made_.wanted = std::move(*choose_());
        return std::move(made_);
    }

  private:
    using wanted = decltype(command::wanted);

    CLI::App app_{"The operator's tool of mana-sync: looks after it, explains what became of a write.",
                  "mana-sync-admin"};
    command made_{std::nullopt, MANA_SYNC_SQL_DIR, {}};
    doctor_wanted doctor_;
    tail_wanted tail_;
    explain_wanted explain_;
    restore_write_wanted restore_;
    erase_wanted erase_;
    std::function<std::optional<wanted>()> choose_;

    // Where no command was known, CLI11 misses one, and does not name the word that is none.
    [[nodiscard]] std::string in_words(const CLI::ParseError& wrong) const {
        const auto unknown = app_.remaining();
        const bool chosen = !app_.get_subcommands().empty();
        return chosen || unknown.empty() ? wrong.what() : "there is no command or option " + unknown.front();
    }

    CLI::App& add(const std::string& name, const std::string& purpose,
                  const std::function<std::optional<wanted>()>& chosen) {
        CLI::App& made = *app_.add_subcommand(name, purpose);
        made.set_help_flag("--help", "Print this help and exit");
        made.callback([this, chosen] { choose_ = chosen; });
        return made;
    }

    void add(const std::string& name, const std::string& purpose, const wanted& without_options) {
        add(name, purpose, std::function{[without_options] { return std::optional{without_options}; }});
    }

    void add_doctor() {
        auto& made = add("doctor", "Check each part: one line each, and what to do where one is not ok",
                         [this] { return wanted{doctor_}; });
        made.add_option("--url", doctor_.url, "Where nginx answers. Default: http://127.0.0.1:PORT")
            ->type_name("URL");
    }

    void add_tail() {
        auto& made = add("tail", "Follow what Redis tells of pushes, one line each, until Ctrl-C",
                         [this] { return wanted{tail_}; });
        made.add_option("USER", tail_.user, "Only what concerns this user");
        made.add_option("--app", tail_.app, "Only this app");
        made.add_flag("--since-start", tail_.since_start, "First all that the stream in Redis still holds");
        made.add_flag("--json", tail_.json, "The payloads as they are");
    }

    void add_explain() {
        auto& made =
            add("explain", "Tell of each field of a record who wrote it, and which writes lost to it",
                [this] { return wanted{explain_}; });
        take_record(made, explain_.record);
        made.add_flag("--json", explain_.json, "As one JSON object");
    }

    void add_restore_write() {
        auto& made = add("restore-write", "Give a write that lost back, as a new push (writes, with --yes)",
                         [this] { return wanted{restore_}; });
        take_record(made, restore_.record);
        made.add_option("FIELD", restore_.field, "The field whose write lost")->required();
        auto* const lost_at =
            made.add_option("--lost-at", restore_.lost_at,
                            "Which, by when it lost, as explain shows it (or the beginning of that)");
        made.add_option("--id", restore_.id, "Which, by its number, as explain shows it")->excludes(lost_at);
        made.add_flag("--yes", restore_.yes, "Do it; without this it only shows what it would do");
    }

    void add_erase() {
        auto& made = add("erase", "Erase an account from all places, by MIGRATE_DATABASE_URL (writes)",
                         [this] { return wanted{erase_}; });
        made.add_option("USER", erase_.user, "The user, as the tokens' sub has it")->required();
        made.add_flag("--dry-run", erase_.dry_run, "Only count what would be deleted and renamed");
    }
};

} // namespace

std::variant<command, int> parse_command_line(int argc, const char* const* argv) {
    return parser{}.parse(argc, argv);
}

} // namespace mana::admin
