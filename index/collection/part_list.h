// The parts of a collection in order of their rows' sequences: segments, then blocks of the tail.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/memory_account.h"
#include "index/collection/live_part.h"
#include "index/funnel/run.h"

namespace mrl::collection {

// Not thread-safe.
class PartList {
 public:
  struct Place {
    LivePart* part = nullptr;
    uint32_t row = 0;
  };

  // `account` outlives the list and every view of it. `kinds`: what searches may ask for.
  PartList(const Schema& schema, std::vector<std::string> kinds, MemoryAccount& account)
      : schema_(schema), kinds_(std::move(kinds)), account_(account) {}

  const std::vector<std::string>& kinds() const { return kinds_; }
  const std::vector<std::unique_ptr<LivePart>>& parts() const { return parts_; }
  // Null when there is none.
  LivePart* FindSegment(uint32_t number) const;
  // The live row of an id.
  std::optional<Place> Find(const PointId& id) const;
  uint64_t live_rows() const;
  // Rows of an epoch of the tail, deleted ones too.
  uint64_t EpochRows(uint32_t epoch) const;

  // Makes sure that `rows` rows with `bytes` of payloads, long ids and indexed fields can be
  // appended to `epoch`, which is the newest. RESOURCE_EXHAUSTED when the account refuses; nothing
  // has changed then that a search could see.
  absl::Status MakeRoom(uint32_t epoch, uint64_t rows, uint64_t bytes);
  // Into the first block of `epoch` that has room; MakeRoom said that there is one.
  void Append(uint32_t epoch, store::StoredRow row, const filter::RowValues& values);

  // Adds a segment behind all others.
  void AddSegment(std::unique_ptr<LivePart> segment);
  // Puts `segment` (null = nothing) in the place of the adjacent segments `numbers`.
  void ReplaceSegments(const std::vector<uint32_t>& numbers, std::unique_ptr<LivePart> segment);
  // Removes the blocks of an epoch.
  void DropEpoch(uint32_t epoch);

  // What searches may ask for from now on, the active kind first.
  void SetKinds(const std::vector<std::string>& kinds);

  // Of blocks to come, and of what a search sees; those that are there are told themselves.
  void SetFields(const std::vector<Field>& fields) { schema_.fields = fields; }

  // What a search sees of it now: parts that have live rows.
  funnel::View Publish() const;

 private:
  Schema schema_;
  std::vector<std::string> kinds_;
  MemoryAccount& account_;
  std::vector<std::unique_ptr<LivePart>> parts_;
};

}  // namespace mrl::collection
