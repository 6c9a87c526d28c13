#include "index/coarse/bit_codes.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <numeric>

#include "base/check.h"
#include "index/kernels/squares.h"
#include "index/store/prefix_sums.h"

namespace mrl::coarse {
namespace {

// Width of a step of the best uniform quantiser of a standard normal distribution (J. Max,
// "Quantizing for minimum distortion", 1960, table II). With one bit only the sign counts.
double StepOf(uint32_t bits) {
  switch (bits) {
    case 1:
      return 1;
    case 2:
      return 0.9957;
    default:
      return 0.3352;
  }
}

// How values become codes.
struct Steps {
  uint32_t bits = 1;
  float factor = 0;  // to where a step is 1 wide
  float middle = 0;  // where zero lies, in steps
  float top = 0;     // the last step

  int32_t CodeOf(float value) const {
    // Clamped before it is cut to a whole number, which is the floor then.
    const float at = value * factor + middle;
    const float positive = at > 0 ? at : 0;
    return static_cast<int32_t>(positive < top ? positive : top);
  }
  // Codes so many values, the first in the lowest bits; `products`: of each with its coded value.
  // The number is the compiler's to know, and the values lie where nothing else does: so it makes
  // vectors of the first loop.
  template <uint32_t kCount>
  uint64_t Encode(const float* values, float* products) const {
    float in[kCount];
    float out[kCount];
    int32_t codes[kCount];
    std::memcpy(in, values, sizeof(in));
    for (uint32_t i = 0; i < kCount; ++i) {
      codes[i] = CodeOf(in[i]);
      out[i] = in[i] * (static_cast<float>(codes[i]) + 0.5F - middle);
    }
    std::memcpy(products, out, sizeof(out));
    uint64_t packed = 0;
    for (uint32_t i = 0; i < kCount; ++i) {
      packed |= static_cast<uint64_t>(static_cast<uint32_t>(codes[i])) << (i * bits);
    }
    return packed;
  }
};

std::vector<uint32_t> LadderUpTo(const Schema& schema, uint32_t dims) {
  return {schema.ladder.begin(),
          std::upper_bound(schema.ladder.begin(), schema.ladder.end(), dims)};
}

// What a query's strip has: a value or a weight for each of its bits. Loops over one have a length
// that the compiler knows, so that it makes vectors of them.
constexpr size_t kBits = kernels::kStripBits;

// Rounded half away from zero, without the call that lrint costs.
void Scale(const float* values, float scale, int8_t* weights) {
  for (size_t i = 0; i < kBits; ++i) {
    const float scaled = values[i] * scale;
    weights[i] = static_cast<int8_t>(static_cast<int>(scaled + (scaled < 0 ? -0.5F : 0.5F)));
  }
}

int SumOfMagnitudes(const int8_t* weights) {
  int sum = 0;
  for (size_t i = 0; i < kBits; ++i) sum += std::abs(weights[i]);
  return sum;
}

// The largest factor that keeps to kBitWeightMax and, but for rounding, kBitStripSum.
float LargestScale(const std::vector<float>& values) {
  constexpr size_t kSums = 8;  // side by side: an addition waits for that before it in its sum only
  float largest[kSums] = {};
  float largest_sum = 0;
  for (size_t begin = 0; begin < values.size(); begin += kBits) {
    float sums[kSums] = {};
    for (size_t i = 0; i < kBits; i += kSums) {
#pragma GCC unroll 8
      for (size_t j = 0; j < kSums; ++j) {
        const float magnitude = std::abs(values[begin + i + j]);
        sums[j] += magnitude;
        largest[j] = largest[j] < magnitude ? magnitude : largest[j];
      }
    }
    largest_sum = std::max(largest_sum, std::accumulate(sums, sums + kSums, 0.0F));
  }
  const float largest_value = *std::max_element(largest, largest + kSums);
  if (largest_value == 0) return 0;
  return std::min(kernels::kBitWeightMax / largest_value, kernels::kBitStripSum / largest_sum);
}

static_assert(std::endian::native == std::endian::little, "eight bytes are read as a word");

// The lowest bits of eight bytes, that of the first byte lowest. Each product of a bit and a bit of
// the factor falls on a place of its own.
uint64_t LowestBits(uint64_t bytes) {
  return (bytes & 0x0101010101010101) * 0x0102040810204080 >> 56;
}

// Word `p` of a strip's planes goes to planes[p * stride].
void PutPlanes(const int8_t* weights, size_t stride, uint64_t* planes) {
  uint8_t positive[kBits];
  uint8_t magnitudes[kBits];
  for (size_t i = 0; i < kBits; ++i) {
    positive[i] = static_cast<uint8_t>(weights[i] > 0);
    magnitudes[i] = static_cast<uint8_t>(std::abs(weights[i]));
  }
  std::array<uint64_t, kernels::kBitPlanes> words = {};
  for (size_t i = 0; i < kBits; i += sizeof(uint64_t)) {
    uint64_t bytes = 0;
    std::memcpy(&bytes, positive + i, sizeof(bytes));
    words[0] |= LowestBits(bytes) << i;
    std::memcpy(&bytes, magnitudes + i, sizeof(bytes));
    for (size_t p = 1; p < words.size(); ++p) words[p] |= LowestBits(bytes >> (p - 1)) << i;
  }
  for (size_t p = 0; p < words.size(); ++p) planes[p * stride] = words[p];
}

// The first `code.dims` values of a query divided by twice their norm, each `code.bits` times and
// doubled each time, in whole strips. Normalised first: values near f32's limits would overflow in
// a strip's sum.
std::vector<float> ValuesOfBits(const float* query, Code code) {
  std::vector<float> values(BitWords(code) * kBits);
  const double norm = std::sqrt(kernels::SumOfSquares(query, code.dims));
  const double factor = norm > 0 ? 0.5 / norm : 0;
  float* out = values.data();
  for (uint32_t i = 0; i < code.dims; ++i) {
    auto value = static_cast<float>(query[i] * factor);
    for (uint32_t p = 0; p < code.bits; ++p, value += value) *out++ = value;
  }
  return values;
}

}  // namespace

BitEncoder::BitEncoder(const Schema& schema, Code code)
    : code_(code),
      ladder_(LadderUpTo(schema, code.dims)),
      step_(StepOf(code.bits)),
      agreements_(ladder_.size()) {
  CHECK(!ladder_.empty() && ladder_.back() == code.dims);
}

void BitEncoder::EncodeRow(const float* row, double squares, uint64_t* words,
                           float* products) const {
  // A zero prefix has no direction: its code is that of tiny positive values.
  const auto factor = static_cast<float>(squares > 0 ? std::sqrt(code_.dims / squares) / step_ : 0);
  const float middle = static_cast<float>(1 << code_.bits) / 2;
  const Steps steps = {code_.bits, factor, middle, 2 * middle - 1};
  const auto put = [&](uint32_t i, uint64_t codes) {
    const size_t bit = size_t{i} * code_.bits;
    words[bit / 64] |= codes << (bit % 64);
  };
  std::fill_n(words, BitWords(code_), 0);
  constexpr uint32_t kGroup = 16;  // fits a word with any number of bits
  uint32_t i = 0;
  for (; i + kGroup <= code_.dims; i += kGroup) {
    put(i, steps.Encode<kGroup>(row + i, products + i));
  }
  for (; i < code_.dims; ++i) put(i, steps.Encode<1>(row + i, products + i));
}

void BitEncoder::Encode(absl::Span<const float* const> rows, uint64_t* words,
                        double* agreements) const {
  std::vector<double> squares(store::kRowsAtOnce * levels());
  std::vector<float> products(store::kRowsAtOnce * code_.dims);
  const float* product_rows[store::kRowsAtOnce];
  for (size_t r = 0; r < store::kRowsAtOnce; ++r) {
    product_rows[r] = products.data() + r * code_.dims;
  }
  const auto value = [](float product) { return static_cast<double>(product); };
  for (size_t begin = 0; begin < rows.size(); begin += store::kRowsAtOnce) {
    const auto some = rows.subspan(begin, store::kRowsAtOnce);
    store::PrefixSums(ladder_, some, store::Square, squares.data());
    for (size_t r = 0; r < some.size(); ++r) {
      EncodeRow(some[r], squares[(r + 1) * levels() - 1], words, products.data() + r * code_.dims);
      words += BitWords(code_);
    }
    store::PrefixSums(ladder_, absl::MakeConstSpan(product_rows, some.size()), value, agreements);
    for (size_t i = 0; i < some.size() * levels(); ++i, ++agreements) {
      *agreements = squares[i] > 0 ? *agreements / std::sqrt(squares[i]) : 0;
    }
  }
}

void BitEncoder::Count(const double* agreements, size_t rows) {
  for (size_t i = 0; i < rows * levels(); ++i) agreements_[i % levels()] += agreements[i];
  rows_ += rows;
}

std::vector<float> BitEncoder::Calibration() const {
  std::vector<float> means;
  for (const double sum : agreements_) {
    means.push_back(rows_ == 0 ? 0 : static_cast<float>(sum / static_cast<double>(rows_)));
  }
  return means;
}

QuantisedBits QuantiseBits(const float* query, Code code, float calibration) {
  const std::vector<float> values = ValuesOfBits(query, code);
  const size_t strips = BitWords(code);
  QuantisedBits out;
  out.weights.resize(values.size());
  out.planes.resize(kernels::kBitPlanes * strips);
  float scale = LargestScale(values);
  for (size_t strip = 0; strip < strips;) {
    int8_t* weights = out.weights.data() + strip * kBits;
    Scale(values.data() + strip * kBits, scale, weights);
    const int sum = SumOfMagnitudes(weights);
    if (sum > kernels::kBitStripSum) {
      // Rounding has added up to more than there is room for: anew, with a smaller scale.
      scale *= 0.99F;
      out.weight_sum = 0;
      strip = 0;
      continue;
    }
    PutPlanes(weights, strips, out.planes.data() + strip);
    out.weight_sum += sum;
    ++strip;
  }
  if (scale > 0 && calibration > 0) out.cosine_per_weight = 1 / (double{scale} * calibration);
  return out;
}

}  // namespace mrl::coarse
