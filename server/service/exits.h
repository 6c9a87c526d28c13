// Searches with early exit: the rules that were learned, how often searches exited, and what of the
// whole funnel's result they really kept.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "index/funnel/plan.h"
#include "index/tune/early_exit.h"
#include "server/rpc/call.h"
#include "server/service/aside.h"
#include "server/service/learned.h"

namespace mrl::server {

// Thread-safe.
class Exits {
 public:
  static constexpr size_t kSample = 300;  // points that a rule is learned from
  // Of so many searches that exited one is run whole, behind its answer.
  static constexpr uint64_t kCheckEvery = 20;

  struct Figures {
    uint64_t searches = 0;
    double kept = 0;  // sum over those that exited of what their rule says
    uint64_t checked = 0;
    double really_kept = 0;  // sum over those that were checked
  };
  // Collection, and stages before the last that ran; 0 = all.
  using Key = std::pair<std::string, size_t>;

  // `name`: the collection's own.
  absl::StatusOr<tune::Exited> Run(const std::string& name,
                                   std::shared_ptr<const collection::Collection> collection,
                                   const funnel::Plan& plan, absl::Span<const float> query,
                                   const funnel::RunOptions& options, double share);
  std::map<Key, Figures> figures() const;
  // Of a collection that is not served any more. A call that runs meanwhile may bring some back.
  void Forget(const std::string& collection);

 private:
  // A search that exited.
  struct Taken {
    Key key;
    std::shared_ptr<const collection::Collection> collection;
    funnel::Plan plan;
    std::vector<float> query;
    std::optional<funnel::Location> leave_out;
    std::vector<funnel::Hit> hits;
  };
  // Runs the whole funnel.
  void Check(const Taken& taken);

  Learned<tune::ExitRule> rules_;
  mutable absl::Mutex mutex_;
  std::map<Key, Figures> figures_ ABSL_GUARDED_BY(mutex_);
  Aside aside_;  // last: its work uses what stands above
};

}  // namespace mrl::server
