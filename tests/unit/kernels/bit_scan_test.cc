// The scan of bit codes and the scoring of single rows, in every set, against the definition in
// kernels.h written out plainly. Arrays are allocated to the element, so that AddressSanitizer sees
// an access past their end.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <ostream>
#include <random>
#include <vector>

#include "tests/unit/kernels/set_test.h"

namespace mrl::kernels {
namespace {

struct Survivor {
  uint32_t row;
  uint16_t score;
  bool operator==(const Survivor&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Survivor& survivor) {
  return out << "row " << survivor.row << " score " << survivor.score;
}

// Rows of random bits in both layouts.
struct Corpus {
  size_t strips, rows, block_count;
  size_t misalign;              // words before `words`; as many bytes, and s, before strip s
  std::vector<uint64_t> words;  // row-major
  std::vector<std::vector<uint8_t>> blocks;  // by strip
  std::vector<const uint8_t*> starts;
  std::vector<uint64_t> allowed;

  Corpus(size_t strips_in, size_t rows_in, uint32_t seed, size_t misalign_in = 0)
      : strips(strips_in), rows(rows_in), block_count((rows_in + 63) / 64), misalign(misalign_in) {
    std::mt19937_64 random(seed);
    words.resize(misalign + rows * strips);
    for (uint64_t& word : words) word = random();
    for (size_t strip = 0; strip < strips; ++strip) {
      blocks.emplace_back(Before(strip) + block_count * kStripBlockBytes);
    }
    for (size_t row = 0; row < rows; ++row) {
      for (size_t bit = 0; bit < 64 * strips; ++bit) {
        if (!Bit(row, bit)) continue;
        const size_t at = row / 64 * kStripBlockBytes + bit % 64 / 8 * 64 + row % 64;
        blocks[bit / 64][Before(bit / 64) + at] |= static_cast<uint8_t>(1u << bit % 8);
      }
    }
    for (size_t strip = 0; strip < strips; ++strip) {
      starts.push_back(blocks[strip].data() + Before(strip));
    }
  }
  size_t Before(size_t strip) const { return misalign == 0 ? 0 : misalign + strip; }
  const uint64_t* Words() const { return words.data() + misalign; }
  bool Bit(size_t row, size_t bit) const {
    return (Words()[row * strips + bit / 64] >> (bit % 64) & 1) != 0;
  }
  BitScan Scan() const {
    return {.strips = starts.data(),
            .strip_count = strips,
            .allowed = allowed.empty() ? nullptr : allowed.data(),
            .block_begin = 0,
            .block_end = block_count,
            .rows = rows};
  }
  bool Allowed(size_t row) const {
    return allowed.empty() || (allowed[row / 64] >> (row % 64) & 1) != 0;
  }
};

// Weights of a query and what follows from them.
struct Query {
  std::vector<int8_t> weights;

