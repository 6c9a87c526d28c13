#include "tests/unit/coarse/sample.h"

#include <unistd.h>

#include <atomic>
#include <cmath>
#include <random>

#include "base/check.h"
#include "base/file.h"
#include "gtest/gtest.h"
#include "index/transform/transform.h"

namespace mrl::test {
namespace {

constexpr size_t kClusters = 20;

// Values shrink with the dimension, as MRL training makes them: early dimensions carry most.
double SpreadOf(size_t dimension) { return 1 / std::sqrt(1 + static_cast<double>(dimension) / 8); }

std::vector<float> Generate(uint32_t rows, uint32_t dim) {
  std::mt19937 random(20221);
  std::normal_distribution<double> normal;
  std::vector<double> centers(kClusters * dim);
  for (size_t i = 0; i < centers.size(); ++i) centers[i] = normal(random) * SpreadOf(i % dim);
  std::vector<float> vectors(static_cast<size_t>(rows) * dim);
  for (size_t i = 0; i < vectors.size(); ++i) {
    const size_t cluster = i / dim % kClusters;
    const double noise = normal(random) * SpreadOf(i % dim);
    vectors[i] = static_cast<float>(centers[cluster * dim + i % dim] + 0.4 * noise);
  }
  return vectors;
}

double Dot(const float* a, const float* b, uint32_t dims) {
  double sum = 0;
  for (uint32_t i = 0; i < dims; ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

}  // namespace

Sample::Sample(const SampleOptions& options) {
  static std::atomic<int> number = 0;
  folder_ = JoinPath(testing::TempDir(),
                     "mrl_sample." + std::to_string(getpid()) + "." + std::to_string(number++));
  CHECK(FileSystem::Posix().CreateDirectory(folder_).ok());
  schema.ladder = options.ladder;
  schema.dim = options.ladder.back();
  schema.metric = options.metric;
  schema.storage = options.storage;
  schema.transform = options.transform;
  schema.codes = options.codes;
  Write(options);
}

Sample::~Sample() { (void)FileSystem::Posix().RemoveTree(folder_); }

std::string Sample::PathOf(const std::string& name) const { return JoinPath(folder_, name); }

void Sample::Write(const SampleOptions& options) {
  FileSystem& files = FileSystem::Posix();
  vectors = Generate(options.rows, schema.dim);
  if (options.edit) options.edit(vectors);
  const bool layer_norm = schema.transform == Transform::kLayerNorm;
  std::vector<float> moments(layer_norm ? 2 * options.rows : 0);
  std::vector<PointId> ids;
  for (uint32_t r = 0; r < options.rows; ++r) {
    ids.emplace_back(uint64_t{options.rows} - 1 - r);
    float* x = vectors.data() + static_cast<size_t>(r) * schema.dim;
    if (layer_norm) {
      transform::LayerNorm(x, schema.dim, x, &moments[2 * r], &moments[2 * r + 1]);
    }
  }
  auto writer = store::SegmentWriter::Create(files, PathOf("000001.seg"), schema,
                                             {.rows_max = options.rows, .layer_norm = layer_norm});
  auto codes = coarse::ScanWriter::Create(files, scan_path(), schema, options.rows);
  CHECK(writer.ok() && codes.ok());
  CHECK((*writer)->Append(absl::MakeSpan(vectors), ids, {}, moments).ok());
  CHECK((*codes)->Append(vectors).ok());
  const auto info = (*writer)->Finish();
  CHECK(info.ok());
  CHECK((*codes)->Finish(*info).ok());
  auto opened = store::Segment::Open(files, PathOf("000001.seg"), *info, schema, account);
  CHECK(opened.ok());
  segment = *opened;
  auto index = coarse::OpenScan(files, scan_path(), segment, account);
  CHECK(index.ok());
  scan = *std::move(index);
}

std::vector<float> Sample::QueryNear(uint32_t near, uint32_t seed) const {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal;
  std::vector<float> query(row(near), row(near) + schema.dim);
  for (size_t i = 0; i < query.size(); ++i) {
    query[i] += static_cast<float>(0.3 * normal(random) * SpreadOf(i));
  }
  return query;
}

double Sample::Reference(const float* query, uint32_t r, uint32_t dims) const {
  const float* x = row(r);
  if (schema.metric == Metric::kL2) {
    double sum = 0;
    for (uint32_t i = 0; i < dims; ++i) {
      const double difference = static_cast<double>(query[i]) - x[i];
      sum += difference * difference;
    }
    return sum;
  }
  const double dot = Dot(query, x, dims);
  if (schema.metric == Metric::kInnerProduct) return dot;
  const double norms = std::sqrt(Dot(query, query, dims) * Dot(x, x, dims));
  return norms == 0 ? 0 : dot / norms;
}

double Sample::Tolerance(const float* query, uint32_t r, uint32_t dims) const {
  constexpr double kRelative = 1e-5;
  if (schema.metric == Metric::kL2) return kRelative * Reference(query, r, dims);
  if (schema.metric == Metric::kCosine) return kRelative;
  return kRelative * std::sqrt(Dot(query, query, dims) * Dot(row(r), row(r), dims));
}

std::vector<coarse::Candidate> Find(const Sample& sample, const coarse::CoarseIndex& index,
                                    const coarse::Request& request) {
  absl::StatusOr<coarse::Result> result = index.Search(request);
  EXPECT_TRUE(result.ok()) << result.status();
  if (!result.ok()) return {};
  const bool larger = LargerIsNearer(sample.schema.metric);
  std::sort(result->candidates.begin(), result->candidates.end(),
            [larger](const coarse::Candidate& a, const coarse::Candidate& b) {
              if (a.score != b.score) return (a.score > b.score) == larger;
              return a.row < b.row;
            });
  return result->candidates;
}

}  // namespace mrl::test
