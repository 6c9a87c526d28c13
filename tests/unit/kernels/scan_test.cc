// The int8 scan of every set, bit for bit, against the definition in kernels.h written out plainly.
// Arrays are allocated to the element, so that AddressSanitizer sees an access past their end.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <ostream>
#include <random>
#include <vector>

#include "tests/unit/kernels/set_test.h"

namespace mrl::kernels {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct Survivor {
  float upper;
  uint32_t row;
  bool operator==(const Survivor&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Survivor& survivor) {
  return out << "row " << survivor.row << " upper " << survivor.upper;
}

// Codes, blocks and a query that own their memory, and what a scan of them must find.
struct Corpus {
  size_t dims, words, rows, block_count;
  std::vector<int8_t> values;  // row-major, `dims` per row
  std::vector<uint8_t> codes;
  std::vector<Int8Block> blocks;
  std::vector<float> bias;
  std::vector<uint64_t> allowed;
  std::vector<int8_t> query_codes;
  float query_scale = 0.01f, query_norm = 1.5f, query_error = 0.003f;
  size_t misalign = 0;  // bytes before the codes

  Corpus(size_t dims_in, size_t rows_in, uint32_t seed, int value_min = -128, int value_max = 127)
      : dims(dims_in), words((dims_in + 3) / 4), rows(rows_in), block_count((rows_in + 63) / 64) {
    std::mt19937 random(seed);
    std::uniform_int_distribution<int> code(value_min, value_max);
    std::uniform_real_distribution<float> uniform(0.001f, 0.1f);
    values.resize(rows * dims);
    for (int8_t& value : values) value = static_cast<int8_t>(code(random));
    query_codes.assign(words * 4, 0);
    for (size_t i = 0; i < dims; ++i) query_codes[i] = static_cast<int8_t>(code(random));
    for (size_t b = 0; b < block_count; ++b) {
      blocks.push_back({uniform(random), uniform(random), uniform(random)});
    }
  }

  void Pack() {
    codes.assign(misalign + block_count * words * 256, 128);
    for (size_t row = 0; row < rows; ++row) {
      for (size_t d = 0; d < dims; ++d) {
        const size_t at = (row / 64) * words * 256 + ((d / 4) * 64 + row % 64) * 4 + d % 4;
        codes[misalign + at] = static_cast<uint8_t>(values[row * dims + d] + 128);
      }
    }
  }

  Int8Scan Scan() {
    Pack();
    return {.codes = codes.data() + misalign,
            .blocks = blocks.data(),
            .words = words,
            .row_bias = bias.empty() ? nullptr : bias.data(),
            .allowed = allowed.empty() ? nullptr : allowed.data(),
            .block_begin = 0,
            .block_end = block_count,
            .rows = rows};
  }
  Int8Query Query() const {
    int32_t sum = 0;
    for (const int8_t code : query_codes) sum += code;
    return {query_codes.data(), query_scale, query_norm, query_error, sum};
  }

