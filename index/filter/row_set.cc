#include "index/filter/row_set.h"

#include "base/check.h"

namespace mrl::filter {

void RowSet::AddBits(absl::Span<const uint32_t> bits) {
  CHECK(bits.size() == 2 * words_.size());
  for (size_t i = 0; i < words_.size(); ++i) {
    words_[i] |= bits[2 * i] | uint64_t{bits[2 * i + 1]} << 32;
  }
}

void RowSet::AddAll(const RowSet& other) {
  CHECK(other.rows_ == rows_);
  for (size_t i = 0; i < words_.size(); ++i) words_[i] |= other.words_[i];
}

void RowSet::KeepOnly(const RowSet& other) {
  CHECK(other.rows_ == rows_);
  for (size_t i = 0; i < words_.size(); ++i) words_[i] &= other.words_[i];
}

void RowSet::Complement() {
  for (uint64_t& word : words_) word = ~word;
  if (rows_ % 64 != 0) words_.back() &= (uint64_t{1} << (rows_ % 64)) - 1;
}

}  // namespace mrl::filter
