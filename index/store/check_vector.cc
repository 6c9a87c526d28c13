#include "index/store/check_vector.h"

#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "index/kernels/kernels.h"

namespace mrl::store {
namespace {

// The least magnitude that rounds to infinity: half a step above the largest value.
float Limit(StorageType storage) {
  if (storage == StorageType::kF16) return 65520.0F;
  return storage == StorageType::kBf16 ? 0x1.FFp127F : HUGE_VALF;
}

absl::string_view LargestValue(StorageType storage) {
  return storage == StorageType::kF16 ? "65504" : "3.38953e+38";
}

// Rounding to bf16 or int8 makes no value more than twice as large, and what is stored has to have
// a norm.
double SquaresMax(StorageType storage) {
  constexpr double kMax{std::numeric_limits<float>::max()};
  const bool may_grow = storage == StorageType::kBf16 || storage == StorageType::kInt8;
  return may_grow ? kMax / 4 : kMax;
}

// The first value whose magnitude is not below `limit`; NaN is below none.
std::string DescribeValue(const Schema& schema, const float* vector, float limit) {
  uint32_t i = 0;
  while (i + 1 < schema.dim && std::fabs(vector[i]) < limit) ++i;
  return absl::StrCat(vector[i], " at dimension ", i);
}

std::string DescribeNorm(const Schema& schema, const float* vector) {
  double squares = 0;
  for (uint32_t i = 0; i < schema.dim; ++i) squares += static_cast<double>(vector[i]) * vector[i];
  using Limits = std::numeric_limits<float>;
  const double most = SquaresMax(schema.storage);
  if (squares > most) return absl::StrCat("its square is ", squares, ", the limit ", most);
  if (squares < Limits::min()) {
    return absl::StrCat("its square is ", squares, ", the least ", Limits::min());
  }
  return "every value is zero in f16";
}

}  // namespace

absl::string_view ToString(VectorProblem problem) {
  switch (problem) {
    case VectorProblem::kNone:
      return "nothing";
    case VectorProblem::kNotFinite:
      return "a value is NaN or infinite";
    case VectorProblem::kZeroNorm:
      return "its norm is zero, which COSINE cannot compare";
    case VectorProblem::kBeyondStorage:
      return "a value is beyond the range of the storage type";
    case VectorProblem::kNormOverflow:
      return "its norm overflows f32";
    case VectorProblem::kNormUnderflow:
      return "its norm underflows f32";
  }
  return "unknown";
}

VectorProblem CheckVector(const Schema& schema, const float* vector) {
  // Nearly every vector: its square says that no value is extreme, with room for how it was added
  // up and for any number of dimensions. NaN and infinity are in no range.
  const float square = kernels::Active().dot_f32(vector, vector, schema.dim);
  if (square > 1e-6F && square < 1e6F) return VectorProblem::kNone;
  double squares = 0;
  float largest = 0;
  for (uint32_t i = 0; i < schema.dim; ++i) {
    if (!std::isfinite(vector[i])) return VectorProblem::kNotFinite;
    largest = std::fmax(largest, std::fabs(vector[i]));
    squares += static_cast<double>(vector[i]) * vector[i];
  }
  if (largest >= Limit(schema.storage)) return VectorProblem::kBeyondStorage;
  if (squares > SquaresMax(schema.storage)) return VectorProblem::kNormOverflow;
  if (schema.metric != Metric::kCosine) return VectorProblem::kNone;
  if (largest == 0) return VectorProblem::kZeroNorm;
  // What rounds to zero in storage has no direction left either.
  const bool lost = schema.storage == StorageType::kF16 && largest < 0x1p-24F;
  if (squares < std::numeric_limits<float>::min() || lost) return VectorProblem::kNormUnderflow;
  return VectorProblem::kNone;
}

std::string Describe(VectorProblem problem, const Schema& schema, const float* vector) {
  const absl::string_view what = ToString(problem);
  switch (problem) {
    case VectorProblem::kNone:
    case VectorProblem::kZeroNorm:
      break;
    case VectorProblem::kNotFinite:
      return absl::StrCat(what, ": ", DescribeValue(schema, vector, HUGE_VALF));
    case VectorProblem::kBeyondStorage:
      return absl::StrCat("a value is beyond the range of ", ToString(schema.storage), " (",
                          LargestValue(schema.storage),
                          "): ", DescribeValue(schema, vector, Limit(schema.storage)));
    case VectorProblem::kNormOverflow:
    case VectorProblem::kNormUnderflow:
      return absl::StrCat(what, ": ", DescribeNorm(schema, vector));
  }
  return std::string(what);
}

}  // namespace mrl::store