  float Upper(size_t row) const {
    int64_t dot = 0;
    for (size_t d = 0; d < dims; ++d) dot += int64_t{query_codes[d]} * values[row * dims + d];
    const Int8Block& block = blocks[row / 64];
    const float product = (block.scale * query_scale) * static_cast<float>(dot);
    const float estimate = (bias.empty() ? 0.0f : bias[row]) + product;
    return estimate + (query_norm * block.error_norm + query_error * block.norm_max);
  }
  bool Allowed(size_t row) const {
    return allowed.empty() || (allowed[row / 64] >> (row % 64) & 1) != 0;
  }
  std::vector<Survivor> Expected(float threshold, size_t row_begin = 0,
                                 size_t row_end = SIZE_MAX) const {
    std::vector<Survivor> survivors;
    for (size_t row = row_begin; row < rows && row < row_end; ++row) {
      const float upper = Upper(row);
      if (Allowed(row) && upper >= threshold) {
        survivors.push_back({upper, static_cast<uint32_t>(row)});
      }
    }
    return survivors;
  }
};

class Scan : public SetTest {
 protected:
  // One call with room for `capacity`; *next = where it stopped.
  std::vector<Survivor> Run(const Int8Scan& scan, const Int8Query& query, float threshold,
                            size_t capacity, size_t* next) {
    std::vector<float> upper(capacity);
    std::vector<uint32_t> rows(capacity);
    Int8TileQuery tile{query, threshold, {upper.data(), rows.data(), capacity, 0}};
    *next = table().scan_int8(scan, &tile, 1);
    std::vector<Survivor> survivors;
    for (size_t i = 0; i < tile.out.count; ++i) survivors.push_back({upper[i], rows[i]});
    return survivors;
  }
  // A whole scan with just enough room never to stop.
  std::vector<Survivor> RunAll(Corpus& corpus, float threshold) {
    size_t next = 0;
    const Int8Scan scan = corpus.Scan();
    auto survivors = Run(scan, corpus.Query(), threshold, corpus.block_count * 64, &next);
    EXPECT_EQ(next, corpus.block_count);
    return survivors;
  }
  // The upper bound of a row in the middle of the field.
  static float MiddleThreshold(const Corpus& corpus) { return corpus.Upper(corpus.rows / 2); }
};

TEST_P(Scan, FindsTheSameRowsForEveryLength) {
  for (size_t dims = 1; dims <= 67; ++dims) {
    Corpus corpus(dims, 200, static_cast<uint32_t>(dims));
    const float threshold = MiddleThreshold(corpus);
    const auto expected = corpus.Expected(threshold);
    ASSERT_FALSE(expected.empty());
    ASSERT_EQ(RunAll(corpus, threshold), expected) << "dims " << dims;
  }
}

TEST_P(Scan, StopsAtTheLastRow) {
  for (size_t rows = 1; rows <= 193; ++rows) {
    Corpus corpus(6, rows, 3);
    corpus.bias.assign(rows, 0.25f);  // not a float more than there are rows
    ASSERT_EQ(RunAll(corpus, -kInfinity), corpus.Expected(-kInfinity)) << "rows " << rows;
  }
}

TEST_P(Scan, IgnoresBlocksBeyondTheLastRow) {
  Corpus corpus(8, 192, 4);
  Int8Scan scan = corpus.Scan();
  scan.rows = 70;
  size_t next = 0;
  EXPECT_EQ(Run(scan, corpus.Query(), -kInfinity, 192, &next), corpus.Expected(-kInfinity, 0, 70));
  EXPECT_EQ(next, 3u);
}

TEST_P(Scan, ReadsCodesAtAnyAddress) {
  for (size_t misalign = 0; misalign < 64; misalign += 7) {
    Corpus corpus(16, 130, 5);
    corpus.misalign = misalign;
    const float threshold = MiddleThreshold(corpus);
    ASSERT_EQ(RunAll(corpus, threshold), corpus.Expected(threshold)) << misalign;
  }
}

TEST_P(Scan, DoesNotSaturateOnExtremeCodes) {
  for (const int data : {-128, 127}) {
    for (const int query : {-128, 127}) {
      Corpus corpus(1024, 64, 6);
      corpus.values.assign(corpus.values.size(), static_cast<int8_t>(data));
      corpus.query_codes.assign(1024, static_cast<int8_t>(query));
      EXPECT_EQ(RunAll(corpus, -kInfinity), corpus.Expected(-kInfinity)) << data << " " << query;
    }
  }
}

TEST_P(Scan, DoesNotOverflowAtTheLongestVector) {
  for (const int query : {-128, 127}) {
    Corpus corpus(65536, 2, 7, -128, -128);
    for (size_t d = 0; d < corpus.dims; ++d) corpus.values[d] = 127;  // row 1 keeps -128
    corpus.query_codes.assign(65536, static_cast<int8_t>(query));
    EXPECT_EQ(RunAll(corpus, -kInfinity), corpus.Expected(-kInfinity)) << query;
  }
}

TEST_P(Scan, KeepsARowWhoseBoundEqualsTheThreshold) {
  Corpus corpus(16, 64, 8);
  const float threshold = corpus.Upper(40);
  EXPECT_EQ(RunAll(corpus, threshold), corpus.Expected(threshold));
  const auto at = RunAll(corpus, threshold);
  EXPECT_EQ(std::count(at.begin(), at.end(), Survivor{threshold, 40}), 1);
  const auto above = RunAll(corpus, std::nextafter(threshold, kInfinity));
  EXPECT_EQ(std::count(above.begin(), above.end(), Survivor{threshold, 40}), 0);
  EXPECT_TRUE(RunAll(corpus, kInfinity).empty());
}

TEST_P(Scan, LeavesOutRowsThatAreNotAllowed) {
  Corpus corpus(16, 329, 9);
  std::mt19937_64 random(9);
  corpus.allowed = {random(), 0, ~uint64_t{0}, uint64_t{1} << 63, 1, ~uint64_t{0}};
  const auto expected = corpus.Expected(-kInfinity);
  EXPECT_EQ(RunAll(corpus, -kInfinity), expected);
  EXPECT_EQ(expected.back().row, corpus.rows - 1);
  EXPECT_LT(expected.size(), corpus.rows);
  corpus.allowed.assign(6, 0);
  EXPECT_TRUE(RunAll(corpus, -kInfinity).empty());
}

TEST_P(Scan, AddsEachRowsBias) {
  Corpus corpus(16, 197, 10);
  std::mt19937 random(10);
  std::uniform_real_distribution<float> uniform(-100.0f, 0.0f);
  for (size_t row = 0; row < corpus.rows; ++row) corpus.bias.push_back(uniform(random));
  const float threshold = MiddleThreshold(corpus);
  const auto expected = corpus.Expected(threshold);
  EXPECT_GT(expected.size(), 1u);
  EXPECT_LT(expected.size(), corpus.rows);
  EXPECT_EQ(RunAll(corpus, threshold), expected);
}

TEST_P(Scan, HandlesHugeAndTinyScales) {
  for (const float scale : {1e-42f, 1e-20f, 1e15f, 1e30f}) {
    Corpus corpus(16, 100, 11);
    for (Int8Block& block : corpus.blocks) block = {scale, scale, scale};
    corpus.bias.assign(100, -scale);
    EXPECT_EQ(RunAll(corpus, -kInfinity), corpus.Expected(-kInfinity)) << scale;
  }
}

TEST_P(Scan, StopsWhenFewerThanABlockFitsAndGoesOn) {
  Corpus corpus(12, 593, 12);
  const Int8Query query = corpus.Query();
  const float threshold = MiddleThreshold(corpus);
  for (const size_t capacity : {64u, 65u, 127u, 128u, 200u}) {
    Int8Scan scan = corpus.Scan();
    std::vector<Survivor> all;
    size_t calls = 0;
    for (size_t next = 0; scan.block_begin < scan.block_end; scan.block_begin = next, ++calls) {
      const auto part = Run(scan, query, threshold, capacity, &next);
      ASSERT_GT(next, scan.block_begin);
      if (next < scan.block_end) {
        EXPECT_LT(capacity - part.size(), 64u);
      }
      all.insert(all.end(), part.begin(), part.end());
    }
    EXPECT_GT(calls, 1u) << capacity;
    EXPECT_EQ(all, corpus.Expected(threshold)) << capacity;
  }
}

TEST_P(Scan, DoesNothingWithoutRoomForABlock) {
  Corpus corpus(16, 128, 13);
  Int8Scan scan = corpus.Scan();
  scan.block_begin = 1;
  size_t next = 0;
  EXPECT_TRUE(Run(scan, corpus.Query(), -kInfinity, 63, &next).empty());
  EXPECT_EQ(next, 1u);
}

TEST_P(Scan, AppendsToWhatIsThere) {
  Corpus corpus(16, 256, 14);
  Int8Scan scan = corpus.Scan();
  scan.block_begin = 1;
  scan.block_end = 3;
  std::vector<float> upper(5 + 128, -1.0f);
  std::vector<uint32_t> rows(5 + 128, 77);
  Int8TileQuery tile{corpus.Query(), -kInfinity, {upper.data(), rows.data(), upper.size(), 5}};
  EXPECT_EQ(table().scan_int8(scan, &tile, 1), 3u);
  ASSERT_EQ(tile.out.count, 5u + 128u);
  for (size_t i = 0; i < 5; ++i) EXPECT_EQ(rows[i], 77u);
  const auto expected = corpus.Expected(-kInfinity, 64, 192);
  for (size_t i = 0; i < 128; ++i) ASSERT_EQ((Survivor{upper[5 + i], rows[5 + i]}), expected[i]);
}

TEST_P(Scan, ATileGivesEachQueryWhatItGetsAlone) {
  for (const bool biased : {false, true}) {
    for (const size_t count : {2u, 3u, 4u, 7u, 16u}) {
      Corpus corpus(20, 500, 16);
      if (biased) corpus.bias.assign(500, -0.5f);
      const Int8Scan scan = corpus.Scan();
      std::vector<Corpus> queries;  // for their query codes only
      std::vector<std::vector<float>> upper(count, std::vector<float>(512));
      std::vector<std::vector<uint32_t>> rows(count, std::vector<uint32_t>(512));
      std::vector<Int8TileQuery> tile;
      for (uint32_t q = 0; q < count; ++q) queries.emplace_back(20, 1, 100 + q);
      for (uint32_t q = 0; q < count; ++q) {
        corpus.query_codes = queries[q].query_codes;
        const float threshold = MiddleThreshold(corpus);
        tile.push_back({queries[q].Query(), threshold, {upper[q].data(), rows[q].data(), 512, 0}});
      }
      ASSERT_EQ(table().scan_int8(scan, tile.data(), count), corpus.block_count);
      for (size_t q = 0; q < count; ++q) {
        corpus.query_codes = queries[q].query_codes;
        const auto expected = corpus.Expected(tile[q].threshold);
        ASSERT_EQ(tile[q].out.count, expected.size()) << q << " of " << count;
        for (size_t i = 0; i < expected.size(); ++i) {
          ASSERT_EQ((Survivor{upper[q][i], rows[q][i]}), expected[i]) << q << " of " << count;
        }
      }
    }
  }
}

TEST_P(Scan, AcceptsAnEmptyRange) {
  Corpus corpus(16, 64, 15);
  Int8Scan scan = corpus.Scan();
  scan.block_begin = scan.block_end;
  size_t next = 0;
  EXPECT_TRUE(Run(scan, corpus.Query(), -kInfinity, 64, &next).empty());
  EXPECT_EQ(next, scan.block_end);
}

INSTANTIATE_TEST_SUITE_P(Sets, Scan, EverySet(), SetName);

}  // namespace
}  // namespace mrl::kernels
