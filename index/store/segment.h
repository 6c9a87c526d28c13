// A segment: an immutable, checksummed set of rows of one schema, self-contained in one file
// (docs/formats/segment.md). Levels, norms and ids are read into memory; payloads stay on disk.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/file.h"
#include "base/memory_account.h"
#include "index/schema/point_id.h"
#include "index/schema/schema.h"

namespace mrl::store {

class IdColumn;

// What the manifest says of a segment; a file that says otherwise is refused.
struct SegmentInfo {
  uint32_t number = 0;  // names the file: NNNNNN.seg
  std::string uuid;     // 16 random bytes, in 32 hexadecimal digits
  uint32_t rows = 0;
  uint64_t first_sequence = 0;  // sequence of row 0; row r has first_sequence + r
  uint64_t file_bytes = 0;
};

// Thread-safe: constant after Open.
class Segment {
 public:
  static constexpr uint32_t kRowsMax = 4'000'000;

  // Checks header, table, sizes and every page that is loaded. DATA_LOSS names the file and the
  // part. Reserves from `account` first.
  static absl::StatusOr<std::shared_ptr<const Segment>> Open(FileSystem& files,
                                                             const std::string& path,
                                                             const SegmentInfo& info,
                                                             const Schema& schema,
                                                             MemoryAccount& account);
  ~Segment();

  const SegmentInfo& info() const;
  const Schema& schema() const;
  uint32_t rows() const;

  // Level `level` (0-based) of all rows, row-major: row r at r * level_width(level) elements of the
  // schema's storage type (float or IEEE half bits). Aligned to 64 bytes, readable 64 bytes past
  // the end.
  const void* Level(size_t level) const;
  // COSINE: 1 / |prefix| of `row` at `level` (0 for a zero prefix). Norms of a row lie side by
  // side: InverseNorms(row)[level]. Null for the other metrics.
  const float* InverseNorms(uint32_t row) const;

  PointId Id(uint32_t row) const;
  std::optional<uint32_t> Find(const PointId& id) const;
  // Id order of two rows without building PointIds.
  bool IdLess(uint32_t a, uint32_t b) const;
  // The JSON text stored for a row, "" when it has none. DATA_LOSS for a damaged page.
  absl::StatusOr<std::string> Payload(uint32_t row) const;
  // The first schema().ladder[level] dimensions of a row as floats (stored precision, transformed).
  void Prefix(uint32_t row, size_t level, float* out) const;
  // The vector as written, to stored precision: transform undone.
  void Vector(uint32_t row, float* out) const;

  // Bytes held in memory: {levels, norms, ids, other}.
  struct Memory {
    uint64_t levels = 0, norms = 0, ids = 0, other = 0;
  };
  Memory memory() const;

 private:
  class Impl;
  explicit Segment(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Why a vector cannot be stored or asked; kNone when it can.
enum class VectorProblem : uint8_t {
  kNone,
  kNotFinite,
  kZeroNorm,
  kBeyondStorage,
  kNormOverflow,
  kNormUnderflow
};
absl::string_view ToString(VectorProblem problem);  // "a value is NaN or infinite", …
// Checks `dim` floats against NaN/Inf, f16's range (storage f16), zero norm (COSINE), and norms
// that over- or underflow f32.
VectorProblem CheckVector(const Schema& schema, const float* vector);

// Writes one segment file, streaming: memory is bounded by the chunk, the ids and a page per
// section. Rows are already checked and transformed. Not thread-safe. The file appears under its
// name in Finish only; without Finish nothing is left behind.
class SegmentWriter {
 public:
  struct Options {
    uint32_t number = 1;
    uint64_t first_sequence = 1;
    uint32_t rows_max = Segment::kRowsMax;  // space is laid out for this many; fewer may come
    bool layer_norm = false;                // rows come with mean and deviation
  };
  static absl::StatusOr<std::unique_ptr<SegmentWriter>> Create(FileSystem& files,
                                                               const std::string& path,
                                                               const Schema& schema,
                                                               const Options& options);
  ~SegmentWriter();

  // `vectors`: ids.size() x dim floats, rounded to the storage type in place (what readers will
  // see). `payloads`: empty, or one JSON text per row. `mean_deviation`: with layer_norm, 2 floats
  // per row.
  absl::Status Append(absl::Span<float> vectors, absl::Span<const PointId> ids,
                      absl::Span<const std::string> payloads,
                      absl::Span<const float> mean_deviation);
  uint32_t rows() const;
  // The ids so far.
  IdColumn& ids();
  // ALREADY_EXISTS names an id that came twice. Syncs and renames into place.
  absl::StatusOr<SegmentInfo> Finish();

 private:
  class Impl;
  explicit SegmentWriter(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace mrl::store
