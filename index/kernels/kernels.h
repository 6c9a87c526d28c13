// The inner loops: pointers and sizes only, one .cc per instruction set, chosen once at start-up.
//
// Scores are float32. Every set gives the scalar reference's results up to rounding, and the int8
// scan gives them exactly. No kernel allocates, reads past its arrays by more than the slack that
// is named, or can fail.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mrl::kernels {

enum class InstructionSet : uint8_t { kScalar, kAvx2, kAvx512, kAvx512Icl, kNeon };

// Rows of a code block, and the dimensions interleaved in one 32-bit word of it.
inline constexpr size_t kBlockRows = 64;
inline constexpr size_t kWordDims = 4;

// The bits of a bfloat16: the upper half of a float.
enum class Bf16 : uint16_t {};

// One block of 64 rows of 8-bit codes. Layout: word w (dims 4w..4w+3) of rows 0..63, then word w+1:
// byte (w * 64 + row) * 4 + j holds dimension 4w + j of `row`, as code + 128 (unsigned). Missing
// rows and dimensions hold 128. `words` = ceil(dims / 4).
//
// value of a dimension = scale * code, |true value vector - value vector| <= error_norm for every
// row of the block, and |value vector| <= norm_max.
struct Int8Block {
  float scale;
  float error_norm;
  float norm_max;
};

// A query in 8 bits: value of dimension j = scale * codes[j]; `codes` is padded with zeros to a
// multiple of 4. norm = |q|, error_norm = |q - value|, code_sum = sum of codes.
struct Int8Query {
  const int8_t* codes;
  float scale;
  float norm;
  float error_norm;
  int32_t code_sum;
};

// What one call scans: blocks [block_begin, block_end) of a code array that starts at block 0.
struct Int8Scan {
  const uint8_t* codes;  // block b at codes + b * words * 256
  const Int8Block* blocks;
  size_t words;
  const float* row_bias;    // added to each row's estimate (L2: -|x|^2 / 2); null = 0
  const uint64_t* allowed;  // bit r of word b = row b * 64 + r takes part; null = all do
  size_t block_begin;
  size_t block_end;
  size_t rows;  // rows in the whole array; later rows of the last block are ignored
};

// Survivors of a scan: rows whose upper bound (estimate + error) reaches the threshold.
struct Int8Survivors {
  float* upper;  // room for `capacity` entries
  uint32_t* rows;
  size_t capacity;
  size_t count;  // filled entries; the kernel appends
};

// One query of a tile and where its survivors go.
struct Int8TileQuery {
  Int8Query query;
  float threshold;
  Int8Survivors out;
};

// Queries that one scan serves.
inline constexpr size_t kTileMax = 16;

// Bit codes: each row is a string of bits, cut into strips of 64. Layout: byte (c * 64 + r) of
// block b of strip s holds bits 64s + 8c .. 64s + 8c + 7 of row 64b + r, the first in the lowest
// place.
//
// A query gives each bit a signed weight, at most kBitWeightMax, and at most kBitStripSum per strip
// when magnitudes are added up, so that a strip's score fits into one byte of a vector. The score
// of a row is the sum of |weight| over the bits that agree with their weight's sign (a zero bit
// agrees with a negative weight): the same integer in every set, from either layout.
inline constexpr size_t kStripBits = 64;
inline constexpr size_t kStripBlockBytes = 8 * kBlockRows;
inline constexpr int kBitWeightMax = 31;
inline constexpr int kBitStripSum = 255;
inline constexpr size_t kBitPlanes = 6;  // the weights' signs, then the bits of their magnitudes
// Score sums are 16 bits wide: a query has at most 65535 / 255 strips.
inline constexpr size_t kBitStripsMax = 257;

struct BitScan {
  const uint8_t* const* strips;  // block b of strip s at strips[s] + b * kStripBlockBytes
  size_t strip_count;            // at least 1
  const uint64_t* allowed;       // bit r of word b = row b * 64 + r takes part; null = all do
  size_t block_begin;
  size_t block_end;
  size_t rows;  // rows in the whole array; later rows of the last block are ignored
};

// Survivors of a scan of bit codes: rows whose score reaches the threshold.
struct BitSurvivors {
  uint16_t* scores;  // room for `capacity` entries
  uint32_t* rows;
  size_t capacity;
  size_t count;  // filled entries; the kernel appends
};

