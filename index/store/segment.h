// A segment: an immutable set of rows of one schema. On disk it is one checksummed, self-contained
// file (docs/formats/segment.md): hot levels, norms and ids are read into memory; cold levels and
// payloads stay there.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/file.h"
#include "base/memory_account.h"
#include "index/format/section_file.h"
#include "index/schema/point_id.h"
#include "index/schema/schema.h"

namespace mrl::store {

class IdColumn;

// What the manifest says of a segment; a file that says otherwise is refused.
struct SegmentInfo {
  uint32_t number = 0;  // names the file: NNNNNN.seg
  std::string uuid;     // 16 random bytes, in 32 hexadecimal digits
  uint32_t rows = 0;
  uint64_t first_sequence = 0;  // of row 0
  // Of the last row; 0 = first_sequence + rows - 1, which is when no number is left out.
  uint64_t last_sequence = 0;
  uint64_t file_bytes = 0;

  uint64_t end_sequence() const {
    return last_sequence != 0 ? last_sequence + 1 : first_sequence + rows;
  }
};

// Rows of one schema, side by side, level by level: a file that was opened, or a part of the tail.
// Thread-safe: constant from the start.
class Segment {
 public:
  static constexpr uint32_t kRowsMax = 4'000'000;

  // Opens a file. Checks header, table, sizes and every page that is loaded. DATA_LOSS names the
  // file and the part. Reserves from `account` first. Levels that end above `hot_dims` dimensions
  // are cold: they stay in the file. 0 = none is.
  static absl::StatusOr<std::shared_ptr<const Segment>> Open(
      FileSystem& files, const std::string& path, const SegmentInfo& info, const Schema& schema,
      MemoryAccount& account, uint32_t hot_dims = 0);
  virtual ~Segment() = default;
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;

  const SegmentInfo& info() const { return info_; }
  const Schema& schema() const { return schema_; }
  uint32_t rows() const { return info_.rows; }

  // Levels from this one on are cold. Who reads them through Level calls Fetch before, and believes
  // what was read when CheckRead is OK after.
  size_t hot_levels() const { return hot_levels_; }
  // Begins to read what is cold of levels [from, to] of `rows`, all at once, and checks pages that
  // nobody has read before. DATA_LOSS names the file and the part.
  absl::Status Fetch(size_t from, size_t to, absl::Span<const uint32_t> rows) const {
    return to < hot_levels_ ? absl::OkStatus() : FetchCold(from, to, rows);
  }
  // The same of the rows [begin, end).
  absl::Status FetchRange(size_t from, size_t to, uint32_t begin, uint32_t end) const {
    return to < hot_levels_ ? absl::OkStatus() : FetchColdRange(from, to, begin, end);
  }
  // DATA_LOSS when something of levels up to `to` could not be read.
  absl::Status CheckRead(size_t to) const {
    return to < hot_levels_ ? absl::OkStatus() : CheckColdRead(to);
  }

  // What Fetch reads of one row.
  uint64_t ColdRowBytes(size_t from, size_t to) const;

  // Level `level` (0-based) of all rows, row-major: row r at r * level_width(level) elements of the
  // schema's storage type (float, IEEE half or bfloat16 bits, codes). Aligned to 64 bytes, readable
  // 64 bytes past the end.
  const void* Level(size_t level) const { return arrays_.levels[level]; }
  // Storage int8: Scales(row)[level] times a code of that level is a value. Null for the others.
  const float* Scales(uint32_t row) const {
    if (arrays_.scales == nullptr) return nullptr;
    return arrays_.scales + size_t{row} * schema_.levels();
  }
  // COSINE: 1 / |prefix| of `row` at `level` (0 for a zero prefix). Norms of a row lie side by
  // side: InverseNorms(row)[level]. Null for the other metrics.
  const float* InverseNorms(uint32_t row) const {
    if (arrays_.inverse_norms == nullptr) return nullptr;
    return arrays_.inverse_norms + size_t{row} * schema_.levels();
  }
  // The two numbers that undo layer_norm for `row`; null for the other transforms.
  const float* MeanDeviation(uint32_t row) const {
    return arrays_.mean_deviation == nullptr ? nullptr : arrays_.mean_deviation + 2 * size_t{row};
  }
  // The number of the write that made the row. Sequences rise with rows.
  virtual uint64_t Sequence(uint32_t row) const = 0;
  // The first row whose sequence is above `sequence`; rows() when there is none.
  uint32_t RowAfter(uint64_t sequence) const;

