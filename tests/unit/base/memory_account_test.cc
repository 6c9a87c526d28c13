#include "base/memory_account.h"

#include <utility>

#include "gtest/gtest.h"

namespace mrl {
namespace {

TEST(MemoryAccount, GivesBackWhenAReservationEnds) {
  MemoryAccount account(100);
  {
    const auto held = account.Reserve(60, "a segment");
    ASSERT_TRUE(held.ok());
    EXPECT_EQ(account.used_bytes(), 60U);
  }
  EXPECT_EQ(account.used_bytes(), 0U);
}

TEST(MemoryAccount, RefusesWithAllNumbers) {
  MemoryAccount account(100);
  const auto held = account.Reserve(60, "a segment");
  const auto refused = account.Reserve(41, "an index");
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(refused.status().message(),
            "an index needs 41 bytes of memory; 60 are in use and the limit is 100");
  EXPECT_TRUE(account.Reserve(40, "an index").ok());
}

TEST(MemoryAccount, CountsAMovedReservationOnce) {
  MemoryAccount account(100);
  auto first = account.Reserve(60, "a");
  const MemoryAccount::Reservation second = *std::move(first);
  EXPECT_EQ(second.bytes(), 60U);
  EXPECT_EQ(account.used_bytes(), 60U);
}

TEST(MemoryAccount, SurvivesALimitOfEverything) {
  MemoryAccount account(UINT64_MAX);
  EXPECT_TRUE(account.Reserve(UINT64_MAX, "all").ok());
}

}  // namespace
}  // namespace mrl
