#include "index/cli/sample.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "index/io/embeddings.h"
#include "index/transform/transform.h"
#include "index/tune/view_subject.h"

namespace mrl::cli {

std::vector<uint64_t> SpreadRows(uint64_t rows, uint64_t count, uint64_t seed) {
  count = std::min(count, rows);
  std::mt19937_64 engine(seed);
  std::vector<uint64_t> chosen;
  for (uint64_t i = 0; i < count; ++i) {
    const auto begin = static_cast<uint64_t>(static_cast<unsigned __int128>(i) * rows / count);
    const auto end = static_cast<uint64_t>(static_cast<unsigned __int128>(i + 1) * rows / count);
    chosen.push_back(begin + engine() % (end - begin));
  }
  return chosen;
}

absl::StatusOr<Sample> SampleFile(const std::string& path, uint64_t count, uint64_t seed,
                                  const Schema& schema) {
  MRL_ASSIGN_OR_RETURN(const auto reader, io::OpenEmbeddings(FileSystem::Posix(), path));
  Sample sample;
  sample.dim = reader->dims();
  if (schema.transform == Transform::kRotation && sample.dim != schema.dim) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " has ", sample.dim, " dimensions; the index rotates ", schema.dim));
  }
  sample.rows_of_source = reader->rows();
  sample.element_bytes = reader->format() == "npy f16" ? 2 : 4;
  const std::vector<uint64_t> rows = SpreadRows(reader->rows(), count, seed);
  sample.rows = rows.size();
  sample.values.resize(rows.size() * sample.dim);
  for (size_t i = 0; i < rows.size(); ++i) {
    float* values = sample.values.data() + i * sample.dim;
    MRL_RETURN_IF_ERROR(reader->Read(rows[i], {values, sample.dim}));
    const bool finite =
        std::all_of(values, values + sample.dim, [](float value) { return std::isfinite(value); });
    if (!finite) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": row ", rows[i], " has a value that is NaN or infinite"));
    }
    transform::Apply(schema, values, sample.dim, values);
  }
  return sample;
}

absl::StatusOr<Sample> SampleIndex(const collection::Collection& collection, uint64_t count,
                                   uint64_t seed) {
  const Schema& schema = collection.schema();
  Sample sample;
  sample.dim = schema.dim;
  sample.rows_of_source = collection.rows();
  sample.element_bytes = static_cast<uint32_t>(ElementBytes(schema.storage));
  const funnel::View& view = collection.view();
  const std::vector<funnel::Location> rows = tune::SampleRows(view, count, seed);
  sample.rows = rows.size();
  sample.values.resize(rows.size() * sample.dim);
  for (size_t i = 0; i < rows.size(); ++i) {
    MRL_RETURN_IF_ERROR(view.parts[rows[i].part].segment->Prefix(
        rows[i].row, schema.levels() - 1, sample.values.data() + i * sample.dim));
  }
  return sample;
}

Sample PickRows(const Sample& from, const std::vector<uint64_t>& rows) {
  Sample picked;
  picked.dim = from.dim;
  picked.rows = rows.size();
  picked.rows_of_source = from.rows_of_source;
  picked.element_bytes = from.element_bytes;
  for (const uint64_t row : rows) {
    const float* values = from.matrix().row(row);
    picked.values.insert(picked.values.end(), values, values + from.dim);
  }
  return picked;
}

}  // namespace mrl::cli
