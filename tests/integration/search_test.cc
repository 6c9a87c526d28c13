#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "tests/integration/served.h"

namespace mrl {
namespace {

using ::testing::Contains;
using ::testing::Each;
using ::testing::Not;

class Search : public Served {
 protected:
  // Cosine ranking of seed 1's rows by float64, first `dims` dimensions.
  static std::vector<std::string> Truth(const std::vector<float>& query, size_t dims, size_t k) {
    std::vector<std::pair<double, uint32_t>> scored;
    for (uint32_t row = 0; row < kSampleRows; ++row) {
      const std::vector<float> vector = SampleVector(1, row);
      double dot = 0, norm = 0;
      for (size_t i = 0; i < dims; ++i) {
        dot += static_cast<double>(query[i]) * vector[i];
        norm += static_cast<double>(vector[i]) * vector[i];
      }
      scored.emplace_back(-dot / std::sqrt(norm), row);
    }
    std::sort(scored.begin(), scored.end());
    std::vector<std::string> ids;
    for (size_t i = 0; i < k; ++i) ids.push_back("p" + std::to_string(scored[i].second));
    return ids;
  }

  const std::vector<float> query_ = SampleVector(7, 0);
};

TEST_F(Search, ExactEqualsTheReference) {
  client::SearchOptions options;
  options.exact = true;
  const auto result = client().Search("sample", query_, options);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(Ids(*result), Truth(query_, kSampleDim, 10));
  EXPECT_EQ(result->stats.plan, "exact");
  EXPECT_EQ(result->stats.rows_scanned, kSampleRows);
  EXPECT_EQ(result->stats.multiply_adds, uint64_t{kSampleRows} * kSampleDim);
  EXPECT_GT(result->stats.engine_micros, result->stats.stages[0].micros);
  EXPECT_LT(result->stats.engine_micros, result->stats.total_micros);
}

TEST_F(Search, AFunnelThatKeepsAllEqualsExact) {
  client::SearchOptions options;
  options.funnel = "16:500,32:500,64:10";
  const auto result = client().Search("sample", query_, options);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(Ids(*result), Truth(query_, kSampleDim, 10));
  ASSERT_EQ(result->stats.stages.size(), 3u);
  EXPECT_EQ(result->stats.stages[0].kind, "scan");
  EXPECT_EQ(result->stats.stages[1].candidates_in, 500u);
  EXPECT_EQ(result->stats.stages[2].candidates_out, 10u);
  EXPECT_EQ(result->stats.stages[2].dims, 64u);
}

TEST_F(Search, AShortQueryIsAnsweredAtItsPrefix) {
  const std::vector<float> prefix(query_.begin(), query_.begin() + 16);
  client::SearchOptions options;
  options.exact = true;
  const auto result = client().Search("sample", prefix, options);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(Ids(*result), Truth(query_, 16, 10));
}

TEST_F(Search, ByIdLeavesThePointOutUnlessAsked) {
  client::SearchOptions options;
  options.exact = true;
  const auto without = client().Search("sample", client::Id("p3"), options);
  ASSERT_TRUE(without.ok()) << without.status();
  EXPECT_EQ(without->hits.size(), 10u);
  EXPECT_THAT(Ids(*without), Not(Contains("p3")));
  options.include_self = true;
  const auto with = client().Search("sample", client::Id("p3"), options);
  ASSERT_TRUE(with.ok()) << with.status();
  EXPECT_EQ(Ids(*with).front(), "p3");
  EXPECT_NEAR(with->hits.front().score, 1.0f, 1e-5);
}

TEST_F(Search, ReturnsPayloadsAndVectorsWhenAsked) {
  client::SearchOptions options;
  options.k = 1;
  options.include_self = true;
  const auto bare = client().Search("sample", client::Id("p5"), options);
  ASSERT_TRUE(bare.ok()) << bare.status();
  EXPECT_EQ(bare->hits.front().payload_json, "");
  EXPECT_TRUE(bare->hits.front().vector.empty());
  options.with_payload = options.with_vector = true;
  const auto full = client().Search("sample", client::Id("p5"), options);
  ASSERT_TRUE(full.ok()) << full.status();
  EXPECT_EQ(full->hits.front().payload_json, "{\"text\":\"point 5\"}");
  EXPECT_EQ(full->hits.front().vector, SampleVector(1, 5));
}

TEST_F(Search, TheThresholdIsAMinimumForCosine) {
  client::SearchOptions options;
  options.exact = true;
  const auto all = client().Search("sample", query_, options);
  ASSERT_TRUE(all.ok()) << all.status();
  options.score_threshold = all->hits[3].score;
  const auto near = client().Search("sample", query_, options);
  ASSERT_TRUE(near.ok()) << near.status();
  EXPECT_EQ(near->hits.size(), 4u);
}

TEST_F(Search, ExplainFollowsTheIdsThatAreAskedFor) {
  client::SearchOptions options;
  options.funnel = "16:20,64:5";
  options.k = 5;
  const auto found = client().Search("sample", query_, options);
  ASSERT_TRUE(found.ok()) << found.status();
  const std::string last_at_16 = Truth(query_, 16, kSampleRows).back();
  const std::vector<client::Id> ids = {found->hits.front().id, last_at_16, std::string("nobody")};
  const auto explained = client().Explain("sample", query_, options, ids);
  ASSERT_TRUE(explained.ok()) << explained.status();
  EXPECT_EQ(Ids(explained->result), Ids(*found));
  ASSERT_EQ(explained->why_not.size(), 3u);
  EXPECT_FALSE(explained->why_not[0].lost_at.has_value());
  EXPECT_EQ(explained->why_not[0].stages[1].rank, 0u);
  EXPECT_EQ(explained->why_not[1].lost_at, 0u);
  EXPECT_FALSE(explained->why_not[1].stages[0].rank.has_value());
  EXPECT_FALSE(explained->why_not[2].found);
}

TEST_F(Search, CollectionsAreDescribed) {
  const auto collection = client().GetCollection("sample");
  ASSERT_TRUE(collection.ok()) << collection.status();
  EXPECT_EQ(collection->rows, kSampleRows);
  EXPECT_EQ(collection->metric, "cosine");
  EXPECT_THAT(collection->ladder, ::testing::ElementsAre(16u, 32u, 64u));
  EXPECT_THAT(collection->codes, ::testing::ElementsAre("16b8", "32b8"));
  const auto all = client().ListCollections();
  ASSERT_TRUE(all.ok()) << all.status();
  ASSERT_EQ(all->size(), 2u);
  EXPECT_EQ((*all)[0].name, "broken");
  EXPECT_FALSE((*all)[0].serving);
  EXPECT_EQ((*all)[1].name, "sample");
  const auto stats = client().GetCollectionStats("sample");
  ASSERT_TRUE(stats.ok()) << stats.status();
  EXPECT_EQ(stats->level_bytes.at(64), kSampleRows * 32 * 4u);
  EXPECT_GT(stats->disk_bytes, kSampleRows * kSampleDim * 4u);
}

TEST_F(Search, ListingGoesByPages) {
  v1::ListCollectionsRequest request;
  request.set_page_size(1);
  const auto first = wire().ListCollections(request);
  ASSERT_TRUE(first.ok()) << first.status();
  ASSERT_EQ(first->collections_size(), 1);
  EXPECT_EQ(first->collections(0).name(), "broken");
  request.set_page_token(first->next_page_token());
  const auto second = wire().ListCollections(request);
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(second->collections(0).name(), "sample");
  EXPECT_EQ(second->next_page_token(), "");
}

TEST_F(Search, TheServerSaysWhatItIs) {
  const auto info = client().GetServerInfo();
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->version, "0.1.0");
  EXPECT_EQ(info->workers, 2u);
  EXPECT_EQ(info->limits.at("k"), 10'000u);
  EXPECT_EQ(info->limits.at("request_bytes"), uint64_t{64} << 20);
  EXPECT_GT(info->memory_used_bytes, kSampleRows * kSampleDim * 4u);
}

TEST_F(Search, HealthIsKeptPerCollection) {
  EXPECT_EQ(client().CheckHealth().value_or(false), true);
  EXPECT_EQ(client().CheckHealth("sample").value_or(false), true);
  EXPECT_EQ(client().CheckHealth("broken").value_or(true), false);
  EXPECT_EQ(client().CheckHealth("nobody").status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace mrl
