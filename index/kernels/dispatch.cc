// Chooses the instruction set: what CPU and system support, narrowed by MRL_CPU.
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <string>

#include "index/kernels/kernels.h"
#include "index/kernels/tables.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace mrl::kernels {
namespace {

// From the best to the one that every CPU has.
constexpr InstructionSet kBestFirst[] = {InstructionSet::kAvx512Icl, InstructionSet::kAvx512,
                                         InstructionSet::kAvx2, InstructionSet::kNeon,
                                         InstructionSet::kScalar};

#if defined(__x86_64__)
// The compiler's checks cover the system's support for the registers; clang 14's do not know F16C.
bool HasF16c() {
  unsigned eax, ebx, ecx, edx;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
}

bool HasAvx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt") && HasF16c();
}

bool HasAvx512() {
  return HasAvx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

// VBMI and VPOPCNTDQ belong to the set by definition, so that its kernels may use them.
bool HasAvx512Icl() {
  return HasAvx512() && __builtin_cpu_supports("avx512vnni") &&
         __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vpopcntdq");
}
#endif

InstructionSet Best() {
  for (const InstructionSet set : kBestFirst) {
    if (Supported(set)) return set;
  }
  return InstructionSet::kScalar;
}

// "scalar, avx2, …"; lives until the process ends.
const char* SupportedList() {
  static const std::string& list = *[] {
    auto* names = new std::string;
    for (auto set = std::rbegin(kBestFirst); set != std::rend(kBestFirst); ++set) {
      if (!Supported(*set)) continue;
      if (!names->empty()) names->append(", ");
      names->append(Name(*set));
    }
    return names;
  }();
  return list.c_str();
}

}  // namespace

bool Supported(InstructionSet set) {
  switch (set) {
    case InstructionSet::kScalar:
      return true;
#if defined(__x86_64__)
    case InstructionSet::kAvx2:
      return HasAvx2();
    case InstructionSet::kAvx512:
      return HasAvx512();
    case InstructionSet::kAvx512Icl:
      return HasAvx512Icl();
#elif defined(__aarch64__)
    case InstructionSet::kNeon:
      return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
#endif
    default:
      return false;
  }
}

const char* Name(InstructionSet set) {
  switch (set) {
    case InstructionSet::kScalar:
      return "scalar";
    case InstructionSet::kAvx2:
      return "avx2";
    case InstructionSet::kAvx512:
      return "avx512";
    case InstructionSet::kAvx512Icl:
      return "avx512icl";
    case InstructionSet::kNeon:
      return "neon";
  }
  return "unknown";
}

const Table& ForSet(InstructionSet set) {
  switch (set) {
#if defined(__x86_64__)
    case InstructionSet::kAvx2:
      return kAvx2Table;
    case InstructionSet::kAvx512:
      return kAvx512Table;
    case InstructionSet::kAvx512Icl:
      return kAvx512IclTable;
#elif defined(__aarch64__)
    case InstructionSet::kNeon:
      return kNeonTable;
#endif
    default:
      return kScalarTable;
  }
}

bool ChooseFromEnvironment(InstructionSet* set, const char** supported) {
  const char* wanted = std::getenv("MRL_CPU");
  if (wanted == nullptr || *wanted == '\0') {
    *set = Best();
    return true;
  }
  for (const InstructionSet candidate : kBestFirst) {
    if (std::strcmp(wanted, Name(candidate)) != 0 || !Supported(candidate)) continue;
    *set = candidate;
    return true;
  }
  *supported = SupportedList();
  return false;
}

const Table& Active() {
  static const Table& table = []() -> const Table& {
    InstructionSet set = InstructionSet::kScalar;
    const char* supported = nullptr;
    return ForSet(ChooseFromEnvironment(&set, &supported) ? set : Best());
  }();
  return table;
}

}  // namespace mrl::kernels
