// The kernels by themselves, through their host form: entries, the selection, the launcher.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "index/coarse/gpu/block.h"
#include "index/coarse/gpu/select_kernel.h"
#include "index/kernels/kernels.h"
#include "tests/support/host_gpu.h"

namespace mrl::coarse::gpu {
namespace {

using test::HostGpu;
using test::HostGpuOptions;
using test::ThreadOrder;
using ::testing::ElementsAreArray;

TEST(GpuEntry, SortsByKeyThenByFallingRow) {
  const float inf = std::numeric_limits<float>::infinity();
  const std::vector<float> keys = {-inf, -3e38F, -1, -1e-40F, 0, 1e-40F, 1, 65535, 3e38F, inf};
  for (size_t i = 0; i < keys.size(); ++i) {
    for (size_t j = 0; j < keys.size(); ++j) {
      EXPECT_EQ(EntryOf(keys[i], 7) < EntryOf(keys[j], 7), keys[i] < keys[j]);
    }
    EXPECT_GT(EntryOf(keys[i], 3), EntryOf(keys[i], 4));
    EXPECT_EQ(KeyOf(EntryOf(keys[i], 5)), keys[i]);
    EXPECT_EQ(RowOf(EntryOf(keys[i], 5)), 5);
    EXPECT_LE(FloorOf(keys[i]), EntryOf(keys[i], 4'000'000));
    EXPECT_GT(EntryOf(keys[i], 4'000'000), 0);
  }
  EXPECT_EQ(EntryOf(-0.0F, 1), EntryOf(0.0F, 1));
}

TEST(GpuEntry, TurnsEveryHalfIntoItsFloat) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    float expected = 0;
    kernels::ForSet(kernels::InstructionSet::kScalar).f16_to_f32(&half, 1, &expected);
    if (std::isnan(expected)) continue;
    EXPECT_EQ(HalfToFloat(half), expected) << bits;
  }
}

TEST(GpuEntry, MultipliesFourSignedBytes) {
  EXPECT_EQ(Dot4(0x80808080U, 0x80808080U, 5), 4 * 128 * 128 + 5);
  EXPECT_EQ(Dot4(0x017F80FFU, 0x02037FFFU, 0), 2 + 127 * 3 - 128 * 127 + 1);
}

// A device with one stream, and arrays on it.
struct Bench {
  explicit Bench(const HostGpuOptions& options = {}) : device(options) {
    stream = *device.MakeStream();
  }
  template <typename T>
  T* Put(const std::vector<T>& values) {
    memory.push_back(*device.Allocate(std::max<size_t>(1, values.size()) * sizeof(T), "a test"));
    std::copy(values.begin(), values.end(), memory.back().As<T>());
    return memory.back().As<T>();
  }
  HostGpu device;
  std::unique_ptr<Stream> stream;
  std::vector<Memory> memory;
};

class GpuSelect : public ::testing::TestWithParam<ThreadOrder> {};
INSTANTIATE_TEST_SUITE_P(Gpu, GpuSelect,
                         ::testing::Values(ThreadOrder::kForward, ThreadOrder::kBackward,
                                           ThreadOrder::kShuffled));

// Few different keys, so that many tie.
std::vector<Entry> RandomEntries(uint32_t count, uint32_t keys, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<Entry> entries;
  for (uint32_t i = 0; i < count; ++i) {
    entries.push_back(EntryOf(static_cast<float>(random() % keys) - 2, i));
  }
  std::shuffle(entries.begin(), entries.end(), random);
  return entries;
}

