// Coarse search: the first stage, over all rows of a segment, at one prefix.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/parallel.h"
#include "index/schema/schema.h"
#include "index/store/segment.h"

namespace mrl::coarse::gpu {
class DeviceSet;
}

namespace mrl::coarse {

// Named numbers of one query, such as nprobe or efSearch; unknown names are refused.
using Params = std::map<std::string, double>;

// A stage after the first. A kind that can runs some of them by itself.
struct LaterStage {
  uint32_t dims = 0;
  uint32_t bits = 0;  // 0 = stored precision
  uint32_t keep = 0;
  bool operator==(const LaterStage&) const = default;
};

struct Request {
  const float* query = nullptr;  // transformed, at least `dims` floats, not normalised
  uint32_t dims = 0;             // on the ladder
  uint32_t bits = 0;  // 0 = stored precision (exact top-keep of the prefix); else code estimates
  uint32_t keep = 0;  // at least 1
  uint32_t k = 0;     // rows that the whole search is for, at most `keep`; 0 = as `keep`
  const uint64_t* allowed = nullptr;   // bitmap over rows; null = all
  const Params* params = nullptr;      // null = none
  std::function<bool()> stopped = {};  // true = cancelled or past the deadline; may be empty
  // Idle threads that may take a share of the work, and then ask `stopped` too; null = none.
  Parallel* helpers = nullptr;
  // What the search goes on with; `query` is as long as the longest of them.
  absl::Span<const LaterStage> later = {};
};

struct Candidate {
  float score = 0;  // the metric's own score: L2 positive and ascending
  uint32_t row = 0;
};

struct Result {
  std::vector<Candidate> candidates;  // the best, at most `keep`, ties cut by row; in no order
  uint64_t rows_scanned = 0;
  uint64_t bytes_touched = 0;
  uint64_t cold_bytes = 0;  // of these, of levels that are not held in memory
  uint64_t rescored = 0;    // rows whose stored prefix was read to replace an estimate

  // What the first stage kept, and the stages of the request's `later` that were run as well, from
  // the first on: candidates and their scores are those of the last. A stage cuts as the first
  // does; but the last of `later` leaves its cut to the caller, who orders by id.
  struct Ran {
    uint64_t candidates_in = 0;
    uint64_t candidates_out = 0;
    uint64_t bytes = 0;
    float score_cut = 0;
  };
  uint64_t kept = 0;    // where `later` is not empty; candidates.size() otherwise
  float score_cut = 0;  // as `kept`
  std::vector<Ran> later;
};

// One for each request of a tile, in order.
using Results = std::vector<absl::StatusOr<Result>>;

// The parameter by which a query says how much of an index it looks at.
struct Effort {
  std::string param;  // "" = there is none
  double most = std::numeric_limits<double>::infinity();
  Params bounded = {};  // others that let an easy query end before it has made all of the effort
};

// One coarse index of one segment. Thread-safe: constant after it is opened or built.
class CoarseIndex {
 public:
  virtual ~CoarseIndex() = default;
  virtual absl::string_view kind() const = 0;  // "scan", "faiss"
  virtual std::string Describe() const = 0;    // "scan 16b8,64b8", "faiss HNSW32 on 64 dims"
  // The prefixes it can search: dims 0 = any ladder step.
  virtual uint32_t dims() const = 0;
  virtual uint64_t memory_bytes() const = 0;
  virtual Effort effort() const { return {}; }
  // INVALID_ARGUMENT for dims or params it does not know; CANCELLED when `stopped`.
  virtual absl::StatusOr<Result> Search(const Request& request) const = 0;
  // What Search gives for each of 1 to kernels::kTileMax requests that share dims, bits, params,
  // allowed rows and helpers. Kinds that can, read the index once for all of them.
  virtual Results SearchTile(absl::Span<const Request> requests) const;
  // Raw estimates of `rows` at (dims, bits) for a middle stage on codes; FAILED_PRECONDITION where
  // the code is not stored.
  virtual absl::Status Estimate(const float* query, Code code, absl::Span<const uint32_t> rows,
                                float* scores) const = 0;
};

// Kind `scan`. Writes the schema's codes beside a segment while its rows stream by (side file
// NNNNNN.scan.idx, bound to the segment's uuid), and opens them. With no codes the file is still
// written, and every prefix is scanned at stored precision.
class ScanWriter {
 public:
  static absl::StatusOr<std::unique_ptr<ScanWriter>> Create(FileSystem& files,
                                                            const std::string& path,
                                                            const Schema& schema, uint32_t rows_max,
                                                            uint32_t threads = 1);
  ~ScanWriter();
  // `vectors`: rows x dim floats as SegmentWriter left them (rounded to storage). Encoded on up to
  // `threads` threads.
  absl::Status Append(absl::Span<const float> vectors);
  // Append in two steps, as SegmentWriter has them.
  format::Pieces Encode(absl::Span<const float> vectors);
  absl::Status Write(const format::Pieces& pieces);
  absl::Status Finish(const store::SegmentInfo& segment);

 private:
  class Impl;
  explicit ScanWriter(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};
absl::StatusOr<std::unique_ptr<CoarseIndex>> OpenScan(FileSystem& files, const std::string& path,
                                                      std::shared_ptr<const store::Segment> segment,
                                                      MemoryAccount& account);

// Kind `faiss`: any factory string on the first `dims` dimensions; saved inside our checksummed
// container (NNNNNN.faiss.idx) and handed to FAISS only after every page's checksum passed.
struct FaissOptions {
  std::string factory;                 // "HNSW32", "IVF1024,Flat"
  uint32_t dims = 0;                   // on the ladder
  std::function<bool()> stopped = {};  // asked between chunks of rows; may be empty
  // Trains and fills it on a device, and saves it as the CPU index that it is a copy of; null, or
  // where no device can and none is required: on the CPU.
  gpu::DeviceSet* gpu = nullptr;
  uint32_t threads = 1;  // of FAISS's own, while it trains and fills on the CPU
};
// CANCELLED, with no file left, when it was stopped.
absl::Status BuildFaiss(FileSystem& files, const std::string& path, const store::Segment& segment,
                        const FaissOptions& options);
absl::StatusOr<std::unique_ptr<CoarseIndex>> OpenFaiss(
    FileSystem& files, const std::string& path, std::shared_ptr<const store::Segment> segment,
    MemoryAccount& account);

}  // namespace mrl::coarse
