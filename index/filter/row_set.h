// A set of rows of one part, as the bitmap that searches mask rows with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/types/span.h"

namespace mrl::filter {

// Not thread-safe.
class RowSet {
 public:
  // Empty, of rows [0, rows).
  explicit RowSet(uint32_t rows) : rows_(rows), words_((rows + 63) / 64) {}

  uint32_t rows() const { return rows_; }
  // Bits past the last row are 0.
  const std::vector<uint64_t>& words() const { return words_; }
  std::vector<uint64_t> TakeWords() && { return std::move(words_); }

  // Rows that are not in [0, rows()) are passed over.
  void Add(uint32_t row) {
    if (row < rows_) words_[row / 64] |= uint64_t{1} << (row % 64);
  }
  // Adds what a bitmap of all rows, in pieces of 32, has.
  void AddBits(absl::Span<const uint32_t> bits);
  void AddAll(const RowSet& other);
  void KeepOnly(const RowSet& other);
  void Complement();

 private:
  uint32_t rows_;
  std::vector<uint64_t> words_;
};

}  // namespace mrl::filter