  Query(size_t strips, uint32_t seed, int weight_max) : weights(64 * strips) {
    std::mt19937 random(seed);
    std::uniform_int_distribution<int> weight(-weight_max, weight_max);
    for (size_t strip = 0; strip < strips; ++strip) {
      int left = kBitStripSum;
      for (size_t j = 0; j < 64; ++j) {
        const int value = std::clamp(weight(random), -left, left);
        weights[64 * strip + j] = static_cast<int8_t>(value);
        left -= std::abs(value);
      }
    }
  }
  uint16_t Score(const Corpus& corpus, size_t row) const {
    int score = 0;
    for (size_t bit = 0; bit < weights.size(); ++bit) {
      const bool agrees = corpus.Bit(row, bit) ? weights[bit] > 0 : weights[bit] < 0;
      if (agrees) score += std::abs(weights[bit]);
    }
    return static_cast<uint16_t>(score);
  }
  std::vector<uint64_t> Planes() const {
    const size_t strips = weights.size() / 64;
    std::vector<uint64_t> planes(kBitPlanes * strips);
    for (size_t bit = 0; bit < weights.size(); ++bit) {
      const uint64_t one = uint64_t{1} << (bit % 64);
      if (weights[bit] > 0) planes[bit / 64] |= one;
      for (size_t p = 1; p < kBitPlanes; ++p) {
        if ((std::abs(weights[bit]) >> (p - 1) & 1) != 0) planes[p * strips + bit / 64] |= one;
      }
    }
    return planes;
  }
  std::vector<Survivor> Expected(const Corpus& corpus, uint16_t threshold) const {
    std::vector<Survivor> survivors;
    for (size_t row = 0; row < corpus.rows; ++row) {
      const uint16_t score = Score(corpus, row);
      if (corpus.Allowed(row) && score >= threshold) {
        survivors.push_back({static_cast<uint32_t>(row), score});
      }
    }
    return survivors;
  }
};

struct FreeAligned {
  void operator()(uint8_t* memory) const { std::free(memory); }
};
using Tables = std::unique_ptr<uint8_t, FreeAligned>;

// Output arrays of one query.
struct Room {
  std::vector<uint16_t> scores;
  std::vector<uint32_t> rows;
  explicit Room(size_t capacity) : scores(capacity), rows(capacity) {}
  BitSurvivors Out() { return {scores.data(), rows.data(), scores.size(), 0}; }
  std::vector<Survivor> Found(size_t count) const {
    std::vector<Survivor> found;
    for (size_t i = 0; i < count; ++i) found.push_back({rows[i], scores[i]});
    return found;
  }
};

class BitScanTest : public SetTest {
 protected:
  Tables MakeTables(const Query& query) {
    const size_t strips = query.weights.size() / 64;
    Tables tables(static_cast<uint8_t*>(std::aligned_alloc(64, strips * table().bit_table_bytes)));
    table().make_bit_tables(query.weights.data(), strips, tables.get());
    return tables;
  }
  // All queries in one tile, with room for everything.
  std::vector<std::vector<Survivor>> RunTile(const Corpus& corpus,
                                             const std::vector<Query>& queries,
                                             const std::vector<uint16_t>& thresholds) {
    std::vector<Tables> tables;
    std::vector<Room> rooms(queries.size(), Room(corpus.rows + 64));
    std::vector<BitQuery> tile;
    for (size_t q = 0; q < queries.size(); ++q) {
      tables.push_back(MakeTables(queries[q]));
      tile.push_back({tables[q].get(), thresholds[q], rooms[q].Out()});
    }
    EXPECT_EQ(table().scan_bits(corpus.Scan(), tile.data(), tile.size()), corpus.block_count);
    std::vector<std::vector<Survivor>> found;
    for (size_t q = 0; q < queries.size(); ++q) found.push_back(rooms[q].Found(tile[q].out.count));
    return found;
  }
  // The scores of `rows` by their words; the query may have fewer strips than they.
  void ExpectRowScores(const Corpus& corpus, const Query& query,
                       const std::vector<uint32_t>& rows) {
    const std::vector<uint64_t> planes = query.Planes();
    std::vector<uint16_t> scores(rows.size());
    const BitRows bits = {corpus.Words(), corpus.strips, planes.data(), query.weights.size() / 64};
    table().score_bit_rows(bits, rows.data(), rows.size(), scores.data());
    for (size_t i = 0; i < rows.size(); ++i) {
      EXPECT_EQ(scores[i], query.Score(corpus, rows[i]))
          << corpus.strips << " strips, row " << rows[i] << ", " << corpus.misalign << " off";
    }
  }
};
INSTANTIATE_TEST_SUITE_P(Sets, BitScanTest, EverySet(), SetName);

TEST_P(BitScanTest, ScoresEveryRowAsTheDefinition) {
  for (const size_t strips : {1u, 2u, 3u, 4u, 5u, 6u, 7u, 8u, 9u, 16u, 17u}) {
    for (const size_t rows : {1u, 63u, 64u, 65u, 200u}) {
      const Corpus corpus(strips, rows, static_cast<uint32_t>(strips * 1000 + rows));
      const Query query(strips, 5, 8);
      EXPECT_EQ(RunTile(corpus, {query}, {0})[0], query.Expected(corpus, 0))
          << strips << " strips, " << rows << " rows";
    }
  }
}

TEST_P(BitScanTest, ReadsStripsAndWordsAtAnyAddress) {
  for (size_t misalign = 1; misalign < 64; misalign += 6) {
    for (const size_t strips : {1u, 2u, 9u}) {
      const Corpus corpus(strips, 130, 4, misalign);
      const std::vector<Query> queries = {Query(strips, 5, 8), Query(strips, 6, 9)};
      const auto found = RunTile(corpus, queries, {0, 0});
      EXPECT_EQ(found[0], queries[0].Expected(corpus, 0))
          << misalign << ", " << strips << " strips";
      EXPECT_EQ(found[1], queries[1].Expected(corpus, 0))
          << misalign << ", " << strips << " strips";
      ExpectRowScores(corpus, queries[0], {129, 0, 64});
    }
  }
}

TEST_P(BitScanTest, ExtremeWeightsDoNotOverflow) {
  const size_t strips = kBitStripsMax;
  const Corpus corpus(strips, 70, 3);
  Query query(strips, 6, kBitWeightMax);
  EXPECT_EQ(RunTile(corpus, {query}, {0})[0], query.Expected(corpus, 0));
  // Every bit agrees: the largest score there is.
  for (size_t bit = 0; bit < query.weights.size(); ++bit) {
    const int magnitude = std::abs(query.weights[bit]);
    query.weights[bit] = static_cast<int8_t>(corpus.Bit(0, bit) ? magnitude : -magnitude);
  }
  EXPECT_EQ(query.Score(corpus, 0), 65535);
  const std::vector<Survivor> best = RunTile(corpus, {query}, {65535})[0];
  EXPECT_EQ(best, std::vector<Survivor>({{0, 65535}}));
}

TEST_P(BitScanTest, KeepsRowsAtTheThresholdAndDropsThoseBelow) {
  const Corpus corpus(4, 1000, 7);
  const Query query(4, 8, 10);
  std::vector<Survivor> all = query.Expected(corpus, 0);
  std::sort(all.begin(), all.end(),
            [](const Survivor& a, const Survivor& b) { return a.score > b.score; });
  const uint16_t threshold = all[50].score;
  const auto found =
      RunTile(corpus, {query, query}, {threshold, static_cast<uint16_t>(threshold + 1)});
  EXPECT_EQ(found[0], query.Expected(corpus, threshold));
  EXPECT_EQ(found[1], query.Expected(corpus, threshold + 1));
  EXPECT_LT(found[1].size(), found[0].size());
}

TEST_P(BitScanTest, ATileGivesEachQueryWhatItGetsAlone) {
  const Corpus corpus(3, 2500, 9);  // more blocks than some queries see before others
  for (const size_t count : {2u, 3u, 7u, 8u, 15u, 16u}) {
    std::vector<Query> queries;
    std::vector<uint16_t> thresholds;
    for (uint32_t q = 0; q < count; ++q) {
      queries.emplace_back(3, 20 + q, 9);
      thresholds.push_back(static_cast<uint16_t>(300 + 10 * q));
    }
    const auto found = RunTile(corpus, queries, thresholds);
    for (size_t q = 0; q < count; ++q) {
      EXPECT_EQ(found[q], queries[q].Expected(corpus, thresholds[q])) << q << " of " << count;
    }
  }
}

TEST_P(BitScanTest, SkipsRowsThatAreNotAllowed) {
  Corpus corpus(2, 300, 10);
  corpus.allowed.assign(corpus.block_count, 0x0F0F00FF12345678);
  corpus.allowed[1] = 0;
  const Query query(2, 11, 12);
  const auto found = RunTile(corpus, {query}, {200})[0];
  EXPECT_EQ(found, query.Expected(corpus, 200));
  EXPECT_FALSE(found.empty());
}

TEST_P(BitScanTest, StopsBeforeABlockThatMayNotFit) {
  const Corpus corpus(1, 640, 12);
  const Query query(1, 13, 6);
  const Tables tables = MakeTables(query);
  Room wide(1000), narrow(130);  // two blocks fit, a third may not
  BitQuery tile[2] = {{tables.get(), 0, wide.Out()}, {tables.get(), 0, narrow.Out()}};
  EXPECT_EQ(table().scan_bits(corpus.Scan(), tile, 2), 2u);
  EXPECT_EQ(tile[1].out.count, 128u);
  EXPECT_EQ(tile[0].out.count, 128u);
  BitScan rest = corpus.Scan();
  rest.block_begin = 2;
  EXPECT_EQ(table().scan_bits(rest, tile, 1), corpus.block_count);
  EXPECT_EQ(wide.Found(tile[0].out.count), query.Expected(corpus, 0));
}

TEST_P(BitScanTest, ScoresSingleRowsAsTheScanDoes) {
  for (const size_t strips : {1u, 2u, 3u, 4u, 5u, 6u, 7u, 8u, 9u, 16u, 17u}) {
    const Corpus corpus(strips, 100, 14);
    for (const size_t compared : {size_t{1}, (strips + 1) / 2, strips}) {
      ExpectRowScores(corpus, Query(compared, 15, 11), {99, 0, 17, 17, 64});
    }
  }
}

}  // namespace
}  // namespace mrl::kernels
