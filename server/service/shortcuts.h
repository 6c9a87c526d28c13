// Searches that left something of their funnel out because it was not expected to change the
// result: how often, what they are expected to keep, and, for some that are run whole behind their
// answer, what they really kept.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "index/collection/collection.h"
#include "index/funnel/plan.h"
#include "index/funnel/run.h"
#include "server/service/aside.h"

namespace mrl::server {

// Thread-safe.
class Shortcuts {
 public:
  // Of so many searches that took one shortcut one is run whole.
  static constexpr uint64_t kCheckEvery = 20;

  struct Figures {
    uint64_t searches = 0;
    uint64_t left_out = 0;  // candidates
    double kept = 0;        // sum over searches of the share that was promised
    uint64_t checked = 0;
    double really_kept = 0;  // sum over those that were checked
  };
  // Collection, and which shortcut; 0 = none was taken.
  using Key = std::pair<std::string, size_t>;
  // A search that was answered, as it ran.
  struct Ran {
    std::shared_ptr<const collection::Collection> collection;
    const funnel::Plan& plan;  // without its slacks it is the whole funnel
    absl::Span<const float> query;
    std::optional<funnel::Location> leave_out;
    absl::Span<const funnel::Hit> hits;
  };

  // `kept`: the share that is promised. `left_out`: candidates.
  void Note(const Key& key, const Ran& ran, double kept, uint64_t left_out);
  std::map<Key, Figures> figures() const;
  // Of a collection that is not served any more. A call that runs meanwhile may bring some back.
  void Forget(const std::string& collection);

 private:
  struct Taken {
    Key key;
    std::shared_ptr<const collection::Collection> collection;
    funnel::Plan plan;  // the whole funnel
    std::vector<float> query;
    std::optional<funnel::Location> leave_out;
    std::vector<funnel::Hit> hits;
  };
  // Runs the whole funnel.
  void Check(const Taken& taken);

  mutable absl::Mutex mutex_;
  std::map<Key, Figures> figures_ ABSL_GUARDED_BY(mutex_);
  Aside aside_;  // last: its work uses what stands above
};

}  // namespace mrl::server
