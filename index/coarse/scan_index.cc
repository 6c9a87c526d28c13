#include "index/coarse/scan_index.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "index/coarse/exact_scan.h"
#include "index/coarse/level_scorer.h"

namespace mrl::coarse {
namespace {

constexpr uint32_t kBoundedBits = 8;  // of the codes whose errors are bounded
constexpr size_t kPrefetchRows = 12;  // measured best between 8 and 12
constexpr size_t kRowsBetweenPolls = 4096;

// The metric's own score of an estimate.
float ScoreOfEstimate(Metric metric, const QuantisedQuery& query, float estimate) {
  if (metric != Metric::kL2) return estimate;
  return static_cast<float>(std::max(0.0, query.squared_norm - 2.0 * estimate));
}

uint64_t CodeBytes(const CodeArray& array) { return array.codes.size() + array.row_bias.size(); }

std::vector<Candidate> ToCandidates(Metric metric, const std::vector<KeyedRow>& rows) {
  std::vector<Candidate> candidates;
  candidates.reserve(rows.size());
  for (const KeyedRow& row : rows) candidates.push_back({ScoreOfKey(metric, row.key), row.row});
  return candidates;
}

}  // namespace

ScanIndex::ScanIndex(std::shared_ptr<const store::Segment> segment, std::vector<CodeArray> arrays,
                     std::vector<BitArray> bit_arrays, MemoryAccount::Reservation memory)
    : segment_(std::move(segment)),
      arrays_(std::move(arrays)),
      bit_arrays_(std::move(bit_arrays)),
      memory_(std::move(memory)) {}

std::string ScanIndex::Describe() const {
  return absl::StrCat("scan ", FormatCodes(segment_->schema().codes));
}

const CodeArray* ScanIndex::Find(Code code) const {
  for (const CodeArray& array : arrays_) {
    if (array.code == code) return &array;
  }
  return nullptr;
}

const BitArray* ScanIndex::FindBits(Code code) const {
  for (const BitArray& array : bit_arrays_) {
    if (array.code().Serves(code)) return &array;
  }
  return nullptr;
}

QuantisedBits ScanIndex::Quantise(const float* query, Code code, const BitArray& array) const {
  return QuantiseBits(
      query, code, array.calibration(static_cast<size_t>(segment_->schema().LevelOf(code.dims))));
}

absl::Status ScanIndex::Check(const Request& request) const {
  const Schema& schema = segment_->schema();
  if (schema.LevelOf(request.dims) < 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "scan: ", request.dims, " dims are not on the ladder ", FormatLadder(schema.ladder)));
  }
  if (request.bits != 0 && !schema.HasCode(request.dims, request.bits)) {
    return absl::InvalidArgumentError(
        absl::StrCat("scan: the code ", request.dims, "b", request.bits,
                     " is not stored, these are: ", FormatCodes(schema.codes)));
  }
  if (request.keep == 0) return absl::InvalidArgumentError("scan: keep is 0, the least is 1");
  if (request.params != nullptr && !request.params->empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "scan: unknown parameter `", request.params->begin()->first, "`, scan takes none"));
  }
  return absl::OkStatus();
}

absl::StatusOr<Result> ScanIndex::Search(const Request& request) const {
  MRL_RETURN_IF_ERROR(Check(request));
  const Code code = {request.dims, request.bits};
  if (code.bits == 0) {
    return SearchStored(request, static_cast<size_t>(segment_->schema().LevelOf(request.dims)));
  }
  if (code.nests()) return std::move(SearchBitCodes({&request, 1}, *FindBits(code)).front());
  return SearchCodes(request, *Find(code));
}

std::vector<absl::StatusOr<Result>> ScanIndex::SearchTile(
    absl::Span<const Request> requests) const {
  const Code code = {requests.front().dims, requests.front().bits};
  const BitArray* array = code.bits != 0 && code.nests() ? FindBits(code) : nullptr;
  if (array == nullptr) return CoarseIndex::SearchTile(requests);
  for (const Request& request : requests) {
    if (!Check(request).ok()) return CoarseIndex::SearchTile(requests);
  }
  return SearchBitCodes(requests, *array);
}

std::vector<absl::StatusOr<Result>> ScanIndex::SearchBitCodes(absl::Span<const Request> requests,
                                                              const BitArray& array) const {
  const Code code = {requests.front().dims, requests.front().bits};
  std::vector<QuantisedBits> queries;
  std::vector<BitRequest> searches;
  queries.reserve(requests.size());
  for (const Request& request : requests) {
    queries.push_back(Quantise(request.query, code, array));
    searches.push_back(
        {.query = &queries.back(), .keep = request.keep, .stopped = &request.stopped});
  }
  const uint64_t* allowed = requests.front().allowed;
  std::vector<absl::StatusOr<ScoredBits>> found = SearchBits(array, allowed, searches);
  std::vector<absl::StatusOr<Result>> results;
  for (size_t i = 0; i < found.size(); ++i) {
    if (!found[i].ok()) {
      results.emplace_back(found[i].status());
      continue;
    }
    Result result;
    result.rows_scanned = CountAllowed(allowed, segment_->rows());
    result.bytes_touched = uint64_t{segment_->rows()} * code.dims * code.bits / 8;
    result.candidates.resize(found[i]->rows.size());
    for (size_t j = 0; j < result.candidates.size(); ++j) {
      result.candidates[j] = {queries[i].Cosine(found[i]->scores[j]), found[i]->rows[j]};
    }
    results.emplace_back(std::move(result));
  }
  return results;
}

