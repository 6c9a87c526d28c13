#include "server/metrics/latency.h"

#include <gtest/gtest.h>

namespace mrl::server {
namespace {

TEST(LatencyHistogram, ABoundBelongsToItsBucket) {
  Latency latency;
  latency.Add(0);
  latency.Add(50);
  latency.Add(50.5);
  latency.Add(1e12);
  EXPECT_EQ(latency.count(0), 2u);
  EXPECT_EQ(latency.count(1), 1u);
  EXPECT_EQ(latency.count(Latency::kBoundsMicros.size()), 1u);
}

TEST(LatencyHistogram, SumsInSeconds) {
  Latency latency;
  latency.Add(1.5e6);
  latency.Add(0.5e6);
  EXPECT_DOUBLE_EQ(latency.sum_seconds(), 2.0);
}

}  // namespace
}  // namespace mrl::server
