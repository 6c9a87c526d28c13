// Queries asked of an opened index: run on threads, scored, and held against the truth.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "index/cli/open_index.h"
#include "index/tune/adaptive_keep.h"
#include "index/tune/recall.h"
#include "index/tune/subject.h"

namespace mrl::cli {

// A row in the order of the build, and back. `row` is one of the view's.
uint64_t RowNumber(const funnel::View& view, const funnel::Location& at);
funnel::Location LocationOf(const funnel::View& view, uint64_t row);
bool HasRow(const funnel::View& view, uint64_t row);

struct Measured {
  std::vector<funnel::Output> outputs;
  std::vector<double> millis;
  double seconds = 0;
};
// Runs all queries with `threads` workers, each taking the next `tile` of them, or as many as the
// plan takes in a tile. The message of an error names the query; CANCELLED once Interrupted().
absl::StatusOr<Measured> RunAll(const funnel::View& view, const funnel::Plan& plan,
                                const Queries& queries, uint32_t threads, size_t tile);

std::vector<tune::Scored> ScoredRows(const funnel::View& view, const funnel::Output& output);
// The rows with their scores at the whole query: a funnel that ends at a shorter prefix or at codes
// gives scores that cannot be held against the truth's.
absl::StatusOr<std::vector<tune::Scored>> ScoredInFull(const funnel::View& view,
                                                       absl::Span<const float> query,
                                                       const std::vector<uint64_t>& rows);

// True rows of the first `queries` queries from an npy file (i4, i8), best first, -1 for none.
// INVALID_ARGUMENT for fewer rows, or fewer than `k` columns.
absl::StatusOr<std::vector<std::vector<int64_t>>> ReadTruth(const std::string& path, size_t queries,
                                                            uint32_t k);

// The subject of tuning: searches `collection` with `queries`, both of which outlive it. The truth
// is read from `truth_path`; where that is "", from the cache of earlier runs, or found by exact
// search with `threads` workers.
absl::StatusOr<tune::Subject> MakeSubject(const collection::Collection& collection,
                                          const Queries& queries, const std::string& truth_path,
                                          uint32_t k, uint32_t threads);
// Which stage lost a row, found by following it through the search.
tune::LostAtFn LostAt(const collection::Collection& collection, const Queries& queries);

// The flag --adaptive-keep of a verb.
CLI::Option* AddAdaptiveKeepFlag(CLI::App& verb, std::optional<double>* share);
// Learned from points of the collection, for queries of `dims` dimensions; the slacks of `*plan`
// become those of the rule.
absl::StatusOr<tune::KeepRule> LearnKeep(const collection::Collection& collection, uint32_t dims,
                                         double share, uint32_t threads, funnel::Plan* plan);

}  // namespace mrl::cli
