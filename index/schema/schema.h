// What a collection is: the words that every module shares. Plain values, no I/O.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "index/schema/field.h"

namespace mrl {

// Stored on disk as these numbers: frozen.
enum class Metric : uint8_t {
  kCosine = 1,        // every prefix L2-normalised after slicing; larger is nearer
  kInnerProduct = 2,  // dot product of raw prefixes; larger is nearer
  kL2 = 3,            // squared Euclidean distance of raw prefixes; smaller is nearer
};

// Stored on disk as these numbers: frozen.
enum class StorageType : uint8_t {
  kF32 = 1,
  kF16 = 2,
  kBf16 = 3,  // bfloat16
  kInt8 = 4,  // codes -127 to 127, with a scale for each row and level
};

// Bytes of one dimension in storage.
constexpr size_t ElementBytes(StorageType type) {
  if (type == StorageType::kF32) return 4;
  return type == StorageType::kInt8 ? 1 : 2;
}
// Bytes beside the dimensions, for each row and level.
constexpr size_t ScaleBytes(StorageType type) {
  return type == StorageType::kInt8 ? sizeof(float) : 0;
}

// Applied to a whole vector before it is sliced. Stored on disk as these numbers: frozen.
enum class Transform : uint8_t {
  kNone = 1,
  kLayerNorm = 2,  // (x - mean) / sqrt(variance + 1e-5), as nomic-embed's models need it
  kRotation = 3,   // Schema::rotation times x
};

// An orthogonal matrix that was learned from vectors: prefixes of its products hold more than those
// of the vectors, while dot products, norms and distances of whole vectors stay as they are.
struct Rotation {
  uint64_t checksum = 0;  // of the matrix; 0 = there is none
  // [dim][dim], row i gives dimension i. Null until it is read.
  std::shared_ptr<const std::vector<float>> matrix;

  bool operator==(const Rotation& other) const { return checksum == other.checksum; }
};

// `dims` of a prefix at `bits` per dimension, as scanned by a coarse search: `16b8`.
//
// 8 bits stand for one prefix. 1, 2 and 4 bits nest: `512b1` serves `128b1` too, and every other
// ladder step below it. They say directions and not lengths, so only COSINE takes them.
struct Code {
  // Dimensions x bits of a nesting code; what the sums of the scan hold.
  static constexpr uint32_t kNestingBitsMax = 16384;

  uint32_t dims = 0;
  uint32_t bits = 0;  // 1, 2, 4 or 8

  bool nests() const { return bits < 8; }
  // Whether this code, stored, answers for `wanted`.
  bool Serves(const Code& wanted) const {
    return bits == wanted.bits && (nests() ? dims >= wanted.dims : dims == wanted.dims);
  }
  bool operator==(const Code&) const = default;
};

struct Schema {
  static constexpr uint32_t kDimMax = 65536;
  static constexpr size_t kLevelsMax = 64;
  static constexpr uint32_t kRotationDimMax = 4096;  // a matrix of 64 MB

  uint32_t dim = 0;              // 1 to kDimMax
  std::vector<uint32_t> ladder;  // strictly increasing, last = dim, at most kLevelsMax
  Metric metric = Metric::kCosine;
  StorageType storage = StorageType::kF32;
  Transform transform = Transform::kNone;
  Rotation rotation;          // kRotation only
  std::vector<Code> codes;    // increasing by (dims, bits); dims on the ladder; none serves another
  std::vector<Field> fields;  // of payloads, that searches can filter on

  size_t levels() const { return ladder.size(); }
  // First dimension and number of dimensions of level `level` (0-based).
  uint32_t level_begin(size_t level) const { return level == 0 ? 0 : ladder[level - 1]; }
  uint32_t level_width(size_t level) const { return ladder[level] - level_begin(level); }
  // Bytes in storage of one row: of level `level`, of the levels up to it, and of all levels.
  // Scales are counted.
  uint64_t level_bytes(size_t level) const {
    return level_width(level) * ElementBytes(storage) + ScaleBytes(storage);
  }
  uint64_t prefix_bytes(size_t level) const {
    return ladder[level] * ElementBytes(storage) + (level + 1) * ScaleBytes(storage);
  }
  uint64_t vector_bytes() const { return prefix_bytes(levels() - 1); }
  // The level whose prefix has `dims` dimensions, or -1 when `dims` is not on the ladder.
  int LevelOf(uint32_t dims) const;
  // Whether a stored code serves (dims, bits).
  bool HasCode(uint32_t dims, uint32_t bits) const;

  // INVALID_ARGUMENT names the field, the value and the limit.
  absl::Status Validate() const;

  bool operator==(const Schema&) const = default;
};

constexpr bool LargerIsNearer(Metric metric) { return metric != Metric::kL2; }

// 16, 32, 64, … doubling while below `dim`, then `dim` itself; `dim` alone when it is 16 or less.
std::vector<uint32_t> DefaultLadder(uint32_t dim);
// Under COSINE, where the ladder reaches 256: signs of its longest step up to 512, and 8-bit codes
// of the steps up to 64. Otherwise 8-bit codes of every step up to 256 (of the first step if all
// are longer).
std::vector<Code> DefaultCodes(const std::vector<uint32_t>& ladder, Metric metric);

// Text forms: cosine|ip|l2, f32|f16|bf16|int8,
// none|layer_norm|rotation. Parse errors list what is accepted.
absl::string_view ToString(Metric metric);
absl::string_view ToString(StorageType type);
absl::string_view ToString(Transform transform);
absl::StatusOr<Metric> ParseMetric(absl::string_view text);
absl::StatusOr<StorageType> ParseStorageType(absl::string_view text);
absl::StatusOr<Transform> ParseTransform(absl::string_view text);
// "16,32,64" and "16b8,64b8"; "none" or "" is the empty list of codes.
absl::StatusOr<std::vector<uint32_t>> ParseLadder(absl::string_view text);
absl::StatusOr<std::vector<Code>> ParseCodes(absl::string_view text);
std::string FormatLadder(const std::vector<uint32_t>& ladder);
std::string FormatCodes(const std::vector<Code>& codes);  // "none" when empty

}  // namespace mrl
