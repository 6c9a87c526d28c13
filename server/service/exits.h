// Searches with early exit: the rules that were learned, how often searches exited, and what of the
// whole funnel's result they really kept.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "index/funnel/plan.h"
#include "index/tune/early_exit.h"
#include "server/service/learned.h"
#include "server/service/shortcuts.h"

namespace mrl::server {

// Thread-safe.
class Exits {
 public:
  static constexpr size_t kSample = 300;  // points that a rule is learned from

  // `name`: the collection's own.
  absl::StatusOr<tune::Exited> Run(const std::string& name,
                                   const std::shared_ptr<const collection::Collection>& collection,
                                   const funnel::Plan& plan, absl::Span<const float> query,
                                   const funnel::RunOptions& options, double share);
  // By collection, and stages before the last that ran; 0 = all.
  std::map<Shortcuts::Key, Shortcuts::Figures> figures() const { return taken_.figures(); }
  void Forget(const std::string& collection) { taken_.Forget(collection); }

 private:
  Learned<tune::ExitRule> rules_;
  Shortcuts taken_;
};

}  // namespace mrl::server
