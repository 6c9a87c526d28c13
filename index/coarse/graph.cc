#include "index/coarse/graph.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "index/coarse/exact_scan.h"
#include "index/coarse/graph_walk.h"
#include "index/coarse/shortlist.h"
#include "index/coarse/whole_param.h"

namespace mrl::coarse {
namespace {

constexpr char kEfSearch[] = "efSearch";
constexpr char kGamma[] = "gamma";
constexpr double kGammaMax = 100;
// Measured on text of 1024 dimensions: what ends by it finds a thousandth less at four fifths of
// the time.
constexpr double kGammaToTry = 0.3;

// The best `keep` of the rows that a walk met and that are allowed; its frontier holds others too.
class BestMet {
 public:
  BestMet(const uint64_t* allowed, size_t keep) : allowed_(allowed), keep_(keep), best_(keep) {}

  void Offer(absl::Span<const uint32_t> rows, const uint16_t* scores) {
    for (size_t i = 0; i < rows.size(); ++i) {
      if (IsAllowed(allowed_, rows[i])) best_.Offer(scores[i], rows[i]);
    }
  }
  std::vector<KeyedRow> Take() {
    std::vector<KeyedRow> rows = best_.Take();
    CutByKeyThenRow(rows, keep_);
    return rows;
  }

 private:
  const uint64_t* const allowed_;
  const size_t keep_;
  Shortlist best_;
};

}  // namespace

absl::StatusOr<GraphLinks> GraphLinks::Make(uint32_t rows, uint32_t degree) {
  GraphLinks links;
  links.degree = degree;
  MRL_ASSIGN_OR_RETURN(links.rows, Buffer::Allocate(size_t{rows} * degree * sizeof(uint32_t)));
  std::fill_n(links.rows.As<uint32_t>(), size_t{rows} * degree, kNoRow);
  return links;
}

absl::Span<const uint32_t> GraphLinks::all_of(uint32_t row) const {
  return {of(row), static_cast<size_t>(std::find(of(row), of(row) + degree, kNoRow) - of(row))};
}

GraphIndex::GraphIndex(std::shared_ptr<const store::Segment> segment, GraphLinks links,
                       GraphCodes codes, MemoryAccount::Reservation memory)
    : segment_(std::move(segment)),
      links_(std::move(links)),
      codes_(std::move(codes)),
      memory_(std::move(memory)) {}

std::string GraphIndex::Describe() const {
  return absl::StrCat("graph ", FormatCodes({codes_.code}), ", ", links_.degree, " links a row");
}

Effort GraphIndex::effort() const { return {kEfSearch, kEfSearchMax, {{kGamma, kGammaToTry}}}; }

absl::StatusOr<GraphIndex::Asked> GraphIndex::Check(const Request& request) const {
  const Schema& schema = segment_->schema();
  if (schema.LevelOf(request.dims) < 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "graph: ", request.dims, " dims are not on the ladder ", FormatLadder(schema.ladder)));
  }
  if (request.bits == 0 || !codes_.code.Serves({request.dims, request.bits})) {
    return absl::InvalidArgumentError(
        absl::StrCat("graph: asked for ",
                     request.bits == 0 ? absl::StrCat(request.dims, " dims at stored precision")
                                       : FormatCodes({{request.dims, request.bits}}),
                     ", it compares ", FormatCodes({codes_.code}), " and shorter prefixes of it"));
  }
  if (request.keep == 0) return absl::InvalidArgumentError("graph: keep is 0, the least is 1");
  Asked asked;
  MRL_ASSIGN_OR_RETURN(asked.ef_search,
                       WholeParam(kind(), request.params, kEfSearch, request.keep, kEfSearchMax));
  if (request.params == nullptr) return asked;
  for (const auto& [name, value] : *request.params) {
    if (name == kEfSearch) continue;
    if (name != kGamma) {
      return absl::InvalidArgumentError(absl::StrCat("graph: unknown parameter `", name,
                                                     "`, it takes ", kEfSearch, " and ", kGamma));
    }
    if (!(value >= 0 && value <= kGammaMax)) {
      return absl::InvalidArgumentError(
          absl::StrCat("graph: gamma is ", value, ", it is 0 to ", kGammaMax));
    }
    asked.gamma = value;
  }
  return asked;
}

absl::StatusOr<Result> GraphIndex::Search(const Request& request) const {
  MRL_ASSIGN_OR_RETURN(const Asked asked, Check(request));
  const auto level = static_cast<size_t>(segment_->schema().LevelOf(request.dims));
  const QuantisedBits query =
      QuantiseBits(request.query, {request.dims, request.bits}, codes_.calibration[level]);
  BestMet best(request.allowed, request.keep);
  const bool all_are_allowed = request.allowed == nullptr;
  GraphWalk::Met met;
  if (!all_are_allowed) {
    met = [&best](absl::Span<const uint32_t> rows, const uint16_t* scores) {
      best.Offer(rows, scores);
    };
  }
  const Reach reach = {.k = request.k == 0 ? request.keep : request.k,
                       .gamma = asked.gamma,
                       .nearest = query.NearestScore()};
  GraphWalk walk(links_, codes_, query, segment_->rows(), asked.ef_search,
                 all_are_allowed ? request.keep : 0, reach, std::move(met));
  if (!walk.Run(request.stopped)) {
    return absl::CancelledError("the search was stopped while it walked the graph");
  }
  Result result;
  result.rows_scanned = walk.rows_met();
  result.bytes_touched = walk.bytes_touched();
  const auto found = [&](uint16_t score, uint32_t row) {
    result.candidates.push_back({query.Cosine(score), row});
  };
  if (all_are_allowed) {
    for (const Frontier::Entry& one : walk.TakeBest(request.keep)) found(one.score(), one.row());
  } else {
    for (const KeyedRow& one : best.Take()) found(static_cast<uint16_t>(one.key), one.row);
  }
  return result;
}

absl::Status GraphIndex::Estimate(const float*, Code code, absl::Span<const uint32_t>,
                                  float*) const {
  return absl::FailedPreconditionError(absl::StrCat(
      "graph: the code ", FormatCodes({code}), " is walked by here, kind scan scores rows by it"));
}

}  // namespace mrl::coarse
