#include "index/collection/catalog.h"

#include <filesystem>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/test_folder.h"

namespace mrl::collection {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

class CatalogTest : public ::testing::Test {
 protected:
  void SetUp() override { Open(); }
  void Open() {
    catalog_.reset();
    auto opened = Catalog::Open(FileSystem::Posix(), Path());
    ASSERT_TRUE(opened.ok()) << opened.status();
    catalog_ = *std::move(opened);
  }
  std::string Path() const { return folder_.Path("data"); }

  test::TestFolder folder_;
  std::unique_ptr<Catalog> catalog_;
};

TEST_F(CatalogTest, RemembersNamesAndAliases) {
  ASSERT_TRUE(catalog_->Add("words", "0123").ok());
  ASSERT_TRUE(catalog_->ChangeAliases({{"latest", "words"}}).ok());
  Open();
  EXPECT_THAT(catalog_->collections(), ElementsAre(Pair("words", "0123")));
  EXPECT_THAT(catalog_->aliases(), ElementsAre(Pair("latest", "words")));
  ASSERT_TRUE(catalog_->Remove("words").ok());
  Open();
  EXPECT_THAT(catalog_->collections(), IsEmpty());
  EXPECT_THAT(catalog_->aliases(), IsEmpty());
}

TEST_F(CatalogTest, GivesANameOnce) {
  ASSERT_TRUE(catalog_->Add("words", "0123").ok());
  ASSERT_TRUE(catalog_->ChangeAliases({{"latest", "words"}}).ok());
  EXPECT_EQ(catalog_->Add("words", "4567").message(), "the name 'words' is taken by a collection");
  EXPECT_EQ(catalog_->Add("latest", "4567").message(), "the name 'latest' is taken by an alias");
  EXPECT_EQ(catalog_->ChangeAliases({{"words", "words"}}).code(), absl::StatusCode::kAlreadyExists);
}

TEST_F(CatalogTest, SwapsAliasesAllOrNone) {
  ASSERT_TRUE(catalog_->Add("old", "0").ok());
  ASSERT_TRUE(catalog_->Add("new", "1").ok());
  ASSERT_TRUE(catalog_->ChangeAliases({{"live", "old"}, {"next", "new"}}).ok());
  const absl::Status refused = catalog_->ChangeAliases({{"live", "new"}, {"next", "none"}});
  EXPECT_EQ(refused.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(refused.message(), "collection 'none' does not exist");
  EXPECT_THAT(catalog_->aliases(), ElementsAre(Pair("live", "old"), Pair("next", "new")));
  ASSERT_TRUE(catalog_->ChangeAliases({{"live", "new"}, {"next", ""}}).ok());
  EXPECT_THAT(catalog_->aliases(), ElementsAre(Pair("live", "new")));
  EXPECT_EQ(catalog_->ChangeAliases({{"next", ""}}).code(), absl::StatusCode::kNotFound);
}

TEST_F(CatalogTest, RemovesFoldersWithoutAName) {
  ASSERT_TRUE(catalog_->Add("words", "0123").ok());
  std::filesystem::create_directories(catalog_->FolderOf("0123"));
  std::filesystem::create_directories(catalog_->FolderOf("4567") + "/db");
  Open();
  EXPECT_THAT(catalog_->removed_folders(), ElementsAre("4567"));
  EXPECT_TRUE(std::filesystem::exists(catalog_->FolderOf("0123")));
  EXPECT_FALSE(std::filesystem::exists(catalog_->FolderOf("4567")));
}

TEST_F(CatalogTest, TouchesNothingWhenItIsGone) {
  std::filesystem::create_directories(catalog_->FolderOf("4567"));
  const std::string kept = catalog_->FolderOf("4567");
  catalog_.reset();
  std::filesystem::remove_all(Path() + "/catalog");
  const auto opened = Catalog::Open(FileSystem::Posix(), Path());
  EXPECT_EQ(opened.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(opened.status().message()), HasSubstr("collections and no catalog"));
  EXPECT_TRUE(std::filesystem::exists(kept));
}

TEST_F(CatalogTest, HasOneOwner) {
  const auto second = Catalog::Open(FileSystem::Posix(), Path());
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("in use by another server"));
}

TEST_F(CatalogTest, TakesPlainNamesOnly) {
  for (const std::string& good :
       std::vector<std::string>{"a", "0", "a-b_c", std::string(63, 'z')}) {
    EXPECT_TRUE(CheckName(good).ok()) << good;
  }
  const std::vector<std::string> refused = {
      "", "-a", "_a", "A", "a/b", "../a", std::string("a\0b", 3), std::string(64, 'z'), "ä"};
  for (const std::string& bad : refused) {
    EXPECT_EQ(CheckName(bad).code(), absl::StatusCode::kInvalidArgument) << bad;
  }
}

}  // namespace
}  // namespace mrl::collection
