// What was learned from a sample of a collection's points, kept until too much of it has changed.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/status.h"
#include "index/collection/collection.h"
#include "index/funnel/plan.h"

namespace mrl::server {

// All that a rule depends on which is learned for a plan, queries of `dims` dimensions and a share
// of the result that is to stay.
inline std::string LearnedFor(const funnel::Plan& plan, uint32_t dims, double share) {
  return absl::StrCat(plan.ToText(), " k=", plan.k, " dims=", dims, " share=", share);
}

// Thread-safe. In memory only; callers that come at the same time may learn the same.
template <typename Value>
class Learned {
 public:
  static constexpr double kChangeMax = 0.1;  // share of writes after which it is learned anew
  static constexpr size_t kKeptMax = 256;    // the one that was learned first goes

  // Of `what`, which says all that it depends on beside the collection's data.
  absl::StatusOr<std::shared_ptr<const Value>> Get(
      const collection::Collection& collection, const std::string& what,
      const std::function<absl::StatusOr<Value>()>& learn) {
    const Key key = {collection.uuid(), what};
    {
      absl::MutexLock lock(&mutex_);
      const auto found = kept_.find(key);
      if (found != kept_.end() && IsGood(found->second, collection)) return found->second.value;
    }
    MRL_ASSIGN_OR_RETURN(Value value, learn());
    auto shared = std::make_shared<const Value>(std::move(value));
    absl::MutexLock lock(&mutex_);
    if (kept_.size() >= kKeptMax) {
      kept_.erase(std::min_element(kept_.begin(), kept_.end(), [](const auto& a, const auto& b) {
        return a.second.turn < b.second.turn;
      }));
    }
    kept_[key] = {collection.sequence(), collection.rows(), ++turns_, shared};
    return shared;
  }

 private:
  using Key = std::pair<std::string, std::string>;
  struct Kept {
    uint64_t sequence = 0, rows = 0;  // of the data that was learned from
    uint64_t turn = 0;
    std::shared_ptr<const Value> value;
  };

  static bool IsGood(const Kept& kept, const collection::Collection& collection) {
    if (collection.sequence() < kept.sequence) return false;
    const auto writes = static_cast<double>(collection.sequence() - kept.sequence);
    return writes <= kChangeMax * static_cast<double>(std::max<uint64_t>(1, kept.rows));
  }

  absl::Mutex mutex_;
  std::map<Key, Kept> kept_ ABSL_GUARDED_BY(mutex_);
  uint64_t turns_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace mrl::server
