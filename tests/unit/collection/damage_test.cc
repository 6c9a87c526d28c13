// One changed byte anywhere in a collection: it is named by open or by verify, and never taken for
// a sound collection.
#include <algorithm>
#include <filesystem>

#include "absl/strings/match.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "index/collection/collection.h"
#include "index/format/wire.h"
#include "tests/support/test_folder.h"
#include "tests/unit/collection/sample.h"

namespace mrl::collection {
namespace {

using ::testing::HasSubstr;

bool IsAscii(absl::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

// Offset and size of a section in its file.
std::pair<uint64_t, uint64_t> PlaceOf(const std::string& file, absl::string_view section) {
  const std::string bytes = test::ReadBytes(file);
  const auto* data = reinterpret_cast<const std::byte*>(bytes.data());
  using format::EntryLayout;
  const auto table = format::GetLittleEndian<uint64_t>(data + format::HeaderLayout::kTableOffsetAt);
  const auto count = format::GetLittleEndian<uint64_t>(data + table);
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t entry = table + 8 + i * EntryLayout::kBytes;
    if (bytes.data() + entry != section) continue;  // zero-padded
    return {format::GetLittleEndian<uint64_t>(data + entry + EntryLayout::kOffsetAt),
            format::GetLittleEndian<uint64_t>(data + entry + EntryLayout::kSizeAt)};
  }
  ADD_FAILURE() << file << " has no section " << section;
  return {0, 1};
}

class Damage : public ::testing::Test {
 protected:
  Damage() {
    BuildOptions options;
    options.segment_rows_max = 40;
    options.index = coarse::IndexSpec{.kind = "faiss", .dims = 10, .factory = "Flat"};
    const auto built =
        Build(files_, path_,
              SmallSchema(Metric::kCosine, StorageType::kInt8, Transform::kLayerNorm), 80, options);
    EXPECT_TRUE(built.ok()) << built.status();
  }

  absl::Status Open() {
    MemoryAccount account(1 << 30);
    return Collection::Open(files_, path_, account).status();
  }
  absl::Status Verify() { return collection::Verify(files_, path_, {}); }
  std::vector<std::string> DatabaseFiles(absl::string_view part) {
    std::vector<std::string> found;
    const std::vector<std::string> names = *files_.List(path_ + "/db");
    for (const std::string& name : names) {
      if (absl::StrContains(name, part)) found.push_back(path_ + "/db/" + name);
    }
    EXPECT_FALSE(found.empty()) << part;
    return found;
  }
  // Changes one bit of a byte: the collection is not sound.
  void ExpectDamageOfBit(const std::string& file, const std::string& bytes, uint64_t at, int bit) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << bit));
    test::WriteBytes(file, damaged);
    const absl::Status status = Verify();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << file << " " << at << " " << bit;
    EXPECT_THAT(status.message(), HasSubstr(path_));
    EXPECT_TRUE(IsAscii(status.message())) << file << " " << at << " " << bit;
    test::WriteBytes(file, bytes);
  }
  void ExpectDamage(const absl::Status& status, const std::string& message) {
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
    EXPECT_THAT(status.message(), HasSubstr(message));
  }

  FileSystem& files_ = FileSystem::Posix();
  test::TestFolder folder_;
  const std::string path_ = folder_.Path("c");
};

TEST_F(Damage, IsNotThereBefore) {
  EXPECT_TRUE(Open().ok());
  EXPECT_TRUE(Verify().ok());
}

TEST_F(Damage, OfASectionIsNamedByFileAndSection) {
  const std::vector<std::pair<std::string, std::vector<std::string>>> kSections = {
      {"000001.seg",
       {"level.0", "level.1", "level.2", "scales", "inverse_norms", "mean_deviation", "id_values",
        "id_order", "id_lengths", "id_heap", "payload_offsets", "payloads"}},
      {"000002.seg", {"level.0", "payloads"}},
      {"000002.scan.idx", {"rows", "4b8.codes", "4b8.blocks", "10b8.codes", "10b8.blocks"}},
      {"000001.faiss.idx", {"about", "index"}}};
  for (const auto& [name, sections] : kSections) {
    const std::string file = path_ + "/segments/" + name;
    for (const std::string& section : sections) {
      SCOPED_TRACE(name + " " + section);
      const auto place = PlaceOf(file, section);
      for (const uint64_t at :
           {place.first, place.first + place.second / 2, place.first + place.second - 1}) {
        test::FlipByte(file, at);
        ExpectDamage(Verify(), name + ": " + section + ": page 0");
        // Payloads stay on disk until a hit is read; all else is read on open.
        if (section != "payloads") ExpectDamage(Open(), name + ": " + section + ": page 0");
        test::FlipByte(file, at);
      }
    }
  }
}

