// Searches with early exit: the rules that were learned, and how often searches exited.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "index/funnel/plan.h"
#include "index/tune/early_exit.h"
#include "server/rpc/call.h"
#include "server/service/learned.h"

namespace mrl::server {

// Thread-safe.
class Exits {
 public:
  static constexpr size_t kSample = 300;  // points that a rule is learned from

  struct Figures {
    uint64_t searches = 0;
    double kept = 0;  // sum over those that exited of what their rule says
  };
  // Collection, and stages before the last that ran; 0 = all.
  using Key = std::pair<std::string, size_t>;

  // `name`: the collection's own.
  absl::StatusOr<tune::Exited> Run(const std::string& name,
                                   const collection::Collection& collection,
                                   const funnel::Plan& plan, absl::Span<const float> query,
                                   const funnel::RunOptions& options, double share);
  std::map<Key, Figures> figures() const;

 private:
  Learned<tune::ExitRule> rules_;
  mutable absl::Mutex mutex_;
  std::map<Key, Figures> figures_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mrl::server
