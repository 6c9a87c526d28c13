// What a manifest may say, written into a database by hand.
#include <functional>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "index/collection/collection.h"
#include "index/collection/database.h"
#include "index/collection/layout.h"
#include "index/collection/manifest_reader.h"
#include "tests/support/test_folder.h"
#include "tests/unit/collection/sample.h"

namespace mrl::collection {
namespace {

using ::testing::HasSubstr;

class ManifestFile : public ::testing::Test {
 protected:
  static Manifest Good() {
    Manifest manifest;
    manifest.uuid = std::string(32, 'a');
    manifest.generation = 7;
    manifest.created_unix_s = 1'800'000'000;
    manifest.schema = SmallSchema(Metric::kL2, StorageType::kF16);
    manifest.segments = {{.number = 1,
                          .uuid = std::string(32, 'b'),
                          .rows = 10,
                          .first_sequence = 1,
                          .file_bytes = 5000},
                         {.number = 4,
                          .uuid = std::string(32, 'c'),
                          .rows = 3,
                          .first_sequence = 11,
                          .file_bytes = 4000}};
    manifest.side_files = {{1, "scan", 900}, {4, "scan", 800}, {4, "faiss", 700}};
    manifest.active_kind = "scan";
    return manifest;
  }
  // A collection directory with this manifest and nothing else.
  void Write(const std::string& bytes) {
    ASSERT_TRUE(FileSystem::Posix().RemoveTree(folder_.Path("c")).ok());
    ASSERT_TRUE(FileSystem::Posix().CreateDirectory(folder_.Path("c")).ok());
    const auto database = Database::Create(DatabasePath(folder_.Path("c")));
    ASSERT_TRUE(database.ok()) << database.status();
    ASSERT_TRUE((*database)->PutManifest(bytes).ok());
    ASSERT_TRUE((*database)->Close().ok());
  }
  absl::StatusOr<Manifest> Read() { return ReadManifest(FileSystem::Posix(), folder_.Path("c")); }
  void ExpectRefused(absl::StatusCode code, const std::string& message) {
    const absl::Status status = Read().status();
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_THAT(status.message(), HasSubstr(folder_.Path("c")));
    EXPECT_THAT(status.message(), HasSubstr(message));
    MemoryAccount account(1 << 20);
    EXPECT_EQ(Collection::Open(FileSystem::Posix(), folder_.Path("c"), account).status(), status);
    EXPECT_EQ(Verify(FileSystem::Posix(), folder_.Path("c"), {}), status);
  }
  void ExpectRefused(const std::function<void(Manifest&)>& edit, absl::StatusCode code,
                     const std::string& message) {
    Manifest manifest = Good();
    edit(manifest);
    Write(manifest.Serialize());
    ExpectRefused(code, message);
  }

  test::TestFolder folder_;
};

TEST_F(ManifestFile, IsReadAsItWasWritten) {
  Write(Good().Serialize());
  const auto manifest = Read();
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  EXPECT_EQ(manifest->Serialize(), Good().Serialize());
  EXPECT_EQ(manifest->schema, Good().schema);
  EXPECT_EQ(manifest->generation, 7u);
  EXPECT_EQ(manifest->rows(), 13u);
  EXPECT_EQ(manifest->side_files[2].kind, "faiss");
}

TEST_F(ManifestFile, OfANewerFormatIsRefusedByItsVersion) {
  disk::Manifest newer;
  ASSERT_TRUE(newer.ParseFromString(Good().Serialize()));
  newer.set_format_version(format::kManifestVersion + 1);
  Write(newer.SerializeAsString());
  ExpectRefused(absl::StatusCode::kFailedPrecondition,
                "the manifest has format version 3; this program reads up to 2: use a newer one");
}

TEST_F(ManifestFile, OfOtherBytesIsDamage) {
  Write("\xff\xff no message");
  ExpectRefused(absl::StatusCode::kDataLoss, "manifest: the bytes are not a manifest");
  Write("");
  ExpectRefused(absl::StatusCode::kDataLoss, "manifest: ");
}

TEST_F(ManifestFile, HasAPossibleSchema) {
  ExpectRefused([](Manifest& manifest) { manifest.schema.dim = 25; }, absl::StatusCode::kDataLoss,
                "manifest: ");
  ExpectRefused([](Manifest& manifest) { manifest.schema.metric = static_cast<Metric>(9); },
                absl::StatusCode::kDataLoss, "manifest: ");
}

TEST_F(ManifestFile, HasSegmentsInOrderOfTheirRows) {
  for (const auto& edit : std::vector<std::function<void(Manifest&)>>{
           [](Manifest& manifest) { manifest.segments[1].first_sequence = 10; },
           [](Manifest& manifest) { manifest.segments[1].rows = 0; },
           [](Manifest& manifest) { manifest.segments[1].rows = 4'000'001; }}) {
    ExpectRefused(edit, absl::StatusCode::kDataLoss, "manifest: segment 4 has impossible rows");
  }
}

TEST_F(ManifestFile, NamesACoarseKindThatIsNotKnown) {
  ExpectRefused([](Manifest& manifest) { manifest.side_files[0].kind = "../x"; },
                absl::StatusCode::kFailedPrecondition,
                "the coarse kind '../x' is not known to this program");
}

TEST_F(ManifestFile, IsMissingWhereNoCollectionIs) {
  ASSERT_TRUE(FileSystem::Posix().CreateDirectory(folder_.Path("c")).ok());
  ExpectRefused(absl::StatusCode::kNotFound, "is not a collection directory");
}

}  // namespace
}  // namespace mrl::collection
