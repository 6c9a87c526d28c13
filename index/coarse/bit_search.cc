#include "index/coarse/bit_search.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/status.h"
#include "index/coarse/block_ranges.h"
#include "index/coarse/exact_scan.h"
#include "index/coarse/scan_codes.h"
#include "index/coarse/tile_scan.h"
#include "index/kernels/kernels.h"

namespace mrl::coarse {
namespace {

// Room for a list before it is first cut; holds all rows of a sample of up to 256 blocks.
constexpr size_t kSurvivorRoomMin = 16384;

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

// One query's survivors, as TileScan wants them.
class BitList {
 public:
  using Query = kernels::BitQuery;
  using Threshold = uint16_t;
  static constexpr Threshold kNoThreshold = 0;
  // Of B blocks the pass lets k + 4 sqrt(k B / S) + 4 B / S rows through (TileScan::Seeds), and
  // the sample adds 64 S, which cost a sixth each. The sum is least near these S; never below 64,
  // so that rows in an order are spread over the sample.
  static size_t SampleBlocks(size_t keep, size_t blocks) {
    const auto b = static_cast<double>(blocks);
    const double least = std::cbrt(static_cast<double>(keep) * b) / 4 + std::sqrt(b) / 2;
    return std::clamp<size_t>(static_cast<size_t>(least), 64, 192);
  }

  enum class Ties : uint8_t { kFirstRows, kAll };  // what is kept of those with the last

  // `rows`: how many take part.
  BitList(const BitRequest& request, uint64_t rows, Ties ties, const kernels::Table& table)
      : keep_(request.keep),
        ties_(ties),
        complete_(std::min<uint64_t>(request.keep, rows)),
        score_max_(request.query->weight_sum),
        stopped_(request.stopped) {
    const size_t strips = request.query->strips();
    tables_.resize(strips * table.bit_table_bytes / sizeof(Line));
    table.make_bit_tables(request.query->weights.data(), strips, tables_.front().bytes);
  }

  bool stopped() const { return stopped_ != nullptr && IsStopped(*stopped_); }
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
  void Absorb(const BitList& later) {
    JoinFirst(scores_, count_, later.scores_, later.count_);
    JoinFirst(rows_, count_, later.rows_, later.count_);
    count_ = rows_.size();
    threshold_ = std::max(threshold_, later.threshold_);
  }
  uint16_t ThresholdOfRank(size_t rank) {
    return ScoreOfRank(scores_.data(), count_, score_max_, rank, histogram_);
  }
  bool IsComplete(uint16_t seed) const { return seed == kNoThreshold || count_ >= complete_; }

  // Drops all but the best `keep`, and of those that tie with the last what `ties` says; what is
  // left stays in its order.
  void Cut() {
    if (count_ <= keep_) return;
    const uint16_t last = ThresholdOfRank(keep_);
    size_t above = 0;
    for (size_t score = last + 1; score < histogram_.size(); ++score) above += histogram_[score];
    size_t ties = ties_ == Ties::kAll ? count_ : keep_ - above;
    size_t kept = 0;
    for (size_t i = 0; i < count_; ++i) {  // without branches: which rows stay is as good as random
      const uint16_t score = scores_[i];
      const bool is_tie = score == last && ties > 0;
      scores_[kept] = score;
      rows_[kept] = rows_[i];
      kept += static_cast<size_t>(score > last || is_tie);
      ties -= static_cast<size_t>(is_tie);
    }
    count_ = kept;
    threshold_ = std::max(threshold_, last);
  }

  size_t count() const { return count_; }

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
    const size_t room = std::max({kSurvivorRoomMin, 2 * keep_, 2 * count_}) + kernels::kBlockRows;
    if (room > scores_.size()) {
      scores_.resize(room);
      rows_.resize(room);
    }
  }