TEST_P(GpuSelect, KeepsTheLargestOfEachList) {
  constexpr uint32_t kCapacity = 1500;
  for (const uint32_t keys : {1U, 3U, 100'000U}) {
    for (const uint32_t keep : {1U, 2U, 255U, 256U, 257U, 1499U, 1500U}) {
      Bench bench({.order = GetParam()});
      const std::vector<uint32_t> counts = {0, 1, 255, 256, 257, 1500};
      std::vector<Entry> all;
      for (const uint32_t count : counts) {
        std::vector<Entry> list = RandomEntries(count, keys, count + keep);
        list.resize(kCapacity, ~Entry{0});  // what lies behind a list is not looked at
        all.insert(all.end(), list.begin(), list.end());
      }
      const auto lists = static_cast<uint32_t>(counts.size());
      const EntryLists in = {bench.Put(all), bench.Put(counts), kCapacity};
      const EntryLists out = {bench.Put(std::vector<Entry>(lists * keep)),
                              bench.Put(std::vector<uint32_t>(lists, 77)), keep};
      Entry* cuts = bench.Put(std::vector<Entry>(lists, 99));
      bench.stream->Select({.in = in, .keep = keep, .out = out, .cuts = cuts}, lists);
      for (uint32_t list = 0; list < lists; ++list) {
        std::vector<Entry> wanted(all.begin() + list * kCapacity,
                                  all.begin() + list * kCapacity + counts[list]);
        std::sort(wanted.rbegin(), wanted.rend());
        wanted.resize(std::min(keep, counts[list]));
        ASSERT_EQ(out.counts[list], wanted.size());
        std::vector<Entry> found(out.entries + list * keep,
                                 out.entries + list * keep + wanted.size());
        std::sort(found.rbegin(), found.rend());
        EXPECT_THAT(found, ElementsAreArray(wanted)) << keys << " keys, keep " << keep;
        EXPECT_EQ(cuts[list], wanted.empty() ? 0 : wanted.back());
      }
    }
  }
}

// What a scan with this threshold, that found so many rows, is told.
struct Verdict {
  ScanOutcome outcome;
  Entry threshold;
};
Verdict JudgeOf(uint32_t found, uint32_t expected, Entry threshold, uint32_t keep) {
  constexpr uint32_t kCapacity = 100;
  Bench bench;
  std::vector<Entry> entries = RandomEntries(kCapacity, 1000, 1);
  const EntryLists in = {bench.Put(entries), bench.Put(std::vector<uint32_t>{found}), kCapacity};
  Entry* thresholds = bench.Put(std::vector<Entry>{threshold});
  ScanOutcome* outcomes = bench.Put(std::vector<ScanOutcome>{ScanOutcome::kTooWide});
  bench.stream->Select({.in = in,
                        .keep = keep,
                        .cuts = bench.Put(std::vector<Entry>{0}),
                        .thresholds = thresholds,
                        .expected = expected,
                        .outcomes = outcomes},
                       1);
  return {*outcomes, *thresholds};
}

TEST(GpuSelect, JudgesTheThresholdOfAScan) {
  std::vector<Entry> sorted = RandomEntries(100, 1000, 1);
  std::sort(sorted.rbegin(), sorted.rend());
  const Entry tenth = sorted[9];
  const Entry low = FloorOf(-3);
  // Enough, and all of them in the list.
  EXPECT_EQ(JudgeOf(100, 10, low, 10).outcome, ScanOutcome::kComplete);
  // Everything was let through.
  EXPECT_EQ(JudgeOf(3, 10, 0, 10).outcome, ScanOutcome::kComplete);
  // Too few: the threshold was too high.
  EXPECT_EQ(JudgeOf(9, 10, low, 10).outcome, ScanOutcome::kAgain);
  EXPECT_EQ(JudgeOf(9, 10, low, 10).threshold, 0);
  // Fewer than `keep`, but no more rows take part.
  EXPECT_EQ(JudgeOf(9, 9, low, 10).outcome, ScanOutcome::kComplete);
  // More than the list holds: what was found raises the threshold.
  EXPECT_EQ(JudgeOf(101, 10, low, 10).outcome, ScanOutcome::kAgain);
  EXPECT_EQ(JudgeOf(101, 10, low, 10).threshold, tenth);
  // The same threshold again: rows cannot be told apart.
  EXPECT_EQ(JudgeOf(101, 10, tenth, 10).outcome, ScanOutcome::kTooWide);
}

}  // namespace
}  // namespace mrl::coarse::gpu
