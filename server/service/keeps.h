// Searches with adaptive keep: the slacks that were learned, how many candidates they left out, and
// what of the plain funnel's result they really kept.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "index/tune/adaptive_keep.h"
#include "server/service/asked.h"
#include "server/service/learned.h"
#include "server/service/shortcuts.h"

namespace mrl::server {

// Thread-safe.
class Keeps {
 public:
  // Sets asked->keeps and the slacks of its plan. Those that are not known yet are learned first;
  // CANCELLED when stopped.
  absl::Status Learn(double share, const tune::StoppedFn& stopped, Asked* asked);
  // A search that ran with them. `name`: the collection's own.
  void Note(const std::string& name, const Asked& asked, const funnel::Output& output);

  // By collection; the second of the key is 1.
  std::map<Shortcuts::Key, Shortcuts::Figures> figures() const { return taken_.figures(); }
  void Forget(const std::string& collection) { taken_.Forget(collection); }

 private:
  Learned<tune::KeepRule> rules_;
  Shortcuts taken_;
};

}  // namespace mrl::server
