#include "index/coarse/int8_search.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "base/status.h"
#include "index/coarse/exact_scan.h"
#include "index/coarse/tile_scan.h"

namespace mrl::coarse {
namespace {

constexpr double kFloatStep = 0x1p-24;  // largest relative error of one f32 operation
constexpr double kMagnitudeMin = 1e-30;
constexpr double kMagnitudeMax = 1e37;

// What an estimate, and a true score in the same scale, cannot exceed.
double Magnitude(const Int8Request& request) {
  const double norm_max = request.array->norm_max;
  const double query_norm = request.query->norm;
  if (request.metric != Metric::kL2) return query_norm * norm_max;
  return (query_norm + norm_max) * (query_norm + norm_max);
}

// One query's survivors, as TileScan wants them. Without bounds (`slack` = 0 and a query without
// errors) upper and lower bound of a row are its estimate, and the same code keeps the best.
class Int8List {
 public:
  using Query = kernels::Int8TileQuery;
  using Threshold = float;
  static constexpr Threshold kNoThreshold = -std::numeric_limits<float>::infinity();
  // Ranks come by selection: more cost what they save.
  static constexpr size_t kSampleBlocksMax = 64;
  static constexpr size_t kBlocksPerSample = 8;
  static size_t SampleBlocks(size_t /*keep*/, size_t blocks) {
    return std::clamp<size_t>(blocks / kBlocksPerSample, 1, kSampleBlocksMax);
  }

  Int8List(const Int8Request& request, const kernels::Int8Query& query, float slack)
      : request_(request), query_(query), slack_(slack) {}

  bool stopped() const { return request_.stopped != nullptr && IsStopped(*request_.stopped); }
  size_t keep() const { return request_.keep; }

  Query Offer() {
    if (upper_.size() - count_ < kernels::kBlockRows) MakeRoom();
    return {query_, threshold_, {upper_.data(), rows_.data(), upper_.size(), count_}};
  }
  void Accept(const Query& query) { count_ = query.out.count; }

  void Restart(float threshold) {
    threshold_ = threshold;
    count_ = 0;
  }
  void Absorb(const Int8List& later) {
    JoinFirst(upper_, count_, later.upper_, later.count_);
    JoinFirst(rows_, count_, later.rows_, later.count_);
    count_ = rows_.size();
    threshold_ = std::max(threshold_, later.threshold_);
  }
  float ThresholdOfRank(size_t rank) {
    return count_ < rank ? kNoThreshold : LowerOfRank(rank) - 2 * slack_;
  }
  // At least `keep` lower bounds reach the seed, so that it cut no row of the answer.
  bool IsComplete(float seed) {
    if (seed == kNoThreshold || threshold_ > seed) return true;  // a cut found `keep` of them
    return ThresholdOfRank(request_.keep) >= seed;
  }

  size_t count() const { return count_; }

  // Raises the threshold to the `keep`-th largest lower bound and drops what falls below it.
  void Cut() {
    if (count_ <= request_.keep) return;
    threshold_ = std::max(threshold_, ThresholdOfRank(request_.keep));
    size_t kept = 0;
    for (size_t i = 0; i < count_; ++i) {
      if (upper_[i] < threshold_) continue;
      upper_[kept] = upper_[i];
      rows_[kept++] = rows_[i];
    }
    count_ = kept;
  }

  std::vector<KeyedRow> Take() {
    Cut();
    std::vector<KeyedRow> survivors(count_);
    for (size_t i = 0; i < count_; ++i) survivors[i] = {upper_[i], rows_[i]};
    return survivors;
  }

 private:
  // A lower bound, except for twice the slack, which is taken off thresholds as a whole.
  float Lower(size_t i) const {
    const kernels::Int8Block& block = request_.array->block_data()[rows_[i] / kernels::kBlockRows];
    return upper_[i] - 2 * (query_.norm * block.error_norm + query_.error_norm * block.norm_max);
  }

  // The `rank`-th largest (1-based) lower bound of the survivors; there are at least so many.
  float LowerOfRank(size_t rank) {
    lowers_.resize(count_);
    for (size_t i = 0; i < count_; ++i) lowers_[i] = Lower(i);
    std::nth_element(lowers_.begin(), lowers_.begin() + static_cast<ptrdiff_t>(rank - 1),
                     lowers_.end(), std::greater<float>());
    return lowers_[rank - 1];
  }

  // When a cut frees little (many ties, wide bounds) the next would come at once: grow instead.
  void MakeRoom() {
    Cut();
    constexpr size_t kRoomMin = kSampleBlocksMax * kernels::kBlockRows;  // a sample is not cut
    const size_t room = std::max({kRoomMin, 4 * request_.keep, 2 * count_}) + kernels::kBlockRows;
    if (room > upper_.size()) {
      upper_.resize(room);
      rows_.resize(room);
    }
  }

