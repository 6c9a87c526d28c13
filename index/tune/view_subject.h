// A view of a collection with queries, as the subject of a measurement.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "index/funnel/run.h"
#include "index/tune/subject.h"

namespace mrl::tune {

struct ViewQueries {
  std::vector<float> values;  // row-major, as a user would give them
  uint32_t dims = 0;
  std::vector<funnel::Location> own;  // empty, or per query the row that it is: left out of results

  size_t rows() const { return dims == 0 ? 0 : values.size() / dims; }
  absl::Span<const float> row(size_t i) const {
    return absl::MakeConstSpan(values).subspan(i * dims, dims);
  }
};

// What stops a measurement half-way; may be empty.
using StoppedFn = std::function<bool()>;

// The rows of a view as a Subject numbers them.
uint64_t RowOf(const funnel::Location& at);
funnel::Location LocationOf(uint64_t row);

// `count` different rows that take part, each as likely as any other; all of them in their order
// where the view has no more. The same for the same seed.
std::vector<funnel::Location> SampleRows(const funnel::View& view, size_t count, uint64_t seed);
// Such rows as queries; their first `dims` dimensions, 0 = all.
absl::StatusOr<ViewQueries> SampleQueries(const funnel::View& view, size_t count, uint64_t seed,
                                          uint32_t dims = 0);

// The first `dims` dimensions of each.
ViewQueries ShortenQueries(const ViewQueries& queries, uint32_t dims);

// The hits of `plan` as recall compares them. Scores of a plan that does not end at the whole query
// at stored precision are NaN: they tie with nothing.
std::vector<Scored> ScoredHits(const funnel::Plan& plan, size_t query_dims,
                               absl::Span<const funnel::Hit> hits);

// Queries as the collection's vectors are stored: transformed.
void TransformQueries(const Schema& schema, ViewQueries* queries);

// `plan` is the planner's input for the view. Without truth. Both references outlive it.
Subject MakeSubject(const funnel::View& view, const funnel::PlanInput& plan,
                    const ViewQueries& queries, StoppedFn stopped);
LostAtFn LostAt(const funnel::View& view, const ViewQueries& queries, StoppedFn stopped);
// Fills the truth by exact search. FAILED_PRECONDITION when a query has no neighbour at all.
absl::Status FindTruth(const funnel::View& view, const ViewQueries& queries, uint32_t k,
                       size_t threads, const StoppedFn& stopped, const ProgressFn& progress,
                       Subject* subject);

// Milliseconds of a scan of each prefix of the ladder that keeps 10 * k rows (of the largest k that
// a search has): the median of 15 of the queries, which are whole, one at a time.
absl::StatusOr<std::vector<double>> TimePrefixes(const funnel::View& view,
                                                 const funnel::PlanInput& plan,
                                                 const ViewQueries& queries, uint32_t k,
                                                 const StoppedFn& stopped);

// Values worth trying of the effort (efSearch, nprobe) of a coarse kind, "" = the active one,
// increasing, the larger ones also with what bounds them (gamma); {{}} where it has none.
std::vector<coarse::Params> ParamsToTry(const funnel::View& view, absl::string_view kind = "");

}  // namespace mrl::tune
