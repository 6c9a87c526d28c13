#include "index/coarse/int8_search.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "base/status.h"
#include "index/coarse/exact_scan.h"

namespace mrl::coarse {
namespace {

constexpr float kNoThreshold = -std::numeric_limits<float>::infinity();
constexpr size_t kRoomMin = 8192;  // survivors before the first cut
constexpr size_t kBlocksBetweenPolls = 1024;
constexpr size_t kSampleStride = 32;     // one block in 32 seeds the threshold
constexpr size_t kSampleBlocksMin = 16;  // below, a scan without a seed is as quick
constexpr double kFloatStep = 0x1p-24;   // largest relative error of one f32 operation
constexpr double kMagnitudeMin = 1e-30;
constexpr double kMagnitudeMax = 1e37;

// What an estimate, and a true score in the same scale, cannot exceed.
double Magnitude(const Int8Request& request) {
  const double norm_max = request.array->norm_max;
  const double query_norm = request.query->norm;
  if (request.metric != Metric::kL2) return query_norm * norm_max;
  return (query_norm + norm_max) * (query_norm + norm_max);
}

// Scans with a threshold that rises while survivors come in. Without bounds (`slack` = 0 and a
// query without errors) upper and lower bound of a row are its estimate, and the same code keeps
// the best.
class SurvivorScan {
 public:
  SurvivorScan(const Int8Request& request, const kernels::Int8Query& query, float slack)
      : request_(request), query_(query), slack_(slack), table_(kernels::Active()) {}

  absl::StatusOr<std::vector<KeyedRow>> Run() {
    const float seed = SeedThreshold();
    MRL_RETURN_IF_ERROR(ScanAll(seed));
    if (seed != kNoThreshold && !SeedWasSafe(seed)) {
      MRL_RETURN_IF_ERROR(ScanAll(kNoThreshold));
    }
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
    std::nth_element(lowers_.begin(), lowers_.begin() + (rank - 1), lowers_.end(),
                     std::greater<float>());
    return lowers_[rank - 1];
  }

  // Appends the survivors of [begin, end) and cuts whenever the room is used up.
  void ScanBlocks(size_t begin, size_t end) {
    kernels::Int8Scan scan = {.codes = request_.array->codes.As<uint8_t>(),
                              .blocks = request_.array->block_data(),
                              .words = CodeWords(request_.array->code.dims),
                              .row_bias = request_.array->bias_data(),
                              .allowed = request_.allowed,
                              .block_begin = begin,
                              .block_end = end,
                              .rows = request_.array->rows};
    while (scan.block_begin < end) {
      if (upper_.size() - count_ < kernels::kBlockRows) MakeRoom();
      kernels::Int8Survivors out = {upper_.data(), rows_.data(), upper_.size(), count_};
      scan.block_begin = table_.scan_int8(scan, query_, threshold_, &out);
      count_ = out.count;
    }
  }

  absl::Status ScanAll(float threshold) {
    threshold_ = threshold;
    count_ = 0;
    const size_t blocks = BlockCount(request_.array->rows);
    for (size_t begin = 0; begin < blocks; begin += kBlocksBetweenPolls) {
      if (request_.stopped != nullptr && IsStopped(*request_.stopped)) {
        return absl::CancelledError("the search was stopped while it scanned");
      }
      ScanBlocks(begin, std::min(blocks, begin + kBlocksBetweenPolls));
    }
    return absl::OkStatus();
  }

  // Raises the threshold to the `keep`-th largest lower bound and drops what falls below it.
  void Cut() {
    if (count_ <= request_.keep) return;
    const float lower = LowerOfRank(request_.keep) - 2 * slack_;
    threshold_ = std::max(threshold_, lower);
    size_t kept = 0;
    for (size_t i = 0; i < count_; ++i) {
      if (upper_[i] < threshold_) continue;
      upper_[kept] = upper_[i];
      rows_[kept++] = rows_[i];
    }
    count_ = kept;
  }

  void MakeRoom() {
    Cut();
    // When a cut frees little (many ties, wide bounds) the next would come at once: grow instead.
    const size_t room = std::max({kRoomMin, 4 * request_.keep, 2 * count_ + kernels::kBlockRows});
    if (room > upper_.size()) {
      upper_.resize(room);
      rows_.resize(room);
    }
  }

  // A threshold that about twice `keep` rows should reach, from every 32nd block; no threshold
  // where the sample is too small to tell. Wrong guesses are found by SeedWasSafe.
  float SeedThreshold() {
    const size_t blocks = BlockCount(request_.array->rows);
    if (blocks < kSampleBlocksMin * kSampleStride) return kNoThreshold;
    threshold_ = kNoThreshold;
    count_ = 0;
    const double expected = static_cast<double>(request_.keep) / kSampleStride;
    const size_t rank = static_cast<size_t>(std::ceil(expected + 4 * std::sqrt(expected) + 4));
    for (size_t block = 0; block < blocks; block += kSampleStride) {
      if (upper_.size() - count_ < kernels::kBlockRows) GrowForSample();
      ScanBlocks(block, block + 1);
    }
    if (count_ < rank) return kNoThreshold;
    return LowerOfRank(rank) - 2 * slack_;
  }

  void GrowForSample() {
    upper_.resize(std::max(kRoomMin, 2 * upper_.size()));
    rows_.resize(upper_.size());
  }

  // True when at least `keep` lower bounds reach the seed, so that it cut no row of the answer.
  bool SeedWasSafe(float seed) {
    if (threshold_ > seed) return true;  // a cut found `keep` of them
    if (count_ < request_.keep) return false;
    return LowerOfRank(request_.keep) - 2 * slack_ >= seed;
  }

  const Int8Request& request_;
  const kernels::Int8Query query_;
  const float slack_;
  const kernels::Table& table_;
  float threshold_ = kNoThreshold;
  size_t count_ = 0;
  std::vector<float> upper_;  // as long as rows_; the first count_ entries are survivors
  std::vector<uint32_t> rows_;
  std::vector<float> lowers_;
};

// What the roundings of an estimate and of an fp32 rescoring can add up to.
float RoundingSlack(const Int8Request& request) {
  const double steps = 64 + request.array->code.dims / 8.0;
  return RoundUp(steps * kFloatStep * Magnitude(request));
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

absl::StatusOr<std::vector<KeyedRow>> SearchEstimates(const Int8Request& request) {
  return SurvivorScan(request, request.query->WithoutErrors(), 0).Run();
}

absl::StatusOr<std::vector<KeyedRow>> SearchBounds(const Int8Request& request) {
  return SurvivorScan(request, request.query->WithErrors(), RoundingSlack(request)).Run();
}

bool BoundsHold(const Int8Request& request) {
  const double magnitude = Magnitude(request);
  return magnitude >= kMagnitudeMin && magnitude <= kMagnitudeMax;
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
