// True neighbours that an earlier run found, kept under $XDG_CACHE_HOME/mrl/truth (~/.cache where
// it is not set): exact search of a thousand queries over millions of rows takes a minute.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "index/cli/asked.h"
#include "index/collection/collection.h"

namespace mrl::cli {

class TruthCache {
 public:
  static constexpr size_t kFilesMax = 64;                   // the oldest goes
  static constexpr uint64_t kBytesMax = uint64_t{8} << 20;  // more neighbours are not kept

  // Of `queries` against the rows that the collection has now: other segments, deletions, queries
  // or another k, and another version of this program, have another file. Rows that no segment
  // holds yet have no name to tell them by: nothing is kept.
  TruthCache(const collection::Collection& collection, const Queries& queries, uint32_t k);

  // Row numbers per query, best first, as many as were found, at most k. Nothing where none are
  // kept, or they are damaged.
  std::optional<std::vector<std::vector<uint64_t>>> Find() const;
  // A folder that cannot be written is no error: the next run searches again.
  void Keep(const std::vector<std::vector<uint64_t>>& truth) const;

 private:
  uint64_t FileBytes() const;

  std::string folder_;  // "" = there is none, or nothing may be kept
  std::string name_;
  size_t queries_;
  uint32_t k_;
};

}  // namespace mrl::cli
