#include "bench/load/knee.h"

#include <gtest/gtest.h>

#include <vector>

namespace mrl::load {
namespace {

TEST(Knee, IsFoundFromBelowAndFromAbove) {
  for (const double start : {10.0, 999.0, 1001.0, 50'000.0}) {
    int runs = 0;
    const double knee = FindKnee(start, 0.05, [&runs](double rate) {
      ++runs;
      return rate <= 1000;
    });
    EXPECT_LE(knee, 1000) << start;
    EXPECT_GE(knee, 1000 / 1.05) << start;
    EXPECT_LT(runs, 25) << start;
  }
}

TEST(Knee, IsZeroWhereNothingIsSustained) {
  std::vector<double> asked;
  EXPECT_EQ(FindKnee(1000, 0.05,
                     [&asked](double rate) {
                       asked.push_back(rate);
                       return false;
                     }),
            0);
  EXPECT_GE(asked.back(), 1);
}

}  // namespace
}  // namespace mrl::load
