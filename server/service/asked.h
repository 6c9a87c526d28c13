// A search that was found to be in order: what every kind of search does with its request before it
// runs and with its hits after.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "index/collection/collection.h"
#include "index/funnel/profile.h"
#include "index/funnel/run.h"
#include "index/tune/adaptive_keep.h"
#include "mrl/v1/search.pb.h"
#include "server/registry.h"
#include "server/rpc/call.h"

namespace mrl::server {

// Hits become messages one by one, so that a reply that will not fit is noticed before it is built.
class HitWriter {
 public:
  HitWriter(const collection::Collection& collection, const v1::SearchOptions& options)
      : collection_(collection), options_(options) {}

  // The hits behind the offset.
  absl::Span<const funnel::Hit> Page(absl::Span<const funnel::Hit> hits) const {
    return hits.subspan(std::min<size_t>(options_.offset(), hits.size()));
  }
  // Whether a hit is near enough for the caller's threshold.
  bool Wanted(const funnel::Hit& hit) const;

  // Fills the empty `out`, where it is: a message that moves between arenas is copied.
  absl::Status Write(const funnel::Hit& hit, v1::Hit* out) const;

 private:
  const collection::Collection& collection_;
  const v1::SearchOptions& options_;
};

// Tag and length that a repeated message adds to its own bytes, at most.
constexpr uint64_t kMessageOverhead = 8;

struct Query {
  std::vector<float> vector;
  std::optional<funnel::Location> leave_out;
};

// `collection` is the one that the request names.
absl::StatusOr<Query> ReadQuery(const collection::Collection& collection,
                                const v1::SearchRequest& request);

// What a filter leaves of a collection.
struct Narrowed {
  funnel::View view;
  uint64_t rows = 0;
};

// Nothing without a filter. Fits `*plan` to what is left.
absl::StatusOr<std::optional<Narrowed>> Narrow(const collection::Collection& collection,
                                               const v1::SearchOptions& options,
                                               funnel::Plan* plan);

// A request that was found to be in order.
struct Asked {
  std::shared_ptr<const collection::Collection> collection;
  Query query;
  funnel::ChosenPlan chosen;
  std::optional<Narrowed> narrowed;             // with a filter
  std::shared_ptr<const tune::KeepRule> keeps;  // with adaptive_keep, and the plan has its slacks

  const funnel::Plan& plan() const { return chosen.plan; }
  const funnel::View& view() const { return narrowed ? narrowed->view : collection->view(); }
};

absl::StatusOr<Asked> Ask(const Registry& registry, const v1::SearchRequest& request);

// Of one of the searches of a tile.
funnel::TileQuery ToTile(const Call& call, const Query& query);

// Tells of the search and fills the empty reply. RESOURCE_EXHAUSTED when it would be too large.
absl::Status Reply(Call& call, const v1::SearchRequest& request, const Asked& asked,
                   const absl::StatusOr<funnel::Output>& output, v1::SearchResponse* response);

// INVALID_ARGUMENT for options that only Search takes.
absl::Status ExpectPlainOptions(const v1::SearchOptions& options);

}  // namespace mrl::server
