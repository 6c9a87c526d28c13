#include "index/coarse/bit_search.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <utility>

#include "base/check.h"
#include "base/status.h"
#include "index/coarse/exact_scan.h"
#include "index/coarse/scan_codes.h"
#include "index/kernels/kernels.h"

namespace mrl::coarse {
namespace {

constexpr size_t kBlocksBetweenPolls = 1024;
constexpr size_t kSampleBlocks = 192;  // spread over the array, to guess a threshold from
constexpr size_t kRoomMin = 16384;     // survivors before the first cut; all rows of a sample

// Kernels read lookup tables by whole cache lines.
struct alignas(64) Line {
  uint8_t bytes[64];
};

// The score that `rank` (1-based) of these scores reach, by counting: scores are small integers.
uint16_t ScoreOfRank(const uint16_t* scores, size_t count, int score_max, size_t rank,
                     std::vector<uint32_t>& histogram) {
  histogram.assign(static_cast<size_t>(score_max) + 1, 0);
  for (size_t i = 0; i < count; ++i) ++histogram[scores[i]];
  size_t reached = 0;
  for (int score = score_max; score > 0; --score) {
    reached += histogram[score];
    if (reached >= rank) return static_cast<uint16_t>(score);
  }
  return 0;
}

// One query's survivors.
class BitSurvivorList {
 public:
  BitSurvivorList(const BitRequest& request, const kernels::Table& table)
      : keep_(request.keep), score_max_(request.query->weight_sum), stopped_(request.stopped) {
    const size_t strips = request.query->strips();
    tables_.resize(strips * table.bit_table_bytes / sizeof(Line));
    table.make_bit_tables(request.query->weights.data(), strips, tables_.front().bytes);
  }

  bool stopped() const { return stopped_ != nullptr && IsStopped(*stopped_); }
  size_t count() const { return count_; }
  size_t keep() const { return keep_; }

  // What the kernel gets, with room for a block; and what it gives back.
  kernels::BitQuery Offer() {
    if (scores_.size() - count_ < kernels::kBlockRows) MakeRoom();
    return {
        tables_.front().bytes, threshold_, {scores_.data(), rows_.data(), scores_.size(), count_}};
  }
  void Accept(const kernels::BitQuery& query) { count_ = query.out.count; }

  void Restart(uint16_t threshold) {
    threshold_ = threshold;
    count_ = 0;
  }
  // A threshold that about `rank` of `sampled` survivors reach.
  uint16_t ScoreOfRank(size_t rank) {
    return coarse::ScoreOfRank(scores_.data(), count_, score_max_, rank, histogram_);
  }

  // Drops all but the best `keep`, the first rows of those that tie with the last; what is left
  // stays in row order.
  void Cut() {
    if (count_ <= keep_) return;
    const uint16_t last = ScoreOfRank(keep_);
    size_t above = 0;
    for (size_t score = last + 1; score < histogram_.size(); ++score) above += histogram_[score];
    size_t ties = keep_ - above;
    size_t kept = 0;
    for (size_t i = 0; i < count_; ++i) {
      const uint16_t score = scores_[i];
      if (score < last || (score == last && ties == 0)) continue;
      if (score == last) --ties;
      scores_[kept] = score;
      rows_[kept++] = rows_[i];
    }
    count_ = kept;
    threshold_ = std::max(threshold_, last);
  }

  ScoredBits Take() {
    Cut();
    scores_.resize(count_);
    rows_.resize(count_);
    return {std::move(scores_), std::move(rows_)};
  }

 private:
  // Cutting costs a pass over the list: once it frees little, the list grows instead.
  void MakeRoom() {
    Cut();
    const size_t room = std::max({kRoomMin, 2 * keep_, 2 * count_}) + kernels::kBlockRows;
    if (room > scores_.size()) {
      scores_.resize(room);
      rows_.resize(room);
    }
  }

  const size_t keep_;
  const int score_max_;
  const std::function<bool()>* const stopped_;
  std::vector<Line> tables_;
  uint16_t threshold_ = 0;
  size_t count_ = 0;
  std::vector<uint16_t> scores_;  // as long as rows_; the first count_ entries are survivors
  std::vector<uint32_t> rows_;
  std::vector<uint32_t> histogram_;
};

}  // namespace

// The scan of one tile.
class BitTile {
 public:
  BitTile(const BitArray& array, const uint64_t* allowed, absl::Span<const BitRequest> requests)
      : table_(kernels::Active()), allowed_(allowed), rows_(array.rows()) {
    CHECK(!requests.empty() && requests.size() <= kernels::kBitTileMax);
    const size_t strips = requests.front().query->strips();
    for (size_t i = 0; i < strips; ++i) strips_.push_back(array.strips_[i].As<uint8_t>());
    for (const BitRequest& request : requests) {
      CHECK(request.query->strips() == strips && request.keep > 0);
      lists_.emplace_back(request, table_);
    }
  }

