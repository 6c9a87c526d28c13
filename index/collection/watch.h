// How those who started long work look after it.
#pragma once

#include <cstdint>
#include <functional>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace mrl::collection {

// Called by the thread that works. Either may be empty.
struct Watch {
  std::function<void(uint64_t done, uint64_t all)> progress = {};
  std::function<bool()> stopped = {};  // asked now and then; the work then ends with CANCELLED

  void Report(uint64_t done, uint64_t all) const {
    if (progress) progress(done, all);
  }
  // CANCELLED names `what`.
  absl::Status Check(absl::string_view what) const {
    if (!stopped || !stopped()) return absl::OkStatus();
    return absl::CancelledError(absl::StrCat(what, " was stopped"));
  }
};

}  // namespace mrl::collection
