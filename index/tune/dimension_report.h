// How good is each prefix of one's own vectors, and are prefixes worth anything here?
//
// The verdict holds the shortlists of prefixes against a control: the same vectors with their
// dimensions in random orders, where a prefix is a random choice of as many dimensions. A model
// trained for prefixes (or a rotation that sorts dimensions) beats it, any other does not. Energy
// says nothing of this: real Matryoshka vectors may hold 5 % of theirs in the first 16 dimensions.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "index/schema/schema.h"
#include "index/tune/interval.h"
#include "index/tune/prefix_scorer.h"
#include "index/tune/subject.h"

namespace mrl::tune {

struct DimensionReportInput {
  Matrix documents;  // a sample; transformed as the collection would
  Matrix queries;    // of the same dim
  // The row of `documents` that each query is, left out of its own result; empty = none is one.
  std::vector<size_t> own_rows;
  std::vector<uint32_t> ladder;  // ends at dim
  Metric metric = Metric::kCosine;
  uint32_t k = 10;
  std::vector<uint32_t> keeps;  // shortlist lengths, increasing; empty = a rule by k and rows
  size_t threads = 1;
  uint64_t seed = 1;
  size_t controls = 3;                 // random orders of the dimensions
  std::function<bool()> stopped = {};  // polled between queries; may be empty
};

struct PrefixQuality {
  uint32_t dims = 0;
  double recall = 0;   // at k of the prefix alone, against the full vector
  Interval interval;   // 95 %
  double overlap = 0;  // share of the full vector's top 100 among the prefix's
  double kendall = 0;  // rank agreement of the prefix with the full vector on that top 100
  std::vector<double> shortlist;  // per keep: share of the true k in a shortlist of that length
  std::vector<double> control;    // the same of random dimensions, mean of the controls
  double energy = 0;              // share of the squared norm
  double norm_mean = 0, norm_deviation = 0;  // of the prefix
  double scan_ns_per_row = 0;                // one core, float32, up to this prefix
};

enum class Verdict : uint8_t { kUseful, kRotated, kNotUseful };
// useful, useful_by_rotation, not_useful.
const char* ToString(Verdict verdict);

struct DimensionReport {
  size_t rows = 0, queries = 0;
  uint32_t k = 10;
  std::vector<uint32_t> keeps;
  std::vector<PrefixQuality> prefixes;  // one per ladder step
  Verdict verdict = Verdict::kNotUseful;
  double gain = 0;        // mean shortlist recall of the prefixes above the control
  double gain_limit = 0;  // what a gain has to exceed to count
  // Per ladder step, the shortest of `keeps` that holds 95 % of the true k; 0 where none does.
  std::vector<uint32_t> keep_for_95;
};

// INVALID_ARGUMENT for fewer than 2 rows beside the query, no queries, dims that differ; CANCELLED
// when it was stopped.
absl::StatusOr<DimensionReport> AnalyseDimensions(const DimensionReportInput& input,
                                                  const ProgressFn& progress);

// Whether dimensions are uncorrelated and of falling variance, as after a principal component
// analysis.
bool LooksRotated(Matrix documents);

// What the figures mean for a user, a sentence or two each; the verdict first.
std::vector<std::string> Advice(const DimensionReport& report);

}  // namespace mrl::tune
