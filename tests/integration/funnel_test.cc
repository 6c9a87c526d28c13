#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/integration/served.h"

namespace mrl {
namespace {

using absl::StatusCode;

class FunnelCalls : public Served {
 protected:
  absl::StatusOr<client::Profile> Save(const std::string& name, const std::string& funnel,
                                       bool make_default = false) {
    client::ProfileVersion version;
    version.funnel = funnel;
    version.k = 10;
    return client().CreateProfile("sample", name, version, make_default);
  }
  absl::StatusOr<client::SearchResult> Search(const client::SearchOptions& options = {}) {
    return client().Search("sample", SampleVector(7, 0), options);
  }
};

TEST_F(FunnelCalls, AProfileIsSavedServedRolledBackAndDeleted) {
  const auto made = Save("fast", "16:40,64:10", true);
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_TRUE(made->is_default);
  EXPECT_EQ(Search()->stats.profile, "fast");
  EXPECT_EQ(Search()->stats.plan, "scan/16:40,64:10");
  client::ProfileChange change;
  change.funnel = "16:80,64:10";
  ASSERT_TRUE(client().UpdateProfile("sample", "fast", change).ok());
  EXPECT_EQ(Search()->stats.profile_version, 2u);
  client::ProfileChange back;
  back.serving_version = 0;
  ASSERT_TRUE(client().UpdateProfile("sample", "fast", back).ok());
  EXPECT_EQ(Search()->stats.profile_version, 1u);
  ExpectError(client().DeleteProfile("sample", "fast"), StatusCode::kFailedPrecondition,
              "is the default");
  client::ProfileChange plain;
  plain.is_default = false;
  ASSERT_TRUE(client().UpdateProfile("sample", "fast", plain).ok());
  EXPECT_EQ(Search()->stats.profile, "");
  client::SearchOptions named;
  named.profile = "fast";
  EXPECT_EQ(Search(named)->stats.profile_version, 1u);
  ASSERT_TRUE(client().DeleteProfile("sample", "fast").ok());
  ExpectError(Search(named).status(), StatusCode::kNotFound, "profile 'fast'");
  // A reload reads what the directory keeps.
  ASSERT_TRUE(Save("slow", "64:10").ok());
  ASSERT_TRUE(client().ReloadCollection("sample").ok());
  const auto listed = client().ListProfiles("sample");
  ASSERT_TRUE(listed.ok()) << listed.status();
  ASSERT_EQ(listed->size(), 1u);
  EXPECT_EQ(listed->front().name, "slow");
}

TEST_F(FunnelCalls, ACertificateIsKeptWithTheProfile) {
  ASSERT_TRUE(Save("fast", "16:20,64:10", true).ok());
  client::CertifyOptions options;
  options.queries.sample = 60;
  std::vector<uint64_t> told;
  const auto certificate = client().MeasureRecall(
      "sample", options, [&](uint64_t done, uint64_t) { told.push_back(done); });
  ASSERT_TRUE(certificate.ok()) << certificate.status();
  EXPECT_EQ(certificate->profile, "fast");
  EXPECT_EQ(certificate->queries, 60u);
  EXPECT_TRUE(certificate->own_points);
  EXPECT_FALSE(told.empty());
  double sum = certificate->recall;
  for (const double lost : certificate->lost) sum += lost;
  EXPECT_NEAR(sum, 1, 1e-9);
  const auto kept = client().GetProfile("sample", "fast");
  ASSERT_TRUE(kept.ok() && kept->versions[0].certificate.has_value());
  EXPECT_EQ(kept->versions[0].certificate->recall, certificate->recall);
  options.funnel = "16:20,50";
  ExpectError(client().MeasureRecall("sample", options).status(), StatusCode::kInvalidArgument,
              "50 dims are not on the ladder");
}

TEST_F(FunnelCalls, TuningSavesWhatReachesItsTarget) {
  client::TuneOptions options;
  options.recall = 0.7;
  options.queries.sample = 60;
  options.save_as = "tuned";
  const auto tuned = client().TuneFunnel("sample", options);
  ASSERT_TRUE(tuned.ok()) << tuned.status();
  ASSERT_TRUE(tuned->reached);
  EXPECT_GE(tuned->tuning.low, 0.7);
  EXPECT_EQ(tuned->profile, "tuned");
  EXPECT_EQ(client().GetProfile("sample", "tuned")->funnel, tuned->held_out.funnel);
  options.recall = 2;
  ExpectError(client().TuneFunnel("sample", options).status(), StatusCode::kInvalidArgument,
              "target recall is 2");
}

TEST_F(FunnelCalls, RandomVectorsAreNotUsefulByPrefixes) {
  client::AnalyzeOptions options;
  options.queries.sample = 40;
  const auto report = client().AnalyzeDimensions("sample", options);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->verdict, "not_useful");
  ASSERT_EQ(report->prefixes.size(), 3u);
  EXPECT_EQ(report->prefixes.back().recall, 1);
  EXPECT_FALSE(report->advice.empty());
}

TEST_F(FunnelCalls, ProgressiveSearchEndsWithTheResult) {
  client::SearchOptions options;
  options.funnel = "16:100,32:50,64:10";
  std::vector<client::SearchResult> shown;
  const absl::Status told =
      client().ProgressiveSearch("sample", SampleVector(7, 0), options,
                                 [&](const client::SearchResult& one) { shown.push_back(one); });
  ASSERT_TRUE(told.ok()) << told;
  ASSERT_EQ(shown.size(), 3u);
  EXPECT_EQ(shown[0].stats.stages.size(), 1u);
  EXPECT_EQ(Ids(shown[2]), Ids(*Search(options)));
  options.anytime = true;
  ExpectError(client().ProgressiveSearch("sample", SampleVector(7, 0), options, [](const auto&) {}),
              StatusCode::kInvalidArgument, "anytime is set; only Search takes it");
}

// The deadline that the server sees is only so exact: a funnel that cannot be done in time, with a
// first stage that can, is not made here. What a stop does is in tests/unit/funnel/stepped_test.cc.
TEST_F(FunnelCalls, AnytimeIsASearchWhereThereIsTime) {
  client::SearchOptions options;
  options.funnel = "16:100,64:10";
  const auto whole = Search(options);
  options.anytime = true;
  const auto anytime = Search(options);
  ASSERT_TRUE(anytime.ok()) << anytime.status();
  EXPECT_EQ(Ids(*anytime), Ids(*whole));
  EXPECT_FALSE(anytime->stats.degraded);
}

TEST_F(FunnelCalls, AdaptiveKeepTellsWhatItLeftOut) {
  client::SearchOptions options;
  options.funnel = "16:100,64:10";
  const auto whole = Search(options);
  options.adaptive_keep = 0.5;
  const auto fewer = Search(options);
  ASSERT_TRUE(fewer.ok()) << fewer.status();
  const std::vector<client::Stage>& stages = fewer->stats.stages;
  EXPECT_GT(stages[0].left_out, 0u);
  EXPECT_EQ(stages[0].left_out + stages[0].candidates_out, 100u);
  EXPECT_EQ(stages[1].candidates_in, stages[0].candidates_out);
  EXPECT_GT(fewer->stats.adaptive_keep_recall.value_or(0), 0.5);
  EXPECT_EQ(whole->stats.stages[0].left_out, 0u);
  EXPECT_FALSE(whole->stats.adaptive_keep_recall.has_value());
  ExpectError(client().Explain("sample", SampleVector(7, 0), options, {}).status(),
              StatusCode::kInvalidArgument, "adaptive_keep is set; only Search takes it");
}

}  // namespace
}  // namespace mrl
