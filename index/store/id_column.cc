#include "index/store/id_column.h"

#include <algorithm>
#include <numeric>

#include "base/check.h"

namespace mrl::store {

IdColumn::IdColumn(uint32_t rows_max) {
  values_.reserve(rows_max);
  lengths_.reserve(rows_max);
}

void IdColumn::Append(const PointId& id) {
  sorted_.clear();
  if (id.is_number()) {
    values_.push_back(id.number());
    lengths_.push_back(0);
    return;
  }
  CHECK(!id.text().empty() && id.text().size() <= PointId::kBytesMax);
  if (heap_.empty() || heap_.back().size() + id.text().size() > kBlockBytes) {
    heap_.emplace_back();
    heap_.back().reserve(kBlockBytes);
  }
  values_.push_back((heap_.size() - 1) * kBlockBytes + heap_.back().size());
  lengths_.push_back(static_cast<uint16_t>(id.text().size()));
  heap_.back() += id.text();
}

PointId IdColumn::At(uint32_t row) const {
  return is_number(row) ? PointId(values_[row]) : PointId(std::string(text(row)));
}

bool IdColumn::Less(uint32_t a, uint32_t b) const {
  if (is_number(a) != is_number(b)) return is_number(a);
  if (is_number(a)) return values_[a] != values_[b] ? values_[a] < values_[b] : a < b;
  const int order = text(a).compare(text(b));
  return order != 0 ? order < 0 : a < b;
}

bool IdColumn::SameId(uint32_t a, uint32_t b) const {
  if (is_number(a) != is_number(b)) return false;
  return is_number(a) ? values_[a] == values_[b] : text(a) == text(b);
}

absl::Span<const uint32_t> IdColumn::SortedRows() {
  if (sorted_.size() != rows()) {
    sorted_.resize(rows());
    std::iota(sorted_.begin(), sorted_.end(), 0);
    std::sort(sorted_.begin(), sorted_.end(),
              [this](uint32_t a, uint32_t b) { return Less(a, b); });
  }
  return sorted_;
}

std::vector<uint64_t> IdColumn::Values() const {
  std::vector<uint64_t> values(values_);
  uint64_t begin = 0;
  for (uint32_t row = 0; row < rows(); ++row) {
    if (is_number(row)) continue;
    values[row] = begin;
    begin += lengths_[row];
  }
  return values;
}

}  // namespace mrl::store
