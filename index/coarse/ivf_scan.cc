#include "index/coarse/ivf_scan.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "index/coarse/exact_scan.h"
#include "index/coarse/level_scorer.h"
#include "index/coarse/shortlist.h"
#include "index/coarse/whole_param.h"

namespace mrl::coarse {
namespace {

constexpr uint32_t kListsPerDefaultProbe = 16;
constexpr size_t kPrefetchRows = 12;  // as in kind scan
constexpr size_t kRowsBetweenPolls = 4096;
constexpr char kNprobe[] = "nprobe";
constexpr char kClusterDims[] = "cluster_dims";

// Calls `visit(place)` for each place of `ranges` that the bitmap has, in that order.
template <typename Visit>
void ForEachPlace(absl::Span<const BlockRange> ranges, const uint64_t* places, const Visit& visit) {
  for (const BlockRange& range : ranges) {
    for (uint32_t block = range.begin; block < range.end; ++block) {
      for (uint64_t word = places[block]; word != 0; word &= word - 1) {
        visit(static_cast<uint32_t>(block * kernels::kBlockRows + __builtin_ctzll(word)));
      }
    }
  }
}

uint64_t CountPlaces(absl::Span<const BlockRange> ranges, const uint64_t* places) {
  uint64_t count = 0;
  for (const BlockRange& range : ranges) {
    for (uint32_t block = range.begin; block < range.end; ++block) {
      count += static_cast<uint64_t>(__builtin_popcountll(places[block]));
    }
  }
  return count;
}

}  // namespace

IvfScanIndex::IvfScanIndex(std::shared_ptr<const store::Segment> segment, Centroids centroids,
                           IvfLists lists, IvfCodes codes, MemoryAccount::Reservation memory)
    : segment_(std::move(segment)),
      centroids_(std::move(centroids)),
      lists_(std::move(lists)),
      codes_(std::move(codes)),
      memory_(std::move(memory)) {}

std::string IvfScanIndex::Describe() const {
  return absl::StrCat("ivf_scan ", lists_.count(), " lists on ", centroids_.dims(), " dims, ",
                      FormatCodes({codes_.code}));
}

Effort IvfScanIndex::effort() const { return {kNprobe, static_cast<double>(lists_.count())}; }

absl::StatusOr<IvfScanIndex::Probe> IvfScanIndex::Check(const Request& request) const {
  const Schema& schema = segment_->schema();
  if (schema.LevelOf(request.dims) < 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "ivf_scan: ", request.dims, " dims are not on the ladder ", FormatLadder(schema.ladder)));
  }
  if (request.bits != 0 && !codes_.code.Serves({request.dims, request.bits})) {
    return absl::InvalidArgumentError(
        absl::StrCat("ivf_scan: asked for ", FormatCodes({{request.dims, request.bits}}),
                     ", the lists hold ", FormatCodes({codes_.code})));
  }
  if (request.keep == 0) return absl::InvalidArgumentError("ivf_scan: keep is 0, the least is 1");
  if (request.params != nullptr) {
    for (const auto& [name, value] : *request.params) {
      if (name == kNprobe || name == kClusterDims) continue;
      return absl::InvalidArgumentError(absl::StrCat("ivf_scan: unknown parameter `", name,
                                                     "`, it takes nprobe and cluster_dims"));
    }
  }
  Probe probe;
  const uint32_t few = std::max(1u, lists_.count() / kListsPerDefaultProbe);
  MRL_ASSIGN_OR_RETURN(probe.lists,
                       WholeParam(kind(), request.params, kNprobe, few, lists_.count()));
  MRL_ASSIGN_OR_RETURN(probe.cluster_dims, WholeParam(kind(), request.params, kClusterDims,
                                                      centroids_.dims(), centroids_.dims()));
  if (schema.LevelOf(probe.cluster_dims) < 0) {
    return absl::InvalidArgumentError(absl::StrCat("ivf_scan: cluster_dims is ", probe.cluster_dims,
                                                   ", the ladder is ",
                                                   FormatLadder(schema.ladder)));
  }
  return probe;
}

std::vector<uint64_t> IvfScanIndex::AllowedPlaces(const uint64_t* allowed,
                                                  absl::Span<const BlockRange> ranges) const {
  std::vector<uint64_t> places(lists_.filled.size());
  ForEachPlace(ranges, lists_.filled.data(), [&](uint32_t place) {
    if (!IsAllowed(allowed, lists_.row_at(place))) return;
    places[place / kernels::kBlockRows] |= uint64_t{1} << (place % kernels::kBlockRows);
  });
  return places;
}

