// Work on several threads: a loop that is cut into items, and one piece beside the caller.
#include "base/for_each.h"

#include <algorithm>
#include <atomic>
#include <vector>

#include "base/background.h"
#include "base/stopwatch.h"
#include "gtest/gtest.h"

namespace mrl {
namespace {

TEST(ForEach, CallsEachItemOnceWhateverTheNumberOfThreads) {
  for (const size_t threads : {0, 1, 3, 50}) {
    std::vector<std::atomic<int>> calls(20);
    const absl::Status status = ForEach(calls.size(), threads, [&](size_t i) {
      ++calls[i];
      return absl::OkStatus();
    });
    EXPECT_TRUE(status.ok()) << status;
    for (const auto& count : calls) EXPECT_EQ(count, 1) << threads;
  }
}

TEST(ForEach, EndsWithTheFirstErrorAndBeginsNothingAfterIt) {
  std::atomic<int> calls = 0;
  const absl::Status status = ForEach(1'000'000, 3, [&](size_t i) {
    ++calls;
    return i >= 10 ? absl::InternalError("item") : absl::OkStatus();
  });
  EXPECT_EQ(status, absl::InternalError("item"));
  EXPECT_LE(calls, 13);
}

TEST(ForEachRange, CutsTheItemsIntoPiecesAndCallsEachOnce) {
  for (const size_t count : {0, 1, 63, 64, 65, 200}) {
    for (const size_t threads : {0, 1, 3}) {
      std::vector<std::atomic<int>> calls(count);
      std::atomic<size_t> pieces = 0;
      ForEachRange(count, 64, threads, [&](size_t begin, size_t end) {
        ++pieces;
        EXPECT_EQ(begin % 64, 0);
        EXPECT_EQ(end, std::min(count, begin + 64));
        for (size_t i = begin; i < end; ++i) ++calls[i];
      });
      EXPECT_EQ(pieces, (count + 63) / 64);
      for (const auto& times : calls) EXPECT_EQ(times, 1) << count << ' ' << threads;
    }
  }
}

TEST(Background, GivesWhatItsWorkEndedWithOnce) {
  Background background;
  EXPECT_TRUE(background.Wait().ok());
  int seen = 0;
  background.Start([&seen] {
    seen = 7;
    return absl::InternalError("work");
  });
  EXPECT_EQ(background.Wait(), absl::InternalError("work"));
  EXPECT_EQ(seen, 7);
  EXPECT_TRUE(background.Wait().ok());
  background.Start([] { return absl::OkStatus(); });
  EXPECT_TRUE(background.Wait().ok());
}

TEST(Background, IsWaitedForWhenItGoes) {
  std::atomic<bool> done = false;
  {
    Background background;
    background.Start([&done] {
      done = true;
      return absl::OkStatus();
    });
  }
  EXPECT_TRUE(done);
}

TEST(Stopwatch, AddsUp) {
  double seconds = 1;
  { const Stopwatch stopwatch(&seconds); }
  EXPECT_GE(seconds, 1);
}

}  // namespace
}  // namespace mrl
