// Progress on stderr: a bar on a terminal, a line every ten seconds elsewhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "absl/strings/string_view.h"

namespace mrl::cli {

class Progress {
 public:
  // `unit` is what is counted: "rows".
  Progress(std::string what, std::string unit, uint64_t total);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void Set(uint64_t done);

 private:
  using Clock = std::chrono::steady_clock;
  void Print(double seconds) const;

  const std::string what_;
  const std::string unit_;
  const uint64_t total_;
  const bool terminal_;
  const Clock::time_point start_ = Clock::now();
  Clock::time_point printed_ = start_;
  uint64_t done_ = 0;
  bool any_ = false;
};

// A bar for each part of the work, one after the other: (what, done, total).
std::function<void(absl::string_view, uint64_t, uint64_t)> ShowParts();

}  // namespace mrl::cli
