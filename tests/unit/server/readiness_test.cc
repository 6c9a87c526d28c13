#include "server/readiness.h"

#include <gtest/gtest.h>

#include <string>

#include "server/rpc/error.h"

namespace mrl::server {
namespace {

void ExpectRefused(const Readiness& readiness, const std::string& reason,
                   const std::string& message) {
  const absl::Status status = readiness.CheckOpen();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(status.message(), message);
  EXPECT_EQ(ReasonOf(status), reason);
}

TEST(ReadinessState, RefusesUntilItServes) {
  const Readiness readiness;
  ExpectRefused(readiness, "STARTING", "the server is starting: it opens its collections");
  EXPECT_STREQ(readiness.name(), "starting");
}

TEST(ReadinessState, AnswersWhileItServesAndDrains) {
  Readiness readiness;
  readiness.Advance(Readiness::State::kServing);
  EXPECT_TRUE(readiness.CheckOpen().ok());
  readiness.Advance(Readiness::State::kDraining);
  EXPECT_TRUE(readiness.CheckOpen().ok());
  EXPECT_STREQ(readiness.name(), "draining");
}

TEST(ReadinessState, RefusesOnceItIsClosed) {
  Readiness readiness;
  readiness.Advance(Readiness::State::kClosed);
  ExpectRefused(readiness, "STOPPING", "the server is stopping");
}

}  // namespace
}  // namespace mrl::server
