// AVX-512 of Ice Lake and Zen 4 on: what avx512.cc has, with VNNI for the int8 scan.
#include <immintrin.h>

#include "index/kernels/avx512_scan.h"
#include "index/kernels/tables.h"

namespace mrl::kernels {
namespace {

// VPDPBUSD takes unsigned data (this is why stored codes are 128 too large) and does not saturate.
struct MultiplyVnni {
  __m512i q;

  static MultiplyVnni Prepare(__m512i word) { return {word}; }
  __m512i Add(__m512i sum, __m512i x) const { return _mm512_dpbusd_epi32(sum, x, q); }
};

}  // namespace

constinit const Table kAvx512IclTable = {
    .set = InstructionSet::kAvx512Icl,
    .name = "avx512icl",
    .dot_f32 = avx512::DotF32,
    .dot_f16 = avx512::DotF16,
    .l2_f32 = avx512::L2F32,
    .l2_f16 = avx512::L2F16,
    .f32_to_f16 = avx512::F32ToF16,
    .f16_to_f32 = avx512::F16ToF32,
    .scan_int8 = ScanInt8<MultiplyVnni>,
};

}  // namespace mrl::kernels
