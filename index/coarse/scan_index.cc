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
  return std::move(SearchTile({&request, 1}).front());
}

Results ScanIndex::SearchTile(absl::Span<const Request> requests) const {
  const Code code = {requests.front().dims, requests.front().bits};
  if (std::any_of(requests.begin(), requests.end(),
                  [this](const Request& request) { return !Check(request).ok(); })) {
    Results results;
    for (const Request& request : requests) {
      const absl::Status refused = Check(request);
      results.push_back(refused.ok() ? Search(request) : refused);
    }
    return results;
  }
  if (code.bits == 0) {
    return SearchStored(requests, static_cast<size_t>(segment_->schema().LevelOf(code.dims)));
  }
  if (code.nests()) return SearchBitCodes(requests, *FindBits(code));
  return SearchCodes(requests, *Find(code));
}

Results ScanIndex::SearchBitCodes(absl::Span<const Request> requests, const BitArray& array) const {
  const Code code = {requests.front().dims, requests.front().bits};
  std::vector<QuantisedBits> queries(requests.size());
  std::vector<BitRequest> searches;
  for (size_t i = 0; i < requests.size(); ++i) {
    queries[i] = Quantise(requests[i].query, code, array);
    searches.push_back(
        {.query = &queries[i], .keep = requests[i].keep, .stopped = &requests[i].stopped});
  }
  const uint64_t* allowed = requests.front().allowed;
  std::vector<absl::StatusOr<ScoredBits>> found =
      SearchBits(array.strips(), allowed, searches, requests.front().helpers);
  Results results;
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

Results ScanIndex::SearchCodes(absl::Span<const Request> requests, const CodeArray& array) const {
  const Metric metric = segment_->schema().metric;
  std::vector<QuantisedQuery> queries(requests.size());
  std::vector<Int8Request> searches;
  for (size_t i = 0; i < requests.size(); ++i) {
    queries[i] = QuantiseQuery(metric, requests[i].query, array.code.dims);
    searches.push_back({&array, metric, &queries[i], requests[i].keep, &requests[i].stopped});
  }
  const uint64_t* allowed = requests.front().allowed;
  auto found = SearchEstimates(array, allowed, searches, requests.front().helpers);
  Results results;
  for (size_t i = 0; i < found.size(); ++i) {
    if (!found[i].ok()) {
      results.emplace_back(found[i].status());
      continue;
    }
    CutByKeyThenRow(*found[i], requests[i].keep);
    Result result;
    result.rows_scanned = CountAllowed(allowed, segment_->rows());
    result.bytes_touched = CodeBytes(array);
    result.candidates.reserve(found[i]->size());
    for (const KeyedRow& row : *found[i]) {
      result.candidates.push_back({ScoreOfEstimate(metric, queries[i], row.key), row.row});
    }
    results.emplace_back(std::move(result));
  }
  return results;
}

namespace {

absl::Status FetchRows(const store::Segment& segment, size_t level,
                       const std::vector<KeyedRow>& keyed) {
  if (level < segment.hot_levels()) return absl::OkStatus();
  std::vector<uint32_t> rows;
  rows.reserve(keyed.size());
  for (const KeyedRow& row : keyed) rows.push_back(row.row);
  return segment.Fetch(0, level, rows);
}

}  // namespace

absl::StatusOr<Result> ScanIndex::Rescore(const Request& request, size_t level,
                                          const CodeArray& array,
                                          absl::StatusOr<std::vector<KeyedRow>> survivors) const {
  if (!survivors.ok()) return survivors.status();
  const LevelScorer scorer(*segment_, request.query, level);
  MRL_RETURN_IF_ERROR(FetchRows(*segment_, level, *survivors));
  for (size_t i = 0; i < survivors->size(); ++i) {
    if (i + kPrefetchRows < survivors->size()) {
      scorer.Prefetch((*survivors)[i + kPrefetchRows].row, 0, level);
    }
    KeyedRow& now = (*survivors)[i];
    now.key = scorer.Key(now.row, level);
    if (i % kRowsBetweenPolls == 0 && IsStopped(request.stopped)) {
      return absl::CancelledError("the search was stopped while it rescored");
    }
  }
  MRL_RETURN_IF_ERROR(segment_->CheckRead(level));
  Result result;
  result.rows_scanned = CountAllowed(request.allowed, segment_->rows());
  result.rescored = survivors->size();
  result.bytes_touched = CodeBytes(array) + result.rescored * scorer.RowBytes(0, level);
  result.cold_bytes = result.rescored * segment_->ColdRowBytes(0, level);
  CutByKeyThenRow(*survivors, request.keep);
  result.candidates = ToCandidates(segment_->schema().metric, *survivors);
  return result;
}

absl::StatusOr<Result> ScanIndex::ScanStored(const Request& request, size_t level) const {
  MRL_ASSIGN_OR_RETURN(std::vector<KeyedRow> best, ExactScan(*segment_,
                                                             {.query = request.query,
                                                              .level = level,
                                                              .keep = request.keep,
                                                              .allowed = request.allowed,
                                                              .stopped = &request.stopped},
                                                             request.helpers));
  Result result;
  result.rows_scanned = CountAllowed(request.allowed, segment_->rows());
  result.bytes_touched = result.rows_scanned * segment_->schema().prefix_bytes(level);
  result.cold_bytes = result.rows_scanned * segment_->ColdRowBytes(0, level);
  CutByKeyThenRow(best, request.keep);
  result.candidates = ToCandidates(segment_->schema().metric, best);
  return result;
}

Results ScanIndex::SearchStored(absl::Span<const Request> requests, size_t level) const {
  const Metric metric = segment_->schema().metric;
  const CodeArray* array = Find({requests.front().dims, kBoundedBits});
  std::vector<QuantisedQuery> queries(requests.size());
  std::vector<Int8Request> searches;
  std::vector<size_t> coded;  // the requests that `searches` are of
  for (size_t i = 0; array != nullptr && i < requests.size(); ++i) {
    queries[i] = QuantiseQuery(metric, requests[i].query, requests[i].dims);
    const Int8Request search = {array, metric, &queries[i], requests[i].keep, &requests[i].stopped};
    if (!BoundsHold(search)) continue;
    searches.push_back(search);
    coded.push_back(i);
  }
  std::vector<absl::StatusOr<std::vector<KeyedRow>>> found;
  if (!searches.empty()) {
    found = SearchBounds(*array, requests.front().allowed, searches, requests.front().helpers);
  }
  Results results;
  size_t next = 0;
  for (size_t i = 0; i < requests.size(); ++i) {
    if (next < coded.size() && coded[next] == i) {
      results.push_back(Rescore(requests[i], level, *array, std::move(found[next++])));
    } else {
      results.push_back(ScanStored(requests[i], level));
    }
  }
  return results;
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
