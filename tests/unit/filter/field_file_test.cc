#include "index/filter/field_file.h"

#include <algorithm>
#include <fstream>
#include <functional>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "index/filter/tail_fields.h"
#include "tests/support/test_folder.h"

namespace mrl::filter {
namespace {

using ::testing::HasSubstr;

// A segment that is nothing but its name and its size.
class Named final : public store::Segment {
 public:
  Named(const store::SegmentInfo& info, const Schema& schema) : Segment(info, schema) {}
  uint64_t Sequence(uint32_t row) const override { return row + 1; }
  PointId Id(uint32_t row) const override { return PointId(uint64_t{row}); }
  std::optional<uint32_t> Find(const PointId&) const override { return std::nullopt; }
  bool IdLess(uint32_t a, uint32_t b) const override { return a < b; }
  absl::StatusOr<std::string> Payload(uint32_t) const override { return std::string(); }
  Memory memory() const override { return {}; }
};

class FieldFiles : public ::testing::Test {
 protected:
  FieldFiles() {
    schema_.dim = 2;
    schema_.ladder = {2};
    schema_.fields = {{"word", FieldType::kKeyword}, {"n", FieldType::kInt},
                      {"rare", FieldType::kKeyword}, {"flag", FieldType::kBool},
                      {"x", FieldType::kFloat},      {"never", FieldType::kDatetime}};
    info_ = {.number = 1, .uuid = std::string(32, 'a'), .rows = kRows, .first_sequence = 1};
  }
  static constexpr uint32_t kRows = 3000;

  void Write() {
    std::mt19937 random(3);
    FieldFileWriter writer(schema_);
    for (uint32_t row = 0; row < kRows; ++row) {
      RowValues values(schema_.fields.size());
      for (uint32_t i = 0; i < random() % 3; ++i) {
        values[0].push_back({.text = absl::StrCat("w", random() % 5)});
      }
      values[1].push_back({.key = static_cast<int64_t>(random() % 100) - 50});
      if (random() % 500 == 0) values[2].push_back({.text = absl::StrCat("r", row)});
      values[3].push_back({.key = static_cast<int64_t>(random() % 2)});
      values[4].push_back({.key = OrderedKey(static_cast<double>(random()) - 2e9)});
      for (auto& field : values) {
        std::sort(field.begin(), field.end());
        field.erase(std::unique(field.begin(), field.end()), field.end());
      }
      tail_.Append(row, values);
      writer.Append(values);
    }
    const auto bytes = writer.Finish(FileSystem::Posix(), path(), info_);
    ASSERT_TRUE(bytes.ok()) << bytes.status();
    EXPECT_EQ(*bytes, (*FileSystem::Posix().Open(path()))->size());
  }
  absl::StatusOr<std::shared_ptr<const FieldIndex>> Open() {
    return OpenFieldFile(FileSystem::Posix(), path(), Named(info_, schema_), schema_.fields,
                         account_);
  }
  // Asks both for the same rows.
  void Compare(const FieldIndex& file, const std::function<void(const FieldIndex&, RowSet*)>& ask) {
    RowSet from_file(kRows);
    RowSet from_tail(kRows);
    ask(file, &from_file);
    ask(tail_, &from_tail);
    EXPECT_EQ(from_file.words(), from_tail.words());
  }
  std::string path() const { return folder_.Path("000001.filter.idx"); }

  test::TestFolder folder_;
  Schema schema_;
  store::SegmentInfo info_;
  MemoryAccount account_{1 << 24};
  TailFields tail_{{{"word", FieldType::kKeyword},
                    {"n", FieldType::kInt},
                    {"rare", FieldType::kKeyword},
                    {"flag", FieldType::kBool},
                    {"x", FieldType::kFloat},
                    {"never", FieldType::kDatetime}}};
};

TEST_F(FieldFiles, HaveTheRowsThatAScanFinds) {
  Write();
  const auto file = Open();
  ASSERT_TRUE(file.ok()) << file.status();
  for (size_t field = 0; field < schema_.fields.size(); ++field) {
    Compare(**file, [&](const FieldIndex& index, RowSet* rows) { index.AddPresent(field, rows); });
  }
  for (const std::string word : {"w0", "w4", "w", "x", ""}) {
    Compare(**file, [&](const FieldIndex& index, RowSet* rows) {
      index.AddEqual(0, {.text = word}, rows);
    });
  }
  for (uint32_t row = 0; row < kRows; row += 7) {
    Compare(**file, [&](const FieldIndex& index, RowSet* rows) {
      index.AddEqual(2, {.text = absl::StrCat("r", row)}, rows);
    });
  }
  for (const int64_t low : {-60, -50, -3, 0, 49, 50}) {
    Compare(**file, [&](const FieldIndex& index, RowSet* rows) {
      index.AddRange(1, low, low + 20, rows);
      index.AddEqual(1, {.key = low}, rows);
    });
    Compare(**file, [&](const FieldIndex& index, RowSet* rows) {
      index.AddRange(4, OrderedKey(static_cast<double>(low) * 1e7), OrderedKey(1e9), rows);
    });
  }
  for (const int64_t flag : {0, 1, 2}) {
    Compare(**file,
            [&](const FieldIndex& index, RowSet* rows) { index.AddEqual(3, {.key = flag}, rows); });
  }
  EXPECT_GT((*file)->memory_bytes(), 0u);
  EXPECT_EQ(account_.used_bytes(), (*file)->memory_bytes());
}

TEST_F(FieldFiles, OfAnotherSegmentOrSchemaAreRefused) {
  Write();
  info_.uuid[0] = 'b';
  EXPECT_THAT(std::string(Open().status().message()), HasSubstr("belongs to segment aaaa"));
  info_.uuid[0] = 'a';
  schema_.fields[1].name = "m";
  const absl::Status refused = Open().status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("it was made for other fields"));
}

// One bit anywhere is noticed, or no byte that is read depends on it.
TEST_F(FieldFiles, ThatAreDamagedAreRefused) {
  Write();
  std::ifstream in(path(), std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  std::mt19937 random(5);
  int refused = 0;
  for (int i = 0; i < 300; ++i) {
    std::string damaged = bytes;
    damaged[random() % damaged.size()] ^= static_cast<char>(1 << (random() % 8));
    std::ofstream(path(), std::ios::binary) << damaged;
    const auto file = Open();
    if (!file.ok()) {
      EXPECT_EQ(file.status().code(), absl::StatusCode::kDataLoss) << file.status();
      EXPECT_THAT(std::string(file.status().message()), HasSubstr(path()));
      ++refused;
      continue;
    }
    for (size_t field = 0; field < schema_.fields.size(); ++field) {
      Compare(**file,
              [&](const FieldIndex& index, RowSet* rows) { index.AddPresent(field, rows); });
    }
  }
  EXPECT_GT(refused, 100);
}

}  // namespace
}  // namespace mrl::filter
