// Funnels that begin with a kind that is built beside the scan: what they lose at the first stage,
// and that later stages make up for what its codes round.
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/string_view.h"
#include "base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "index/coarse/index_spec.h"
#include "index/funnel/run.h"
#include "tests/unit/coarse/sample.h"

namespace mrl::funnel {
namespace {

using coarse::IndexSpec;
using test::Sample;
using ::testing::HasSubstr;

// A sample with one index beside its scan.
class Kinds : public ::testing::Test {
 protected:
  const Sample& MakeSample(const test::SampleOptions& options) {
    sample_ = std::make_unique<Sample>(options);
    return *sample_;
  }
  absl::Status Add(const IndexSpec& spec) {
    FileSystem& files = FileSystem::Posix();
    const std::string path = sample_->PathOf("built.idx");
    MRL_RETURN_IF_ERROR(coarse::BuildIndex(files, path, *sample_->segment, spec, {}));
    MRL_ASSIGN_OR_RETURN(
        auto index, coarse::OpenIndex(files, path, spec.kind, sample_->segment, sample_->account));
    view_ = {.schema = sample_->schema,
             .parts = {{.segment = sample_->segment, .indexes = {sample_->scan, std::move(index)}}},
             .kinds = {"scan", spec.kind}};
    if (spec.code.bits != 0) kind_codes_[spec.kind] = spec.code;
    return absl::OkStatus();
  }
  std::vector<Hit> Search(const std::string& plan_text, const std::vector<float>& query) const {
    PlanInput input;
    input.schema = &view_.schema;
    input.kinds = view_.kinds;
    input.kind_codes = kind_codes_;
    input.query_dims = view_.schema.dim;
    input.exact = plan_text == "exact";
    if (!input.exact) input.funnel = *ParseFunnel(plan_text);
    const auto plan = MakePlan(input);
    EXPECT_TRUE(plan.ok()) << plan.status();
    const auto output = funnel::Run(view_, *plan, query, {});
    EXPECT_TRUE(output.ok()) << output.status();
    return output.ok() ? output->hits : std::vector<Hit>();
  }
  // Of the 10 that exact search finds.
  double Recall(const std::string& plan) const {
    size_t found = 0;
    for (uint32_t seed = 0; seed < 40; ++seed) {
      const std::vector<float> query = sample_->QueryNear(19 * seed, seed);
      const std::vector<Hit> hits = Search(plan, query);
      for (const Hit& truth : Search("exact", query)) {
        for (const Hit& hit : hits) found += hit.at == truth.at ? 1 : 0;
      }
    }
    return static_cast<double>(found) / 400;
  }

 private:
  std::unique_ptr<Sample> sample_;  // outlives what the view holds of it
  View view_;
  std::map<std::string, Code> kind_codes_;
};

class KindsByMetric : public Kinds, public ::testing::WithParamInterface<Metric> {};
INSTANTIATE_TEST_SUITE_P(Metrics, KindsByMetric,
                         ::testing::Values(Metric::kCosine, Metric::kInnerProduct, Metric::kL2),
                         [](const auto& metric) { return std::string(ToString(metric.param)); });

// Blocks of a list hold other rows than the scan's, so their bytes round otherwise; a shortlist
// that is longer than what it is asked for covers that, and stored vectors decide.
TEST_P(KindsByMetric, BytesOfAllListsGiveWhatTheScanGivesToTheBit) {
  const Sample& sample = MakeSample({.rows = 2000, .metric = GetParam(), .codes = {{16, 8}}});
  ASSERT_TRUE(Add({.kind = "ivf_scan", .dims = 16, .lists = 20, .code = {16, 8}}).ok());
  for (const std::string stages : {"16b8:200,16:10", "16b8:400,48:10"}) {
    for (uint32_t seed = 0; seed < 40; ++seed) {
      const std::vector<float> query = sample.QueryNear(43 * seed, seed);
      const std::vector<Hit> wanted = Search("scan/" + stages, query);
      const std::vector<Hit> found = Search("ivf_scan(nprobe=20)/" + stages, query);
      ASSERT_EQ(found.size(), wanted.size());
      for (size_t i = 0; i < found.size(); ++i) {
        EXPECT_EQ(found[i].at, wanted[i].at) << stages << " " << seed;
        EXPECT_EQ(found[i].score, wanted[i].score) << stages << " " << seed;
      }
    }
  }
}

struct Factory {
  const char* text;
  const char* funnel;
  double recall;  // at least
  bool takes_ip = true;
  bool takes_l2 = true;
  bool Takes(Metric metric) const {
    return metric == Metric::kInnerProduct ? takes_ip : metric != Metric::kL2 || takes_l2;
  }
};
constexpr Factory kFactories[] = {
    {"OPQ8,PQ8", "faiss/16:50,48:10", 0.95},
    {"OPQ8,IVF8,PQ8", "faiss(nprobe=4)/16:50,48:10", 0.95},
    // FAISS links it by L2 whatever it is asked for; unit vectors are near by both.
    {"OPQ8,HNSW16_PQ8", "faiss(efSearch=100)/16:50,48:10", 0.95, false},
    {"HNSW16_SQ8", "faiss(efSearch=100)/16:50,48:10", 0.9},
    {"SQ8", "faiss/16:50,48:10", 0.95},
    {"PCA16,IVF16,SQ8", "faiss(nprobe=8)/32:50,48:10", 0.95},
    // Signs say something of angles alone.
    {"LSH", "faiss/32:100,48:10", 0.9, false, false},
    {"ITQ,LSH", "faiss/32:100,48:10", 0.9, false, false},
};
class KindsOfFaiss : public Kinds,
                     public ::testing::WithParamInterface<std::tuple<Metric, Factory>> {};
INSTANTIATE_TEST_SUITE_P(
    Factories, KindsOfFaiss,
    ::testing::Combine(::testing::Values(Metric::kCosine, Metric::kInnerProduct, Metric::kL2),
                       ::testing::ValuesIn(kFactories)),
    [](const auto& one) {
      std::string name(ToString(std::get<0>(one.param)));
      for (const char c : absl::string_view(std::get<1>(one.param).text)) {
        name.push_back(absl::ascii_isalnum(static_cast<unsigned char>(c)) ? c : '_');
      }
      return name;
    });

TEST_P(KindsOfFaiss, FindWhatStagesRank) {
  const auto& [metric, factory] = GetParam();
  MakeSample({.rows = 800, .metric = metric});
  const uint32_t dims = ParseFunnel(factory.funnel)->stages[0].dims;
  const absl::Status added = Add({.kind = "faiss", .dims = dims, .factory = factory.text});
  if (factory.Takes(metric)) {
    ASSERT_TRUE(added.ok()) << added;
    EXPECT_GE(Recall(factory.funnel), factory.recall);
  } else {
    EXPECT_EQ(added.code(), absl::StatusCode::kInvalidArgument) << added;
    EXPECT_THAT(std::string(added.message()), HasSubstr(factory.text));
  }
}

}  // namespace
}  // namespace mrl::funnel
