#include "bench/gpu/synthetic.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <thread>
#include <utility>

#include "base/check.h"
#include "base/status.h"
#include "index/coarse/bit_codes.h"
#include "index/coarse/scan_codes.h"
#include "index/kernels/kernels.h"

namespace mrl::bench {
namespace {

constexpr uint64_t kClusters = 1000;

uint64_t Mix(uint64_t x) {  // SplitMix64
  x += 0x9E3779B97F4A7C15U;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9U;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBU;
  return x ^ (x >> 31);
}

// About normal: the sum of four uniform values.
float Normal(uint64_t seed) {
  const uint64_t bits = Mix(seed);
  int sum = 0;
  for (int i = 0; i < 64; i += 16) sum += static_cast<int>(bits >> i & 0xFFFF);
  return static_cast<float>(sum - 2 * 65535) * (1.7320508F / 65536);
}

// Calls `work(begin, end)` for ranges of whole code blocks.
void Spread(uint32_t rows, unsigned threads, const std::function<void(uint32_t, uint32_t)>& work) {
  const uint32_t blocks = static_cast<uint32_t>(coarse::BlockCount(rows));
  std::vector<std::thread> running;
  for (unsigned t = 0; t < threads; ++t) {
    const auto begin = static_cast<uint32_t>(uint64_t{blocks} * t / threads * 64);
    const auto end =
        std::min(rows, static_cast<uint32_t>(uint64_t{blocks} * (t + 1) / threads * 64));
    if (begin < end) running.emplace_back([&work, begin, end] { work(begin, end); });
  }
  for (std::thread& thread : running) thread.join();
}

absl::StatusOr<coarse::CodeArray> Int8Codes(const store::Segment& segment, Code code,
                                            unsigned threads) {
  coarse::CodeArray array;
  array.code = code;
  array.rows = segment.rows();
  const size_t blocks = coarse::BlockCount(segment.rows());
  MRL_ASSIGN_OR_RETURN(array.codes, Buffer::Allocate(blocks * coarse::BlockBytes(code.dims)));
  MRL_ASSIGN_OR_RETURN(array.blocks, Buffer::Allocate(blocks * sizeof(kernels::Int8Block)));
  const auto level = static_cast<size_t>(segment.schema().LevelOf(code.dims));
  Spread(segment.rows(), threads, [&](uint32_t begin, uint32_t end) {
    coarse::BlockEncoder encoder(segment.schema().metric, code.dims);
    std::vector<float> row(code.dims);
    for (uint32_t r = begin; r < end; ++r) {
      CHECK(segment.Prefix(r, level, row.data()).ok());
      encoder.Add(row.data());
      if (!encoder.full() && r + 1 < end) continue;
      encoder.Encode(array.codes.As<uint8_t>() + r / 64 * coarse::BlockBytes(code.dims),
                     array.blocks.As<kernels::Int8Block>() + r / 64, nullptr);
    }
  });
  array.SetNormMax();
  return array;
}

absl::StatusOr<coarse::BitArray> BitCodes(const store::Segment& segment, Code code,
                                          unsigned threads) {
  const size_t row_words = coarse::BitWords(code);
  MRL_ASSIGN_OR_RETURN(Buffer words,
                       Buffer::Allocate(segment.rows() * row_words * sizeof(uint64_t)));
  const auto level = static_cast<size_t>(segment.schema().LevelOf(code.dims));
  coarse::BitEncoder encoder(segment.schema(), code);
  const uint32_t sample = std::min(segment.rows(), 10'000U);  // calibration needs no more rows
  std::vector<double> agreements(sample * encoder.levels());
  Spread(segment.rows(), threads, [&](uint32_t begin, uint32_t end) {
    std::vector<float> row(code.dims);
    std::vector<double> ignored(encoder.levels());
    const float* const at = row.data();
    for (uint32_t r = begin; r < end; ++r) {
      CHECK(segment.Prefix(r, level, row.data()).ok());
      encoder.Encode({&at, 1}, words.As<uint64_t>() + r * row_words,
                     r < sample ? agreements.data() + r * encoder.levels() : ignored.data());
    }
  });
  encoder.Count(agreements.data(), sample);
  return coarse::BitArray::Make(code, segment.rows(), std::move(words), encoder.Calibration());
}

}  // namespace

void MakeRow(uint64_t seed, uint32_t dim, float* out) {
  const uint64_t cluster = Mix(seed) % kClusters;
  for (uint32_t i = 0; i < dim; ++i) {
    const float spread = 1 / std::sqrt(1 + static_cast<float>(i) / 8);
    out[i] = spread * (Normal(cluster << 20 | i) + 0.6F * Normal((seed + kClusters) << 20 | i));
  }
}

absl::StatusOr<std::shared_ptr<const Synthetic>> Synthetic::Make(const Schema& schema,
                                                                 uint32_t rows, unsigned threads) {
  store::SegmentInfo info;
  info.number = 1;
  info.uuid = std::string(32, '0');
  info.rows = rows;
  info.first_sequence = 1;
  std::shared_ptr<Synthetic> made(new Synthetic(info, schema));
  Arrays arrays;
  for (size_t level = 0; level < schema.levels(); ++level) {
    const size_t bytes = size_t{rows} * schema.level_width(level) * ElementBytes(schema.storage);
    MRL_ASSIGN_OR_RETURN(Buffer buffer, Buffer::Allocate(bytes));
    arrays.levels.push_back(buffer.data());
    made->levels_.push_back(std::move(buffer));
  }
  MRL_ASSIGN_OR_RETURN(made->norms_, Buffer::Allocate(size_t{rows} * schema.levels() * 4));
  arrays.inverse_norms = made->norms_.As<float>();
  Spread(rows, threads, [&](uint32_t begin, uint32_t end) {
    std::vector<float> row(schema.dim);
    for (uint32_t r = begin; r < end; ++r) {
      MakeRow(r, schema.dim, row.data());
      double squares = 0;
      for (size_t level = 0; level < schema.levels(); ++level) {
        const float* slice = row.data() + schema.level_begin(level);
        const size_t width = schema.level_width(level);
        for (size_t i = 0; i < width; ++i) squares += static_cast<double>(slice[i]) * slice[i];
        made->norms_.As<float>()[r * schema.levels() + level] =
            static_cast<float>(1 / std::sqrt(squares));
        kernels::Active().f32_to_f16(slice, width, made->levels_[level].As<uint16_t>() + r * width);
      }
    }
  });
  made->SetArrays(std::move(arrays));
  return std::shared_ptr<const Synthetic>(std::move(made));
}

absl::StatusOr<std::shared_ptr<const coarse::CoarseIndex>> MakeCodes(
    std::shared_ptr<const store::Segment> segment, unsigned threads, MemoryAccount& account) {
  std::vector<coarse::CodeArray> arrays;
  std::vector<coarse::BitArray> bit_arrays;
  for (const Code& code : segment->schema().codes) {
    if (code.nests()) {
      MRL_ASSIGN_OR_RETURN(coarse::BitArray array, BitCodes(*segment, code, threads));
      bit_arrays.push_back(std::move(array));
    } else {
      MRL_ASSIGN_OR_RETURN(coarse::CodeArray array, Int8Codes(*segment, code, threads));
      arrays.push_back(std::move(array));
    }
  }
  MRL_ASSIGN_OR_RETURN(MemoryAccount::Reservation memory, account.Reserve(0, "codes"));
  return std::make_shared<coarse::ScanIndex>(std::move(segment), std::move(arrays),
                                             std::move(bit_arrays), std::move(memory));
}

}  // namespace mrl::bench
