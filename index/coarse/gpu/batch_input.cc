#include "index/coarse/gpu/batch_input.h"

#include <cmath>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "index/coarse/int8_search.h"
#include "index/coarse/level_scorer.h"
#include "index/kernels/squares.h"

namespace mrl::coarse::gpu {
namespace {

constexpr uint32_t kInt8Bits = 8;
constexpr uint32_t kBytesPerWord = 4;

uint32_t RoundedUp(size_t value, uint32_t multiple) {
  return static_cast<uint32_t>((value + multiple - 1) / multiple * multiple);
}

}  // namespace

uint32_t ScanWords(Code code) {
  if (!code.nests()) return RoundedUp(CodeWords(code.dims), Int8Codes::kChunk);
  return static_cast<uint32_t>(BitWords(code) * kernels::kStripBits / kBytesPerWord);
}

StageInput::StageInput(const DeviceSegment& segment, Code code, bool scans, bool bounds)
    : segment_(segment), code_(code), scans_(scans), bounds_(bounds) {
  level_ = static_cast<uint32_t>(segment.segment().schema().LevelOf(code.dims));
  if (code.bits == 0 && !bounds) return;
  const Code looked_up = bounds ? Code{code.dims, kInt8Bits} : code;
  codes_ = segment.Find(looked_up);
  CHECK(codes_ != nullptr);
  if (looked_up.nests()) {
    kind_ = StageKind::kBits;
    word_count_ = scans ? ScanWords(looked_up) : static_cast<uint32_t>(2 * BitWords(looked_up));
  } else {
    kind_ = StageKind::kInt8;
    word_count_ = ScanWords(looked_up);
  }
}

void StageInput::TakePlaces(Places& places, uint32_t query_count) {
  if (kind_ == StageKind::kStored) return;
  queries_at_ = places.Take(query_count * sizeof(CodeQuery));
  const uint32_t planes = kind_ == StageKind::kBits && !scans_ ? kernels::kBitPlanes : 1;
  words_at_ = places.Take(size_t{query_count} * planes * word_count_ * sizeof(uint32_t));
  int8_.resize(kind_ == StageKind::kInt8 ? query_count : 0);
  bits_.resize(kind_ == StageKind::kBits ? query_count : 0);
}

bool StageInput::Fill(uint8_t* host, uint32_t q, const float* query) {
  if (kind_ == StageKind::kInt8) return FillInt8(host, q, query);
  if (kind_ == StageKind::kBits) FillBits(host, q, query);
  return true;
}

bool StageInput::FillInt8(uint8_t* host, uint32_t q, const float* query) {
  const Metric metric = segment_.segment().schema().metric;
  int8_[q] = QuantiseQuery(metric, query, code_.dims);
  const QuantisedQuery& quantised = int8_[q];
  CodeQuery asked = {.scale = quantised.scale};
  const Int8Request request = {.array = segment_.scan().Find({code_.dims, kInt8Bits}),
                               .metric = metric,
                               .query = &quantised,
                               .keep = 1};
  if (bounds_) {
    asked.norm = quantised.norm;
    asked.error_norm = quantised.error_norm;
    asked.slack = RoundingSlack(request);
  }
  const bool holds = !bounds_ || BoundsHold(request);
  if (!holds) asked = {};  // its place in the batch is there, and costs no rounds
  std::memcpy(host + queries_at_ + q * sizeof(asked), &asked, sizeof(asked));
  uint8_t* words = host + words_at_ + size_t{q} * word_count_ * sizeof(uint32_t);
  std::memset(words, 0, size_t{word_count_} * sizeof(uint32_t));
  if (holds) std::memcpy(words, quantised.codes.data(), quantised.codes.size());
  return holds;
}

void StageInput::FillBits(uint8_t* host, uint32_t q, const float* query) {
  bits_[q] = segment_.scan().Quantise(query, code_, *segment_.scan().FindBits(code_));
  const QuantisedBits& quantised = bits_[q];
  CodeQuery asked;
  for (const int8_t weight : quantised.weights) asked.base -= std::min<int8_t>(weight, 0);
  std::memcpy(host + queries_at_ + q * sizeof(asked), &asked, sizeof(asked));
  if (scans_) {
    std::memcpy(host + words_at_ + size_t{q} * word_count_ * sizeof(uint32_t),
                quantised.weights.data(), quantised.weights.size());
    return;
  }
  // A plane's 64-bit words are two of ours, the low half first, on the machines that CUDA knows.
  const size_t bytes = quantised.planes.size() * sizeof(uint64_t);
  std::memcpy(host + words_at_ + q * bytes, quantised.planes.data(), bytes);
}

float StageInput::ScoreOf(uint32_t q, float key) const {
  const Metric metric = segment_.segment().schema().metric;
  if (bounds_ || kind_ == StageKind::kStored) return ScoreOfKey(metric, key);
  if (kind_ == StageKind::kInt8) return ScoreOfEstimate(metric, int8_[q], key);
  return bits_[q].Cosine(static_cast<uint16_t>(key));
}

void StoredInput::TakePlaces(Places& places, uint32_t query_count) {
  values_at_ = places.Take(size_t{query_count} * dims() * sizeof(float));
  norms_at_ = places.Take(query_count * schema_.levels() * sizeof(float));
}

void StoredInput::Fill(uint8_t* host, uint32_t q, const float* query) const {
  std::memcpy(host + values_at_ + size_t{q} * dims() * sizeof(float), query,
              dims() * sizeof(float));
  float* norms = reinterpret_cast<float*>(host + norms_at_) + q * schema_.levels();
  double squares = 0;  // as LevelScorer has them
  for (uint32_t level = 0; level <= level_; ++level) {
    squares +=
        kernels::SumOfSquares(query + schema_.level_begin(level), schema_.level_width(level));
    norms[level] = squares > 0 ? static_cast<float>(1 / std::sqrt(squares)) : 0;
  }
}

}  // namespace mrl::coarse::gpu