TEST_F(Damage, OfAHeaderOrTableIsNamed) {
  for (const std::string name : {"000001.seg", "000001.scan.idx", "000001.faiss.idx"}) {
    const std::string file = path_ + "/segments/" + name;
    const uint64_t size = std::filesystem::file_size(file);
    for (const auto& [at, part] :
         std::vector<std::pair<uint64_t, std::string>>{{0, ": header: "},
                                                       {9, ": header: "},
                                                       {60, ": header: "},
                                                       {127, ": header: "},
                                                       {size - 1, ": section table: "}}) {
      test::FlipByte(file, at);
      ExpectDamage(Verify(), name + part);
      ExpectDamage(Open(), name + part);
      test::FlipByte(file, at);
    }
  }
}

TEST_F(Damage, OfACutOrMissingFileIsNamed) {
  for (const std::string name : {"000002.seg", "000002.scan.idx", "000002.faiss.idx"}) {
    const std::string file = path_ + "/segments/" + name;
    const std::string bytes = test::ReadBytes(file);
    test::WriteBytes(file, bytes.substr(0, bytes.size() - 1));
    ExpectDamage(Verify(), name + ": header: ");
    ExpectDamage(Open(), name + ": header: ");
    ASSERT_TRUE(files_.Remove(file).ok());
    ExpectDamage(Verify(), name + ": the file is missing");
    ExpectDamage(Open(), name + ": the file is missing");
    test::WriteBytes(file, bytes);
  }
}

TEST_F(Damage, OfATableOfTheDatabaseIsNamed) {
  for (const std::string& file : DatabaseFiles(".sst")) {
    const uint64_t size = std::filesystem::file_size(file);
    for (uint64_t at = 0; at < size; at += 5) {
      test::FlipByte(file, at);
      ExpectDamage(Open(), file + ": the checksum does not match");
      test::FlipByte(file, at);
    }
    const std::string bytes = test::ReadBytes(file);
    // The end of the properties: over one of these bits RocksDB itself would end the process.
    for (uint64_t at = size - 100; at < size - 94; ++at) {
      for (int bit = 0; bit < 8; ++bit) ExpectDamageOfBit(file, bytes, at, bit);
    }
    test::WriteBytes(file, bytes.substr(0, bytes.size() - 1));
    ExpectDamage(Verify(), file + ": the file has ");
    ASSERT_TRUE(files_.Remove(file).ok());
    ExpectDamage(Verify(), file + ": the file is missing");
    test::WriteBytes(file, bytes);
  }
}

TEST_F(Damage, OfTheDatabasesOwnManifestIsFound) {
  for (const std::string& part : {std::string("MANIFEST-"), std::string("CURRENT")}) {
    const std::string file = DatabaseFiles(part).front();
    const std::string bytes = test::ReadBytes(file);
    for (uint64_t at = 0; at < bytes.size(); ++at) {
      ExpectDamageOfBit(file, bytes, at, static_cast<int>(at % 8));
    }
  }
}

TEST_F(Damage, LeavesNoFileThatIsNotRead) {
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path_)) {
    if (!entry.is_regular_file() || entry.file_size() == 0) continue;
    const std::string file = entry.path().string();
    test::FlipByte(file, entry.file_size() - 1);
    EXPECT_EQ(Verify().code(), absl::StatusCode::kDataLoss) << file;
    test::FlipByte(file, entry.file_size() - 1);
  }
}

TEST_F(Damage, OfAnIdMapThatLiesIsFoundByVerify) {
  // A sound database, but of other rows.
  const std::string other = folder_.Path("other");
  BuildOptions options;
  options.segment_rows_max = 40;
  ASSERT_TRUE(Build(files_, other, SmallSchema(), 80, options).ok());
  ASSERT_TRUE(files_.Exchange(other + "/db", path_ + "/db").ok());
  ExpectDamage(Verify(), "000001.seg");
}

TEST_F(Damage, IsNotDoneByReading) {
  const auto before = test::Snapshot(path_);
  {
    MemoryAccount account(1 << 30);
    const auto collection = Collection::Open(files_, path_, account);
    ASSERT_TRUE(collection.ok());
    EXPECT_TRUE((*collection)->view().parts[0].segment->Payload(0).ok());
    EXPECT_TRUE(Verify().ok());
  }
  EXPECT_EQ(test::Snapshot(path_), before);
}

}  // namespace
}  // namespace mrl::collection
