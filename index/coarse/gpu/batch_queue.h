// Joins what is asked at the same time: while one batch runs, those who come wait and are the next.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace mrl::coarse::gpu {

// No thread of its own: whoever finds a free place runs a batch for all who wait with the same key,
// the others sleep. An idle queue adds no wait. Thread-safe.
template <typename Key, typename Item>
class BatchQueue {
 public:
  // `run(key, items)` serves a batch of 1 to `size_max` items; it is called by up to `places`
  // threads at a time. Key has ==.
  using Run = std::function<void(const Key&, const std::vector<Item*>&)>;
  BatchQueue(size_t places, Run run) : run_(std::move(run)), free_(places) {}

  // Returns once every one of `items` was served, each in a batch of its key, of `size_max` items
  // at most.
  void Serve(const Key& key, const std::vector<Item*>& items, size_t size_max) {
    Ticket ticket = {&key, size_max, items.size()};
    absl::MutexLock lock(&mutex_);
    for (Item* item : items) waiting_.push_back({&ticket, item});
    while (ticket.left > 0) {
      if (free_ == 0 || waiting_.empty()) {
        changed_.Wait(&mutex_);
        continue;
      }
      --free_;
      RunNext();
      ++free_;
      changed_.SignalAll();
    }
  }

  // Items that no batch has taken yet.
  size_t waiting() const {
    const absl::MutexLock lock(&mutex_);
    return waiting_.size();
  }
  // Batches so far and the items in them.
  std::pair<size_t, size_t> served() const {
    const absl::MutexLock lock(&mutex_);
    return {batches_, items_};
  }

 private:
  struct Ticket {
    const Key* key;
    size_t size_max;
    size_t left;
  };
  struct Waiting {
    Ticket* ticket;
    Item* item;
  };

  // Takes the first that waits and those that can join it, and runs them.
  void RunNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const Ticket& first = *waiting_.front().ticket;
    const Key key = *first.key;
    std::vector<Waiting> batch;
    std::deque<Waiting> others;
    for (const Waiting& waiting : waiting_) {
      if (batch.size() < first.size_max && *waiting.ticket->key == key) {
        batch.push_back(waiting);
      } else {
        others.push_back(waiting);
      }
    }
    waiting_ = std::move(others);
    std::vector<Item*> items;
    items.reserve(batch.size());
    for (const Waiting& waiting : batch) items.push_back(waiting.item);
    ++batches_;
    items_ += items.size();
    mutex_.Unlock();
    run_(key, items);
    mutex_.Lock();
    for (const Waiting& waiting : batch) --waiting.ticket->left;
  }

  const Run run_;
  mutable absl::Mutex mutex_;
  absl::CondVar changed_;
  size_t free_ ABSL_GUARDED_BY(mutex_);
  std::deque<Waiting> waiting_ ABSL_GUARDED_BY(mutex_);
  size_t batches_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t items_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace mrl::coarse::gpu
