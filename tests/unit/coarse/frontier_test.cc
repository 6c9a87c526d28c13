// The best rows of a walk, against lists that are sorted.
#include "index/coarse/frontier.h"

#include <algorithm>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace mrl::coarse {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;
using ::testing::SizeIs;

std::vector<std::pair<uint16_t, uint32_t>> InOrder(std::vector<Frontier::Entry> entries) {
  std::vector<std::pair<uint16_t, uint32_t>> rows;
  rows.reserve(entries.size());
  std::sort(entries.begin(), entries.end(), [](auto& a, auto& b) { return a.value > b.value; });
  for (const Frontier::Entry& entry : entries) rows.emplace_back(entry.score(), entry.row());
  return rows;
}

void Offer(Frontier& frontier, uint16_t score, uint32_t row) { frontier.Offer({&row, 1}, &score); }

TEST(Frontier, GivesTheBestThatWereNotTaken) {
  Frontier frontier(9, 3, 3);
  EXPECT_EQ(frontier.TakeNext(), GraphLinks::kNoRow);
  Offer(frontier, 5, 50);
  Offer(frontier, 7, 70);
  EXPECT_EQ(frontier.TakeNext(), 70u);
  Offer(frontier, 9, 90);  // before one that was taken
  EXPECT_EQ(frontier.PeekNext(), 90u);
  EXPECT_EQ(frontier.TakeNext(), 90u);
  EXPECT_EQ(frontier.TakeNext(), 50u);
  Offer(frontier, 5, 51);  // ties with the last, which was walked on from
  Offer(frontier, 4, 40);
  Offer(frontier, 5, 49);
  EXPECT_EQ(frontier.TakeNext(), GraphLinks::kNoRow);
  EXPECT_THAT(InOrder(frontier.Take(3)), ElementsAre(Pair(9, 90), Pair(7, 70), Pair(5, 49)));
}

TEST(Frontier, WalksOnFromTheFirstOfThoseItHolds) {
  Frontier frontier(9, 3, 1);
  Offer(frontier, 5, 50);
  EXPECT_EQ(frontier.TakeNext(), 50u);
  Offer(frontier, 4, 40);
  EXPECT_EQ(frontier.TakeNext(), GraphLinks::kNoRow);
  Offer(frontier, 9, 90);
  Offer(frontier, 8, 80);
  EXPECT_EQ(frontier.TakeNext(), 90u);
  EXPECT_EQ(frontier.TakeNext(), GraphLinks::kNoRow);
  EXPECT_THAT(InOrder(frontier.Take(2)), ElementsAre(Pair(9, 90), Pair(8, 80)));
}

TEST(Frontier, EndsWhereTheNextIsTooFarAway) {
  // The second best is 2 away from the nearest there can be: 1 + 0.5 times that is 3.
  Frontier frontier(10, 9, 9, {.k = 2, .gamma = 0.5, .nearest = 10});
  Offer(frontier, 3, 30);
  EXPECT_EQ(frontier.TakeNext(), 30u) << "there is no second yet";
  Offer(frontier, 9, 90);
  Offer(frontier, 8, 80);
  Offer(frontier, 7, 70);
  Offer(frontier, 6, 60);
  EXPECT_EQ(frontier.TakeNext(), 90u);
  EXPECT_EQ(frontier.TakeNext(), 80u);
  EXPECT_EQ(frontier.TakeNext(), 70u);
  EXPECT_EQ(frontier.TakeNext(), GraphLinks::kNoRow);
  EXPECT_THAT(frontier.Take(9), SizeIs(5)) << "it holds what it does not walk on from";
}

// Against a list that is sorted anew each time, with many ties.
TEST(Frontier, HoldsWhatASortedListHolds) {
  constexpr size_t kHeld = 20, kWalked = 12;
  Frontier frontier(40, kHeld, kWalked);
  std::vector<std::pair<uint16_t, uint32_t>> all;
  std::set<uint32_t> taken;
  std::mt19937 random(1);
  const auto better = [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first > b.first : a.second < b.second;
  };
  for (uint32_t row = 0; row < 2000; ++row) {
    const auto score = static_cast<uint16_t>(std::uniform_int_distribution<>(0, 40)(random));
    all.emplace_back(score, row);
    Offer(frontier, score, row);
    std::sort(all.begin(), all.end(), better);
    if (row % 3 != 0) continue;
    const uint32_t next = frontier.TakeNext();
    // What is left of the best scores, of which those that tie with the last take what is free.
    const uint16_t last = all[std::min(all.size(), kWalked) - 1].first;
    const auto of = [&](uint16_t least) {
      return std::count_if(all.begin(), all.end(), [&](auto& one) {
        return one.first >= least && !taken.contains(one.second);
      });
    };
    const auto above =
        std::count_if(all.begin(), all.end(), [&](auto& one) { return one.first > last; });
    const auto taken_of_last = std::count_if(all.begin(), all.end(), [&](auto& one) {
      return one.first == last && taken.contains(one.second);
    });
    const bool any = of(last + 1) > 0 || (of(last) > 0 && above + taken_of_last < ssize_t{kWalked});
    ASSERT_EQ(next != GraphLinks::kNoRow, any) << row;
    if (!any) continue;
    const auto found =
        std::find_if(all.begin(), all.end(), [&](auto& one) { return one.second == next; });
    EXPECT_EQ(of(found->first + 1), 0) << "a better one was left";
    EXPECT_TRUE(taken.insert(next).second);
  }
  all.resize(kHeld);
  EXPECT_EQ(InOrder(frontier.Take(kHeld)), all);
}

}  // namespace
}  // namespace mrl::coarse