  std::vector<absl::StatusOr<ScoredBits>> Run() {
    for (size_t i = 0; i < lists_.size(); ++i) active_.push_back(i);
    const std::vector<uint16_t> seeds = Seeds();
    for (const size_t i : active_) lists_[i].Restart(seeds[i]);
    ScanAll();
    // A seed was too high where too few rows reached it: those scan again without one.
    const std::vector<size_t> done = std::exchange(active_, {});
    const uint64_t rows = CountAllowed(allowed_, rows_);
    for (const size_t i : done) {
      if (seeds[i] > 0 && lists_[i].count() < std::min<uint64_t>(lists_[i].keep(), rows)) {
        lists_[i].Restart(0);
        active_.push_back(i);
      }
    }
    if (!active_.empty()) ScanAll();
    return Results();
  }

 private:
  kernels::BitScan Blocks(size_t begin, size_t end) const {
    return {strips_.data(), strips_.size(), allowed_, begin, end, rows_};
  }

  void Scan(size_t begin, size_t end) {
    kernels::BitQuery queries[kernels::kBitTileMax];
    while (begin < end && !active_.empty()) {
      for (size_t q = 0; q < active_.size(); ++q) queries[q] = lists_[active_[q]].Offer();
      begin = table_.scan_bits(Blocks(begin, end), queries, active_.size());
      for (size_t q = 0; q < active_.size(); ++q) lists_[active_[q]].Accept(queries[q]);
    }
  }

  void ScanAll() {
    const size_t blocks = BlockCount(rows_);
    for (size_t begin = 0; begin < blocks; begin += kBlocksBetweenPolls) {
      std::erase_if(active_, [this](size_t i) { return lists_[i].stopped(); });
      Scan(begin, std::min(blocks, begin + kBlocksBetweenPolls));
    }
  }

  // For each list a threshold that should let somewhat more than `keep` rows through, guessed from
  // blocks spread over the array; 0 where the array is too small to gain by it.
  std::vector<uint16_t> Seeds() {
    std::vector<uint16_t> seeds(lists_.size(), 0);
    const size_t blocks = BlockCount(rows_);
    const size_t stride = blocks / kSampleBlocks;
    if (stride < 4) return seeds;
    for (size_t block = stride / 2; block < blocks; block += stride) Scan(block, block + 1);
    for (const size_t i : active_) {
      const double expected = static_cast<double>(lists_[i].keep()) / static_cast<double>(stride);
      const auto rank = static_cast<size_t>(std::ceil(expected + 4 * std::sqrt(expected) + 4));
      if (lists_[i].count() > rank) seeds[i] = lists_[i].ScoreOfRank(rank);
    }
    return seeds;
  }

  std::vector<absl::StatusOr<ScoredBits>> Results() {
    std::vector<absl::StatusOr<ScoredBits>> results;
    for (BitSurvivorList& list : lists_) {
      if (list.stopped()) {
        results.emplace_back(absl::CancelledError("the search was stopped while it scanned"));
      } else {
        results.emplace_back(list.Take());
      }
    }
    return results;
  }

  const kernels::Table& table_;
  const uint64_t* const allowed_;
  const uint32_t rows_;
  std::vector<const uint8_t*> strips_;
  std::vector<BitSurvivorList> lists_;
  std::vector<size_t> active_;  // lists that the next scan serves
};

absl::StatusOr<BitArray> BitArray::Make(Code code, uint32_t rows, Buffer words,
                                        std::vector<float> calibration) {
  BitArray array;
  array.code_ = code;
  array.rows_ = rows;
  array.words_ = std::move(words);
  array.calibration_ = std::move(calibration);
  MRL_RETURN_IF_ERROR(array.CutIntoStrips());
  return array;
}

uint64_t BitArray::MemoryBytes(Code code, uint64_t rows) {
  return BitWords(code) * (rows * sizeof(uint64_t) + BlockCount(rows) * kernels::kStripBlockBytes);
}

absl::Status BitArray::CutIntoStrips() {
  const size_t row_words = BitWords(code_);
  for (size_t strip = 0; strip < row_words; ++strip) {
    MRL_ASSIGN_OR_RETURN(Buffer buffer,
                         Buffer::Allocate(BlockCount(rows_) * kernels::kStripBlockBytes));
    for (uint32_t row = 0; row < rows_; ++row) {
      uint8_t bytes[sizeof(uint64_t)];
      std::memcpy(bytes, words_.As<uint64_t>() + row * row_words + strip, sizeof(bytes));
      uint8_t* block = buffer.As<uint8_t>() + row / 64 * kernels::kStripBlockBytes + row % 64;
      for (size_t c = 0; c < sizeof(bytes); ++c) block[c * kernels::kBlockRows] = bytes[c];
    }
    strips_.push_back(std::move(buffer));
  }
  return absl::OkStatus();
}

void BitArray::Score(const QuantisedBits& query, absl::Span<const uint32_t> rows,
                     uint16_t* scores) const {
  const kernels::BitRows bits = {.words = words_.As<uint64_t>(),
                                 .row_words = BitWords(code_),
                                 .planes = query.planes.data(),
                                 .strip_count = query.strips()};
  kernels::Active().score_bit_rows(bits, rows.data(), rows.size(), scores);
}

std::vector<absl::StatusOr<ScoredBits>> SearchBits(const BitArray& array, const uint64_t* allowed,
                                                   absl::Span<const BitRequest> requests) {
  return BitTile(array, allowed, requests).Run();
}

}  // namespace mrl::coarse
