#include "index/schedule/worker_pool.h"

#include <atomic>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace mrl::schedule {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(WorkerPool, RunsTasksInTheOrderTheyCame) {
  std::vector<int> order;
  WorkerPool pool(1, 8);
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(pool.Submit([&order, i] { order.push_back(i); }).ok());
  }
  pool.Shutdown();
  EXPECT_THAT(order, ElementsAre(0, 1, 2, 3));
}

TEST(WorkerPool, RunsAsManyTasksAtOnceAsItHasThreads) {
  WorkerPool pool(2, 4);
  absl::Notification first;
  absl::Notification second;
  ASSERT_TRUE(pool.Submit([&] {
                    first.Notify();
                    second.WaitForNotification();
                  })
                  .ok());
  ASSERT_TRUE(pool.Submit([&] {
                    first.WaitForNotification();
                    second.Notify();
                  })
                  .ok());
  pool.Shutdown();  // would never return with one thread: each task waits for the other
  EXPECT_TRUE(second.HasBeenNotified());
}

TEST(WorkerPool, RefusesATaskWhenTheQueueIsFullAndNamesTheLimit) {
  absl::Notification running;
  absl::Notification release;
  std::atomic<int> done = 0;
  WorkerPool pool(1, 2);
  ASSERT_TRUE(pool.Submit([&] {
                    running.Notify();
                    release.WaitForNotification();
                  })
                  .ok());
  running.WaitForNotification();
  ASSERT_TRUE(pool.Submit([&] { ++done; }).ok());
  ASSERT_TRUE(pool.Submit([&] { ++done; }).ok());
  EXPECT_EQ(pool.queued(), 2);
  const absl::Status refused = pool.Submit([&] { ++done; });
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(refused.message(), HasSubstr("the limit is 2"));
  release.Notify();
  pool.Shutdown();
  EXPECT_EQ(done, 2);
}

TEST(WorkerPool, DrainsWhatWaitsAtShutdownAndRefusesTheRest) {
  std::atomic<int> done = 0;
  WorkerPool pool(2, 1000);
  for (int i = 0; i < 500; ++i) ASSERT_TRUE(pool.Submit([&] { ++done; }).ok());
  pool.Shutdown();
  EXPECT_EQ(done, 500);
  const absl::Status refused = pool.Submit([&] { ++done; });
  EXPECT_EQ(refused.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(refused.message(), HasSubstr("shutting down"));
  pool.Shutdown();
  EXPECT_EQ(done, 500);
}

TEST(WorkerPool, TakesTasksFromManyThreads) {
  std::atomic<int> done = 0;
  {
    WorkerPool pool(3, 1000);
    std::vector<std::thread> senders;
    for (int t = 0; t < 4; ++t) {
      senders.emplace_back([&] {
        for (int i = 0; i < 200; ++i) EXPECT_TRUE(pool.Submit([&] { ++done; }).ok());
      });
    }
    for (std::thread& sender : senders) sender.join();
  }
  EXPECT_EQ(done, 800);
}

TEST(WorkerPool, RunsEachPieceOnceOnTheCallerAndOnIdleWorkers) {
  WorkerPool pool(3, 10);
  std::vector<std::atomic<int>> ran(100);
  std::atomic<int> inside = 0;
  absl::Notification met;
  pool.Run(ran.size(), [&](size_t piece) {
    // The first pieces wait for each other, which one thread alone could not.
    if (++inside == 2) met.Notify();
    met.WaitForNotification();
    ++ran[piece];
  });
  for (const std::atomic<int>& times : ran) EXPECT_EQ(times, 1);
  pool.Run(0, [](size_t) { FAIL() << "there is no piece"; });
}

TEST(WorkerPool, RunsPiecesOnTheCallerWhereNobodyIsIdle) {
  WorkerPool pool(1, 1);
  absl::Notification running;
  absl::Notification release;
  ASSERT_TRUE(pool.Submit([&] {
                    running.Notify();
                    release.WaitForNotification();
                  })
                  .ok());
  running.WaitForNotification();
  EXPECT_EQ(pool.width(), 1);
  const std::thread::id caller = std::this_thread::get_id();
  int ran = 0;
  pool.Run(5, [&](size_t) {
    EXPECT_EQ(std::this_thread::get_id(), caller);
    ++ran;
  });
  EXPECT_EQ(ran, 5);
  release.Notify();
  pool.Shutdown();
  pool.Run(2, [&](size_t) { ++ran; });
  EXPECT_EQ(ran, 7);
}

TEST(WorkerPool, AGuestTakesThePlaceOfAWorker) {
  WorkerPool pool(2, 4);
  EXPECT_EQ(pool.width(), 3);  // of a caller that is neither a worker nor a guest
  const WorkerPool::Guest guest(pool);
  EXPECT_EQ(pool.width(), 2);
  {
    const WorkerPool::Guest other(pool);
    EXPECT_EQ(pool.width(), 1);
  }
  EXPECT_EQ(pool.width(), 2);
}

TEST(WorkerPool, PiecesOfManyCallersDoNotMix) {
  WorkerPool pool(2, 10);
  std::vector<std::thread> callers;
  for (int t = 0; t < 4; ++t) {
    callers.emplace_back([&pool] {
      for (int round = 0; round < 200; ++round) {
        std::atomic<int> sum = 0;
        pool.Run(8, [&](size_t piece) { sum += static_cast<int>(piece); });
        EXPECT_EQ(sum, 28);
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
}

}  // namespace
}  // namespace mrl::schedule
