// The reference: plain C++, what the other sets are tested against and what other CPUs run.
#include <cstring>

#include "index/kernels/int8_scale.h"
#include "index/kernels/scan_block.h"
#include "index/kernels/sums.h"
#include "index/kernels/tables.h"

namespace mrl::kernels {
namespace {

// Partial sums: shorter chains of roundings than one running sum, as in the vector sets.
constexpr size_t kSums = 8;

uint32_t BitsOf(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}

float FloatOf(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

float ToFloat(uint16_t half) {
  const uint32_t sign = uint32_t{half & 0x8000u} << 16;
  const uint32_t exponent = (half >> 10) & 0x1Fu;
  const uint32_t mantissa = half & 0x3FFu;
  if (exponent == 0x1F) {
    const uint32_t quiet = mantissa == 0 ? 0 : 0x00400000u;  // as F16C does with a signalling NaN
    return FloatOf(sign | 0x7F800000u | quiet | mantissa << 13);
  }
  if (exponent == 0) {
    return FloatOf(sign | BitsOf(static_cast<float>(mantissa) * 0x1p-24f));  // exact
  }
  return FloatOf(sign | (exponent + 112) << 23 | mantissa << 13);
}

float ToFloat(float value) { return value; }
float ToFloat(Bf16 value) { return FloatOf(uint32_t{static_cast<uint16_t>(value)} << 16); }
float ToFloat(int8_t code) { return static_cast<float>(code); }

uint16_t ToHalf(float value) {
  const uint32_t bits = BitsOf(value);
  const uint32_t sign = (bits >> 16) & 0x8000u;
  const uint32_t magnitude = bits & 0x7FFFFFFFu;
  uint32_t half = 0;
  if (magnitude > 0x7F800000u) {
    half = 0x7E00u | (magnitude >> 13 & 0x3FFu);  // NaN, made quiet
  } else if (magnitude >= 0x47800000u) {          // 65536 and more
    half = 0x7C00u;
  } else if (magnitude >= 0x38800000u) {  // normal in half; a carry may reach infinity, rightly
    const uint32_t rebased = magnitude - 0x38000000u;
    half = (rebased + 0xFFFu + (rebased >> 13 & 1u)) >> 13;
  } else if (magnitude >= 0x33000000u) {  // 2^-25 and more: a subnormal half, in units of 2^-24
    const uint32_t shift = 126 - (magnitude >> 23);
    const uint32_t mantissa = (magnitude & 0x7FFFFFu) | 0x800000u;
    const uint32_t rest = mantissa & ((1u << shift) - 1);
    const uint32_t tie = 1u << (shift - 1);
    half = mantissa >> shift;
    if (rest > tie || (rest == tie && (half & 1u) != 0)) ++half;
  }
  return static_cast<uint16_t>(sign | half);
}

Bf16 ToBf16(float value) {
  const uint32_t bits = BitsOf(value);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return Bf16{static_cast<uint16_t>(bits >> 16 | 0x40u)};
  return Bf16{static_cast<uint16_t>((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16)};
}

// To the nearest integer, ties to even, for magnitudes below 2^22: adding 1.5 * 2^23 leaves no
// place for a fraction.
int8_t ToCode(float value) { return static_cast<int8_t>((value + 0x1.8p23f) - 0x1.8p23f); }

struct Dot {
  float operator()(float q, float x) const { return q * x; }
};

struct L2 {
  float operator()(float q, float x) const { return (q - x) * (q - x); }
};

struct ScaledL2 {
  explicit ScaledL2(float of_x) : scale(of_x) {}
  float scale;
  float operator()(float q, float x) const { return L2()(q, scale * x); }
};

struct Row {
  template <typename Term, typename Element>
  static float Sum(const float* q, const Element* x, size_t n, Term term) {
    float sums[kSums] = {};
    size_t i = 0;
    for (; i + kSums <= n; i += kSums) {
      for (size_t j = 0; j < kSums; ++j) sums[j] += term(q[i + j], ToFloat(x[i + j]));
    }
    for (size_t j = 0; i < n; ++i, ++j) sums[j] += term(q[i], ToFloat(x[i]));
    return ((sums[0] + sums[4]) + (sums[2] + sums[6])) +
           ((sums[1] + sums[5]) + (sums[3] + sums[7]));
  }
};

using RowSums = Sums<Row, Dot, ScaledL2>;

void F32ToF16(const float* x, size_t n, uint16_t* out) {
  for (size_t i = 0; i < n; ++i) out[i] = ToHalf(x[i]);
}

template <typename Element>
void ToF32(const Element* x, size_t n, float* out) {
  for (size_t i = 0; i < n; ++i) out[i] = ToFloat(x[i]);
}

void F32ToBf16(const float* x, size_t n, Bf16* out) {
  for (size_t i = 0; i < n; ++i) out[i] = ToBf16(x[i]);
}

float F32ToInt8(const float* x, size_t n, int8_t* out) {
  float largest = 0;
  for (size_t i = 0; i < n; ++i) {
    const float magnitude = x[i] < 0 ? -x[i] : x[i];
    largest = magnitude > largest ? magnitude : largest;
  }
  const float scale = Int8Scale(largest);
  const float inverse = Int8Inverse(scale);
  for (size_t i = 0; i < n; ++i) out[i] = ToCode(x[i] * inverse);
  return scale;
}

void Int8ToF32(const int8_t* x, float scale, size_t n, float* out) {
  for (size_t i = 0; i < n; ++i) out[i] = scale * ToFloat(x[i]);
}

void DotBlock(const uint8_t* codes, const int8_t* query, size_t words, int32_t* dots) {
  for (size_t row = 0; row < kBlockRows; ++row) dots[row] = 0;
  for (size_t word = 0; word < words; ++word) {
    const int8_t* q = query + word * kWordDims;
    const uint8_t* x = codes + word * kBlockRows * kWordDims;
    for (size_t row = 0; row < kBlockRows; ++row, x += kWordDims) {
      dots[row] += q[0] * x[0] + q[1] * x[1] + q[2] * x[2] + q[3] * x[3];
    }
  }
}

void AppendSurvivors(const Int8Scan& scan, const int32_t* dots, size_t block, uint64_t mask,
                     Int8TileQuery* query) {
  const int32_t offset = CodeOffset(query->query);
  const BlockTerms terms = TermsOf(scan.blocks[block], query->query);
  Int8Survivors& out = query->out;
  const size_t first = block * kBlockRows;
  for (size_t row = 0; row < kBlockRows; ++row) {
    if ((mask >> row & 1) == 0) continue;
    const float bias = scan.row_bias == nullptr ? 0.0f : scan.row_bias[first + row];
    const float dot = static_cast<float>(dots[row] - offset);
    const float upper = (bias + terms.scale * dot) + terms.error;
    if (!(upper >= query->threshold)) continue;
    out.upper[out.count] = upper;
    out.rows[out.count] = static_cast<uint32_t>(first + row);
    ++out.count;
  }
}

size_t ScanInt8(const Int8Scan& scan, Int8TileQuery* queries, size_t query_count) {
  const size_t block_bytes = scan.words * kBlockRows * kWordDims;
  int32_t dots[kBlockRows];
  for (size_t block = scan.block_begin; block < scan.block_end; ++block) {
    if (!HasRoom(queries, query_count)) return block;
    const uint64_t mask = RowMask(scan, block);
    for (size_t q = 0; mask != 0 && q < query_count; ++q) {
      DotBlock(scan.codes + block * block_bytes, queries[q].query.codes, scan.words, dots);
      AppendSurvivors(scan, dots, block, mask, &queries[q]);
    }
  }
  return scan.block_end;
}

// A table of 256 sums per byte of bits.
constexpr size_t kByteValues = 256;
constexpr size_t kBytesPerStrip = kStripBits / 8;

int Agreement(const int8_t* weights, size_t bits, unsigned value) {
  int sum = 0;
  for (size_t j = 0; j < bits; ++j) {
    const int weight{weights[j]};
    if ((value >> j & 1) != 0 ? weight > 0 : weight < 0) sum += weight < 0 ? -weight : weight;
  }
  return sum;
}

void MakeBitTables(const int8_t* weights, size_t strip_count, uint8_t* tables) {
  for (size_t byte = 0; byte < strip_count * kBytesPerStrip; ++byte, tables += kByteValues) {
    for (unsigned value = 0; value < kByteValues; ++value) {
      tables[value] = static_cast<uint8_t>(Agreement(weights + 8 * byte, 8, value));
    }
  }
}

void ScoreBlock(const BitScan& scan, const uint8_t* tables, size_t block,
                uint16_t (&scores)[kBlockRows]) {
  std::memset(scores, 0, sizeof(scores));
  for (size_t strip = 0; strip < scan.strip_count; ++strip) {
    const uint8_t* bytes = scan.strips[strip] + block * kStripBlockBytes;
    for (size_t byte = 0; byte < kBytesPerStrip; ++byte, bytes += kBlockRows) {
      for (size_t row = 0; row < kBlockRows; ++row) {
        scores[row] = static_cast<uint16_t>(scores[row] + tables[bytes[row]]);
      }
      tables += kByteValues;
    }
  }
}

size_t ScanBits(const BitScan& scan, BitQuery* queries, size_t query_count) {
  uint16_t scores[kBlockRows];
  for (size_t block = scan.block_begin; block < scan.block_end; ++block) {
    if (!HasRoom(queries, query_count)) return block;
    const uint64_t mask = RowMask(scan, block);
    for (size_t q = 0; mask != 0 && q < query_count; ++q) {
      ScoreBlock(scan, queries[q].tables, block, scores);
      for (size_t row = 0; row < kBlockRows; ++row) {
        if ((mask >> row & 1) == 0 || scores[row] < queries[q].threshold) continue;
        Append(queries[q].out, scores[row], block * kBlockRows + row);
      }
    }
  }
  return scan.block_end;
}

void ScoreBitRows(const BitRows& bits, const uint32_t* rows, size_t count, uint16_t* scores) {
  for (size_t i = 0; i < count; ++i) {
    const uint64_t* row = bits.words + rows[i] * bits.row_words;
    unsigned sum = 0;
    for (size_t strip = 0; strip < bits.strip_count; ++strip) {
      const uint64_t agree = ~(row[strip] ^ bits.planes[strip]);
      for (size_t p = 1; p < kBitPlanes; ++p) {
        const uint64_t plane = bits.planes[p * bits.strip_count + strip];
        sum += static_cast<unsigned>(__builtin_popcountll(agree & plane)) << (p - 1);
      }
    }
    scores[i] = static_cast<uint16_t>(sum);
  }
}

}  // namespace

constinit const Table kScalarTable = {
    .set = InstructionSet::kScalar,
    .name = "scalar",
    .dot_f32 = RowSums::Of<Dot, float>,
    .dot_f16 = RowSums::Of<Dot, uint16_t>,
    .dot_bf16 = RowSums::Of<Dot, Bf16>,
    .dot_int8 = RowSums::DotInt8,
    .l2_f32 = RowSums::Of<L2, float>,
    .l2_f16 = RowSums::Of<L2, uint16_t>,
    .l2_bf16 = RowSums::Of<L2, Bf16>,
    .l2_int8 = RowSums::L2Int8,
    .dots_f32 = RowSums::Dots,
    .f32_to_f16 = F32ToF16,
    .f16_to_f32 = ToF32<uint16_t>,
    .f32_to_bf16 = F32ToBf16,
    .bf16_to_f32 = ToF32<Bf16>,
    .f32_to_int8 = F32ToInt8,
    .int8_to_f32 = Int8ToF32,
    .scan_int8 = ScanInt8,
    .bit_table_bytes = kBytesPerStrip * kByteValues,
    .make_bit_tables = MakeBitTables,
    .scan_bits = ScanBits,
    .score_bit_rows = ScoreBitRows,
};

}  // namespace mrl::kernels
