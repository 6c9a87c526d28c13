#include "index/collection/merge_policy.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace mrl::collection {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Segments numbered from 1 with these live rows, one after the other, without deletions.
std::vector<SegmentSize> Sizes(const std::vector<uint64_t>& rows) {
  std::vector<SegmentSize> sizes;
  uint64_t sequence = 1;
  for (const uint64_t count : rows) {
    sizes.push_back({.number = static_cast<uint32_t>(sizes.size() + 1),
                     .rows = count,
                     .live_rows = count,
                     .first_sequence = sequence,
                     .end_sequence = sequence + count});
    sequence += count;
  }
  return sizes;
}

TEST(MergePolicy, MergesAsManyOfLikeSize) {
  EXPECT_THAT(ChooseMerge(Sizes({100, 100, 100}), 4, 1000), IsEmpty());
  EXPECT_THAT(ChooseMerge(Sizes({100, 100, 100, 100}), 4, 1000), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(ChooseMerge(Sizes({400, 100, 90, 80, 70}), 4, 1000), ElementsAre(2, 3, 4, 5));
}

TEST(MergePolicy, LeavesALargeOneAlone) {
  EXPECT_THAT(ChooseMerge(Sizes({1000, 100, 100, 100}), 4, 10'000), IsEmpty());
  EXPECT_THAT(ChooseMerge(Sizes({600, 100, 100, 100}), 4, 10'000), ElementsAre(1, 2, 3, 4));
}

TEST(MergePolicy, MakesNoneLargerThanTheLimit) {
  EXPECT_THAT(ChooseMerge(Sizes({100, 100, 100, 100}), 4, 399), IsEmpty());
  EXPECT_THAT(ChooseMerge(Sizes({100, 100, 100, 100}), 4, 400), ElementsAre(1, 2, 3, 4));
}

TEST(MergePolicy, WritesAHollowSegmentAnew) {
  std::vector<SegmentSize> sizes = Sizes({100, 100});
  sizes[1].live_rows = 51;
  EXPECT_THAT(ChooseMerge(sizes, 4, 1000), IsEmpty());
  sizes[1].live_rows = 50;
  EXPECT_THAT(ChooseMerge(sizes, 4, 1000), ElementsAre(2));
  sizes[1].live_rows = 0;
  EXPECT_THAT(ChooseMerge(sizes, 4, 1000), ElementsAre(2));
}

TEST(MergePolicy, KeepsSequencesWithinWhatAFileHolds) {
  std::vector<SegmentSize> sizes = Sizes({100, 100});
  sizes[1].first_sequence += uint64_t{1} << 32;
  sizes[1].end_sequence += uint64_t{1} << 32;
  EXPECT_THAT(ChooseMerge(sizes, 2, 1000), IsEmpty());
}

TEST(MergePolicy, MakesAsFewOfAllAsTheLimitAllows) {
  EXPECT_THAT(ChooseAll(Sizes({}), 1000), IsEmpty());
  EXPECT_THAT(ChooseAll(Sizes({100}), 1000), IsEmpty());
  EXPECT_THAT(ChooseAll(Sizes({100, 1, 500}), 1000), ElementsAre(ElementsAre(1, 2, 3)));
  EXPECT_THAT(ChooseAll(Sizes({600, 600, 300, 100, 900}), 1000), ElementsAre(ElementsAre(2, 3, 4)));
  std::vector<SegmentSize> sizes = Sizes({1000, 1000});
  sizes[1].live_rows = 999;
  EXPECT_THAT(ChooseAll(sizes, 1000), ElementsAre(ElementsAre(2)));
  sizes[1].live_rows = 0;
  EXPECT_THAT(ChooseAll(sizes, 1000), ElementsAre(ElementsAre(1, 2)));
}

}  // namespace
}  // namespace mrl::collection
