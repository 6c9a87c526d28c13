// What a batch sends to the device: its queries in the form of each stage, side by side in one
// buffer that is copied at once; and how a key comes back as a score.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "index/coarse/coarse.h"
#include "index/coarse/gpu/device_segment.h"

namespace mrl::coarse::gpu {

// Gives out places in a buffer, each at a multiple of 256 bytes.
class Places {
 public:
  size_t Take(size_t bytes) {
    const size_t at = size_;
    size_ = (size_ + bytes + 255) / 256 * 256;
    return at;
  }
  size_t size() const { return size_; }

 private:
  size_t size_ = 0;
};

// Words of one query to a scan of these codes.
uint32_t ScanWords(Code code);

enum class StageKind : uint8_t { kStored, kInt8, kBits };

// One stage of a batch, in both memories.
class StageInput {
 public:
  // `codes` null: a stage on stored values. `scans`: the first stage; with `bounds` its 8-bit codes
  // find the exact best of stored values.
  StageInput(const DeviceSegment& segment, Code code, bool scans, bool bounds);

  StageKind kind() const { return kind_; }
  const Codes* codes() const { return codes_; }
  uint32_t level() const { return level_; }
  uint32_t word_count() const { return word_count_; }

  void TakePlaces(Places& places, uint32_t query_count);
  // Writes query `q` into `host` (the whole input buffer). False where the CPU must answer it.
  bool Fill(uint8_t* host, uint32_t q, const float* query);

  // In the input buffer that begins at `input`.
  const CodeQuery* queries(const uint8_t* input) const { return At<CodeQuery>(input, queries_at_); }
  const uint32_t* words(const uint8_t* input) const { return At<uint32_t>(input, words_at_); }
  const uint32_t* planes(const uint8_t* input) const {
    return scans_ || kind_ != StageKind::kBits ? nullptr : words(input);
  }

  // The metric's score of a key of query `q`. With bounds: of a stored key.
  float ScoreOf(uint32_t q, float key) const;

 private:
  template <typename T>
  static const T* At(const uint8_t* input, size_t at) {
    return reinterpret_cast<const T*>(input + at);
  }
  bool FillInt8(uint8_t* host, uint32_t q, const float* query);
  void FillBits(uint8_t* host, uint32_t q, const float* query);

  const DeviceSegment& segment_;
  const Code code_;
  const bool scans_;
  const bool bounds_;
  StageKind kind_ = StageKind::kStored;
  const Codes* codes_ = nullptr;
  uint32_t level_ = 0;
  uint32_t word_count_ = 0;  // of a query, or of one of its planes
  size_t queries_at_ = 0;
  size_t words_at_ = 0;
  std::vector<QuantisedQuery> int8_;
  std::vector<QuantisedBits> bits_;
};

// The queries' own values, for stages on stored precision.
class StoredInput {
 public:
  // `level`: the last that any stage scores.
  StoredInput(const Schema& schema, uint32_t level) : schema_(schema), level_(level) {}

  void TakePlaces(Places& places, uint32_t query_count);
  void Fill(uint8_t* host, uint32_t q, const float* query) const;
  uint32_t dims() const { return schema_.ladder[level_]; }
  const float* values(const uint8_t* input) const {
    return reinterpret_cast<const float*>(input + values_at_);
  }
  // [query][levels of the schema]
  const float* inverse_norms(const uint8_t* input) const {
    return reinterpret_cast<const float*>(input + norms_at_);
  }

 private:
  const Schema& schema_;
  const uint32_t level_;
  size_t values_at_ = 0;
  size_t norms_at_ = 0;
};

}  // namespace mrl::coarse::gpu
