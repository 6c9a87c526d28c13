#include "index/coarse/level_scorer.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "index/kernels/squares.h"
#include "index/store/level_codec.h"

namespace mrl::coarse {
namespace {

constexpr size_t kLineBytes = 64;
struct alignas(kLineBytes) Line {
  static constexpr size_t kFloats = kLineBytes / sizeof(float);
  float floats[kFloats];
};
// Converted, they stay in the nearest cache beside four queries; fewer are not worth copying these.
constexpr size_t kRowsAtOnce = 4;
constexpr size_t kPrefetchBytes = 512;  // the hardware prefetcher takes over after a few lines

}  // namespace

LevelScorer::LevelScorer(const store::Segment& segment, const float* query, size_t last_level)
    : segment_(segment),
      table_(kernels::Active()),
      metric_(segment.schema().metric),
      storage_(segment.schema().storage) {
  const Schema& schema = segment.schema();
  const auto factor = [this](double squares) {
    if (metric_ == Metric::kL2) return -1.0F;
    if (metric_ == Metric::kInnerProduct) return 1.0F;
    return squares > 0 ? static_cast<float>(1 / std::sqrt(squares)) : 0;
  };
  double squares = 0;
  levels_.reserve(last_level + 1);
  for (size_t level = 0; level <= last_level; ++level) {
    const float* slice = query + schema.level_begin(level);
    const size_t width = schema.level_width(level);
    squares += kernels::SumOfSquares(slice, width);
    levels_.push_back({.data = static_cast<const std::byte*>(segment.Level(level)),
                       .query = slice,
                       .width = width,
                       .row_bytes = width * ElementBytes(storage_),
                       .query_factor = factor(squares)});
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

void LevelScorer::AddLevelSums(absl::Span<const LevelScorer* const> scorers,
                               absl::Span<const uint32_t> rows, size_t level, float* sums) {
  const LevelScorer& first = *scorers.front();
  if (first.metric_ == Metric::kL2 || scorers.size() == 1 || rows.size() < kRowsAtOnce) {
    for (const uint32_t row : rows) {
      for (const LevelScorer* scorer : scorers) *sums++ += scorer->LevelSum(row, level);
    }
    return;
  }
  const Level& at = first.levels_[level];
  // Vectors begin at lines of the cache, an odd number of lines apart, so that they meet in none.
  // Queries are copied beside the rows each time: from copies made once a scan, which may meet the
  // rows, a tile of four took a tenth longer.
  const size_t stride = (at.width + Line::kFloats - 1) / Line::kFloats | 1;
  const auto lines =
      std::make_unique_for_overwrite<Line[]>((scorers.size() + kRowsAtOnce) * stride);
  const auto vector = [&lines, stride](size_t i) { return lines[i * stride].floats; };
  std::vector<const float*> queries(scorers.size());
  for (size_t i = 0; i < scorers.size(); ++i) {
    queries[i] = std::copy_n(scorers[i]->levels_[level].query, at.width, vector(i)) - at.width;
  }
  std::vector<float> unscaled;  // sums of codes of int8
  const float* starts[kRowsAtOnce];
  for (size_t i = 0; i < kRowsAtOnce; ++i) starts[i] = vector(scorers.size() + i);
  for (; !rows.empty(); rows.remove_prefix(std::min(kRowsAtOnce, rows.size()))) {
    const absl::Span<const uint32_t> some = rows.first(std::min(kRowsAtOnce, rows.size()));
    // Converted once for all queries. Codes of int8 are not scaled before they are added up, as
    // when a query is alone.
    for (size_t i = 0; i < some.size(); ++i) {
      store::DecodeLevel(first.storage_, at.data + some[i] * at.row_bytes, 1, at.width,
                         vector(scorers.size() + i));
    }
    if (first.storage_ == StorageType::kInt8) {
      unscaled.assign(some.size() * scorers.size(), 0);
      first.table_.dots_f32(queries.data(), scorers.size(), starts, some.size(), at.width,
                            unscaled.data());
      for (size_t i = 0; i < unscaled.size(); ++i) {
        sums[i] += unscaled[i] * first.segment_.Scales(some[i / scorers.size()])[level];
      }
    } else {
      first.table_.dots_f32(queries.data(), scorers.size(), starts, some.size(), at.width, sums);
    }
    sums += some.size() * scorers.size();
  }
}

float LevelScorer::Extend(uint32_t row, size_t from, size_t to, float sum) const {
  for (size_t level = from; level <= to; ++level) sum += LevelSum(row, level);
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
