// A database that is not encoded in UTF8 cannot hold what clients write: worker and hub refuse it at the
// start.

#include "tests/end_to_end/absent_standby.hpp"
#include "tests/end_to_end/environment.hpp"
#include "tests/end_to_end/worker_process.hpp"

#include <gtest/gtest.h>
#include <string>

namespace mana::end_to_end {
namespace {

class latin1_database : public testing::Test {
  protected:
    latin1_database() {
        keeper_.ask("create database " + name_ + " encoding 'LATIN1' locale 'C' template template0");
        auto& url = settings["DATABASE_URL"];
        url.replace(url.find("/mana_sync"), std::string{"/mana_sync"}.size(), '/' + name_);
    }
    ~latin1_database() override { keeper_.ask("drop database " + name_ + " with (force)"); }

    static void expect_one_line(program_process& program, const std::string& name) {
        EXPECT_EQ(program.await_end(), 1) << program.log();
        const auto log = program.log();
        EXPECT_EQ(log,
                  name +
                      ": the database is encoded in LATIN1; mana-sync needs one in UTF8, put such a one into "
                      "DATABASE_URL\n");
    }

  private:
    const database_keeper keeper_;
    const std::string name_ = "latin1_" + fresh("x").substr(2);

  protected:
    scratch_folder folder;
    std::map<std::string, std::string> settings = hub_settings(folder);
};

TEST_F(latin1_database, is_refused_by_the_worker_in_one_line) {
    worker_process worker{folder, settings};
    expect_one_line(worker, "mana-sync-worker");
}

TEST_F(latin1_database, is_refused_by_the_hub_in_one_line) {
    hub_process hub{folder, settings};
    expect_one_line(hub, "mana-sync-hub");
}

} // namespace
} // namespace mana::end_to_end