  const size_t keep_;
  const Ties ties_;
  const size_t complete_;  // survivors that a scan must have at least
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

absl::StatusOr<BitArray> BitArray::Make(Code code, uint32_t rows, Buffer words,
                                        std::vector<float> calibration) {
  BitArray array;
  array.code_ = code;
  MRL_ASSIGN_OR_RETURN(array.strips_, BitStrips::Make(code, rows, words.As<uint64_t>()));
  array.words_ = std::move(words);
  array.calibration_ = std::move(calibration);
  return array;
}

uint64_t BitArray::MemoryBytes(Code code, uint64_t rows) {
  return BitWords(code) * rows * sizeof(uint64_t) + BitStrips::MemoryBytes(code, rows);
}

uint64_t BitStrips::MemoryBytes(Code code, uint64_t rows) {
  return BitWords(code) * BlockCount(rows) * kernels::kStripBlockBytes;
}

absl::StatusOr<BitStrips> BitStrips::Make(Code code, uint32_t rows, const uint64_t* words) {
  BitStrips strips;
  strips.rows_ = rows;
  for (size_t strip = 0; strip < BitWords(code); ++strip) {
    MRL_ASSIGN_OR_RETURN(Buffer buffer,
                         Buffer::Allocate(BlockCount(rows) * kernels::kStripBlockBytes));
    strips.strips_.push_back(std::move(buffer));
  }
  // Block by block, so that words and strips are gone through once.
  for (uint32_t begin = 0; begin < rows; begin += kernels::kBlockRows) {
    strips.FillBlock(begin, std::min<uint32_t>(rows, begin + kernels::kBlockRows), words);
  }
  return strips;
}

void BitStrips::FillBlock(uint32_t begin, uint32_t end, const uint64_t* words) {
  const size_t row_words = strips_.size();
  for (size_t strip = 0; strip < row_words; ++strip) {
    uint8_t* block =
        strips_[strip].As<uint8_t>() + begin / kernels::kBlockRows * kernels::kStripBlockBytes;
    for (uint32_t row = begin; row < end; ++row, ++block) {
      uint8_t bytes[sizeof(uint64_t)];
      std::memcpy(bytes, words + row * row_words + strip, sizeof(bytes));
      for (size_t c = 0; c < sizeof(bytes); ++c) block[c * kernels::kBlockRows] = bytes[c];
    }
  }
}

void BitArray::Score(const QuantisedBits& query, absl::Span<const uint32_t> rows,
                     uint16_t* scores) const {
  const kernels::BitRows bits = {.words = words_.As<uint64_t>(),
                                 .row_words = BitWords(code_),
                                 .planes = query.planes.data(),
                                 .strip_count = query.strips()};
  kernels::Active().score_bit_rows(bits, rows.data(), rows.size(), scores);
}

std::vector<const uint8_t*> BitStrips::First(size_t count) const {
  std::vector<const uint8_t*> strips;
  for (size_t i = 0; i < count; ++i) strips.push_back(strips_[i].As<uint8_t>());
  return strips;
}

std::vector<absl::StatusOr<ScoredBits>> SearchBits(const BitStrips& strips, const uint64_t* allowed,
                                                   absl::Span<const BitRequest> requests,
                                                   Parallel* helpers) {
  const kernels::Table& table = kernels::Active();
  const std::vector<const uint8_t*> data = strips.First(requests.front().query->strips());
  const uint64_t rows = CountAllowed(allowed, strips.rows());
  std::vector<BitList> lists;
  for (const BitRequest& request : requests) {
    CHECK(request.query->strips() == data.size() && request.keep > 0);
    lists.emplace_back(request, rows, BitList::Ties::kFirstRows, table);
  }
  const auto kernel = [&](size_t begin, size_t end, kernels::BitQuery* queries, size_t count) {
    const kernels::BitScan scan = {data.data(), data.size(), allowed, begin, end, strips.rows()};
    return table.scan_bits(scan, queries, count);
  };
  TileScan(lists, BlockCount(strips.rows()), kernel)
      .Run(data.size() * kernels::kStripBlockBytes, helpers);
  std::vector<absl::StatusOr<ScoredBits>> results;
  for (BitList& list : lists) {
    if (list.stopped()) {
      results.emplace_back(absl::CancelledError("the search was stopped while it scanned"));
    } else {
      results.emplace_back(list.Take());
    }
  }
  return results;
}

absl::StatusOr<ScoredBits> SearchBitBlocks(const BitStrips& strips, const uint64_t* allowed,
                                           absl::Span<const BlockRange> blocks,
                                           const BitRequest& request) {
  const kernels::Table& table = kernels::Active();
  const std::vector<const uint8_t*> data = strips.First(request.query->strips());
  BitList list(request, strips.rows(), BitList::Ties::kAll, table);
  const auto scan = [&](size_t begin, size_t end, kernels::BitQuery* query) {
    return table.scan_bits({data.data(), data.size(), allowed, begin, end, strips.rows()}, query,
                           1);
  };
  const auto prefetch = [&](size_t block) {
    for (const uint8_t* strip : data) __builtin_prefetch(strip + block * kernels::kStripBlockBytes);
  };
  if (!ScanRanges(list, blocks, scan, prefetch)) {
    return absl::CancelledError("the search was stopped while it scanned");
  }
  return list.Take();
}

}  // namespace mrl::coarse
