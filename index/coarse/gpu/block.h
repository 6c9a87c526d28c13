// What lets one text be a CUDA kernel and host code.
//
// The logic of one block of threads is a template over `Block`. It is cut into phases: what
// `block.Each(f)` is given runs once in each thread, f(0) to f(threads - 1), and nobody goes on
// before all have ended. On a device the threads run at once and Each ends in __syncthreads(); on
// the host, in tests, they run one after the other (tests/support/host_gpu.h). So within a phase no
// thread may read what another writes, except through Add, and what outlives a phase lies in the
// block's shared memory.
//
// Floating point is rounded after every operation: no product and sum are fused, so that device,
// host and the scalar set of index/kernels give the same bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__CUDACC__)
#include <cuda_fp16.h>
#define MRL_GPU_CODE __device__ inline
#define MRL_GPU_UNROLL _Pragma("unroll")
#else
#define MRL_GPU_CODE inline
#define MRL_GPU_UNROLL _Pragma("GCC unroll 16")
#endif

namespace mrl::coarse::gpu {

// Rows of a block of codes (kernels::kBlockRows), two for each lane of a warp.
inline constexpr uint32_t kCodeRows = 64;
inline constexpr uint32_t kWarp = 32;
// Threads of a block, in every kernel.
inline constexpr uint32_t kThreads = 256;

#if defined(__CUDA_ARCH__)
MRL_GPU_CODE float Multiply(float a, float b) { return __fmul_rn(a, b); }
MRL_GPU_CODE float Plus(float a, float b) { return __fadd_rn(a, b); }
MRL_GPU_CODE int32_t Dot4(uint32_t a, uint32_t b, int32_t sum) {
  return __dp4a(static_cast<int>(a), static_cast<int>(b), sum);
}
MRL_GPU_CODE int PopCount(uint32_t word) { return __popc(word); }
MRL_GPU_CODE float HalfToFloat(uint16_t bits) { return __half2float(__ushort_as_half(bits)); }
MRL_GPU_CODE uint32_t BitsOf(float value) { return __float_as_uint(value); }
MRL_GPU_CODE float FloatOf(uint32_t bits) { return __uint_as_float(bits); }
#else
MRL_GPU_CODE float Multiply(float a, float b) { return a * b; }
MRL_GPU_CODE float Plus(float a, float b) { return a + b; }
// sum + the dot product of four signed bytes.
MRL_GPU_CODE int32_t Dot4(uint32_t a, uint32_t b, int32_t sum) {
  for (int i = 0; i < 32; i += 8) {
    sum += static_cast<int8_t>(a >> i & 255) * static_cast<int8_t>(b >> i & 255);
  }
  return sum;
}
MRL_GPU_CODE int PopCount(uint32_t word) { return __builtin_popcount(word); }
MRL_GPU_CODE float FloatOf(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}
MRL_GPU_CODE uint32_t BitsOf(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}
MRL_GPU_CODE float HalfToFloat(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000U) << 16;
  const uint32_t exponent = half >> 10 & 31U;
  const uint32_t mantissa = half & 0x3FFU;
  if (exponent == 31) return FloatOf(sign | 0x7F800000U | mantissa << 13);
  if (exponent != 0) return FloatOf(sign | (exponent + 112) << 23 | mantissa << 13);
  return FloatOf(sign | BitsOf(static_cast<float>(mantissa) * 0x1p-24F));  // exact
}
#endif

// A row and its key in one number: larger is nearer, equal keys by rising row. No two rows have the
// same entry, so the best n rows are the n largest entries, whatever ties. 0 is below every entry.
using Entry = uint64_t;

// `key` is not NaN; -0 counts as 0.
MRL_GPU_CODE Entry EntryOf(float key, uint32_t row) {
  const uint32_t bits = BitsOf(Plus(key, 0.0F));
  const uint32_t rising = (bits & 0x80000000U) != 0 ? ~bits : bits | 0x80000000U;
  return static_cast<uint64_t>(rising) << 32 | (0xFFFFFFFFU - row);
}
MRL_GPU_CODE uint32_t RowOf(Entry entry) {
  return 0xFFFFFFFFU - static_cast<uint32_t>(entry & 0xFFFFFFFFU);
}
MRL_GPU_CODE float KeyOf(Entry entry) {
  const auto rising = static_cast<uint32_t>(entry >> 32);
  return FloatOf((rising & 0x80000000U) != 0 ? rising & 0x7FFFFFFFU : ~rising);
}
// The least entry of a key: every row with that key reaches it.
MRL_GPU_CODE Entry FloorOf(float key) { return EntryOf(key, 0xFFFFFFFFU); }

// The survivors of each query of a batch: those of query q begin at entries + q * capacity. A count
// above the capacity says how many there would have been.
struct EntryLists {
  Entry* entries = nullptr;
  uint32_t* counts = nullptr;
  uint32_t capacity = 0;
};

MRL_GPU_CODE uint32_t Smaller(uint32_t a, uint32_t b) { return a < b ? a : b; }

}  // namespace mrl::coarse::gpu
