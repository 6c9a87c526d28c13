#include "index/funnel/cut.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <random>

namespace mrl::funnel {
namespace {

using Keys = std::vector<float>;

Keys Drawn(size_t count, uint32_t seed, float granularity) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.2F, 0.3F);
  Keys keys(count);
  for (float& key : keys) {
    key = normal(random);
    if (granularity > 0) key = std::round(key / granularity) * granularity;
  }
  return keys;
}

TEST(KeyOfRank, IsWhatSortingFinds) {
  for (const float granularity : {0.0F, 0.01F, 0.5F}) {
    for (const size_t count : {1, 2, 511, 512, 3000}) {
      const Keys keys = Drawn(count, static_cast<uint32_t>(count), granularity);
      Keys sorted = keys;
      std::sort(sorted.begin(), sorted.end(), std::greater<>());
      for (const size_t rank : {size_t{1}, (count + 1) / 2, count}) {
        EXPECT_EQ(KeyOfRank(keys, rank), sorted[rank - 1]) << count << " keys, rank " << rank;
      }
    }
  }
}

TEST(KeyOfRank, TakesEveryFloatThatIsANumber) {
  constexpr float kMax = std::numeric_limits<float>::max();
  constexpr float kTiny = std::numeric_limits<float>::denorm_min();
  const Keys ranked = {INFINITY, kMax, 1, kTiny, 0, -kTiny, -1, -kMax, -INFINITY};
  Keys keys;
  for (int i = 0; i < 100; ++i) keys.insert(keys.end(), ranked.rbegin(), ranked.rend());
  for (size_t i = 0; i < ranked.size(); ++i) {
    EXPECT_EQ(KeyOfRank(keys, 100 * i + 1), ranked[i]);
    EXPECT_EQ(KeyOfRank(keys, 100 * i + 100), ranked[i]);
  }
}

TEST(KeyOfRank, HoldsBothZerosEqual) {
  Keys keys(600, 0.0F);
  for (size_t i = 0; i < keys.size(); i += 2) keys[i] = -0.0F;
  keys[17] = -1;
  EXPECT_EQ(KeyOfRank(keys, 599), 0.0F);
  EXPECT_EQ(KeyOfRank(keys, 600), -1.0F);
}

TEST(CutTo, KeepsTheFirstInOrder) {
  for (const float granularity : {0.0F, 0.1F}) {
    const Keys keys = Drawn(2000, 5, granularity);
    std::vector<Shortlisted> candidates;
    for (uint32_t i = 0; i < keys.size(); ++i) {
      candidates.push_back({.at = {i % 3, (i * 7919) % 2000}, .key = keys[i]});
    }
    std::vector<Shortlisted> sorted = candidates;
    std::sort(sorted.begin(), sorted.end(), BeforeByRow());
    for (const size_t keep : {1, 150, 1999, 2000, 2001}) {
      std::vector<Shortlisted> cut = candidates;
      const float last = CutTo(cut, keep, BeforeByRow());
      std::sort(cut.begin(), cut.end(), BeforeByRow());
      ASSERT_EQ(cut.size(), std::min<size_t>(keep, 2000));
      EXPECT_EQ(last, cut.back().key);
      for (size_t i = 0; i < cut.size(); ++i) ASSERT_EQ(cut[i].at, sorted[i].at) << "of " << keep;
    }
  }
  std::vector<Shortlisted> none;
  EXPECT_EQ(CutTo(none, 5, BeforeByRow()), 0);
}

}  // namespace
}  // namespace mrl::funnel
