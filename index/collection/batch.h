// One atomic step of a collection's database: all of it is there after a crash, or nothing.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "index/schema/point_id.h"

namespace mrl::collection {

struct Families;

// Made by Database::NewBatch and outlived by that database. Later entries win over earlier ones.
// Not thread-safe.
class Batch {
 public:
  explicit Batch(const Families& families);
  ~Batch();
  Batch(Batch&&) noexcept;

  // Rows of the tail. `bytes` are store::EncodeRow's.
  void PutRow(uint32_t epoch, uint64_t sequence, const std::string& bytes);
  void RemoveRow(uint32_t epoch, uint64_t sequence);
  // Every row of the epochs before `epoch`.
  void DropEpochsBefore(uint32_t epoch);
  // The id map.
  void PutId(const PointId& id, uint64_t sequence);
  void RemoveId(const PointId& id);
  // Rows of segments that are no longer there.
  void PutDeletion(uint32_t segment, uint32_t row, uint64_t sequence);
  void DropDeletions(uint32_t segment);
  void PutManifest(const std::string& bytes);
  void PutRotation(const std::string& bytes);
  // The highest sequence that was given out.
  void PutSequence(uint64_t sequence);

 private:
  friend class Database;
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace mrl::collection
