// Runs a plan over a view: coarse shortlist, stages at growing prefixes, top k.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/parallel.h"
#include "index/coarse/coarse.h"
#include "index/filter/field_index.h"
#include "index/funnel/plan.h"
#include "index/store/segment.h"

namespace mrl::funnel {

// What one search sees from start to end. Constant; shared by concurrent searches.
struct View {
  struct Part {
    std::shared_ptr<const store::Segment> segment;
    std::vector<std::shared_ptr<const coarse::CoarseIndex>> indexes;  // the active one first
    // Bitmap over rows: the others are deleted, and nobody finds them. Null = all rows take part.
    std::shared_ptr<const std::vector<uint64_t>> allowed = nullptr;
    // Of the schema's fields; null when it has none.
    std::shared_ptr<const filter::FieldIndex> fields = nullptr;

    const uint64_t* allowed_data() const { return allowed == nullptr ? nullptr : allowed->data(); }
    uint64_t rows() const;  // that take part
  };
  Schema schema;
  std::vector<Part> parts;
  // The coarse kinds that searches may ask for, the active one first; every part has them.
  std::vector<std::string> kinds = {};
  uint64_t rows() const;
};

// A row of a view, and back.
struct Location {
  uint32_t part = 0;
  uint32_t row = 0;
  bool operator==(const Location&) const = default;
};
std::optional<Location> Find(const View& view, const PointId& id);

struct Hit {
  Location at;
  float score = 0;
};

// One stage as it ran. Stage 0 is the coarse search.
struct StageTrace {
  std::string kind;  // coarse kind for stage 0, "rerank" after it, "exact" for exact search
  uint32_t dims = 0;
  uint32_t bits = 0;
  uint64_t candidates_in = 0;  // rows scanned for stage 0
  uint64_t candidates_out = 0;
  uint64_t left_out = 0;  // of the candidates within the stage's keep, by the plan's slacks
  uint64_t bytes = 0;
  uint64_t cold_bytes = 0;  // of `bytes`, those of levels that are not held in memory
  uint64_t rescored = 0;
  double micros = 0;  // of the first stage in a tile: its share; 0 where the first ran this one too
  float score_cut = 0;  // score of the last candidate kept
};

// Where a point stood: its rank (0-based) in each stage that scored it, or the stage it fell out
// at.
struct WhyNot {
  PointId id;
  bool found = false;  // the id is in the collection, and a filter lets it through
  struct AtStage {
    int64_t rank = -1;  // among the stage's kept candidates; -1 = not among them
    float score = 0;    // its score at that stage's prefix, computed in any case
  };
  std::vector<AtStage> stages;
  int lost_at = -1;  // first stage that did not keep it; -1 = it is in the result
};

struct Trace {
  std::vector<StageTrace> stages;
  uint64_t multiply_adds = 0;  // sum over stages of candidates_in x dims, as the MRL paper counts
  uint32_t tile_queries = 1;   // that ran together, this one counted
  double micros = 0;           // of the whole search by the clock; of a tile, a share
  std::vector<WhyNot> why_not;
};

struct RunOptions {
  std::function<bool()> stopped = {};      // polled between blocks and stages; may be empty
  absl::Span<const PointId> why_not = {};  // ids to follow through the stages
  std::optional<Location> leave_out = {};  // a row that may not be in the result (search by id)
  // Idle threads that may take a share of a coarse or exact search, and then ask `stopped` too. Of
  // a tile the first query's count. Null = none.
  Parallel* helpers = nullptr;
};

struct Output {
  std::vector<Hit> hits;  // best first; equal scores by id
  Trace trace;
};

// `query`: as the user gave it, query_dims floats of the plan's input; transformed here.
// INVALID_ARGUMENT for NaN, infinities, and a zero vector under COSINE; CANCELLED when stopped.
// Thread-safe.
absl::StatusOr<Output> Run(const View& view, const Plan& plan, absl::Span<const float> query,
                           const RunOptions& options);

// Several queries of one plan: the coarse search reads its codes once for all of them, which is
// cheaper for each. Every query gets what it would get alone; the time of its first stage is its
// share of the tile's.
struct TileQuery {
  absl::Span<const float> query;
  RunOptions options;
};
inline constexpr size_t kTileMax = 16;
inline constexpr size_t kExactTileMax = 64;
inline size_t TileMax(const Plan& plan) { return plan.exact ? kExactTileMax : kTileMax; }
// `queries`: 1 to TileMax(plan). One result each, in order. Thread-safe.
std::vector<absl::StatusOr<Output>> RunTile(const View& view, const Plan& plan,
                                            absl::Span<const TileQuery> queries);

}  // namespace mrl::funnel
