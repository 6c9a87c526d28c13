#include "index/coarse/stand_in.h"

#include <algorithm>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/coarse/sample.h"

namespace mrl::coarse {
namespace {

using test::Sample;
using ::testing::HasSubstr;

class StandInTest : public ::testing::Test {
 protected:
  const Sample sample_{{.rows = 500}};
  const std::shared_ptr<const CoarseIndex> index_ = MakeStandIn("faiss", sample_.segment);
  const std::vector<float> query_ = sample_.QueryNear(17, 3);
};

TEST_F(StandInTest, AnswersUnderTheNameItStandsFor) {
  EXPECT_EQ(index_->kind(), "faiss");
  EXPECT_EQ(index_->dims(), 0u);
  const Params params = {{"efSearch", 64}};
  const auto found =
      index_->Search({.query = query_.data(), .dims = 16, .keep = 5, .params = &params});
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->rows_scanned, 500u);
}

TEST_F(StandInTest, GivesTheStoredScoresWhateverTheBits) {
  for (const uint32_t bits : {0U, 8U}) {
    auto found = index_->Search({.query = query_.data(), .dims = 16, .bits = bits, .keep = 40});
    auto scan = sample_.scan->Search({.query = query_.data(), .dims = 16, .keep = 40});
    ASSERT_TRUE(found.ok() && scan.ok());
    const auto by_row = [](const Candidate& a, const Candidate& b) { return a.row < b.row; };
    std::sort(found->candidates.begin(), found->candidates.end(), by_row);
    std::sort(scan->candidates.begin(), scan->candidates.end(), by_row);
    ASSERT_EQ(found->candidates.size(), 40u);
    for (size_t i = 0; i < 40; ++i) {
      EXPECT_EQ(found->candidates[i].row, scan->candidates[i].row);
      EXPECT_EQ(found->candidates[i].score, scan->candidates[i].score);
      float score = 0;
      ASSERT_TRUE(
          index_->Estimate(query_.data(), {16, 1}, {&found->candidates[i].row, 1}, &score).ok());
      EXPECT_EQ(score, found->candidates[i].score);
    }
  }
}

TEST_F(StandInTest, LeavesOutRowsThatAreNotAllowed) {
  std::vector<uint64_t> allowed(8);
  allowed[0] = 0b1010;
  const auto found =
      index_->Search({.query = query_.data(), .dims = 16, .keep = 40, .allowed = allowed.data()});
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->candidates.size(), 2u);
  EXPECT_EQ(found->rows_scanned, 2u);
}

TEST_F(StandInTest, RefusesDimsOffTheLadder) {
  const auto found = index_->Search({.query = query_.data(), .dims = 17, .keep = 5});
  EXPECT_EQ(found.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(found.status().message()), HasSubstr("17 dims are not on the ladder"));
}

}  // namespace
}  // namespace mrl::coarse
