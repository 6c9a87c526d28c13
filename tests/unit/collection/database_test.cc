#include "index/collection/database.h"

#include <algorithm>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/test_folder.h"

namespace mrl::collection {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

std::vector<PointId> SomeIds() {
  std::vector<PointId> ids;
  for (const uint64_t number :
       {uint64_t{0}, uint64_t{1}, uint64_t{255}, uint64_t{256}, uint64_t{1} << 40, ~uint64_t{0}}) {
    ids.emplace_back(number);
  }
  for (const char* text : {"0", "a", "a\x01", "ab", "dog.n.01", "\xc3\xa9"}) {
    ids.emplace_back(std::string(text));
  }
  ids.emplace_back(std::string(256, 'z'));
  return ids;
}

TEST(IdKeys, OrderAsIdsDo) {
  for (const PointId& a : SomeIds()) {
    for (const PointId& b : SomeIds()) {
      EXPECT_EQ(IdKey(a) < IdKey(b), a < b) << a.ToString() << " " << b.ToString();
    }
  }
}

TEST(IdKeys, GiveTheIdBack) {
  for (const PointId& id : SomeIds()) {
    const auto parsed = ParseIdKey(IdKey(id));
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    EXPECT_EQ(*parsed, id);
  }
}

TEST(IdKeys, OfOtherBytesAreDamage) {
  for (const std::string& key : {std::string(), std::string("\x01"),
                                 std::string("\x01"
                                             "1234567"),
                                 std::string("\x01"
                                             "123456789"),
                                 std::string("\x02"),
                                 std::string("\x03"
                                             "abc")}) {
    const auto parsed = ParseIdKey(key);
    EXPECT_EQ(parsed.status().code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(parsed.status().message(), HasSubstr("id map: a key is neither"));
  }
}

class IdMap : public ::testing::Test {
 protected:
  std::string Table(const std::string& name, const std::vector<PointId>& ids, uint64_t first) {
    store::IdColumn column(static_cast<uint32_t>(ids.size()));
    for (const PointId& id : ids) column.Append(id);
    const absl::Status written = WriteIdTable(folder_.Path(name), column, first);
    EXPECT_TRUE(written.ok()) << written;
    return folder_.Path(name);
  }
  // The ids of a database that took the table over, with their sequences, in key order.
  std::vector<std::pair<std::string, uint64_t>> Ingested(const std::string& table) {
    const auto database = Database::Create(folder_.Path("db"));
    EXPECT_TRUE(database.ok()) << database.status();
    EXPECT_TRUE((*database)->IngestIds(table).ok());
    std::vector<std::pair<std::string, uint64_t>> found;
    EXPECT_TRUE((*database)
                    ->ForEachId([&](const PointId& id, uint64_t sequence) {
                      found.emplace_back(id.ToString(), sequence);
                      return absl::OkStatus();
                    })
                    .ok());
    return found;
  }

  test::TestFolder folder_;
};

TEST_F(IdMap, HasASequenceForEachId) {
  const std::string table =
      Table("t", {PointId("b"), PointId(uint64_t{300}), PointId("a"), PointId(uint64_t{2})}, 41);
  EXPECT_THAT(Ingested(table),
              ElementsAre(Pair("2", 44), Pair("300", 42), Pair("a", 43), Pair("b", 41)));
}

TEST_F(IdMap, MergesTables) {
  const std::vector<std::string> tables = {
      Table("1", {PointId("b"), PointId(uint64_t{7})}, 1), Table("2", {PointId("a")}, 3),
      Table("3", {PointId(uint64_t{9}), PointId("c"), PointId(uint64_t{1})}, 4)};
  ASSERT_TRUE(MergeIdTables(tables, folder_.Path("all")).ok());
  EXPECT_THAT(Ingested(folder_.Path("all")), ElementsAre(Pair("1", 6), Pair("7", 2), Pair("9", 4),
                                                         Pair("a", 3), Pair("b", 1), Pair("c", 5)));
}

TEST_F(IdMap, NamesAnIdOfTwoTables) {
  const std::vector<std::string> tables = {Table("1", {PointId("a"), PointId("b")}, 1),
                                           Table("2", {PointId("c"), PointId("b")}, 3)};
  const absl::Status status = MergeIdTables(tables, folder_.Path("all"));
  EXPECT_EQ(status.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(status.message(), "id 'b' comes more than once");
}

TEST_F(IdMap, StopsWhereTheVisitorDoes) {
  const auto database = Database::Create(folder_.Path("db"));
  ASSERT_TRUE((*database)->IngestIds(Table("t", {PointId("a"), PointId("b")}, 1)).ok());
  int visited = 0;
  EXPECT_EQ((*database)->ForEachId([&](const PointId&, uint64_t) {
    ++visited;
    return absl::AbortedError("enough");
  }),
            absl::AbortedError("enough"));
  EXPECT_EQ(visited, 1);
}

class ManifestStore : public ::testing::Test {
 protected:
  test::TestFolder folder_;
  const std::string path_ = folder_.Path("db");
};

TEST_F(ManifestStore, KeepsTheLastManifest) {
  {
    const auto database = Database::Create(path_);
    ASSERT_TRUE(database.ok()) << database.status();
    ASSERT_TRUE((*database)->PutManifest("one").ok());
    ASSERT_TRUE((*database)->PutManifest("two").ok());
    ASSERT_TRUE((*database)->Close().ok());
  }
  const auto reader = Database::OpenReadOnly(path_);
  ASSERT_TRUE(reader.ok()) << reader.status();
  EXPECT_EQ((*reader)->GetManifest().value_or("?"), "two");
}

TEST_F(ManifestStore, IsCreatedOnce) {
  ASSERT_TRUE(Database::Create(path_).ok());
  EXPECT_FALSE(Database::Create(path_).ok());
}

TEST_F(ManifestStore, IsReadByManyAtOnceAndWrittenByNone) {
  {
    const auto database = Database::Create(path_);
    ASSERT_TRUE((*database)->PutManifest("one").ok());
    ASSERT_TRUE((*database)->Close().ok());
  }
  const auto before = test::Snapshot(folder_.path());
  {
    const auto one = Database::OpenReadOnly(path_);
    const auto two = Database::OpenReadOnly(path_);
    ASSERT_TRUE(one.ok() && two.ok());
    EXPECT_EQ((*two)->GetManifest().value_or("?"), "one");
    EXPECT_TRUE((*one)->VerifyChecksums().ok());
  }
  EXPECT_EQ(test::Snapshot(folder_.path()), before);
}

TEST_F(ManifestStore, SaysThatThereIsNone) {
  {
    const auto database = Database::Create(path_);
    ASSERT_TRUE((*database)->Close().ok());
  }
  const auto reader = Database::OpenReadOnly(path_);
  ASSERT_TRUE(reader.ok()) << reader.status();
  EXPECT_EQ((*reader)->GetManifest().status().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace mrl::collection
