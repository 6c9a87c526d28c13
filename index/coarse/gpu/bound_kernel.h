// From upper bounds to lower ones: what the cut of an exact search of 8-bit codes is ranked by.
#pragma once

#include "index/coarse/gpu/block.h"
#include "index/coarse/gpu/scan_kernel.h"

namespace mrl::coarse::gpu {

struct BoundArgs {
  EntryLists upper = {};
  Entry* lower = nullptr;  // side by side with `upper`
  const kernels::Int8Block* blocks = nullptr;
  const CodeQuery* queries = nullptr;
};

// x of the grid cuts a list, y is the query.
template <typename Block>
MRL_GPU_CODE void LowerBounds(Block& block, const BoundArgs& args) {
  const uint32_t query = block.y();
  const uint32_t count = Smaller(args.upper.counts[query], args.upper.capacity);
  const size_t first = size_t{query} * args.upper.capacity;
  block.Each([&](uint32_t thread) {
    const CodeQuery& asked = args.queries[query];
    for (uint32_t i = block.x() * kThreads + thread; i < count; i += block.x_count() * kThreads) {
      const Entry upper = args.upper.entries[first + i];
      const uint32_t row = RowOf(upper);
      const kernels::Int8Block& rows = args.blocks[row / kCodeRows];
      const float error =
          Plus(Multiply(asked.norm, rows.error_norm), Multiply(asked.error_norm, rows.norm_max));
      args.lower[first + i] = EntryOf(Plus(KeyOf(upper), -Multiply(2.0F, error)), row);
    }
  });
}

}  // namespace mrl::coarse::gpu
