// What searches found, as a file for programs that judge it by measures of their own.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace mrl::cli {

// Row numbers in build order: for each plan and query `k` places, best first, -1 where fewer were
// found.
class FoundRows {
 public:
  FoundRows(size_t queries, uint32_t k) : queries_(queries), k_(k) {}

  // The rows of the next query of the next plan.
  void Add(const std::vector<uint64_t>& rows);
  // An npy file of i8, plans x queries x k. Replaces what is there.
  absl::Status Write(const std::string& path) const;

 private:
  const size_t queries_;
  const uint32_t k_;
  std::vector<int64_t> rows_;
};

}  // namespace mrl::cli
