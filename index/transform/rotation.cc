#include "index/transform/rotation.h"

#include <cblas.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/checksum.h"
#include "base/status.h"
#include "index/kernels/kernels.h"

// LAPACK has no header of its own in OpenBLAS: eigenvalues, rising, and vectors of a symmetric
// matrix.
extern "C" void dsyevd_(const char* job, const char* triangle, const int* n, double* matrix,
                        const int* stride, double* values, double* work, const int* work_size,
                        int* whole_work, const int* whole_work_size, int* info);

namespace mrl::transform {
namespace {

constexpr size_t kBlockRows = 1024;  // that are doubles at a time

// The upper triangle of the sum of x xᵀ, row-major.
std::vector<double> SecondMoment(absl::Span<const float> rows, uint32_t dim, bool directions) {
  std::vector<double> moment(size_t{dim} * dim);
  std::vector<double> block;
  const size_t count = rows.size() / dim;
  for (size_t begin = 0; begin < count; begin += kBlockRows) {
    const size_t end = std::min(count, begin + kBlockRows);
    block.assign(rows.begin() + begin * dim, rows.begin() + end * dim);
    for (size_t row = 0; directions && row < end - begin; ++row) {
      double* x = block.data() + row * dim;
      const double norm = cblas_dnrm2(static_cast<int>(dim), x, 1);
      if (norm > 0) cblas_dscal(static_cast<int>(dim), 1 / norm, x, 1);
    }
    cblas_dsyrk(CblasRowMajor, CblasUpper, CblasTrans, static_cast<int>(dim),
                static_cast<int>(end - begin), 1, block.data(), static_cast<int>(dim), 1,
                moment.data(), static_cast<int>(dim));
  }
  return moment;
}

// Eigenvectors of the symmetric `matrix` in its place, row-major, by rising eigenvalue.
absl::Status Decompose(uint32_t dim, std::vector<double>* matrix) {
  const int n = static_cast<int>(dim);
  std::vector<double> values(dim);
  int info = 0;
  int work_size = -1;  // asks for it
  int whole_work_size = -1;
  double wanted = 0;
  int whole_wanted = 0;
  // An upper triangle by rows is a lower one by columns, which is how LAPACK reads.
  dsyevd_("V", "L", &n, matrix->data(), &n, values.data(), &wanted, &work_size, &whole_wanted,
          &whole_work_size, &info);
  if (info == 0) {
    work_size = static_cast<int>(wanted);
    whole_work_size = whole_wanted;
    std::vector<double> work(static_cast<size_t>(work_size));
    std::vector<int> whole_work(static_cast<size_t>(whole_work_size));
    dsyevd_("V", "L", &n, matrix->data(), &n, values.data(), work.data(), &work_size,
            whole_work.data(), &whole_work_size, &info);
  }
  if (info == 0) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("rotation: LAPACK's dsyevd ended with ", info));
}

Rotation FromMatrix(std::vector<float> matrix) {
  Rotation rotation;
  // 0 stands for none.
  rotation.checksum = std::max<uint64_t>(1, Checksum(matrix.data(), matrix.size() * sizeof(float)));
  rotation.matrix = std::make_shared<const std::vector<float>>(std::move(matrix));
  return rotation;
}

}  // namespace

absl::Status CheckLearnable(size_t rows, uint32_t dim) {
  if (dim == 0 || dim > Schema::kRotationDimMax) {
    return absl::InvalidArgumentError(absl::StrCat("a rotation of ", dim, " dimensions; 1 to ",
                                                   Schema::kRotationDimMax, " are allowed"));
  }
  if (rows < dim) {
    return absl::InvalidArgumentError(absl::StrCat("a rotation of ", dim, " dimensions needs ", dim,
                                                   " vectors to learn from; there are ", rows));
  }
  return absl::OkStatus();
}

absl::StatusOr<Rotation> LearnRotation(absl::Span<const float> rows, uint32_t dim,
                                       bool directions) {
  MRL_RETURN_IF_ERROR(CheckLearnable(dim == 0 ? 0 : rows.size() / dim, dim));
  std::vector<double> vectors = SecondMoment(rows, dim, directions);
  MRL_RETURN_IF_ERROR(Decompose(dim, &vectors));
  std::vector<float> matrix(vectors.size());
  for (size_t i = 0; i < dim; ++i) {
    const double* from = vectors.data() + (dim - 1 - i) * dim;
    // A vector and its opposite serve alike; the one whose largest value is positive is taken.
    const double sign = from[cblas_idamax(static_cast<int>(dim), from, 1)] < 0 ? -1 : 1;
    for (size_t j = 0; j < dim; ++j) matrix[i * dim + j] = static_cast<float>(sign * from[j]);
  }
  return FromMatrix(std::move(matrix));
}

void Rotate(const Rotation& rotation, const float* x, size_t n, float* out) {
  const std::vector<float> in(x, x + n);  // out may be x
  for (size_t i = 0; i < n; ++i) {
    out[i] = kernels::Active().dot_f32(in.data(), rotation.matrix->data() + i * n, n);
  }
}

void RotateRows(const Rotation& rotation, size_t dim, std::vector<float>* rows) {
  if (rows->empty()) return;
  std::vector<float> out(rows->size());
  const int n = static_cast<int>(dim);
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, static_cast<int>(rows->size() / dim), n, n,
              1, rows->data(), n, rotation.matrix->data(), n, 0, out.data(), n);
  *rows = std::move(out);
}

void RotateBack(const Rotation& rotation, size_t n, float* x) {
  std::vector<float> out(n);
  for (size_t i = 0; i < n; ++i) {
    const float* row = rotation.matrix->data() + i * n;
    for (size_t j = 0; j < n; ++j) out[j] += x[i] * row[j];
  }
  std::copy(out.begin(), out.end(), x);
}

std::string Serialize(const Rotation& rotation) {
  return {reinterpret_cast<const char*>(rotation.matrix->data()),
          rotation.matrix->size() * sizeof(float)};
}

absl::StatusOr<Rotation> ParseRotation(absl::string_view bytes, uint32_t dim, uint64_t checksum) {
  if (bytes.size() != size_t{dim} * dim * sizeof(float)) {
    return absl::DataLossError(absl::StrCat("rotation: it has ", bytes.size(), " bytes; ",
                                            size_t{dim} * dim * sizeof(float), " are needed"));
  }
  std::vector<float> matrix(size_t{dim} * dim);
  std::memcpy(matrix.data(), bytes.data(), bytes.size());
  Rotation rotation = FromMatrix(std::move(matrix));
  if (rotation.checksum == checksum) return rotation;
  return absl::DataLossError("rotation: the checksum is not the manifest's");
}

}  // namespace mrl::transform
