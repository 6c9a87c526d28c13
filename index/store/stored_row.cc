#include "index/store/stored_row.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "index/store/level_codec.h"
#include "index/store/prefix_sums.h"

namespace mrl::store {
namespace {

// A row in the log: u8 version, u8 kind of id, u16 bytes of the id, the id, f32 mean and deviation
// with layer_norm, with int8 the f32 scales of the levels, the vector in the storage type, the
// payload to the end. Little-endian.
constexpr uint8_t kVersion = 1;
constexpr uint8_t kNumberId = 1;
constexpr uint8_t kTextId = 2;
constexpr size_t kHeadBytes = 4;

template <typename T>
void Put(const T& value, std::string* out) {
  out->append(reinterpret_cast<const char*>(&value), sizeof(T));
}

size_t MomentsBytes(const Schema& schema) {
  return schema.transform == Transform::kLayerNorm ? 2 * sizeof(float) : 0;
}

absl::Status Damaged(absl::string_view what) {
  return absl::DataLossError(absl::StrCat("tail: a row ", what));
}

void PutVector(const Schema& schema, const std::vector<float>& vector, std::string* out) {
  std::vector<std::byte> values(schema.dim * ElementBytes(schema.storage));
  for (size_t level = 0; level < schema.levels(); ++level) {
    const size_t begin = schema.level_begin(level);
    const float scale =
        EncodeLevel(schema.storage, vector.data() + begin, schema.level_width(level),
                    values.data() + begin * ElementBytes(schema.storage));
    if (ScaleBytes(schema.storage) > 0) Put(scale, out);
  }
  out->append(reinterpret_cast<const char*>(values.data()), values.size());
}

// `bytes`: schema.vector_bytes() of them.
std::vector<float> VectorOf(const Schema& schema, const char* bytes) {
  std::vector<float> scales(schema.levels(), 1);
  const size_t scales_bytes = schema.levels() * ScaleBytes(schema.storage);
  std::memcpy(scales.data(), bytes, scales_bytes);
  const char* from = bytes + scales_bytes;
  const std::vector<char> values(from, from + schema.dim * ElementBytes(schema.storage));
  std::vector<float> vector(schema.dim);
  for (size_t level = 0; level < schema.levels(); ++level) {
    const size_t begin = schema.level_begin(level);
    DecodeLevel(schema.storage, values.data() + begin * ElementBytes(schema.storage), scales[level],
                schema.level_width(level), vector.data() + begin);
  }
  return vector;
}

absl::StatusOr<PointId> DecodeId(uint8_t kind, absl::string_view bytes) {
  if (kind == kNumberId && bytes.size() == sizeof(uint64_t)) {
    uint64_t number = 0;
    std::memcpy(&number, bytes.data(), sizeof(number));
    return PointId(number);
  }
  if (kind != kTextId) return Damaged("has an id of no known kind");
  PointId id{std::string(bytes)};
  if (!id.Validate().ok()) return Damaged("has an impossible id");
  return id;
}

}  // namespace

std::string EncodeRow(const Schema& schema, const StoredRow& row) {
  std::string out;
  out.reserve(kHeadBytes + PointId::kBytesMax + schema.vector_bytes() + row.payload.size());
  Put(kVersion, &out);
  Put(row.id.is_number() ? kNumberId : kTextId, &out);
  const size_t id_bytes = row.id.is_number() ? sizeof(uint64_t) : row.id.text().size();
  Put(static_cast<uint16_t>(id_bytes), &out);
  if (row.id.is_number()) {
    Put(row.id.number(), &out);
  } else {
    out += row.id.text();
  }
  if (MomentsBytes(schema) > 0) {
    Put(row.mean, &out);
    Put(row.deviation, &out);
  }
  PutVector(schema, row.vector, &out);
  return out += row.payload;
}

absl::StatusOr<StoredRow> DecodeRow(const Schema& schema, absl::string_view bytes) {
  if (bytes.size() < kHeadBytes) return Damaged("is cut off");
  if (static_cast<uint8_t>(bytes[0]) != kVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("tail: a row has version ", static_cast<int>(bytes[0]),
                     "; this program reads up to ", static_cast<int>(kVersion)));
  }
  const auto kind = static_cast<uint8_t>(bytes[1]);
  uint16_t id_bytes = 0;
  std::memcpy(&id_bytes, bytes.data() + 2, sizeof(id_bytes));
  bytes.remove_prefix(kHeadBytes);
  if (bytes.size() < id_bytes + MomentsBytes(schema) + schema.vector_bytes()) {
    return Damaged("is cut off");
  }
  StoredRow row;
  auto id = DecodeId(kind, bytes.substr(0, id_bytes));
  if (!id.ok()) return id.status();
  row.id = *std::move(id);
  bytes.remove_prefix(id_bytes);
  if (MomentsBytes(schema) > 0) {
    std::memcpy(&row.mean, bytes.data(), sizeof(float));
    std::memcpy(&row.deviation, bytes.data() + sizeof(float), sizeof(float));
    bytes.remove_prefix(MomentsBytes(schema));
  }
  row.vector = VectorOf(schema, bytes.data());
  row.payload = std::string(bytes.substr(schema.vector_bytes()));
  return row;
}

void RoundToStorage(const Schema& schema, float* vector) {
  if (schema.storage == StorageType::kF32) return;
  std::vector<uint16_t> stored(schema.dim);  // room for any of the types, and aligned for it
  for (size_t level = 0; level < schema.levels(); ++level) {
    const size_t width = schema.level_width(level);
    float* values = vector + schema.level_begin(level);
    const float scale = EncodeLevel(schema.storage, values, width, stored.data());
    DecodeLevel(schema.storage, stored.data(), scale, width, values);
  }
}

void InverseNorms(const Schema& schema, const float* vector, float* out) {
  InverseNorms(schema, vector, 1, out);
}

void InverseNorms(const Schema& schema, const float* vectors, size_t rows, float* out) {
  double squares[kRowsAtOnce * Schema::kLevelsMax];
  const float* at[kRowsAtOnce];
  for (size_t row = 0; row < rows; row += kRowsAtOnce) {
    const size_t count = std::min(kRowsAtOnce, rows - row);
    for (size_t r = 0; r < count; ++r) at[r] = vectors + (row + r) * schema.dim;
    PrefixSums(schema.ladder, absl::MakeConstSpan(at, count), Square, squares);
    for (size_t i = 0; i < count * schema.levels(); ++i) {
      const auto inverse = static_cast<float>(squares[i] > 0 ? 1 / std::sqrt(squares[i]) : 0);
      *out++ = std::isfinite(inverse) ? inverse : 0;
    }
  }
}

}  // namespace mrl::store
