#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "tests/integration/served.h"

namespace mrl {
namespace {

using absl::StatusCode;

class Reload : public Served {
 protected:
  std::string NearestTo(const std::vector<float>& query) {
    const auto result = client().Search("sample", query);
    return result.ok() ? Ids(*result).front() : result.status().ToString();
  }
};

TEST_F(Reload, ServesTheRebuiltDirectory) {
  const auto before = client().GetCollection("sample");
  ASSERT_TRUE(before.ok()) << before.status();
  BuildSample(folder_ / "sample", 3, 300);
  EXPECT_EQ(NearestTo(SampleVector(1, 9)), "p9") << "the old version serves until the reload";
  const auto after = client().ReloadCollection("sample");
  ASSERT_TRUE(after.ok()) << after.status();
  EXPECT_EQ(after->rows, 300u);
  EXPECT_NE(after->uuid, before->uuid);
  EXPECT_EQ(NearestTo(SampleVector(3, 9)), "p9");
}

TEST_F(Reload, QueriesThatRunAreNotDisturbed) {
  std::atomic<bool> done{false};
  std::atomic<int> wrong{0}, answered{0};
  std::thread asker([&] {
    while (!done.load()) {
      const auto result = client().Search("sample", SampleVector(1, 9));
      ++answered;
      if (!result.ok() || Ids(*result).front() != "p9") ++wrong;
    }
  });
  for (int i = 0; i < 5; ++i) {
    BuildSample(folder_ / "sample", 1);
    EXPECT_TRUE(client().ReloadCollection("sample").ok());
  }
  done = true;
  asker.join();
  EXPECT_EQ(wrong.load(), 0);
  EXPECT_GT(answered.load(), 0);
}

TEST_F(Reload, ADamagedNewVersionLeavesTheOldOneServing) {
  BuildSample(folder_ / "sample", 3);
  Damage(folder_ / "sample");
  ExpectError(client().ReloadCollection("sample").status(), StatusCode::kDataLoss,
              "collection 'sample' was not reloaded and its version before is served: ");
  EXPECT_EQ(NearestTo(SampleVector(1, 9)), "p9");
  const auto collection = client().GetCollection("sample");
  ASSERT_TRUE(collection.ok()) << collection.status();
  EXPECT_NE(collection->state_message, "");
  EXPECT_EQ(client().CheckHealth("sample").value_or(false), true);
}

// Payloads are not read when a collection is opened.
TEST_F(Reload, ADamagedPayloadOfTheNewVersionLeavesTheOldOneServing) {
  BuildSample(folder_ / "sample", 3);
  const std::string path = folder_ / "sample/segments/000001.seg";
  std::ifstream in(path, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(in), {}};
  const size_t at = bytes.find("point 17");
  ASSERT_NE(at, std::string::npos);
  bytes[at] = 'P';
  std::ofstream(path, std::ios::binary) << bytes;
  ExpectError(client().ReloadCollection("sample").status(), StatusCode::kDataLoss, "payloads");
  client::SearchOptions options;
  options.with_payload = true;
  const auto result = client().Search("sample", SampleVector(1, 17), options);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(Ids(*result).front(), "p17");
}

TEST_F(Reload, ARepairedCollectionIsServedAgain) {
  BuildSample(folder_ / "broken", 2);
  const auto reloaded = client().ReloadCollection("broken");
  ASSERT_TRUE(reloaded.ok()) << reloaded.status();
  EXPECT_TRUE(client().Search("broken", SampleVector(2, 0)).ok());
  EXPECT_EQ(client().CheckHealth("broken").value_or(false), true);
}

TEST_F(Reload, UnknownNamesAreRefused) {
  ExpectError(client().ReloadCollection("nope").status(), StatusCode::kNotFound,
              "collection 'nope' does not exist");
}

TEST_F(Reload, AfterTheDrainNothingIsAnswered) {
  server_->Drain();
  EXPECT_EQ(client().Search("sample", SampleVector(1, 0)).status().code(),
            StatusCode::kUnavailable);
}

}  // namespace
}  // namespace mrl