absl::StatusOr<Result> ScanIndex::SearchCodes(const Request& request,
                                              const CodeArray& array) const {
  const Metric metric = segment_->schema().metric;
  const QuantisedQuery query = QuantiseQuery(metric, request.query, request.dims);
  MRL_ASSIGN_OR_RETURN(std::vector<KeyedRow> best, SearchEstimates({.array = &array,
                                                                    .metric = metric,
                                                                    .query = &query,
                                                                    .keep = request.keep,
                                                                    .allowed = request.allowed,
                                                                    .stopped = &request.stopped}));
  CutByKeyThenRow(best, request.keep);
  Result result;
  result.rows_scanned = CountAllowed(request.allowed, segment_->rows());
  result.bytes_touched = CodeBytes(array);
  result.candidates.reserve(best.size());
  for (const KeyedRow& row : best) {
    result.candidates.push_back({ScoreOfEstimate(metric, query, row.key), row.row});
  }
  return result;
}

std::vector<KeyedRow> ScanIndex::Rescore(const Request& request, size_t level,
                                         std::vector<KeyedRow> survivors) const {
  const LevelScorer scorer(*segment_, request.query, level);
  for (size_t i = 0; i < survivors.size(); ++i) {
    if (i + kPrefetchRows < survivors.size()) {
      scorer.Prefetch(survivors[i + kPrefetchRows].row, 0, level);
    }
    survivors[i].key = scorer.Key(survivors[i].row, level);
    if (i % kRowsBetweenPolls == 0 && IsStopped(request.stopped)) return {};
  }
  return survivors;
}

absl::StatusOr<Result> ScanIndex::SearchStored(const Request& request, size_t level) const {
  const Metric metric = segment_->schema().metric;
  Result result;
  result.rows_scanned = CountAllowed(request.allowed, segment_->rows());
  std::vector<KeyedRow> best;
  const CodeArray* array = Find({request.dims, kBoundedBits});
  QuantisedQuery query;
  if (array != nullptr) query = QuantiseQuery(metric, request.query, request.dims);
  const Int8Request scan = {.array = array,
                            .metric = metric,
                            .query = &query,
                            .keep = request.keep,
                            .allowed = request.allowed,
                            .stopped = &request.stopped};
  const uint64_t row_bytes = request.dims * ElementBytes(segment_->schema().storage);
  if (array != nullptr && BoundsHold(scan)) {
    MRL_ASSIGN_OR_RETURN(best, SearchBounds(scan));
    result.rescored = best.size();
    result.bytes_touched = CodeBytes(*array) + result.rescored * row_bytes;
    best = Rescore(request, level, std::move(best));
  } else {
    MRL_ASSIGN_OR_RETURN(best, ExactScan(*segment_, {.query = request.query,
                                                     .level = level,
                                                     .keep = request.keep,
                                                     .allowed = request.allowed,
                                                     .stopped = &request.stopped}));
    result.bytes_touched = result.rows_scanned * row_bytes;
  }
  if (IsStopped(request.stopped)) {
    return absl::CancelledError("the search was stopped while it rescored");
  }
  CutByKeyThenRow(best, request.keep);
  result.candidates = ToCandidates(metric, best);
  return result;
}

absl::Status ScanIndex::Estimate(const float* query, Code code, absl::Span<const uint32_t> rows,
                                 float* scores) const {
  if (!segment_->schema().HasCode(code.dims, code.bits)) {
    return absl::FailedPreconditionError(
        absl::StrCat("scan: the code ", code.dims, "b", code.bits,
                     " is not stored, these are: ", FormatCodes(segment_->schema().codes)));
  }
  if (code.nests()) {
    const BitArray& array = *FindBits(code);
    const QuantisedBits bits = Quantise(query, code, array);
    std::vector<uint16_t> sums(rows.size());
    array.Score(bits, rows, sums.data());
    for (size_t i = 0; i < rows.size(); ++i) scores[i] = bits.Cosine(sums[i]);
    return absl::OkStatus();
  }
  const Metric metric = segment_->schema().metric;
  const QuantisedQuery quantised = QuantiseQuery(metric, query, code.dims);
  for (size_t i = 0; i < rows.size(); ++i) {
    scores[i] = ScoreOfEstimate(metric, quantised, EstimateRow(*Find(code), quantised, rows[i]));
  }
  return absl::OkStatus();
}

}  // namespace mrl::coarse
