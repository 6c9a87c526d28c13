// Rows that no segment file holds yet, in memory, laid out as a segment is.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/buffer.h"
#include "base/memory_account.h"
#include "index/schema/schema.h"
#include "index/store/segment.h"
#include "index/store/stored_row.h"

namespace mrl::store {

// Room for a fixed number of rows, filled from the front. One thread appends while others read the
// rows of views that were taken before: rows do not move and do not change. An id may come more
// than once; a view finds its latest row. Scores are those of a segment, to the bit, because the
// arrays are.
class Tail {
 public:
  // Reserves the room for `rows_max` rows (at least 1) from `account`, which outlives the tail and
  // its views; payloads and long ids are reserved as they come.
  static absl::StatusOr<std::shared_ptr<Tail>> Create(const Schema& schema, uint32_t rows_max,
                                                      MemoryAccount& account);

  uint32_t rows() const { return rows_; }
  uint32_t rows_max() const { return rows_max_; }
  uint64_t Sequence(uint32_t row) const { return sequences_.As<uint64_t>()[row]; }

  // Takes memory for what `bytes` of payloads and ids are about to need, so that Append cannot
  // fail.
  absl::Status Reserve(uint64_t bytes);
  // Not when rows() == rows_max(). Sequences rise from row to row.
  void Append(StoredRow row);

  // The first `rows` rows (at least 1, at most rows()), as a segment that has no file: its number
  // is 0. May be called by any thread for a number of rows that it knows to be there.
  static std::shared_ptr<const Segment> View(std::shared_ptr<const Tail> tail, uint32_t rows);
  // The latest of the first `rows` rows that has this id. Thread-safe as View.
  std::optional<uint32_t> Find(const PointId& id, uint32_t rows) const;

 private:
  friend class TailSegment;
  struct IdHash {
    size_t operator()(const PointId& id) const;
  };
  static constexpr uint32_t kNoRow = ~uint32_t{0};

  Tail(const Schema& schema, uint32_t rows_max, MemoryAccount& account)
      : schema_(schema), rows_max_(rows_max), account_(account) {}
  absl::Status Allocate();

  const Schema schema_;
  const uint32_t rows_max_;
  MemoryAccount& account_;
  uint32_t rows_ = 0;
  std::vector<MemoryAccount::Reservation> reservations_;
  std::vector<Buffer> levels_;
  Buffer scales_;
  Buffer norms_;
  Buffer mean_deviation_;
  Buffer sequences_;  // u64
  Buffer previous_;   // u32: the row before it with the same id, or kNoRow
  std::unique_ptr<PointId[]> ids_;
  std::unique_ptr<std::string[]> payloads_;
  mutable absl::Mutex mutex_;
  std::unordered_map<PointId, uint32_t, IdHash> latest_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mrl::store
