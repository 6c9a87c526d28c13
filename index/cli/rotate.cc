#include "index/cli/rotate.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_format.h"
#include "base/status.h"
#include "index/cli/command.h"
#include "index/cli/progress.h"
#include "index/cli/sample.h"
#include "index/transform/rotation.h"
#include "index/tune/dimension_report.h"

namespace mrl::cli {
namespace {

using Readers = std::vector<std::unique_ptr<io::EmbeddingReader>>;

constexpr uint64_t kSampleBytes = 128 << 20;
constexpr uint64_t kSeed = 1;

absl::StatusOr<Sample> ReadSample(const Readers& readers, uint64_t rows, uint32_t dim) {
  const std::vector<uint64_t> chosen = SpreadRows(rows, RotationSampleRows(rows, dim), kSeed);
  Progress progress("learning a rotation", "rows", chosen.size());
  Sample sample;
  sample.dim = dim;
  sample.values.resize(chosen.size() * dim);
  size_t file = 0;
  uint64_t first = 0;  // of the file's rows
  for (size_t i = 0; i < chosen.size(); ++i) {
    if (Interrupted()) return absl::CancelledError("interrupted; nothing was written");
    for (; chosen[i] - first >= readers[file]->rows(); ++file) first += readers[file]->rows();
    float* values = sample.values.data() + sample.rows * dim;
    MRL_RETURN_IF_ERROR(readers[file]->Read(chosen[i] - first, {values, dim}));
    progress.Set(i + 1);
    if (std::all_of(values, values + dim, [](float value) { return std::isfinite(value); })) {
      ++sample.rows;
    }
  }
  sample.values.resize(sample.rows * dim);
  return sample;
}

// The dimension report of a part of the sample, by the schema's ladder.
absl::StatusOr<tune::DimensionReport> Analyse(const Sample& sample, const Schema& schema) {
  constexpr uint64_t kDocuments = 5'000;
  constexpr uint64_t kQueries = 200;
  const Sample documents = PickRows(sample, SpreadRows(sample.rows, kDocuments, kSeed));
  const std::vector<uint64_t> own = SpreadRows(documents.rows, kQueries, kSeed + 1);
  const Sample queries = PickRows(documents, own);
  tune::DimensionReportInput input;
  input.documents = documents.matrix();
  input.queries = queries.matrix();
  input.own_rows.assign(own.begin(), own.end());
  input.ladder = schema.ladder;
  input.metric = schema.metric;
  input.k = static_cast<uint32_t>(std::min<size_t>(10, documents.rows - 1));
  input.threads = Threads(0);
  input.seed = kSeed;
  return tune::AnalyseDimensions(input, {});
}

}  // namespace

uint64_t RotationSampleRows(uint64_t rows, uint32_t dim) {
  return std::min(rows, std::max<uint64_t>(dim, kSampleBytes / (dim * sizeof(float))));
}

absl::Status Rotate(const Readers& readers, uint64_t rows, bool force, Schema* schema) {
  MRL_ASSIGN_OR_RETURN(const Sample sample, ReadSample(readers, rows, schema->dim));
  MRL_RETURN_IF_ERROR(transform::CheckLearnable(sample.rows, schema->dim));
  if (!force && sample.rows >= 3) {
    MRL_ASSIGN_OR_RETURN(const tune::DimensionReport report, Analyse(sample, *schema));
    if (report.verdict != tune::Verdict::kNotUseful) {
      return absl::FailedPreconditionError(absl::StrFormat(
          "--rotate pca: prefixes of these vectors are useful as they are (shortlists hold %.1f "
          "percentage points more of the true %d than those of random dimensions; above %.1f "
          "counts), and a rotation would mix what they were trained for; --force-rotate rotates "
          "all the same",
          report.gain * 100, report.k, report.gain_limit * 100));
    }
  }
  const bool directions = schema->metric == Metric::kCosine;
  MRL_ASSIGN_OR_RETURN(schema->rotation,
                       transform::LearnRotation(sample.values, schema->dim, directions));
  schema->transform = Transform::kRotation;
  return absl::OkStatus();
}

}  // namespace mrl::cli