  const Int8Request request_;
  const kernels::Int8Query query_;
  const float slack_;
  float threshold_ = kNoThreshold;
  size_t count_ = 0;
  std::vector<float> upper_;  // as long as rows_; the first count_ entries are survivors
  std::vector<uint32_t> rows_;
  std::vector<float> lowers_;
};

kernels::Int8Scan ScanOf(const CodeArray& array, const uint64_t* allowed, size_t begin,
                         size_t end) {
  return {.codes = array.codes.As<uint8_t>(),
          .blocks = array.block_data(),
          .words = CodeWords(array.code.dims),
          .row_bias = array.bias_data(),
          .allowed = allowed,
          .block_begin = begin,
          .block_end = end,
          .rows = array.rows};
}

std::vector<absl::StatusOr<std::vector<KeyedRow>>> RunTile(std::vector<Int8List>& lists,
                                                           const CodeArray& array,
                                                           const uint64_t* allowed,
                                                           Parallel* helpers) {
  const kernels::Table& table = kernels::Active();
  const auto kernel = [&](size_t begin, size_t end, kernels::Int8TileQuery* queries, size_t count) {
    return table.scan_int8(ScanOf(array, allowed, begin, end), queries, count);
  };
  TileScan(lists, BlockCount(array.rows), kernel).Run(BlockBytes(array.code.dims), helpers);
  std::vector<absl::StatusOr<std::vector<KeyedRow>>> results;
  for (Int8List& list : lists) {
    if (list.stopped()) {
      results.emplace_back(absl::CancelledError("the search was stopped while it scanned"));
    } else {
      results.emplace_back(list.Take());
    }
  }
  return results;
}

absl::StatusOr<std::vector<KeyedRow>> RunBlocks(Int8List list, const CodeArray& array,
                                                const uint64_t* allowed,
                                                absl::Span<const BlockRange> blocks) {
  const kernels::Table& table = kernels::Active();
  const auto scan = [&](size_t begin, size_t end, kernels::Int8TileQuery* query) {
    return table.scan_int8(ScanOf(array, allowed, begin, end), query, 1);
  };
  const auto prefetch = [&](size_t block) {
    __builtin_prefetch(array.codes.As<uint8_t>() + block * BlockBytes(array.code.dims));
  };
  if (!ScanRanges(list, blocks, scan, prefetch)) {
    return absl::CancelledError("the search was stopped while it scanned");
  }
  return list.Take();
}

}  // namespace

bool CodeArray::SetNormMax() {
  double largest = 0;
  for (size_t i = 0; i < BlockCount(rows); ++i) {
    const kernels::Int8Block& block = block_data()[i];
    for (const float value : {block.scale, block.error_norm, block.norm_max}) {
      if (!(value >= 0) || !std::isfinite(value)) return false;
    }
    largest = std::max(largest, static_cast<double>(block.error_norm) + block.norm_max);
  }
  norm_max = RoundUp(largest);
  return true;
}

std::vector<absl::StatusOr<std::vector<KeyedRow>>> SearchEstimates(
    const CodeArray& array, const uint64_t* allowed, absl::Span<const Int8Request> requests,
    Parallel* helpers) {
  std::vector<Int8List> lists;
  for (const Int8Request& request : requests) {
    lists.emplace_back(request, request.query->WithoutErrors(), 0.0F);
  }
  return RunTile(lists, array, allowed, helpers);
}

std::vector<absl::StatusOr<std::vector<KeyedRow>>> SearchBounds(
    const CodeArray& array, const uint64_t* allowed, absl::Span<const Int8Request> requests,
    Parallel* helpers) {
  std::vector<Int8List> lists;
  for (const Int8Request& request : requests) {
    lists.emplace_back(request, request.query->WithErrors(), RoundingSlack(request));
  }
  return RunTile(lists, array, allowed, helpers);
}

absl::StatusOr<std::vector<KeyedRow>> SearchEstimateBlocks(const uint64_t* allowed,
                                                           absl::Span<const BlockRange> blocks,
                                                           const Int8Request& request) {
  return RunBlocks(Int8List(request, request.query->WithoutErrors(), 0.0F), *request.array, allowed,
                   blocks);
}

absl::StatusOr<std::vector<KeyedRow>> SearchBoundBlocks(const uint64_t* allowed,
                                                        absl::Span<const BlockRange> blocks,
                                                        const Int8Request& request) {
  return RunBlocks(Int8List(request, request.query->WithErrors(), RoundingSlack(request)),
                   *request.array, allowed, blocks);
}

bool BoundsHold(const Int8Request& request) {
  const double magnitude = Magnitude(request);
  return magnitude >= kMagnitudeMin && magnitude <= kMagnitudeMax;
}

float RoundingSlack(const Int8Request& request) {
  const double steps = 64 + request.array->code.dims / 8.0;
  return RoundUp(steps * kFloatStep * Magnitude(request));
}

float EstimateRow(const CodeArray& array, const QuantisedQuery& query, uint32_t row) {
  const size_t words = CodeWords(array.code.dims);
  const size_t block = row / kernels::kBlockRows;
  const uint8_t* codes = array.codes.As<uint8_t>() + block * BlockBytes(array.code.dims) +
                         row % kernels::kBlockRows * kernels::kWordDims;
  int32_t sum = 0;
  for (size_t word = 0; word < words; ++word) {
    const uint8_t* row_word = codes + word * kernels::kBlockRows * kernels::kWordDims;
    for (size_t j = 0; j < kernels::kWordDims; ++j) {
      sum += (row_word[j] - 128) * query.codes[word * kernels::kWordDims + j];
    }
  }
  const float bias = array.bias_data() == nullptr ? 0 : array.bias_data()[row];
  return bias + array.block_data()[block].scale * query.scale * static_cast<float>(sum);
}

}  // namespace mrl::coarse