// One query of a tile: lookup tables that make_bit_tables of the same set filled (aligned to 64
// bytes), and where its survivors go.
struct BitQuery {
  const uint8_t* tables;
  uint16_t threshold;
  BitSurvivors out;
};

// The bits of the same rows, a row's words side by side: word s of row r at
// words[r * row_words + s]. `planes`: plane p of strip s at planes[p * strip_count + s]; plane 0
// has a one where the weight is above zero, plane 1 + i is bit i of the magnitudes.
struct BitRows {
  const uint64_t* words;
  size_t row_words;
  const uint64_t* planes;
  size_t strip_count;  // compared: at most row_words
};

struct Table {
  InstructionSet set;
  const char* name;  // "scalar", "avx2", "avx512", "avx512icl", "neon"

  // sum q[i] * x[i]; x in f32, IEEE half, bfloat16, or codes of 8 bits times their scale (which the
  // sum is multiplied with at the end). n may be 0; no alignment needed.
  float (*dot_f32)(const float* q, const float* x, size_t n);
  float (*dot_f16)(const float* q, const uint16_t* x, size_t n);
  float (*dot_bf16)(const float* q, const Bf16* x, size_t n);
  float (*dot_int8)(const float* q, const int8_t* x, float scale, size_t n);
  // sum (q[i] - x[i])^2.
  float (*l2_f32)(const float* q, const float* x, size_t n);
  float (*l2_f16)(const float* q, const uint16_t* x, size_t n);
  float (*l2_bf16)(const float* q, const Bf16* x, size_t n);
  float (*l2_int8)(const float* q, const int8_t* x, float scale, size_t n);
  // Adds dot_f32 of each of `rows` with each of `queries`, bit for bit, to
  // sums[row * query_count + query]; for as many rows as stay in the first-level cache.
  void (*dots_f32)(const float* const* queries, size_t query_count, const float* const* rows,
                   size_t row_count, size_t n, float* sums);
  // Conversions, round to nearest even, the same bits in every set; a value beyond the type's range
  // becomes infinity.
  void (*f32_to_f16)(const float* x, size_t n, uint16_t* out);
  void (*f16_to_f32)(const uint16_t* x, size_t n, float* out);
  void (*f32_to_bf16)(const float* x, size_t n, Bf16* out);
  void (*bf16_to_f32)(const Bf16* x, size_t n, float* out);
  // Codes -127 to 127 of finite values, and their scale: value = scale * code, exactly. Values that
  // int8_to_f32 made give the same codes and scale again (int8_scale.h).
  float (*f32_to_int8)(const float* x, size_t n, int8_t* out);
  void (*int8_to_f32)(const int8_t* x, float scale, size_t n, float* out);

  // Scans for `query_count` (1 to kTileMax) queries at once, each block read once: until block_end,
  // or until some query has fewer than 64 places free; returns the next block. Rows come out in row
  // order; each query gets what it would get alone. Estimate of a row = bias + scale_b *
  // query.scale * dot(codes); the error of its block is query.norm * error_norm +
  // query.error_norm * norm_max; upper = estimate + error.
  size_t (*scan_int8)(const Int8Scan& scan, Int8TileQuery* queries, size_t query_count);

  // Bytes of lookup tables per strip, a multiple of 64, and how they are made from 64 weights a
  // strip (bits that are not there weigh 0).
  size_t bit_table_bytes;
  void (*make_bit_tables)(const int8_t* weights, size_t strip_count, uint8_t* tables);
  // As scan_int8, over bit codes.
  size_t (*scan_bits)(const BitScan& scan, BitQuery* queries, size_t query_count);
  // The scores of `count` rows named by `rows`, in that order.
  void (*score_bit_rows)(const BitRows& bits, const uint32_t* rows, size_t count, uint16_t* scores);
};

// False where this CPU (or this build) lacks the set.
bool Supported(InstructionSet set);
const char* Name(InstructionSet set);
// The table of a supported set.
const Table& ForSet(InstructionSet set);

// What MRL_CPU asks for (a name; unset or empty = the best that is supported). False, with
// *supported = a list of the sets this CPU has, for a value that is unknown or not supported.
bool ChooseFromEnvironment(InstructionSet* set, const char** supported);

// The table chosen from the environment at first use; the best one when MRL_CPU is refused.
// Programs call ChooseFromEnvironment at start and stop with an error instead.
const Table& Active();

}  // namespace mrl::kernels
