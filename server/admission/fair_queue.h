// Waiting calls, served in turn: the owners (keys) one after another, and within an owner its
// collections one after another, so that nobody waits for another's backlog.
#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>
#include <map>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"

namespace mrl::server {

// Queues of T that take turns, by name. Empty ones are forgotten. T has empty(), size().
template <typename Queue>
class Turns {
 public:
  Queue& Of(absl::string_view name) {
    auto found = queues_.find(name);
    if (found == queues_.end()) {
      found = queues_.emplace(std::string(name), Queue()).first;
      order_.push_back(found);
    }
    return found->second;
  }
  // The queue whose turn it is; give the turn on with Pass. Not empty.
  Queue& Front() { return order_.front()->second; }
  void Pass() {
    const auto served = order_.front();
    order_.pop_front();
    if (served->second.empty()) {
      queues_.erase(served);
    } else {
      order_.push_back(served);
    }
  }
  Queue& Longest() {
    auto longest = queues_.begin();
    for (auto one = queues_.begin(); one != queues_.end(); ++one) {
      if (one->second.size() > longest->second.size()) longest = one;
    }
    return longest->second;
  }
  // Items of one name; 0 for an unknown one.
  size_t size_of(absl::string_view name) const {
    const auto found = queues_.find(name);
    return found == queues_.end() ? 0 : found->second.size();
  }
  size_t queues() const { return queues_.size(); }
  bool empty() const { return queues_.empty(); }

 private:
  using Queues = std::map<std::string, Queue, std::less<>>;
  Queues queues_;
  std::deque<typename Queues::iterator> order_;
};

// Not thread-safe.
template <typename Item>
class FairQueue {
 public:
  void Push(absl::string_view owner, absl::string_view collection, Item item) {
    Owner& queue = owners_.Of(owner);
    queue.collections.Of(collection).push_back(std::move(item));
    ++queue.items;
    ++size_;
  }
  // The next in turn. Not empty.
  Item Pop() {
    Owner& owner = owners_.Front();
    while (owner.collections.Front().empty()) owner.collections.Pass();  // emptied by Displace
    std::deque<Item>& items = owner.collections.Front();
    Item item = std::move(items.front());
    items.pop_front();
    owner.collections.Pass();
    --owner.items;
    --size_;
    owners_.Pass();
    return item;
  }
  // Exchanges the newest item of the longest collection of the longest owner for `item`, unless
  // `owner` is no shorter than that owner: then false, and nothing changes. Not empty.
  bool Displace(absl::string_view owner, absl::string_view collection, Item item, Item* displaced) {
    Owner& longest = owners_.Longest();
    if (owners_.size_of(owner) + 1 >= longest.items) return false;
    std::deque<Item>& items = longest.collections.Longest();
    *displaced = std::move(items.back());
    items.pop_back();
    --longest.items;
    --size_;
    Push(owner, collection, std::move(item));
    return true;
  }
  // At most this many items go before the next one of `owner`.
  size_t Ahead(absl::string_view owner) const {
    const size_t own = owners_.size_of(owner);
    const size_t others = owners_.queues() - (own > 0 ? 1 : 0);
    return std::min(size_, own + (own + 1) * others);
  }
  size_t size() const { return size_; }

 private:
  struct Owner {
    Turns<std::deque<Item>> collections;
    size_t items = 0;
    size_t size() const { return items; }
    bool empty() const { return items == 0; }
  };

  Turns<Owner> owners_;
  size_t size_ = 0;
};

}  // namespace mrl::server
