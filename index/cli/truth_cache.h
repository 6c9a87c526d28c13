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
  static constexpr size_t kFilesMax = 64;

  // Of `queries` against the collection as it is now: another version, other queries or another k
  // have another file.
  TruthCache(const collection::Collection& collection, const Queries& queries, uint32_t k);

  // Row numbers per query, best first, as many as were found, at most k. Nothing where none are
  // kept, or they are damaged.
  std::optional<std::vector<std::vector<uint64_t>>> Find() const;
  // A folder that cannot be written is no error: the next run searches again.
  void Keep(const std::vector<std::vector<uint64_t>>& truth) const;

 private:
  std::string folder_;  // "" = there is none
  std::string name_;
  size_t queries_;
  uint32_t k_;
};

}  // namespace mrl::cli
