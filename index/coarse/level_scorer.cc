#include "index/coarse/level_scorer.h"

#include <algorithm>
#include <cmath>

namespace mrl::coarse {
namespace {

constexpr size_t kLineBytes = 64;
constexpr size_t kPrefetchBytes = 512;  // the hardware prefetcher takes over after a few lines

}  // namespace

LevelScorer::LevelScorer(const store::Segment& segment, const float* query, size_t last_level)
    : segment_(segment),
      table_(kernels::Active()),
      metric_(segment.schema().metric),
      storage_(segment.schema().storage) {
  const Schema& schema = segment.schema();
  double squares = 0;
  for (size_t level = 0; level <= last_level; ++level) {
    const float* slice = query + schema.level_begin(level);
    const size_t width = schema.level_width(level);
    for (size_t i = 0; i < width; ++i) squares += static_cast<double>(slice[i]) * slice[i];
    levels_.push_back(
        {.data = static_cast<const std::byte*>(segment.Level(level)),
         .query = slice,
         .width = width,
         .row_bytes = width * ElementBytes(storage_),
         .inverse_query_norm = squares > 0 ? static_cast<float>(1 / std::sqrt(squares)) : 0});
  }
}

float LevelScorer::LevelSum(uint32_t row, size_t level) const {
  const Level& at = levels_[level];
  const std::byte* data = at.data + row * at.row_bytes;
  const bool is_l2 = metric_ == Metric::kL2;
  switch (storage_) {
    case StorageType::kF32:
      return (is_l2 ? table_.l2_f32 : table_.dot_f32)(
          at.query, reinterpret_cast<const float*>(data), at.width);
    case StorageType::kF16:
      return (is_l2 ? table_.l2_f16 : table_.dot_f16)(
          at.query, reinterpret_cast<const uint16_t*>(data), at.width);
    case StorageType::kBf16:
      return (is_l2 ? table_.l2_bf16 : table_.dot_bf16)(
          at.query, reinterpret_cast<const kernels::Bf16*>(data), at.width);
    case StorageType::kInt8:
      return (is_l2 ? table_.l2_int8 : table_.dot_int8)(
          at.query, reinterpret_cast<const int8_t*>(data), segment_.Scales(row)[level], at.width);
  }
  return 0;
}

void LevelScorer::LevelSums(absl::Span<const LevelScorer* const> scorers, uint32_t row,
                            size_t level, float* sums) {
  const LevelScorer& first = *scorers.front();
  if (first.metric_ == Metric::kL2 || scorers.size() == 1) {
    for (size_t i = 0; i < scorers.size(); ++i) sums[i] = scorers[i]->LevelSum(row, level);
    return;
  }
  const float* queries[kernels::kTileMax];
  for (size_t i = 0; i < scorers.size(); ++i) queries[i] = scorers[i]->levels_[level].query;
  const Level& at = first.levels_[level];
  const std::byte* data = at.data + row * at.row_bytes;
  switch (first.storage_) {
    case StorageType::kF32:
      return first.table_.dots_f32(queries, scorers.size(), reinterpret_cast<const float*>(data),
                                   at.width, sums);
    case StorageType::kF16:
      return first.table_.dots_f16(queries, scorers.size(), reinterpret_cast<const uint16_t*>(data),
                                   at.width, sums);
    case StorageType::kBf16:
      return first.table_.dots_bf16(queries, scorers.size(),
                                    reinterpret_cast<const kernels::Bf16*>(data), at.width, sums);
    case StorageType::kInt8:
      return first.table_.dots_int8(queries, scorers.size(), reinterpret_cast<const int8_t*>(data),
                                    first.segment_.Scales(row)[level], at.width, sums);
  }
}

float LevelScorer::Extend(uint32_t row, size_t from, size_t to, float sum) const {
  for (size_t level = from; level <= to; ++level) sum += LevelSum(row, level);
  return sum;
}

float LevelScorer::Key(uint32_t row, size_t level, float sum) const {
  switch (metric_) {
    case Metric::kCosine:
      return sum * segment_.InverseNorms(row)[level] * levels_[level].inverse_query_norm;
    case Metric::kInnerProduct:
      return sum;
    case Metric::kL2:
      return -sum;
  }
  return sum;
}

void LevelScorer::Prefetch(uint32_t row, size_t from, size_t to) const {
  if (const float* scales = segment_.Scales(row)) __builtin_prefetch(scales + from);
  for (size_t level = from; level <= to; ++level) {
    const Level& at = levels_[level];
    const std::byte* data = at.data + row * at.row_bytes;
    const size_t bytes = std::min(at.row_bytes, kPrefetchBytes);
    for (size_t i = 0; i < bytes; i += kLineBytes) __builtin_prefetch(data + i);
  }
  if (metric_ == Metric::kCosine) __builtin_prefetch(segment_.InverseNorms(row) + to);
}

uint64_t LevelScorer::RowBytes(size_t from, size_t to) const {
  uint64_t bytes = 0;
  for (size_t level = from; level <= to; ++level) {
    bytes += levels_[level].row_bytes + ScaleBytes(storage_);
  }
  return bytes;
}

}  // namespace mrl::coarse
