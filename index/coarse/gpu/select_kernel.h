// The selection: of each query's survivors those that belong to the best `keep`; and what the scan
// should have used as a threshold.
//
// One block of threads serves one query. It finds the entry of a rank by its digits, the highest
// byte first (a radix selection, exact, in at most eight passes over the list, fewer as soon as a
// digit decides), then copies what reaches it. Merging the survivors of several parts of a scan is
// this same step: they were appended to one list.
#pragma once

#include "index/coarse/gpu/block.h"
#include "index/coarse/gpu/scan_kernel.h"

namespace mrl::coarse::gpu {

// How the scan went for one query.
enum class ScanOutcome : uint32_t {
  kComplete = 0,
  kAgain = 1,    // its threshold was wrong and is now another: scan again
  kTooWide = 2,  // more rows cannot be told apart from the best than the list holds
};

struct SelectArgs {
  EntryLists in = {};
  // The entries to rank where these are others than those to copy (their lower bounds), side by
  // side with them; null = `in` itself.
  const Entry* ranked = nullptr;
  const CodeQuery* queries = nullptr;  // with `ranked`: their slack is taken off the cut twice
  uint32_t keep = 0;
  uint32_t seeds = 0;   // 1: the cut of a list shorter than `keep` is 0, so that it excludes nobody
  EntryLists out = {};  // its entries may be null: only the cut is wanted
  Entry* cuts = nullptr;  // per query: the last of the best `keep`; 0 of an empty list

