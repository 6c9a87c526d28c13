// Collections that older versions wrote keep opening, and answer as they did.
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "index/collection/collection.h"
#include "index/funnel/plan.h"
#include "index/funnel/run.h"
#include "tests/support/test_folder.h"

namespace mrl::collection {
namespace {

using ::testing::ElementsAre;

const std::vector<float> kQuery = {0.75F,  -0.5F,  0.25F, 1.0F,  -0.125F, 0.5F,   -0.25F, 0.375F,
                                   0.125F, -0.75F, 0.5F,  0.25F, -0.375F, 0.125F, 0.25F,  -0.5F};

using Hits = std::vector<std::pair<std::string, double>>;  // ids and scores

class Golden : public ::testing::Test {
 protected:
  // Opens tests/golden/FORMAT/NAME in place.
  void Open(const std::string& name, const std::string& format = "format-1") {
    const char* source = std::getenv("MRL_SOURCE_DIR");
    ASSERT_NE(source, nullptr) << "MRL_SOURCE_DIR is the checkout";
    path_ = std::string(source) + "/tests/golden/" + format + "/" + name;
    before_ = test::Snapshot(path_);
    const absl::Status verified = Verify(FileSystem::Posix(), path_, {});
    EXPECT_TRUE(verified.ok()) << verified;
    auto opened = Collection::Open(FileSystem::Posix(), path_, account_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    collection_ = *std::move(opened);
    EXPECT_EQ(collection_->rows(), 120u);
    EXPECT_EQ(collection_->generation(), 1u);
    EXPECT_EQ(collection_->schema().dim, 16u);
  }
  void TearDown() override {
    collection_.reset();
    EXPECT_EQ(test::Snapshot(path_), before_) << "reading wrote";
  }

  // `text` is a funnel, "exact", or "" for the default plan.
  void ExpectTop(const std::string& text, const Hits& expected) {
    SCOPED_TRACE(text);
    funnel::PlanInput input = collection_->plan_input();
    input.k = static_cast<uint32_t>(expected.size());
    input.exact = text == "exact";
    if (!text.empty() && !input.exact) input.funnel = *funnel::ParseFunnel(text);
    const auto plan = funnel::MakePlan(input);
    ASSERT_TRUE(plan.ok()) << plan.status();
    const auto output = funnel::Run(collection_->view(), *plan, kQuery, {});
    ASSERT_TRUE(output.ok()) << output.status();
    ASSERT_EQ(output->hits.size(), expected.size());
    for (size_t i = 0; i < expected.size(); ++i) {
      const funnel::Location at = output->hits[i].at;
      EXPECT_EQ(collection_->view().parts[at.part].segment->Id(at.row).ToString(),
                expected[i].first);
      EXPECT_NEAR(output->hits[i].score, expected[i].second, 2e-6 * (1 + expected[i].second));
    }
  }
  std::string Payload(uint32_t row) {
    return collection_->view().parts[0].segment->Payload(row).value_or("?");
  }

  std::string path_;
  std::vector<std::pair<std::string, std::string>> before_;
  MemoryAccount account_{1 << 24};
  std::shared_ptr<const Collection> collection_;
};

TEST_F(Golden, CosineOfSinglesInFormat1) {
  Open("cosine_f32");
  EXPECT_EQ(collection_->uuid(), "751fb867e9a3b14e7e3f23c1b11da816");
  EXPECT_THAT(collection_->schema().ladder, ElementsAre(4, 8, 16));
  EXPECT_THAT(collection_->schema().codes, ElementsAre(Code{4, 8}, Code{8, 8}));
  EXPECT_THAT(collection_->kinds(), ElementsAre("scan"));
  EXPECT_EQ(Payload(76), R"({"id":"row.76","text":"row 76 of cluster 4"})");
  EXPECT_EQ(funnel::Find(collection_->view(), PointId("row.76")), (funnel::Location{0, 76}));
  EXPECT_EQ(funnel::Find(collection_->view(), PointId(uint64_t{84})), (funnel::Location{0, 84}));
  ExpectTop("exact", {{"row.76", 0.570369},
                      {"84", 0.547168},
                      {"9", 0.522037},
                      {"36", 0.487637},
                      {"108", 0.457926}});
  ExpectTop("4:12,8:6,16:5", {{"row.76", 0.570369},
                              {"84", 0.547168},
                              {"36", 0.487637},
                              {"108", 0.457926},
                              {"row.116", 0.429805}});
}

TEST_F(Golden, CosineOfBitCodesInFormat1) {
  Open("cosine_bits");
  EXPECT_EQ(collection_->uuid(), "17fa05c00081ef9598e88de47e78a2c6");
  EXPECT_THAT(collection_->schema().codes, ElementsAre(Code{4, 4}, Code{8, 2}, Code{16, 1}));
  const Hits nearest = {
      {"76", 0.57036}, {"84", 0.547151}, {"9", 0.522018}, {"36", 0.487713}, {"108", 0.457839}};
  ExpectTop("exact", nearest);
  ExpectTop("16b1:40,16:5", nearest);
  ExpectTop("8b2:20,16:5", nearest);
  ExpectTop("4b1:120,4b4:110,8:50,16:5", nearest);
}

TEST_F(Golden, InnerProductOfHalvesInFormat1) {
  Open("ip_f16");
  EXPECT_EQ(collection_->uuid(), "bc2d10ba1eb3387c7855060642bf5bed");
  EXPECT_EQ(collection_->schema().metric, Metric::kInnerProduct);
  EXPECT_EQ(collection_->schema().storage, StorageType::kF16);
  EXPECT_THAT(collection_->schema().codes, ElementsAre());
  EXPECT_EQ(Payload(0), "");
  ExpectTop(
      "exact",
      {{"84", 3.57196}, {"36", 3.198639}, {"12", 3.185303}, {"92", 2.981941}, {"108", 2.634464}});
}

TEST_F(Golden, DistanceUnderLayerNormWithFaissInFormat1) {
  Open("l2_f32");
  EXPECT_EQ(collection_->uuid(), "83c9de7f85a913c0184515c5952ce083");
  EXPECT_EQ(collection_->schema().metric, Metric::kL2);
  EXPECT_EQ(collection_->schema().transform, Transform::kLayerNorm);
  EXPECT_THAT(collection_->kinds(), ElementsAre("faiss", "scan"));
  const Hits nearest = {{"84", 11.415648},
                        {"76", 11.984248},
                        {"36", 12.193242},
                        {"12", 15.061114},
                        {"60", 15.069941}};
  ExpectTop("exact", nearest);
  ExpectTop("faiss/16:60", nearest);
  ExpectTop("scan/8:120,16:5", nearest);
  std::vector<float> vector(16);
  ASSERT_TRUE(collection_->view().parts[0].segment->Vector(84, vector.data()).ok());
  EXPECT_NEAR(vector[0], 0.22549104, 2e-6);
  EXPECT_NEAR(vector[15], -1.3549970, 2e-6);
}

TEST_F(Golden, CosineOfBfloatsInFormat5) {
  Open("cosine_bf16", "format-5");
  EXPECT_EQ(collection_->uuid(), "c8fe77cc08bfa865e3e0a6ff8f701019");
  EXPECT_EQ(collection_->schema().storage, StorageType::kBf16);
  const Hits nearest = {
      {"82", 0.604008}, {"90", 0.478507}, {"5", 0.385175}, {"31", 0.38311}, {"98", 0.378289}};
  ExpectTop("exact", nearest);
  ExpectTop("4:120,8:120,16:5", nearest);
  std::vector<float> vector(16);
  ASSERT_TRUE(collection_->view().parts[0].segment->Vector(84, vector.data()).ok());
  EXPECT_EQ(vector[0], -0.0264892578125F);
}

TEST_F(Golden, DistanceOfCodesInFormat5) {
  Open("l2_int8", "format-5");
  EXPECT_EQ(collection_->uuid(), "44d40982177699e357a744d2f6b1d02c");
  EXPECT_EQ(collection_->schema().storage, StorageType::kInt8);
  ExpectTop("exact", {{"82", 10.325224},
                      {"8", 11.557834},
                      {"14", 12.447792},
                      {"50", 12.927151},
                      {"78", 13.522634}});
  std::vector<float> vector(16);
  ASSERT_TRUE(collection_->view().parts[0].segment->Vector(84, vector.data()).ok());
  EXPECT_EQ(vector[0], -0.033528804779052734F);
  EXPECT_EQ(vector[15], -0.16765594482421875F);
}

}  // namespace
}  // namespace mrl::collection
