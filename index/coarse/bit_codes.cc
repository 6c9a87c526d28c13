#include "index/coarse/bit_codes.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "base/check.h"
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

// Rounded half away from zero, without the call that lrint costs.
std::vector<int8_t> Scaled(const std::vector<float>& values, float scale) {
  std::vector<int8_t> weights(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    const float scaled = values[i] * scale;
    weights[i] = static_cast<int8_t>(static_cast<int>(scaled + (scaled < 0 ? -0.5F : 0.5F)));
  }
  return weights;
}

int LargestStripSum(const std::vector<int8_t>& weights) {
  int largest = 0;
  for (size_t begin = 0; begin < weights.size(); begin += kernels::kStripBits) {
    int sum = 0;
    for (size_t i = 0; i < kernels::kStripBits; ++i) sum += std::abs(weights[begin + i]);
    largest = std::max(largest, sum);
  }
  return largest;
}

// The largest factor that keeps to kBitWeightMax and, but for rounding, kBitStripSum.
float LargestScale(const std::vector<float>& values) {
  float largest = 0;
  float largest_sum = 0;
  for (size_t begin = 0; begin < values.size(); begin += kernels::kStripBits) {
    float sum = 0;
    for (size_t i = 0; i < kernels::kStripBits; ++i) {
      const float magnitude = std::abs(values[begin + i]);
      sum += magnitude;
      largest = std::max(largest, magnitude);
    }
    largest_sum = std::max(largest_sum, sum);
  }
  if (largest == 0) return 0;
  return std::min(kernels::kBitWeightMax / largest, kernels::kBitStripSum / largest_sum);
}

// Without branches: bits of weights are as good as random.
std::vector<uint64_t> PlanesOf(const std::vector<int8_t>& weights) {
  const size_t strips = weights.size() / kernels::kStripBits;
  std::vector<uint64_t> planes(kernels::kBitPlanes * strips);
  for (size_t strip = 0; strip < strips; ++strip) {
    std::array<uint64_t, kernels::kBitPlanes> words = {};
    for (size_t i = 0; i < kernels::kStripBits; ++i) {
      const int8_t weight = weights[strip * kernels::kStripBits + i];
      const auto magnitude = static_cast<uint64_t>(std::abs(weight));
      words[0] |= static_cast<uint64_t>(weight > 0) << i;
      for (size_t p = 1; p < words.size(); ++p) words[p] |= (magnitude >> (p - 1) & 1) << i;
    }
    for (size_t p = 0; p < words.size(); ++p) planes[p * strips + strip] = words[p];
  }
  return planes;
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
  std::vector<float> values(BitWords(code) * kernels::kStripBits);
  double squares = 0;
  for (uint32_t i = 0; i < code.dims; ++i) squares += static_cast<double>(query[i]) * query[i];
  // Normalised first: values near f32's limits would overflow in a strip's sum.
  const double norm = std::sqrt(squares);
  const double factor = norm > 0 ? 0.5 / norm : 0;
  for (uint32_t i = 0; i < code.dims; ++i) {
    auto value = static_cast<float>(query[i] * factor);
    for (uint32_t p = 0; p < code.bits; ++p, value += value) values[i * code.bits + p] = value;
  }
  QuantisedBits out;
  float scale = LargestScale(values);
  out.weights = Scaled(values, scale);
  // Rounding may have added up to more than there is room for.
  while (LargestStripSum(out.weights) > kernels::kBitStripSum) {
    scale *= 0.99F;
    out.weights = Scaled(values, scale);
  }
  out.planes = PlanesOf(out.weights);
  for (const int8_t weight : out.weights) out.weight_sum += std::abs(weight);
  if (scale > 0 && calibration > 0) out.cosine_per_weight = 1 / (double{scale} * calibration);
  return out;
}

}  // namespace mrl::coarse
