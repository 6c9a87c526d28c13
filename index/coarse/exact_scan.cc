#include "index/coarse/exact_scan.h"

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

namespace mrl::coarse {
namespace {

// Rows scored together, level by level: each level is read in one forward run, for which a tile's
// queries are copied once (level_scorer.cc). With 128 a batch took a fiftieth longer.
constexpr uint32_t kTileRows = 256;
constexpr uint32_t kTilesBetweenPolls = 16;
constexpr uint32_t kRowsBetweenPolls = kTileRows * kTilesBetweenPolls;

using Found = std::vector<absl::StatusOr<std::vector<KeyedRow>>>;

// The scan of rows [begin, end) for one tile of queries.
class ExactTile {
 public:
  ExactTile(const store::Segment& segment, absl::Span<const ExactRequest> requests, uint32_t begin,
            uint32_t end)
      : segment_(segment),
        requests_(requests),
        begin_(begin),
        end_(end),
        level_(requests.front().level) {
    for (const ExactRequest& request : requests) {
      scorers_.emplace_back(segment, request.query, level_);
      best_.emplace_back(request.keep);
    }
    for (size_t i = 0; i < requests.size(); ++i) active_.push_back(i);
  }

  Found Run() {
    for (uint32_t begin = begin_; begin < end_ && !active_.empty(); begin += kTileRows) {
      if (begin / kTileRows % kTilesBetweenPolls == 0) {
        std::erase_if(active_, [this](size_t i) { return stopped(i); });
        status_.Update(Fetch(begin, std::min(end_, begin + kRowsBetweenPolls)));
        if (!status_.ok()) break;
      }
      ScoreRows(begin, std::min(end_, begin + kTileRows));
    }
    status_.Update(segment_.CheckRead(level_));
    Found results;
    for (size_t i = 0; i < requests_.size(); ++i) {
      if (!status_.ok()) {
        results.emplace_back(status_);
      } else if (std::find(active_.begin(), active_.end(), i) == active_.end() || stopped(i)) {
        results.emplace_back(absl::CancelledError("the search was stopped while it scanned"));
      } else {
        results.emplace_back(best_[i].Take());
      }
    }
    return results;
  }

 private:
  bool stopped(size_t i) const {
    return requests_[i].stopped != nullptr && IsStopped(*requests_[i].stopped);
  }

  template <typename Visit>
  void ForEachAllowed(uint32_t begin, uint32_t end, const Visit& visit) const {
    const uint64_t* allowed = requests_.front().allowed;
    for (uint32_t row = begin; row < end;) {
      // A filter may leave long stretches without a row.
      if (allowed != nullptr && row % 64 == 0 && allowed[row / 64] == 0) {
        row += 64;
        continue;
      }
      if (IsAllowed(allowed, row)) visit(row);
      ++row;
    }
  }

  absl::Status Fetch(uint32_t begin, uint32_t end) const {
    if (level_ < segment_.hot_levels()) return absl::OkStatus();
    if (requests_.front().allowed == nullptr) return segment_.FetchRange(0, level_, begin, end);
    std::vector<uint32_t> rows;
    ForEachAllowed(begin, end, [&rows](uint32_t row) { rows.push_back(row); });
    return segment_.Fetch(0, level_, rows);
  }

  void ScoreRows(uint32_t begin, uint32_t end) {
    std::array<uint32_t, kTileRows> rows;
    size_t count = 0;
    ForEachAllowed(begin, end, [&](uint32_t row) { rows[count++] = row; });
    if (count == 0) return;
    std::vector<const LevelScorer*> scorers;
    for (const size_t i : active_) scorers.push_back(&scorers_[i]);
    if (scorers.empty()) return;
    for (size_t q = 0; q < scorers.size(); ++q) {
      query_factors_[q] = scorers[q]->QueryFactor(level_);
      thresholds_[q] = best_[active_[q]].threshold();
    }
    sums_.assign(count * scorers.size(), 0);
    for (size_t level = 0; level <= level_; ++level) {
      LevelScorer::AddLevelSums(scorers, {rows.data(), count}, level, sums_.data());
    }
    const float* sums = sums_.data();
    for (size_t r = 0; r < count; ++r, sums += scorers.size()) OfferRow(rows[r], scorers, sums);
  }

