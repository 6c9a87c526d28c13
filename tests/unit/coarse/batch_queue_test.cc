// How concurrent searches become batches.
#include "index/coarse/gpu/batch_queue.h"

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace mrl::coarse::gpu {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

struct Item {
  int value = 0;
  int answer = 0;
};
using Queue = BatchQueue<std::string, Item>;

TEST(BatchQueue, ServesAnIdleCallerAtOnceAndAlone) {
  Queue queue(1, [](const std::string& key, const std::vector<Item*>& items) {
    for (Item* item : items) item->answer = item->value + static_cast<int>(key.size());
  });
  Item item = {.value = 40};
  queue.Serve("ab", {&item}, 8);
  EXPECT_EQ(item.answer, 42);
  EXPECT_THAT(queue.served(), Pair(1, 1));
}

TEST(BatchQueue, CutsWhatIsTooLongForOneBatch) {
  std::vector<size_t> sizes;
  Queue queue(1, [&](const std::string&, const std::vector<Item*>& items) {
    sizes.push_back(items.size());
    for (Item* item : items) item->answer = 1;
  });
  std::vector<Item> items(7);
  std::vector<Item*> pointers;
  for (Item& item : items) pointers.push_back(&item);
  queue.Serve("", pointers, 3);
  EXPECT_THAT(sizes, ElementsAre(3, 3, 1));
  EXPECT_TRUE(std::all_of(items.begin(), items.end(), [](const Item& i) { return i.answer == 1; }));
}

TEST(BatchQueue, JoinsThoseWhoWaitByTheirKey) {
  absl::Notification started;
  absl::Notification go_on;
  absl::Mutex mutex;
  std::vector<std::string> batches;
  Queue queue(1, [&](const std::string& key, const std::vector<Item*>& items) {
    if (key == "first") {
      started.Notify();
      go_on.WaitForNotification();
    }
    const absl::MutexLock lock(&mutex);
    batches.push_back(key + ":" + std::to_string(items.size()));
  });
  std::vector<std::thread> threads;
  const auto ask = [&](const std::string& key) {
    threads.emplace_back([&queue, key] {
      Item item;
      queue.Serve(key, {&item}, 8);
    });
  };
  ask("first");
  started.WaitForNotification();
  for (const char* key : {"a", "b", "a", "a"}) ask(key);
  while (queue.waiting() < 4) std::this_thread::yield();
  go_on.Notify();
  for (std::thread& thread : threads) thread.join();
  std::sort(batches.begin(), batches.end());
  EXPECT_THAT(batches, ElementsAre("a:3", "b:1", "first:1"));
}

}  // namespace
}  // namespace mrl::coarse::gpu
