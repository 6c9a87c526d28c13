#include "index/store/stored_row.h"

#include <cmath>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "index/kernels/kernels.h"

namespace mrl::store {
namespace {

// A row in the log: u8 version, u8 kind of id, u16 bytes of the id, the id, f32 mean and deviation
// with layer_norm, the vector in the storage type, the payload to the end. Little-endian.
constexpr uint8_t kVersion = 1;
constexpr uint8_t kNumberId = 1;
constexpr uint8_t kTextId = 2;
constexpr size_t kHeadBytes = 4;

template <typename T>
void Put(const T& value, std::string* out) {
  out->append(reinterpret_cast<const char*>(&value), sizeof(T));
}

size_t VectorBytes(const Schema& schema) { return schema.dim * ElementBytes(schema.storage); }
size_t MomentsBytes(const Schema& schema) {
  return schema.transform == Transform::kLayerNorm ? 2 * sizeof(float) : 0;
}

absl::Status Damaged(absl::string_view what) {
  return absl::DataLossError(absl::StrCat("tail: a row ", what));
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
  out.reserve(kHeadBytes + PointId::kBytesMax + VectorBytes(schema) + row.payload.size());
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
  const size_t begin = out.size();
  out.resize(begin + VectorBytes(schema));
  if (schema.storage == StorageType::kF16) {
    std::vector<uint16_t> halves(schema.dim);
    kernels::Active().f32_to_f16(row.vector.data(), schema.dim, halves.data());
    std::memcpy(out.data() + begin, halves.data(), VectorBytes(schema));
  } else {
    std::memcpy(out.data() + begin, row.vector.data(), VectorBytes(schema));
  }
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
  if (bytes.size() < id_bytes + MomentsBytes(schema) + VectorBytes(schema)) {
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
  row.vector.resize(schema.dim);
  if (schema.storage == StorageType::kF16) {
    std::vector<uint16_t> halves(schema.dim);
    std::memcpy(halves.data(), bytes.data(), VectorBytes(schema));
    kernels::Active().f16_to_f32(halves.data(), schema.dim, row.vector.data());
  } else {
    std::memcpy(row.vector.data(), bytes.data(), VectorBytes(schema));
  }
  row.payload = std::string(bytes.substr(VectorBytes(schema)));
  return row;
}

void RoundToStorage(const Schema& schema, float* vector) {
  if (schema.storage != StorageType::kF16) return;
  std::vector<uint16_t> halves(schema.dim);
  kernels::Active().f32_to_f16(vector, schema.dim, halves.data());
  kernels::Active().f16_to_f32(halves.data(), schema.dim, vector);
}

void InverseNorms(const Schema& schema, const float* vector, float* out) {
  double squares = 0;
  uint32_t i = 0;
  for (const uint32_t dims : schema.ladder) {
    for (; i < dims; ++i) squares += static_cast<double>(vector[i]) * vector[i];
    const auto inverse = static_cast<float>(squares > 0 ? 1 / std::sqrt(squares) : 0);
    *out++ = std::isfinite(inverse) ? inverse : 0;
  }
}

}  // namespace mrl::store
