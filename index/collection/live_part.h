// One part of a collection that is written to: a segment, or a block of the tail; and which of its
// rows are live.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "index/filter/tail_fields.h"
#include "index/funnel/run.h"
#include "index/store/segment.h"
#include "index/store/tail.h"

namespace mrl::collection {

// Not thread-safe, but for this: while nobody changes it, Find, IsLive, Sequence and the counts may
// be called beside Publish, Live and segment. What it hands out is constant and outlives it.
class LivePart {
 public:
  using Bitmap = std::shared_ptr<const std::vector<uint64_t>>;  // null = all rows
  using Indexes = std::vector<std::shared_ptr<const coarse::CoarseIndex>>;

  // A segment file with its coarse indexes and its indexed fields (null where the schema has none).
  // `kinds`, the active one first: those that searches may ask for; one that is missing is stood in
  // for.
  LivePart(std::shared_ptr<const store::Segment> segment, Indexes indexes,
           std::shared_ptr<const filter::FieldIndex> fields, const std::vector<std::string>& kinds);
  // A block of the tail.
  LivePart(std::shared_ptr<store::Tail> tail, uint32_t epoch, std::vector<std::string> kinds,
           const std::vector<Field>& fields);

  bool is_tail() const { return tail_ != nullptr; }
  uint32_t epoch() const { return epoch_; }                    // of the tail
  uint32_t number() const { return segment_->info().number; }  // of the segment file
  uint32_t rows() const { return is_tail() ? tail_->rows() : segment_->rows(); }
  uint32_t live_rows() const { return rows() - removed_; }
  // Rows that still fit into a block of the tail.
  uint32_t room() const { return is_tail() ? tail_->rows_max() - tail_->rows() : 0; }

  // The live row of an id.
  std::optional<uint32_t> Find(const PointId& id) const;
  bool IsLive(uint32_t row) const;
  uint64_t Sequence(uint32_t row) const {
    return is_tail() ? tail_->Sequence(row) : segment_->Sequence(row);
  }
  // The rows so far.
  const std::shared_ptr<const store::Segment>& segment();

  // A row that is live.
  void Remove(uint32_t row);
  // Into a block of the tail that has room().
  absl::Status Reserve(uint64_t bytes) { return tail_->Reserve(bytes); }
  void Append(store::StoredRow row, const filter::RowValues& values);

  // Another index of a segment file, or another set of kinds that searches may ask for.
  void AddIndex(std::shared_ptr<const coarse::CoarseIndex> index);
  void SetKinds(std::vector<std::string> kinds);

  // Other fields, of a segment file (null = none), and of the tail, whose rows are read again.
  void SetFields(std::shared_ptr<const filter::FieldIndex> fields);
  void ReadFields(const std::vector<Field>& fields, const std::vector<filter::RowValues>& values);

  // As of now.
  Bitmap Live();
  funnel::View::Part Publish();

 private:
  void MakeIndexes();

  std::shared_ptr<store::Tail> tail_;
  const uint32_t epoch_ = 0;
  std::vector<std::string> kinds_;
  std::shared_ptr<const store::Segment> segment_;  // of the tail: a view, null when it is outdated
  Indexes opened_;                                 // of a segment file
  Indexes indexes_;                                // by kinds_; of the tail as segment_
  std::shared_ptr<filter::TailFields> tail_fields_;   // of the tail; null without fields
  std::shared_ptr<const filter::FieldIndex> fields_;  // null without fields
  std::vector<uint64_t> removed_bits_;                // grows with the highest row that was removed
  uint32_t removed_ = 0;
  Bitmap live_;  // null when all rows are live or it is outdated
};

}  // namespace mrl::collection
