#include "bench/scan/made_codes.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>
#include <vector>

#include "base/buffer.h"
#include "base/check.h"
#include "base/status.h"
#include "index/coarse/bit_search.h"
#include "index/coarse/int8_search.h"

namespace mrl::bench {
namespace {

void Fill(Random& random, Buffer& buffer) {
  const size_t words = buffer.size() / sizeof(uint64_t);
  for (size_t i = 0; i < words; ++i) buffer.As<uint64_t>()[i] = random.Next();
}

class Int8Codes final : public MadeCodes {
 public:
  static absl::StatusOr<std::unique_ptr<MadeCodes>> Make(Code code, uint32_t rows) {
    auto made = std::make_unique<Int8Codes>();
    const size_t blocks = coarse::BlockCount(rows);
    coarse::CodeArray& array = made->array_;
    array.code = code;
    array.rows = rows;
    MRL_ASSIGN_OR_RETURN(array.codes, Buffer::Allocate(blocks * coarse::BlockBytes(code.dims)));
    MRL_ASSIGN_OR_RETURN(array.blocks, Buffer::Allocate(blocks * sizeof(kernels::Int8Block)));
    Random random(1);
    Fill(random, array.codes);
    for (size_t i = 0; i < blocks; ++i) {  // scales differ a little from block to block
      const float scale = (1 + 0.05F * random.Normal()) / 500;
      array.blocks.As<kernels::Int8Block>()[i] = {scale, 0.01F, 1};
    }
    CHECK(array.SetNormMax());
    return made;
  }

  absl::StatusOr<size_t> Search(absl::Span<const float* const> queries,
                                size_t keep) const override {
    std::vector<coarse::QuantisedQuery> quantised(queries.size());
    std::vector<coarse::Int8Request> requests;
    for (size_t i = 0; i < queries.size(); ++i) {
      quantised[i] = coarse::QuantiseQuery(Metric::kCosine, queries[i], array_.code.dims);
      requests.push_back({&array_, Metric::kCosine, &quantised[i], keep, nullptr});
    }
    size_t found = 0;
    for (auto& rows : coarse::SearchEstimates(array_, nullptr, requests)) {
      MRL_RETURN_IF_ERROR(rows.status());
      coarse::CutByKeyThenRow(*rows, keep);
      found += rows->size();
    }
    return found;
  }

  uint64_t ScoreByPlanes(const float* /*query*/) const override { return 0; }

  std::vector<absl::Span<const std::byte>> Scanned() const override {
    return {{array_.codes.data(), array_.codes.size()},
            {array_.blocks.data(), array_.blocks.size()}};
  }

 private:
  coarse::CodeArray array_;
};

class BitCodes final : public MadeCodes {
 public:
  static absl::StatusOr<std::unique_ptr<MadeCodes>> Make(Code code, uint32_t rows) {
    auto made = std::make_unique<BitCodes>();
    MRL_ASSIGN_OR_RETURN(
        Buffer words, Buffer::Allocate(size_t{rows} * coarse::BitWords(code) * sizeof(uint64_t)));
    Random random(2);
    Fill(random, words);
    MRL_ASSIGN_OR_RETURN(made->array_,
                         coarse::BitArray::Make(code, rows, std::move(words), {kCalibration}));
    return made;
  }

  absl::StatusOr<size_t> Search(absl::Span<const float* const> queries,
                                size_t keep) const override {
    std::vector<coarse::QuantisedBits> quantised(queries.size());
    std::vector<coarse::BitRequest> requests;
    for (size_t i = 0; i < queries.size(); ++i) {
      quantised[i] = coarse::QuantiseBits(queries[i], array_.code(), kCalibration);
      requests.push_back({.query = &quantised[i], .keep = keep});
    }
    size_t found = 0;
    for (const auto& rows : coarse::SearchBits(array_.strips(), nullptr, requests)) {
      MRL_RETURN_IF_ERROR(rows.status());
      found += rows->rows.size();
    }
    return found;
  }

  std::vector<absl::Span<const std::byte>> Scanned() const override {
    std::vector<absl::Span<const std::byte>> pieces;
    const size_t bytes = coarse::BlockCount(array_.strips().rows()) * kernels::kStripBlockBytes;
    for (const uint8_t* strip : array_.strips().First(coarse::BitWords(array_.code()))) {
      pieces.emplace_back(reinterpret_cast<const std::byte*>(strip), bytes);
    }
    return pieces;
  }

  uint64_t ScoreByPlanes(const float* query) const override {
    constexpr uint32_t kRowsAtOnce = 4096;
    const uint32_t all = array_.strips().rows();
    const coarse::QuantisedBits quantised =
        coarse::QuantiseBits(query, array_.code(), kCalibration);
    std::vector<uint32_t> rows(kRowsAtOnce);
    std::vector<uint16_t> scores(kRowsAtOnce);
    uint64_t sum = 0;
    for (uint32_t begin = 0; begin < all; begin += kRowsAtOnce) {
      const uint32_t count = std::min(kRowsAtOnce, all - begin);
      std::iota(rows.begin(), rows.end(), begin);
      array_.Score(quantised, absl::MakeConstSpan(rows).first(count), scores.data());
      sum = std::accumulate(scores.begin(), scores.begin() + count, sum);
    }
    return sum;
  }

 private:
  static constexpr float kCalibration = 0.8F;
  coarse::BitArray array_;
};

}  // namespace

uint64_t Random::Next() {
  state_ += 0x9E3779B97F4A7C15U;
  uint64_t x = state_;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9U;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBU;
  return x ^ (x >> 31);
}

float Random::Normal() {
  const uint64_t bits = Next();
  int sum = 0;
  for (int i = 0; i < 64; i += 16) sum += static_cast<int>(bits >> i & 0xFFFF);
  return static_cast<float>(sum - 2 * 65535) * (1.7320508F / 65536);
}

absl::StatusOr<std::unique_ptr<MadeCodes>> MadeCodes::Make(Code code, uint32_t rows) {
  return code.nests() ? BitCodes::Make(code, rows) : Int8Codes::Make(code, rows);
}

#if defined(__x86_64__)
__attribute__((target_clones("avx512f", "avx2", "default"), optimize("O3")))
#endif
uint64_t
ReadAll(absl::Span<const std::byte> bytes) {
  constexpr size_t kWords = 64;  // eight independent sums of eight words
  uint64_t sums[kWords] = {};
  const size_t lines = bytes.size() / sizeof(sums);
  for (size_t line = 0; line < lines; ++line) {
    uint64_t words[kWords];
    std::memcpy(words, bytes.data() + line * sizeof(words), sizeof(words));
    for (size_t i = 0; i < kWords; ++i) sums[i] ^= words[i];
  }
  uint64_t all = 0;
  for (const uint64_t sum : sums) all ^= sum;
  for (size_t i = lines * sizeof(sums); i < bytes.size(); ++i) {
    all += static_cast<uint64_t>(bytes[i]);
  }
  return all;
}

}  // namespace mrl::bench
