// The tables of the instruction sets, for dispatch.cc. Files of a set include no header that
// defines an inline function with external linkage: the linker might keep the copy compiled for a
// newer CPU.
#pragma once

#include "index/kernels/kernels.h"

namespace mrl::kernels {

extern const Table kScalarTable;

#if defined(__x86_64__)
extern const Table kAvx2Table;
extern const Table kAvx512Table;
extern const Table kAvx512IclTable;

// The AVX-512 kernels that the newer set takes over unchanged.
namespace avx512 {
float DotF32(const float* q, const float* x, size_t n);
float DotF16(const float* q, const uint16_t* x, size_t n);
float DotBf16(const float* q, const Bf16* x, size_t n);
float DotInt8(const float* q, const int8_t* x, float scale, size_t n);
void DotsF32(const float* const* queries, size_t query_count, const float* const* rows,
             size_t row_count, size_t n, float* sums);
float L2F32(const float* q, const float* x, size_t n);
float L2F16(const float* q, const uint16_t* x, size_t n);
float L2Bf16(const float* q, const Bf16* x, size_t n);
float L2Int8(const float* q, const int8_t* x, float scale, size_t n);
void F32ToF16(const float* x, size_t n, uint16_t* out);
void F16ToF32(const uint16_t* x, size_t n, float* out);
void F32ToBf16(const float* x, size_t n, Bf16* out);
void Bf16ToF32(const Bf16* x, size_t n, float* out);
float F32ToInt8(const float* x, size_t n, int8_t* out);
void Int8ToF32(const int8_t* x, float scale, size_t n, float* out);
}  // namespace avx512
#elif defined(__aarch64__)
extern const Table kNeonTable;
#endif

}  // namespace mrl::kernels
