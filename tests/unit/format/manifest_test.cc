#include "index/format/manifest.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace mrl::format {
namespace {

using ::testing::HasSubstr;

Schema SampleSchema() {
  Schema schema;
  schema.dim = 64;
  schema.ladder = {16, 32, 64};
  schema.metric = Metric::kL2;
  schema.storage = StorageType::kF16;
  schema.transform = Transform::kLayerNorm;
  schema.codes = {{16, 8}, {32, 8}};
  return schema;
}

TEST(DiskSchema, GivesBackEveryField) {
  for (const Metric metric : {Metric::kCosine, Metric::kInnerProduct, Metric::kL2}) {
    Schema schema = SampleSchema();
    schema.metric = metric;
    const auto back = FromDisk(ToDisk(schema));
    ASSERT_TRUE(back.ok()) << back.status();
    EXPECT_EQ(*back, schema);
  }
}

TEST(DiskSchema, IsRefusedWhenItIsNotASchema) {
  disk::Schema message = ToDisk(SampleSchema());
  message.set_metric(9);
  EXPECT_EQ(FromDisk(message).status().code(), absl::StatusCode::kDataLoss);
  message = ToDisk(SampleSchema());
  message.set_ladder(2, 65);
  EXPECT_EQ(FromDisk(message).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(FromDisk(message).status().message(), HasSubstr("manifest: "));
  EXPECT_EQ(FromDisk(disk::Schema()).status().code(), absl::StatusCode::kDataLoss);
}

// On disk in every file: a change would make all of them belong to another schema.
TEST(SchemaHash, IsFrozen) { EXPECT_EQ(SchemaHash(SampleSchema()), 5838116424948525873u); }

TEST(SchemaHash, DependsOnEveryField) {
  const uint64_t hash = SchemaHash(SampleSchema());
  std::vector<Schema> others(6, SampleSchema());
  others[0].dim = 128;
  others[1].ladder = {16, 64};
  others[2].metric = Metric::kCosine;
  others[3].storage = StorageType::kF32;
  others[4].transform = Transform::kNone;
  others[5].codes.pop_back();
  for (const Schema& other : others) EXPECT_NE(SchemaHash(other), hash);
}

TEST(ManifestBytes, AreRefusedWhenTheyAreNone) {
  const auto manifest = ParseManifest("\xff\xff\xff");
  EXPECT_EQ(manifest.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(manifest.status().message(), HasSubstr("the bytes are not a manifest"));
}

TEST(ManifestBytes, AreRefusedByVersionWhenNewer) {
  disk::Manifest message;
  message.set_format_version(kManifestVersion + 1);
  const auto manifest = ParseManifest(message.SerializeAsString());
  EXPECT_EQ(manifest.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(manifest.status().message(),
              HasSubstr("format version 6; this program reads up to 5: use a newer one"));
}

TEST(FileNames, HoldNumberAndKind) {
  EXPECT_EQ(SegmentFileName(7), "000007.seg");
  EXPECT_EQ(SideFileName(1234567, "scan"), "1234567.scan.idx");
}

}  // namespace
}  // namespace mrl::format