  // Offers a row to those of the active requests that it is good enough for: mostly to none.
  void OfferRow(uint32_t row, absl::Span<const LevelScorer* const> scorers, const float* sums) {
    const float row_factor = scorers.front()->RowFactor(row, level_);
    std::array<float, kExactTileMax> keys;
    int wanted = 0;
    for (size_t q = 0; q < scorers.size(); ++q) {
      keys[q] = sums[q] * row_factor * query_factors_[q];
      wanted |= keys[q] >= thresholds_[q] ? 1 : 0;
    }
    if (wanted == 0) return;
    for (size_t q = 0; q < scorers.size(); ++q) {
      if (!(keys[q] >= thresholds_[q])) continue;
      Shortlist& best = best_[active_[q]];
      best.Offer(keys[q], row);
      thresholds_[q] = best.threshold();
    }
  }

  const store::Segment& segment_;
  const absl::Span<const ExactRequest> requests_;
  const uint32_t begin_;  // a multiple of kRowsBetweenPolls
  const uint32_t end_;
  const size_t level_;
  std::vector<LevelScorer> scorers_;
  std::vector<Shortlist> best_;
  std::vector<size_t> active_;  // requests that were not stopped
  absl::Status status_;         // of reading
  std::vector<float> sums_;     // [rows of a tile][active requests]
  // Of the active requests.
  std::array<float, kExactTileMax> query_factors_;
  std::array<float, kExactTileMax> thresholds_;
};

// Puts what later rows gave behind what is there.
void Join(Found later, Found* found) {
  for (size_t i = 0; i < found->size(); ++i) {
    if (!(*found)[i].ok()) continue;
    if (later[i].ok()) {
      (*found)[i]->insert((*found)[i]->end(), later[i]->begin(), later[i]->end());
    } else {
      (*found)[i] = later[i].status();
    }
  }
}

}  // namespace

std::vector<absl::StatusOr<std::vector<KeyedRow>>> ExactScanTile(
    const store::Segment& segment, absl::Span<const ExactRequest> requests, Parallel* helpers) {
  const uint64_t row_bytes = segment.schema().prefix_bytes(requests.front().level);
  const size_t pieces = PiecesOf(segment.rows() * row_bytes, helpers);
  const auto edge = [&](size_t piece) {
    const uint64_t row = uint64_t{segment.rows()} * piece / pieces;
    return piece == pieces ? segment.rows()
                           : static_cast<uint32_t>(row / kRowsBetweenPolls * kRowsBetweenPolls);
  };
  std::vector<Found> found(pieces);
  RunPieces(pieces, helpers, [&](size_t piece) {
    found[piece] = ExactTile(segment, requests, edge(piece), edge(piece + 1)).Run();
  });
  for (size_t piece = 1; piece < pieces; ++piece) Join(std::move(found[piece]), &found.front());
  return std::move(found.front());
}

absl::StatusOr<std::vector<KeyedRow>> ExactScan(const store::Segment& segment,
                                                const ExactRequest& request, Parallel* helpers) {
  return std::move(ExactScanTile(segment, {&request, 1}, helpers).front());
}

uint64_t CountAllowed(const uint64_t* allowed, uint32_t rows) {
  if (allowed == nullptr) return rows;
  uint64_t count = 0;
  for (uint32_t word = 0; word < rows / 64; ++word) count += std::popcount(allowed[word]);
  if (rows % 64 != 0) {
    count += std::popcount(allowed[rows / 64] & ((uint64_t{1} << (rows % 64)) - 1));
  }
  return count;
}

}  // namespace mrl::coarse