  virtual PointId Id(uint32_t row) const = 0;
  virtual std::optional<uint32_t> Find(const PointId& id) const = 0;
  // Id order of two rows without building PointIds.
  virtual bool IdLess(uint32_t a, uint32_t b) const = 0;
  // The JSON text stored for a row, "" when it has none. DATA_LOSS for a damaged page.
  virtual absl::StatusOr<std::string> Payload(uint32_t row) const = 0;
  // The first schema().ladder[level] dimensions of a row as floats (stored precision, transformed).
  // DATA_LOSS where a cold level is damaged, and only there.
  absl::Status Prefix(uint32_t row, size_t level, float* out) const;
  // The vector as written, to stored precision: transform undone. DATA_LOSS as of Prefix.
  absl::Status Vector(uint32_t row, float* out) const;

  // Bytes held in memory: {hot levels with their scales, norms, ids, other}.
  struct Memory {
    uint64_t levels = 0, norms = 0, ids = 0, other = 0;
  };
  virtual Memory memory() const = 0;

 protected:
  // Where the rows lie; the subclass owns them.
  struct Arrays {
    std::vector<const void*> levels;
    const float* scales = nullptr;          // [rows][levels], int8 only
    const float* inverse_norms = nullptr;   // [rows][levels], COSINE only
    const float* mean_deviation = nullptr;  // [rows][2], layer_norm only
  };
  Segment(const SegmentInfo& info, const Schema& schema) : Segment(info, schema, schema.levels()) {}
  Segment(const SegmentInfo& info, const Schema& schema, size_t hot_levels)
      : info_(info), schema_(schema), hot_levels_(hot_levels) {}
  void SetArrays(Arrays arrays) { arrays_ = std::move(arrays); }

 private:
  // Where levels are cold, `to` among them.
  virtual absl::Status FetchCold(size_t from, size_t to, absl::Span<const uint32_t> rows) const;
  virtual absl::Status FetchColdRange(size_t from, size_t to, uint32_t begin, uint32_t end) const;
  virtual absl::Status CheckColdRead(size_t to) const;

  const SegmentInfo info_;
  const Schema schema_;
  const size_t hot_levels_;
  Arrays arrays_;
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
// Checks `dim` floats against NaN/Inf, the range of f16 and bf16 (as storage), zero norm (COSINE),
// and norms that over- or underflow f32.
VectorProblem CheckVector(const Schema& schema, const float* vector);

// Writes one segment file, streaming: memory is bounded by the chunk, the ids and a page per
// section. Rows are already checked and transformed. Not thread-safe, but Write may run beside
// Encode. The file appears under its name in Finish only; without Finish nothing is left behind.
class SegmentWriter {
 public:
  struct Options {
    uint32_t number = 1;
    uint64_t first_sequence = 1;
    uint32_t rows_max = Segment::kRowsMax;  // space is laid out for this many; fewer may come
    bool layer_norm = false;                // rows come with mean and deviation
    bool sequences = false;                 // rows come with sequences, which may leave numbers out
    uint32_t threads = 1;                   // that encode, at most
  };
  static absl::StatusOr<std::unique_ptr<SegmentWriter>> Create(FileSystem& files,
                                                               const std::string& path,
                                                               const Schema& schema,
                                                               const Options& options);
  ~SegmentWriter();

  // `vectors`: ids.size() x dim floats, rounded to the storage type in place (what readers will
  // see). `payloads`: empty, or one JSON text per row. `mean_deviation`: with layer_norm, 2 floats
  // per row. `sequences`: with that option, one per row, rising, the last less than 2^32 above the
  // first.
  absl::Status Append(absl::Span<float> vectors, absl::Span<const PointId> ids,
                      absl::Span<const std::string> payloads,
                      absl::Span<const float> mean_deviation,
                      absl::Span<const uint64_t> sequences = {});
  // Append in two steps, for bulk loads: what is encoded is written in the same order, maybe by
  // another thread while more is encoded, and the disk begins with it at once.
  absl::StatusOr<format::Pieces> Encode(absl::Span<float> vectors, absl::Span<const PointId> ids,
                                        absl::Span<const std::string> payloads,
                                        absl::Span<const float> mean_deviation,
                                        absl::Span<const uint64_t> sequences = {});
  absl::Status Write(const format::Pieces& pieces);
  // Of the rows that were encoded.
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