absl::StatusOr<Result> IvfScanIndex::Search(const Request& request) const {
  MRL_ASSIGN_OR_RETURN(const Probe probe, Check(request));
  std::vector<BlockRange> ranges;
  ranges.reserve(probe.lists);
  for (const uint32_t list : centroids_.Nearest(request.query, probe.cluster_dims, probe.lists)) {
    ranges.push_back(lists_.list(list));
  }
  std::vector<uint64_t> masked;
  const uint64_t* places = lists_.filled.data();
  if (request.allowed != nullptr) {
    masked = AllowedPlaces(request.allowed, ranges);
    places = masked.data();
  }
  absl::StatusOr<Result> result = request.bits == 0     ? SearchStored(request, places, ranges)
                                  : codes_.code.nests() ? SearchBits(request, places, ranges)
                                                        : SearchBytes(request, places, ranges);
  if (!result.ok()) return result;
  result->rows_scanned = CountPlaces(ranges, places);
  result->bytes_touched += centroids_.BytesAt(probe.cluster_dims);
  return result;
}

absl::StatusOr<Result> IvfScanIndex::SearchBits(const Request& request, const uint64_t* places,
                                                absl::Span<const BlockRange> ranges) const {
  const auto level = static_cast<size_t>(segment_->schema().LevelOf(request.dims));
  const QuantisedBits query =
      QuantiseBits(request.query, {request.dims, request.bits}, codes_.calibration[level]);
  MRL_ASSIGN_OR_RETURN(
      const ScoredBits found,
      SearchBitBlocks(*codes_.bits, places, ranges,
                      {.query = &query, .keep = request.keep, .stopped = &request.stopped}));
  // Equal scores are cut by row, as everywhere, and not by place.
  std::vector<KeyedRow> best;
  best.reserve(found.rows.size());
  for (size_t i = 0; i < found.rows.size(); ++i) {
    best.push_back({static_cast<float>(found.scores[i]), lists_.row_at(found.rows[i])});
  }
  CutByKeyThenRow(best, request.keep);
  Result result;
  result.candidates.reserve(best.size());
  for (const KeyedRow& row : best) {
    result.candidates.push_back({query.Cosine(static_cast<uint16_t>(row.key)), row.row});
  }
  for (const BlockRange& range : ranges) {
    result.bytes_touched +=
        uint64_t{range.end - range.begin} * query.strips() * kernels::kStripBlockBytes;
  }
  return result;
}

absl::StatusOr<Result> IvfScanIndex::SearchBytes(const Request& request, const uint64_t* places,
                                                 absl::Span<const BlockRange> ranges) const {
  const Metric metric = segment_->schema().metric;
  const CodeArray& array = *codes_.bytes;
  const QuantisedQuery query = QuantiseQuery(metric, request.query, request.dims);
  MRL_ASSIGN_OR_RETURN(
      std::vector<KeyedRow> best,
      SearchEstimateBlocks(places, ranges,
                           {&array, metric, &query, request.keep, &request.stopped}));
  for (KeyedRow& row : best) row.row = lists_.row_at(row.row);
  CutByKeyThenRow(best, request.keep);
  Result result;
  result.candidates.reserve(best.size());
  for (const KeyedRow& row : best) {
    result.candidates.push_back({ScoreOfEstimate(metric, query, row.key), row.row});
  }
  for (const BlockRange& range : ranges) {
    result.bytes_touched += uint64_t{range.end - range.begin} * BlockBytes(array.code.dims);
  }
  return result;
}

absl::StatusOr<Result> IvfScanIndex::SearchStored(const Request& request, const uint64_t* places,
                                                  absl::Span<const BlockRange> ranges) const {
  const auto level = static_cast<size_t>(segment_->schema().LevelOf(request.dims));
  std::vector<uint32_t> rows;
  ForEachPlace(ranges, places, [&](uint32_t place) { rows.push_back(lists_.row_at(place)); });
  const LevelScorer scorer(*segment_, request.query, level);
  MRL_RETURN_IF_ERROR(segment_->Fetch(0, level, rows));
  Shortlist shortlist(request.keep);
  for (size_t i = 0; i < rows.size(); ++i) {
    if (i + kPrefetchRows < rows.size()) scorer.Prefetch(rows[i + kPrefetchRows], 0, level);
    shortlist.Offer(scorer.Key(rows[i], level), rows[i]);
    if (i % kRowsBetweenPolls == 0 && IsStopped(request.stopped)) {
      return absl::CancelledError("the search was stopped while it scanned");
    }
  }
  MRL_RETURN_IF_ERROR(segment_->CheckRead(level));
  std::vector<KeyedRow> best = shortlist.Take();
  CutByKeyThenRow(best, request.keep);
  Result result;
  result.bytes_touched = rows.size() * scorer.RowBytes(0, level);
  result.cold_bytes = rows.size() * segment_->ColdRowBytes(0, level);
  result.candidates.reserve(best.size());
  for (const KeyedRow& row : best) {
    result.candidates.push_back({ScoreOfKey(segment_->schema().metric, row.key), row.row});
  }
  return result;
}

absl::Status IvfScanIndex::Estimate(const float*, Code code, absl::Span<const uint32_t>,
                                    float*) const {
  return absl::FailedPreconditionError(absl::StrCat(
      "ivf_scan: the code ", FormatCodes({code}), " is scanned here, kind scan scores rows by it"));
}

}  // namespace mrl::coarse
