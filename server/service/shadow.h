// A collection's shadow profile, run beside a share of its searches once they are answered: exact
// search tells how good the answer was and how good the shadow's would have been.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "index/collection/collection.h"
#include "index/funnel/profile.h"

namespace mrl::server {

// Thread-safe. One thread of its own does the work, so that no caller waits for it; what comes
// faster than it is done is dropped and counted.
class Shadow {
 public:
  static constexpr size_t kWaitingMax = 16;

  // A search that was answered.
  struct Answered {
    std::string collection;  // its name, not an alias
    std::shared_ptr<const collection::Collection> version;
    std::vector<float> query;
    std::optional<funnel::Location> leave_out;
    funnel::Plan plan;  // that ran
    std::vector<funnel::Hit> hits;
  };
  struct Figures {
    uint64_t compared = 0;
    uint64_t dropped = 0;  // for lack of time, or because the shadow cannot run this query
    double served_recall = 0, shadow_recall = 0;  // sums over those compared
  };
  // Collection, profile, version.
  using Key = std::tuple<std::string, std::string, uint32_t>;

  Shadow();
  // Drops what waits.
  ~Shadow();

  // Whether the next search of the collection is one to be taken: a share, evenly spread.
  bool IsNext(const std::string& collection, const funnel::ProfileSet& profiles);
  void Take(Answered answered);
  std::map<Key, Figures> figures() const;

 private:
  void Work();
  // Empty when the shadow cannot run the query.
  std::optional<Figures> Compare(const Answered& answered) const;

  mutable absl::Mutex mutex_;
  std::deque<Answered> waiting_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, double> credit_ ABSL_GUARDED_BY(mutex_);
  std::map<Key, Figures> figures_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread worker_;
};

}  // namespace mrl::server
