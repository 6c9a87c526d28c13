#include "server/service/convert.h"

#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "index/kernels/kernels.h"
#include "server/limits.h"
#include "server/rpc/error.h"

namespace mrl::server {
namespace {

static_assert(std::endian::native == std::endian::little, "vectors travel in little-endian bytes");

absl::StatusOr<std::optional<funnel::Funnel>> ChosenFunnel(const v1::SearchOptions& options) {
  if (options.has_funnel_text()) {
    if (options.funnel_text().size() > Limits::kFunnelTextBytes) {
      return InvalidField("options.funnel_text",
                          absl::StrCat("funnel has ", options.funnel_text().size(),
                                       " bytes; the limit is ", Limits::kFunnelTextBytes));
    }
    auto parsed = funnel::ParseFunnel(options.funnel_text());
    if (!parsed.ok()) return WithField(parsed.status(), "options.funnel_text");
    return std::optional<funnel::Funnel>(*std::move(parsed));
  }
  if (!options.has_funnel()) return std::optional<funnel::Funnel>();
  funnel::Funnel funnel;
  funnel.kind = options.funnel().kind();
  for (const auto& [name, value] : options.funnel().params()) funnel.params[name] = value;
  for (const v1::Stage& stage : options.funnel().stages()) {
    funnel.stages.push_back({stage.dims(), stage.bits(), stage.keep()});
  }
  return std::optional<funnel::Funnel>(std::move(funnel));
}

// Refuses a number that is none of `known`. 0, which all have, asks for a default where there is
// one.
absl::Status CheckEnum(absl::string_view name, int value,
                       const google::protobuf::EnumDescriptor* known, bool has_default = true) {
  std::vector<std::string> names;
  for (int i = 0; i < known->value_count(); ++i) {
    const auto* one = known->value(i);
    if (one->number() == value && (has_default || value != 0)) return absl::OkStatus();
    if (one->number() != 0) names.push_back(one->name());
  }
  return InvalidField(name, absl::StrCat(name, " is ", value, "; one of ",
                                         absl::StrJoin(names, ", "), " is needed"));
}

v1::Metric ToProto(Metric metric) {
  switch (metric) {
    case Metric::kCosine:
      return v1::METRIC_COSINE;
    case Metric::kInnerProduct:
      return v1::METRIC_INNER_PRODUCT;
    case Metric::kL2:
      return v1::METRIC_L2;
  }
  return v1::METRIC_UNSPECIFIED;
}

v1::StorageType ToProto(StorageType storage) {
  switch (storage) {
    case StorageType::kF32:
      return v1::STORAGE_TYPE_F32;
    case StorageType::kF16:
      return v1::STORAGE_TYPE_F16;
    case StorageType::kBf16:
      return v1::STORAGE_TYPE_BF16;
    case StorageType::kInt8:
      return v1::STORAGE_TYPE_INT8;
  }
  return v1::STORAGE_TYPE_UNSPECIFIED;
}

// The default for a type that is not given.
StorageType StorageOf(v1::StorageType storage) {
  for (const StorageType type : {StorageType::kF16, StorageType::kBf16, StorageType::kInt8}) {
    if (storage == ToProto(type)) return type;
  }
  return StorageType::kF32;
}

v1::Transform ToProto(Transform transform) {
  if (transform == Transform::kRotation) return v1::TRANSFORM_ROTATION;
  return transform == Transform::kLayerNorm ? v1::TRANSFORM_LAYER_NORM : v1::TRANSFORM_NONE;
}

}  // namespace

absl::StatusOr<uint64_t> PageSize(int32_t page_size) {
  if (page_size < 0) {
    return InvalidField("page_size", absl::StrCat("page_size is ", page_size, "; 0 to ",
                                                  Limits::kPageSize, " are accepted"));
  }
  if (page_size == 0) return Limits::kPageSizeDefault;
  return std::min(static_cast<uint64_t>(page_size), Limits::kPageSize);
}

absl::StatusOr<PointId> FromProto(const v1::PointId& id, absl::string_view field) {
  switch (id.id_case()) {
    case v1::PointId::kNumber:
      return PointId(id.number());
    case v1::PointId::kText:
      break;
    case v1::PointId::ID_NOT_SET:
      return InvalidField(field, "id is empty; a number or a text is needed");
  }
  PointId result(id.text());
  if (absl::Status status = result.Validate(); !status.ok()) return WithField(status, field);
  return result;
}

void ToProto(const PointId& id, v1::PointId* out) {
  if (id.is_number()) {
    out->set_number(id.number());
  } else {
    out->set_text(id.text());
  }
}

absl::StatusOr<size_t> CountElements(const v1::Vector& vector, absl::string_view field) {
  if (vector.dtype() != v1::DTYPE_F32 && vector.dtype() != v1::DTYPE_F16) {
    return InvalidField(field, absl::StrCat("dtype is ", static_cast<int>(vector.dtype()),
                                            "; one of DTYPE_F32, DTYPE_F16 is needed"));
  }
  const size_t width = vector.dtype() == v1::DTYPE_F32 ? 4 : 2;
  if (vector.data().size() % width != 0) {
    return InvalidField(field, absl::StrCat("vector has ", vector.data().size(),
                                            " bytes, which is no multiple of ", width));
  }
  return vector.data().size() / width;
}

std::vector<float> Elements(const v1::Vector& vector, size_t begin, size_t count) {
  std::vector<float> out(count);
  if (vector.dtype() == v1::DTYPE_F32) {
    std::memcpy(out.data(), vector.data().data() + begin * 4, count * 4);
    return out;
  }
  std::vector<uint16_t> halves(count);
  std::memcpy(halves.data(), vector.data().data() + begin * 2, count * 2);
  kernels::Active().f16_to_f32(halves.data(), count, out.data());
  return out;
}

void ToProto(absl::Span<const float> vector, v1::Vector* out) {
  out->set_dtype(v1::DTYPE_F32);
  out->set_data(vector.data(), vector.size() * sizeof(float));
}

absl::Status CheckQueryDims(const std::string& collection, const Schema& schema, size_t dims,
                            absl::string_view field) {
  if (dims == schema.dim) return absl::OkStatus();
  const bool prefixes = schema.transform == Transform::kNone;
  if (prefixes && dims <= schema.dim && schema.LevelOf(static_cast<uint32_t>(dims)) >= 0) {
    return absl::OkStatus();
  }
  return InvalidField(
      field, absl::StrCat("vector has ", dims, " dimensions; collection '", collection, "' takes ",
                          schema.dim,
                          prefixes && schema.levels() > 1
                              ? absl::StrCat(" or a ladder step ", FormatLadder(schema.ladder))
                              : ""));
}

absl::StatusOr<funnel::ChosenPlan> MakePlan(const collection::Collection& collection,
                                            const v1::SearchOptions& options, uint32_t query_dims) {
  funnel::PlanInput input = collection.plan_input();
  if (options.has_k()) input.k = options.k();
  if (options.offset() > 0) {
    if (input.k + uint64_t{options.offset()} > funnel::Limits::kKMax) {
      return InvalidField("options.offset",
                          absl::StrCat("k + offset is ", input.k + uint64_t{options.offset()},
                                       "; the limit is ", funnel::Limits::kKMax));
    }
    input.k += options.offset();
  }
  input.query_dims = query_dims;
  input.exact = options.has_exact() && options.exact();
  MRL_ASSIGN_OR_RETURN(input.funnel, ChosenFunnel(options));
  auto chosen = funnel::ChoosePlan(collection.profiles(), options.profile(), std::move(input));
  if (!chosen.ok()) return WithField(chosen.status(), "options");
  return chosen;
}

absl::StatusOr<std::vector<Field>> FromProto(
    const google::protobuf::RepeatedPtrField<v1::Field>& messages) {
  std::vector<Field> fields;
  for (const v1::Field& message : messages) {
    const absl::Status known =
        CheckEnum("type", message.type(), v1::FieldType_descriptor(), /*has_default=*/false);
    MRL_RETURN_IF_ERROR(Annotate(
        known, absl::StrCat("field '", message.name().substr(0, Field::kNameBytesMax), "'")));
    fields.push_back({message.name(), static_cast<FieldType>(message.type())});
  }
  MRL_RETURN_IF_ERROR(ValidateFields(fields));
  return fields;
}

absl::StatusOr<Schema> FromProto(const v1::CreateCollectionRequest& request) {
  Schema schema;
  schema.dim = request.dim();
  schema.ladder.assign(request.ladder().begin(), request.ladder().end());
  // A dim out of range is refused below; a ladder of it would only be in the way.
  if (schema.ladder.empty() && schema.dim > 0) schema.ladder = DefaultLadder(schema.dim);
  if (request.metric() == v1::METRIC_INNER_PRODUCT) schema.metric = Metric::kInnerProduct;
  if (request.metric() == v1::METRIC_L2) schema.metric = Metric::kL2;
  schema.storage = StorageOf(request.storage());
  if (request.transform() == v1::TRANSFORM_LAYER_NORM) schema.transform = Transform::kLayerNorm;
  if (request.transform() == v1::TRANSFORM_ROTATION) schema.transform = Transform::kRotation;
  MRL_RETURN_IF_ERROR(CheckEnum("metric", request.metric(), v1::Metric_descriptor()));
  MRL_RETURN_IF_ERROR(CheckEnum("storage", request.storage(), v1::StorageType_descriptor()));
  MRL_RETURN_IF_ERROR(CheckEnum("transform", request.transform(), v1::Transform_descriptor()));
  for (const v1::Code& code : request.codes()) schema.codes.push_back({code.dims(), code.bits()});
  if (schema.codes.empty() && !request.no_codes()) {
    schema.codes = DefaultCodes(schema.ladder, schema.metric);
  }
  auto fields = FromProto(request.fields());
  if (!fields.ok()) return WithField(fields.status(), "fields");
  schema.fields = *std::move(fields);
  MRL_RETURN_IF_ERROR(schema.Validate());
  return schema;
}

void ToProto(const Schema& schema, v1::Collection* out) {
  out->set_dim(schema.dim);
  for (uint32_t dims : schema.ladder) out->add_ladder(dims);
  out->set_metric(ToProto(schema.metric));
  out->set_storage(ToProto(schema.storage));
  out->set_transform(ToProto(schema.transform));
  for (const Code& code : schema.codes) {
    v1::Code* added = out->add_codes();
    added->set_dims(code.dims);
    added->set_bits(code.bits);
  }
  for (const Field& field : schema.fields) {
    v1::Field* added = out->add_fields();
    added->set_name(field.name);
    added->set_type(static_cast<v1::FieldType>(field.type));
  }
}

void ToProto(const Registry::Entry& entry, v1::Collection* out) {
  out->set_name(entry.path.name);
  if (!entry.last_open.ok()) out->set_state_message(std::string(entry.last_open.message()));
  if (entry.collection == nullptr) {
    out->set_state(entry.idle ? v1::Collection::STATE_IDLE : v1::Collection::STATE_DAMAGED);
    return;
  }
  const collection::Collection& collection = *entry.collection;
  out->set_state(v1::Collection::STATE_SERVING);
  out->set_uuid(collection.uuid());
  out->set_generation(collection.generation());
  out->mutable_create_time()->set_seconds(collection.created_unix_s());
  out->set_rows(collection.rows());
  out->set_read_only(entry.read_only);
  out->set_sequence(collection.sequence());
  ToProto(collection.schema(), out);
  for (const std::string& kind : collection.kinds()) out->add_kinds(kind);
}

void ToProto(const Registry::Entry& entry, const collection::Collection& collection,
             v1::CollectionStats* out) {
  const Schema& schema = collection.schema();
  out->set_name(entry.path.name);
  out->set_generation(collection.generation());
  out->set_rows(collection.rows());
  out->set_segments(static_cast<uint32_t>(collection.view().parts.size()));
  out->set_memory_bytes(collection.memory_bytes());
  out->set_hot_bytes(collection.hot_bytes());
  for (size_t level = 0; level < schema.levels(); ++level) {
    v1::CollectionStats::Level* added = out->add_levels();
    added->set_dims(schema.ladder[level]);
    added->set_bytes(collection.level_memory_bytes(level));
  }
  uint64_t norms = 0, ids = 0;
  uint32_t number = 0;
  for (const funnel::View::Part& part : collection.view().parts) {
    norms += part.segment->memory().norms;
    ids += part.segment->memory().ids;
    for (const auto& index : part.indexes) {
      v1::CollectionStats::Index* added = out->add_indexes();
      added->set_segment(number);
      added->set_kind(std::string(index->kind()));
      added->set_description(index->Describe());
      added->set_bytes(index->memory_bytes());
    }
    ++number;
  }
  out->set_norms_bytes(norms);
  out->set_ids_bytes(ids);
  uint64_t disk = 0;
  for (const collection::Collection::File& file : collection.files()) {
    v1::CollectionStats::File* added = out->add_files();
    added->set_name(file.name);
    added->set_bytes(file.bytes);
    disk += file.bytes;
  }
  out->set_disk_bytes(disk);
}

void ToProto(const funnel::Trace& trace, const funnel::ChosenPlan& chosen,
             const collection::Collection& collection, v1::SearchStats* out) {
  for (const funnel::StageTrace& stage : trace.stages) {
    v1::StageStats* added = out->add_stages();
    added->set_kind(stage.kind);
    added->set_dims(stage.dims);
    added->set_bits(stage.bits);
    added->set_candidates_in(stage.candidates_in);
    added->set_candidates_out(stage.candidates_out);
    added->set_left_out(stage.left_out);
    added->set_bytes_touched(stage.bytes);
    added->set_cold_bytes(stage.cold_bytes);
    added->set_rescored(stage.rescored);
    added->set_micros(stage.micros);
    added->set_score_cut(stage.score_cut);
  }
  if (!trace.stages.empty()) out->set_rows_scanned(trace.stages.front().candidates_in);
  out->set_plan(chosen.plan.ToText());
  out->set_profile(chosen.profile);
  out->set_profile_version(chosen.version);
  out->set_generation(collection.generation());
  out->set_sequence(collection.sequence());
  out->set_multiply_adds(trace.multiply_adds);
  out->set_tile_queries(trace.tile_queries);
  out->set_engine_micros(trace.micros);
}

void ToProto(const funnel::WhyNot& why_not, v1::WhyNot* out) {
  ToProto(why_not.id, out->mutable_id());
  out->set_found(why_not.found);
  if (!why_not.found) return;
  for (const funnel::WhyNot::AtStage& stage : why_not.stages) {
    v1::WhyNot::AtStage* added = out->add_stages();
    if (stage.rank >= 0) added->set_rank(static_cast<uint64_t>(stage.rank));
    added->set_score(stage.score);
  }
  if (why_not.lost_at >= 0) out->set_lost_at(static_cast<uint32_t>(why_not.lost_at));
}

}  // namespace mrl::server
