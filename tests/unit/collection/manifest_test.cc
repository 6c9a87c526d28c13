// What a manifest may say, written into a database by hand.
#include <algorithm>
#include <functional>
#include <utility>
#include <vector>

#include "base/check.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "index/collection/collection.h"
#include "index/collection/database.h"
#include "index/collection/layout.h"
#include "index/collection/manifest_reader.h"
#include "index/collection/profiles.h"
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
                "the manifest has format version 6; this program reads up to 5: use a newer one");
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
                "the kind of side file '../x' is not known to this program");
}

funnel::ProfileSet SomeProfiles() {
  funnel::ProfileSet set;
  const funnel::ProfileVersion version = {
      .version = 0, .funnel = "4:50,24", .k = 10, .created_unix_s = 1'800'000'000, .note = "a"};
  CHECK(set.Create("fast", version).ok() && set.AddVersion("fast", version).ok());
  CHECK(set.RollBack("fast", 1).ok() && set.SetDefault("fast").ok());
  CHECK(set.SetShadow("fast", 0.25).ok());
  funnel::Certificate certificate;
  certificate.funnel = "scan/4:50,24:10";
  certificate.k = 10;
  certificate.queries = 7;
  certificate.own_points = true;
  certificate.recall = 0.75;
  certificate.low = 0.5;
  certificate.high = 1;
  certificate.lost = {0.25, 0};
  certificate.seed = 3;
  certificate.generation = 4;
  certificate.sequence = 5;
  certificate.rows = 6;
  certificate.created_unix_s = 1'800'000'001;
  certificate.change_max = 0.2;
  CHECK(set.SetCertificate("fast", 2, certificate).ok());
  return set;
}

TEST_F(ManifestFile, KeepsProfilesUnderAVersionOfItsOwn) {
  Manifest manifest = Good();
  manifest.profiles = SomeProfiles();
  Write(manifest.Serialize());
  const auto read = Read();
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->profiles, SomeProfiles());
  disk::Manifest message;
  ASSERT_TRUE(message.ParseFromString(manifest.Serialize()));
  EXPECT_EQ(message.format_version(), 3u);
  manifest.profiles = {};
  ASSERT_TRUE(message.ParseFromString(manifest.Serialize()));
  EXPECT_EQ(message.format_version(), 1u);
}

TEST_F(ManifestFile, StoresNarrowVectorsUnderAVersionOfItsOwn) {
  for (const auto& [storage, version] :
       std::vector<std::pair<StorageType, uint32_t>>{{StorageType::kF32, 1},
                                                     {StorageType::kF16, 1},
                                                     {StorageType::kBf16, 5},
                                                     {StorageType::kInt8, 5}}) {
    Manifest manifest = Good();
    manifest.schema.storage = storage;
    disk::Manifest message;
    ASSERT_TRUE(message.ParseFromString(manifest.Serialize()));
    EXPECT_EQ(message.format_version(), version) << ToString(storage);
    manifest.profiles = SomeProfiles();
    ASSERT_TRUE(message.ParseFromString(manifest.Serialize()));
    EXPECT_EQ(message.format_version(), std::max(version, 3U)) << ToString(storage);
  }
  ExpectRefused([](Manifest& manifest) { manifest.schema.storage = static_cast<StorageType>(5); },
                absl::StatusCode::kDataLoss, "manifest: unknown storage type");
}

TEST_F(ManifestFile, HasPossibleProfiles) {
  ExpectRefused(
      [](Manifest& manifest) {
        manifest.profiles = SomeProfiles();
        manifest.profiles.profiles[0].serving = 3;
      },
      absl::StatusCode::kDataLoss, "manifest: profile 'fast' has no version 3");
  ExpectRefused(
      [](Manifest& manifest) {
        manifest.profiles = SomeProfiles();
        manifest.profiles.default_name = "slow";
      },
      absl::StatusCode::kDataLoss, "manifest: profile 'slow' does not exist");
}

class ProfilesOfADirectory : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(Build(FileSystem::Posix(), Path(), SmallSchema(), 60).ok()); }
  std::string Path() const { return folder_.Path("c"); }
  static absl::Status Save(funnel::ProfileSet& set) {
    set = SomeProfiles();
    return absl::OkStatus();
  }
  test::TestFolder folder_;
  MemoryAccount account_{1 << 28};
};

