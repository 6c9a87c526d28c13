// A build whose n-th operation fails, for every n: it says so, and nobody can tell that it ran.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "index/collection/collection.h"
#include "tests/support/fault_file_system.h"
#include "tests/support/test_folder.h"
#include "tests/unit/collection/sample.h"

namespace mrl::collection {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr uint32_t kRows = 40;

// With every kind of file: three segments, scan codes, and FAISS beside them.
class FaultyBuild : public ::testing::Test {
 protected:
  FaultyBuild() {
    options_.segment_rows_max = 16;
    options_.index = coarse::IndexSpec{.kind = "faiss", .dims = 10, .factory = "Flat"};
  }

  absl::Status Run(FileSystem& files) {
    return Build(files, path_, schema_, kRows, options_).status();
  }
  uint64_t CountOperations() {
    test::FaultFileSystem counted;
    EXPECT_TRUE(Run(counted).ok());
    return counted.operations();
  }

  test::TestFolder folder_;
  const std::string path_ = folder_.Path("c");
  const Schema schema_ = SmallSchema();
  BuildOptions options_;
};

TEST_F(FaultyBuild, LeavesNothingWhicheverOperationFails) {
  const uint64_t operations = CountOperations();
  ASSERT_TRUE(FileSystem::Posix().RemoveTree(path_).ok());
  ASSERT_GT(operations, 100u);
  for (uint64_t n = 1; n <= operations; ++n) {
    test::FaultFileSystem faulty;
    faulty.FailAt(n, absl::InternalError("fault"));
    EXPECT_EQ(Run(faulty), absl::InternalError("fault")) << n;
    EXPECT_THAT(folder_.Names(), IsEmpty()) << n;
  }
}

TEST_F(FaultyBuild, LeavesNothingWheneverTheDiskFillsUp) {
  const uint64_t operations = CountOperations();
  ASSERT_TRUE(FileSystem::Posix().RemoveTree(path_).ok());
  for (uint64_t n = 1; n <= operations; ++n) {
    test::FaultFileSystem faulty;
    faulty.FillDiskAt(n);
    const absl::Status status = Run(faulty);
    if (status.ok()) {  // what is left to do needs no space
      EXPECT_TRUE(Verify(FileSystem::Posix(), path_, {}).ok()) << n;
      ASSERT_TRUE(FileSystem::Posix().RemoveTree(path_).ok());
      continue;
    }
    EXPECT_EQ(status, absl::ResourceExhaustedError("No space left on device")) << n;
    EXPECT_THAT(folder_.Names(), IsEmpty()) << n;
  }
}

TEST_F(FaultyBuild, LeavesTheReplacedCollectionAsItWas) {
  ASSERT_TRUE(Build(FileSystem::Posix(), path_, schema_, 10).ok());
  options_.replace = true;
  const uint64_t operations = CountOperations();
  const auto before = test::Snapshot(path_);
  for (uint64_t n = 1; n <= operations; ++n) {
    test::FaultFileSystem faulty;
    faulty.FailAt(n, absl::InternalError("fault"));
    EXPECT_EQ(Run(faulty), absl::InternalError("fault")) << n;
    EXPECT_THAT(folder_.Names(), ElementsAre("c")) << n;
    ASSERT_EQ(test::Snapshot(path_), before) << n;
  }
}

TEST_F(FaultyBuild, LeavesNothingWhenAFaultMeetsTheThreadThatWrites) {
  options_.threads = 3;
  const uint64_t operations = CountOperations();
  ASSERT_TRUE(FileSystem::Posix().RemoveTree(path_).ok());
  for (uint64_t n = 1; n <= operations; ++n) {
    test::FaultFileSystem faulty;
    faulty.FailAt(n, absl::InternalError("fault"));
    EXPECT_EQ(Run(faulty), absl::InternalError("fault")) << n;
    EXPECT_THAT(folder_.Names(), IsEmpty()) << n;
  }
}

TEST_F(FaultyBuild, IsNotFinishedWithoutFinish) {
  auto builder = CollectionBuilder::Create(FileSystem::Posix(), path_, schema_, options_);
  ASSERT_TRUE((*builder)->Append(MakeChunk(schema_, kRows)).ok());
  EXPECT_FALSE(FileSystem::Posix().Exists(path_));
  builder->reset();
  EXPECT_THAT(folder_.Names(), IsEmpty());
}

}  // namespace
}  // namespace mrl::collection
