// Rotations that are learned from vectors: they make prefixes useful where no model was trained to.
//
// The rows of the matrix are the eigenvectors of the vectors' second moment, by falling eigenvalue:
// a principal component analysis that subtracts no mean, so that the rotation is a matrix product
// and nothing else. Of all rotations it leaves the most of the vectors' squared norms in every
// prefix (Eckart and Young, 1936).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "index/schema/schema.h"

namespace mrl::transform {

// INVALID_ARGUMENT for a dim above Schema::kRotationDimMax, and for fewer rows than `dim`.
absl::Status CheckLearnable(size_t rows, uint32_t dim);

// Learned from `rows`, row-major, of `dim` finite floats each. With `directions` every row counts
// alike, whatever its length. The same rows give the same matrix on one machine. Errors of
// CheckLearnable.
absl::StatusOr<Rotation> LearnRotation(absl::Span<const float> rows, uint32_t dim, bool directions);

// out = matrix x for n = dim floats; `out` may be `x`.
void Rotate(const Rotation& rotation, const float* x, size_t n, float* out);
// The same for many rows in place, by a matrix product on all cores: for builds. Equal to Rotate
// but for rounding.
void RotateRows(const Rotation& rotation, size_t dim, std::vector<float>* rows);
// x = transposed matrix x, in place: undoes Rotate to about 1e-6 of the norm.
void RotateBack(const Rotation& rotation, size_t n, float* x);

// f32 [dim][dim], little-endian; and back. DATA_LOSS for another size or checksum.
std::string Serialize(const Rotation& rotation);
absl::StatusOr<Rotation> ParseRotation(absl::string_view bytes, uint32_t dim, uint64_t checksum);

}  // namespace mrl::transform