  // After a scan: what it used as thresholds, and how many rows it had to find. Null after another
  // stage, and for a cut by itself.
  Entry* thresholds = nullptr;
  uint32_t expected = 0;
  ScanOutcome* outcomes = nullptr;
};

inline constexpr uint32_t kDigits = 256;
inline constexpr int kTopShift = 56;

struct SelectShared {
  uint32_t counts[kDigits];   // entries by digit
  uint32_t sums[2][kDigits];  // of this digit and all above it
  Entry prefix;               // the digits found so far
  uint32_t rank;              // within those that share them
  uint32_t digit;             // that holds the rank
  uint32_t above;             // entries in the digits above it
  uint32_t left;              // entries that share the longer prefix
};

// sums[d] = counts[d] + counts[d + 1] + …; returns where they are.
template <typename Block>
MRL_GPU_CODE const uint32_t* SumFromAbove(Block& block, SelectShared& shared) {
  block.Each([&](uint32_t thread) { shared.sums[0][thread] = shared.counts[thread]; });
  uint32_t from = 0;
  for (uint32_t step = 1; step < kDigits; step *= 2, from ^= 1) {
    block.Each([&](uint32_t thread) {
      const uint32_t above = thread + step < kDigits ? shared.sums[from][thread + step] : 0;
      shared.sums[from ^ 1][thread] = shared.sums[from][thread] + above;
    });
  }
  return shared.sums[from];
}

// One digit: the entries that share the prefix, counted by their next byte; the byte that holds the
// rank joins the prefix. Returns how many entries have the longer prefix.
template <typename Block>
MRL_GPU_CODE uint32_t FindDigit(Block& block, SelectShared& shared, const Entry* entries,
                                uint32_t count, int shift) {
  block.Each([&](uint32_t thread) { shared.counts[thread] = 0; });
  block.Each([&](uint32_t thread) {
    for (uint32_t i = thread; i < count; i += kThreads) {
      const Entry entry = entries[i];
      if (shift != kTopShift && (entry ^ shared.prefix) >> (shift + 8) != 0) continue;
      block.Add(&shared.counts[entry >> shift & (kDigits - 1)], 1U);
    }
  });
  const uint32_t* sums = SumFromAbove(block, shared);
  block.Each([&](uint32_t thread) {
    const uint32_t above = thread + 1 < kDigits ? sums[thread + 1] : 0;
    if (sums[thread] < shared.rank || above >= shared.rank) return;  // all threads but one
    shared.digit = thread;
    shared.above = above;
    shared.left = shared.counts[thread];
  });
  block.Each([&](uint32_t thread) {
    if (thread != 0) return;
    shared.rank -= shared.above;
    shared.prefix |= static_cast<Entry>(shared.digit) << shift;
  });
  return shared.left;  // not of `counts`, which the next digit clears while others still read here
}

// The entry of rank `rank` (1-based, the largest first) of `count` different entries.
// 1 <= rank <= count.
template <typename Block>
MRL_GPU_CODE Entry EntryOfRank(Block& block, SelectShared& shared, const Entry* entries,
                               uint32_t count, uint32_t rank) {
  static_assert(kThreads == kDigits, "a thread for each digit");
  block.Each([&](uint32_t thread) {
    if (thread != 0) return;
    shared.prefix = 0;
    shared.rank = rank;
  });
  for (int shift = kTopShift; shift >= 0; shift -= 8) {
    const uint32_t left = FindDigit(block, shared, entries, count, shift);
    if (left > 1 || shift == 0) continue;
    // One entry is left: whoever meets it has the rest of its digits. Nobody else writes.
    const Entry prefix = shared.prefix;
    block.Each([&](uint32_t) {});
    block.Each([&](uint32_t thread) {
      for (uint32_t i = thread; i < count; i += kThreads) {
        if ((entries[i] ^ prefix) >> shift == 0) shared.prefix = entries[i];
      }
    });
    break;
  }
  return shared.prefix;
}

// What becomes of a query's threshold.
MRL_GPU_CODE ScanOutcome Judge(const SelectArgs& args, uint32_t found, Entry cut,
                               Entry* threshold) {
  const Entry before = *threshold;
  if (found > args.in.capacity) {
    // `keep` of those in the list reach the cut, so the best `keep` do; and it is higher, unless
    // bounds are too wide to tell rows apart.
    if (cut <= before) return ScanOutcome::kTooWide;
    *threshold = cut;
    return ScanOutcome::kAgain;
  }
  if (before == 0) return ScanOutcome::kComplete;
  if (found < args.expected) {
    *threshold = 0;
    return ScanOutcome::kAgain;
  }
  if (found >= args.keep && cut < before) {  // by bounds: some of the best may have been cut
    *threshold = cut;
    return ScanOutcome::kAgain;
  }
  return ScanOutcome::kComplete;
}

template <typename Block>
MRL_GPU_CODE void Select(Block& block, const SelectArgs& args, SelectShared& shared) {
  const uint32_t query = block.x();
  const uint32_t found = args.in.counts[query];
  const uint32_t count = Smaller(found, args.in.capacity);
  const size_t first = size_t{query} * args.in.capacity;
  const Entry* in = args.in.entries + first;
  Entry cut = 0;
  if (count > 0 && (args.seeds == 0 || count >= args.keep)) {
    cut = EntryOfRank(block, shared, args.ranked == nullptr ? in : args.ranked + first, count,
                      Smaller(args.keep, count));
    if (args.ranked != nullptr) {
      cut = FloorOf(Plus(KeyOf(cut), -Multiply(2.0F, args.queries[query].slack)));
    }
  }
  block.Each([&](uint32_t thread) {
    if (thread != 0) return;
    args.cuts[query] = cut;
    if (args.out.entries != nullptr) args.out.counts[query] = 0;
    if (args.thresholds != nullptr) {
      args.outcomes[query] = Judge(args, found, cut, &args.thresholds[query]);
    }
  });
  if (args.out.entries == nullptr) return;
  block.Each([&](uint32_t thread) {
    for (uint32_t i = thread; i < count; i += kThreads) {
      if (in[i] < cut) continue;
      const uint32_t at = block.Add(&args.out.counts[query], 1U);
      if (at < args.out.capacity) args.out.entries[size_t{query} * args.out.capacity + at] = in[i];
    }
  });
}

}  // namespace mrl::coarse::gpu
