// A collection's shadow profile, run beside a share of its searches once they are answered: exact
// search tells how good the answer was and how good the shadow's would have been.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "index/collection/collection.h"
#include "index/funnel/profile.h"
#include "server/service/aside.h"

namespace mrl::server {

// Thread-safe. What comes faster than it is done is dropped and counted.
class Shadow {
 public:
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

  // Whether the next search of the collection is one to be taken: a share, evenly spread.
  bool IsNext(const std::string& collection, const funnel::ProfileSet& profiles);
  void Take(Answered answered);
  std::map<Key, Figures> figures() const;
  // Of a collection that is not served any more. A call that runs meanwhile may bring some back.
  void Forget(const std::string& collection);

 private:
  void Work(const Answered& answered);
  // Empty when the shadow cannot run the query.
  std::optional<Figures> Compare(const Answered& answered) const;

  mutable absl::Mutex mutex_;
  std::map<std::string, double> credit_ ABSL_GUARDED_BY(mutex_);
  std::map<Key, Figures> figures_ ABSL_GUARDED_BY(mutex_);
  Aside aside_;  // last: its work uses what stands above
};

}  // namespace mrl::server
