// docs/operations.md says what the tables of the code say.
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/file.h"
#include "server/rpc/methods.h"
#include "server/rpc/reason.h"

namespace mrl::server {
namespace {

class OperationsGuide : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* source = std::getenv("MRL_SOURCE_DIR");
    ASSERT_NE(source, nullptr);
    const auto file = ReadFile(FileSystem::Posix(), JoinPath(source, "docs/operations.md"),
                               /*bytes_max=*/1 << 20);
    ASSERT_TRUE(file.ok()) << file.status();
    text_ = *file;
  }

  std::string text_;
};

// A row for each service: what the roles may call, in the order of the table.
std::string TableOfMethods() {
  std::map<std::string, std::map<Role, std::vector<std::string>>> services;
  for (const Method& method : Methods()) {
    const std::vector<std::string> path = absl::StrSplit(method.path, '/');
    services[path[1]][method.role].emplace_back(method.name);
  }
  std::string table = "| service | read | write | admin |\n|---|---|---|---|\n";
  for (auto& [service, roles] : services) {
    absl::StrAppend(&table, "| `", service, "` |");
    for (const Role role : {Role::kRead, Role::kWrite, Role::kAdmin}) {
      const std::string names = absl::StrJoin(roles[role], ", ");
      absl::StrAppend(&table, " ", names.empty() ? "–" : names, " |");
    }
    absl::StrAppend(&table, "\n");
  }
  return table;
}

TEST_F(OperationsGuide, SaysOfEveryMethodWhoMayCallIt) {
  const std::string table = "\n\n" + TableOfMethods() + "\n";
  EXPECT_NE(text_.find(table), std::string::npos) << "this table is not in it:" << table;
}

TEST_F(OperationsGuide, ExplainsEveryReason) {
  for (const char* reason : kReasons) {
    EXPECT_NE(text_.find(absl::StrCat("`", reason, "`")), std::string::npos) << reason;
  }
}

}  // namespace
}  // namespace mrl::server
