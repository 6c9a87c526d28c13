// A segment file that does not hold what the manifest, or its own numbers, say.
#include <functional>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "index/format/manifest.h"
#include "index/format/section_file.h"
#include "index/store/segment.h"
#include "index/store/segment_sections.h"
#include "tests/support/test_folder.h"
#include "tests/unit/store/rows.h"

namespace mrl::store {
namespace {

using ::testing::HasSubstr;

constexpr uint32_t kRows = 30;

class DamagedSegment : public ::testing::Test {
 protected:
  DamagedSegment() {
    Rows rows = MakeRows(schema_, kRows);
    SegmentWriter::Options options;
    options.rows_max = kRows;
    options.layer_norm = true;
    auto writer = SegmentWriter::Create(files_, path_, schema_, options);
    EXPECT_TRUE(
        (*writer)
            ->Append(absl::MakeSpan(rows.vectors), rows.ids, rows.payloads, rows.mean_deviation)
            .ok());
    info_ = *(*writer)->Finish();
    written_ = ReadSections();
  }

  // Opens, then reads every payload: what a server would meet.
  absl::Status Use(const Schema& schema) {
    const auto segment = Segment::Open(files_, path_, info_, schema, account_);
    if (!segment.ok()) return segment.status();
    for (uint32_t row = 0; row < (*segment)->rows(); ++row) {
      const auto payload = (*segment)->Payload(row);
      if (!payload.ok()) return payload.status();
    }
    return absl::OkStatus();
  }
  void ExpectDamage(const std::string& message) {
    const absl::Status status = Use(schema_);
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
    EXPECT_THAT(status.message(), HasSubstr("000001.seg: " + message));
  }

  using Contents = std::vector<std::pair<std::string, std::string>>;  // sections in order
  // Writes the file anew, with right checksums and with `edit` made to the sections it had at
  // first.
  void Rewrite(const std::function<void(Contents&)>& edit) {
    Contents contents = written_;
    edit(contents);
    ASSERT_TRUE(files_.Remove(path_).ok());
    std::vector<format::SectionSpec> specs;
    for (const auto& [name, bytes] : contents) {
      specs.push_back({.name = name, .bytes_max = bytes.size()});
    }
    auto writer = format::SectionFileWriter::Create(files_, path_, specs);
    for (size_t i = 0; i < contents.size(); ++i) {
      const std::string& bytes = contents[i].second;
      ASSERT_TRUE((*writer)
                      ->Append(i, format::AsBytes(absl::MakeConstSpan(bytes.data(), bytes.size())))
                      .ok());
    }
    info_.file_bytes = *(*writer)->Finish(
        {format::FileKind::kSegment, info_.uuid, info_.uuid, format::SchemaHash(schema_)});
  }
  Contents ReadSections() {
    const auto reader = format::SectionFileReader::Open(files_, path_, format::FileKind::kSegment);
    Contents contents;
    for (const std::string& name :
         {LevelSection(0), LevelSection(1), LevelSection(2), std::string(kNormsSection),
          std::string(kTransformSection), std::string(kScalesSection),
          std::string(kIdValuesSection), std::string(kIdOrderSection),
          std::string(kPayloadOffsetsSection), std::string(kPayloadsSection),
          std::string(kIdLengthsSection), std::string(kIdHeapSection)}) {
      std::string bytes((*reader)->size(name), '\0');
      EXPECT_TRUE(
          (*reader)
              ->Load(name, absl::MakeSpan(reinterpret_cast<std::byte*>(bytes.data()), bytes.size()))
              .ok());
      contents.emplace_back(name, std::move(bytes));
    }
    return contents;
  }
  static std::string& Find(Contents& contents, const std::string& name) {
    for (auto& [section, bytes] : contents) {
      if (section == name) return bytes;
    }
    ADD_FAILURE() << name;
    return contents.front().second;
  }

  const Schema schema_ = SmallSchema(Metric::kCosine, StorageType::kInt8, Transform::kLayerNorm);
  FileSystem& files_ = FileSystem::Posix();
  test::TestFolder folder_;
  const std::string path_ = folder_.Path("000001.seg");
  MemoryAccount account_{1 << 30};
  SegmentInfo info_;
  Contents written_;
};

TEST_F(DamagedSegment, IsFineBefore) {
  EXPECT_TRUE(Use(schema_).ok());
  Rewrite([](Contents&) {});
  EXPECT_TRUE(Use(schema_).ok());
}

TEST_F(DamagedSegment, NamesTheSectionOfAFlippedByte) {
  const std::string bytes = test::ReadBytes(path_);
  for (const auto& [name, content] : written_) {
    const size_t at = bytes.find(content, 4096);
    ASSERT_NE(at, std::string::npos);
    ASSERT_FALSE(content.empty()) << name;
    for (const size_t offset : {at, at + content.size() / 2, at + content.size() - 1}) {
      test::FlipByte(path_, offset);
      ExpectDamage(name + ": page 0");
      test::FlipByte(path_, offset);
    }
  }
  EXPECT_TRUE(Use(schema_).ok());
}

TEST_F(DamagedSegment, LosesNoSection) {
  for (size_t i = 0; i < written_.size(); ++i) {
    Rewrite([&](Contents& sections) { sections[i].first = "other"; });
    const absl::Status status = Use(schema_);
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << written_[i].first;
  }
}

TEST_F(DamagedSegment, HasNoSectionOfAnotherSize) {
  Rewrite([](Contents& sections) { Find(sections, "level.1").resize(kRows * 6 - 4); });
  ExpectDamage("level.1: the section has 176 bytes; 180 are needed");
}

TEST_F(DamagedSegment, HasNoRowOutOfRange) {
  Rewrite([](Contents& sections) { Find(sections, kIdOrderSection)[0] = kRows; });
  ExpectDamage("id_order: a row is out of range");
}

TEST_F(DamagedSegment, HasNoIdOutsideTheHeap) {
  Rewrite([](Contents& sections) { Find(sections, kIdValuesSection)[7] = '\x7f'; });
  ExpectDamage("id_values: an id lies outside the heap");
  Rewrite([](Contents& sections) { Find(sections, kIdLengthsSection)[1] = '\x7f'; });
  ExpectDamage("id_values: an id lies outside the heap");
}

TEST_F(DamagedSegment, HasNoPayloadOutsideItsSection) {
  for (const size_t at : {size_t{0}, size_t{7}, size_t{8 * 15 + 7}, size_t{8 * kRows}}) {
    Rewrite([&](Contents& sections) { Find(sections, kPayloadOffsetsSection)[at] ^= 0x40; });
    ExpectDamage("payload_offsets: the offsets do not fit the payloads");
  }
}

TEST_F(DamagedSegment, IsTheOneThatTheManifestNames) {
  SegmentInfo right = info_;
  info_.uuid = format::NewUuid();
  ExpectDamage("header: the file is not the one that the manifest names");
  info_ = right;
  info_.file_bytes += 1;
  ExpectDamage("header: the file has");
  info_ = right;
  info_.rows += 1;
  ExpectDamage("level.0: the section has 120 bytes; 124 are needed");
  info_.rows = 0;
  ExpectDamage("header");
}

TEST_F(DamagedSegment, BelongsToItsSchema) {
  Schema other = schema_;
  other.codes = {{4, 8}};
  const absl::Status status = Use(other);
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(status.message(), HasSubstr("the file was written for another schema"));
}

}  // namespace
}  // namespace mrl::store