TEST_F(ProfilesOfADirectory, AreThereWhenItIsOpenedAgain) {
  const auto before = Collection::Open(FileSystem::Posix(), Path(), account_);
  ASSERT_TRUE(before.ok()) << before.status();
  const absl::Status saved = EditProfiles(FileSystem::Posix(), Path(), Save);
  ASSERT_TRUE(saved.ok()) << saved;
  const auto after = Collection::Open(FileSystem::Posix(), Path(), account_);
  ASSERT_TRUE(after.ok()) << after.status();
  EXPECT_EQ((*after)->generation(), (*before)->generation());
  EXPECT_EQ((*after)->rows(), 60u);
  EXPECT_TRUE(Verify(FileSystem::Posix(), Path(), {}).ok());
  const auto alone = ReadProfiles(FileSystem::Posix(), Path());
  ASSERT_TRUE(alone.ok()) << alone.status();
  EXPECT_EQ(*alone, SomeProfiles());
}

TEST_F(ProfilesOfADirectory, StayAsTheyAreWhenAChangeIsRefused) {
  ASSERT_TRUE(EditProfiles(FileSystem::Posix(), Path(), Save).ok());
  const absl::Status refused =
      EditProfiles(FileSystem::Posix(), Path(), [](funnel::ProfileSet& set) {
        set.default_name.clear();
        return set.Delete("slow");
      });
  EXPECT_EQ(refused.code(), absl::StatusCode::kNotFound);
  const absl::Status impossible =
      EditProfiles(FileSystem::Posix(), Path(), [](funnel::ProfileSet& set) {
        set.profiles.clear();
        return absl::OkStatus();
      });
  EXPECT_EQ(impossible.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(*ReadProfiles(FileSystem::Posix(), Path()), SomeProfiles());
  EXPECT_EQ(EditProfiles(FileSystem::Posix(), folder_.Path("none"), Save).code(),
            absl::StatusCode::kNotFound);
}

TEST_F(ProfilesOfADirectory, AreChangedUnderAVersionThatIsOpen) {
  const auto before = Collection::Open(FileSystem::Posix(), Path(), account_);
  ASSERT_TRUE(before.ok()) << before.status();
  const auto after = (*before)->WithProfiles(Save);
  ASSERT_TRUE(after.ok()) << after.status();
  EXPECT_EQ((*after)->profiles(), SomeProfiles());
  EXPECT_TRUE((*before)->profiles().empty());
  EXPECT_EQ((*after)->view().parts[0].segment, (*before)->view().parts[0].segment);
  EXPECT_EQ(*ReadProfiles(FileSystem::Posix(), Path()), SomeProfiles());
  const auto refused =
      (*after)->WithProfiles([](funnel::ProfileSet& set) { return set.Delete("slow"); });
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kNotFound);
  // Another collection takes the directory's place: its profiles are its own.
  ASSERT_TRUE(FileSystem::Posix().RemoveTree(Path()).ok());
  ASSERT_TRUE(Build(FileSystem::Posix(), Path(), SmallSchema(), 60).ok());
  const auto other = (*after)->WithProfiles(Save);
  EXPECT_EQ(other.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(other.status().message(), HasSubstr("holds another version than is open"));
  EXPECT_TRUE(ReadProfiles(FileSystem::Posix(), Path())->empty());
}

TEST_F(ProfilesOfADirectory, AreChangedByOneWriterAtATime) {
  const auto writer = Database::OpenForWriting(DatabasePath(Path()));
  ASSERT_TRUE(writer.ok()) << writer.status();
  const absl::Status refused = EditProfiles(FileSystem::Posix(), Path(), Save);
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(refused.message(), HasSubstr("open for writing already"));
}

TEST_F(ManifestFile, IsMissingWhereNoCollectionIs) {
  ASSERT_TRUE(FileSystem::Posix().CreateDirectory(folder_.Path("c")).ok());
  ExpectRefused(absl::StatusCode::kNotFound, "is not a collection directory");
}

}  // namespace
}  // namespace mrl::collection
