// The ids of a segment while it is written, in about as many bytes as they have on disk: a PointId
// alone takes 40, and another piece of memory for a longer string.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "index/schema/point_id.h"

namespace mrl::store {

// Not thread-safe.
class IdColumn {
 public:
  // Up to `rows_max` rows may come; what stays unused costs nothing.
  explicit IdColumn(uint32_t rows_max);

  // An id that Validate() takes.
  void Append(const PointId& id);
  uint32_t rows() const { return static_cast<uint32_t>(lengths_.size()); }
  PointId At(uint32_t row) const;
  // Rows by id; equal ids by row. Kept until the next Append.
  absl::Span<const uint32_t> SortedRows();
  bool SameId(uint32_t a, uint32_t b) const;

  // The sections of the file. A value is the number, or where the string begins in the heap.
  bool all_numbers() const { return heap_.empty(); }
  absl::Span<const uint16_t> lengths() const { return lengths_; }  // 0 = a number
  std::vector<uint64_t> Values() const;
  absl::Span<const std::string> heap() const { return heap_; }  // blocks, end to end

 private:
  static constexpr size_t kBlockBits = 20;
  static constexpr size_t kBlockBytes = size_t{1} << kBlockBits;

  bool is_number(uint32_t row) const { return lengths_[row] == 0; }
  absl::string_view text(uint32_t row) const {
    const uint64_t at = values_[row];
    return {heap_[at >> kBlockBits].data() + at % kBlockBytes, lengths_[row]};
  }
  bool Less(uint32_t a, uint32_t b) const;

  std::vector<uint64_t> values_;   // the number, or block x kBlockBytes + offset in it
  std::vector<uint16_t> lengths_;  // of the string
  std::vector<std::string> heap_;  // in blocks: one piece would be held twice when it grows
  std::vector<uint32_t> sorted_;
};

}  // namespace mrl::store
