#include "client/cpp/convert.h"

#include <google/protobuf/util/json_util.h>

#include <cstring>

#include "absl/strings/str_cat.h"
#include "index/schema/field.h"
#include "index/schema/schema.h"
#include "mrl/v1/operation.pb.h"

namespace mrl::client {
namespace {

std::string MetricName(v1::Metric metric) {
  switch (metric) {
    case v1::METRIC_COSINE:
      return "cosine";
    case v1::METRIC_INNER_PRODUCT:
      return "ip";
    case v1::METRIC_L2:
      return "l2";
    default:
      return "unknown";
  }
}

std::string TransformName(v1::Transform transform) {
  switch (transform) {
    case v1::TRANSFORM_NONE:
      return "none";
    case v1::TRANSFORM_LAYER_NORM:
      return "layer_norm";
    case v1::TRANSFORM_ROTATION:
      return "rotation";
    default:
      return "unknown";
  }
}

std::string StateName(v1::Collection::State state) {
  switch (state) {
    case v1::Collection::STATE_SERVING:
      return "serving";
    case v1::Collection::STATE_IDLE:
      return "idle";
    default:
      return "damaged";
  }
}

}  // namespace

void ToProto(const Id& id, v1::PointId* out) {
  if (const auto* number = std::get_if<uint64_t>(&id)) {
    out->set_number(*number);
  } else {
    out->set_text(std::get<std::string>(id));
  }
}

Id FromProto(const v1::PointId& id) {
  if (id.has_number()) return id.number();
  return id.text();
}

void ToProto(absl::Span<const float> vector, v1::Vector* out) {
  out->set_dtype(v1::DTYPE_F32);
  out->set_data(vector.data(), vector.size() * sizeof(float));
}

std::vector<float> FromProto(const v1::Vector& vector) {
  const std::string& bytes = vector.data();
  std::vector<float> out(bytes.size() / sizeof(float));
  if (!out.empty()) std::memcpy(out.data(), bytes.data(), out.size() * sizeof(float));
  return out;
}

Collection FromProto(const v1::Collection& collection) {
  Collection out;
  out.name = collection.name();
  out.state = StateName(collection.state());
  out.serving = out.state != "damaged";
  out.state_message = collection.state_message();
  if (out.state != "serving") return out;
  out.uuid = collection.uuid();
  out.generation = collection.generation();
  out.created_unix_s = collection.create_time().seconds();
  out.rows = collection.rows();
  out.dim = collection.dim();
  out.ladder.assign(collection.ladder().begin(), collection.ladder().end());
  out.metric = MetricName(collection.metric());
  out.storage = std::string(ToString(static_cast<StorageType>(collection.storage())));
  out.transform = TransformName(collection.transform());
  for (const v1::Code& code : collection.codes()) {
    out.codes.push_back(absl::StrCat(code.dims(), "b", code.bits()));
  }
  out.kinds.assign(collection.kinds().begin(), collection.kinds().end());
  for (const v1::Field& field : collection.fields()) {
    out.fields.push_back(
        absl::StrCat(field.name(), ":", ToString(static_cast<FieldType>(field.type()))));
  }
  return out;
}

Point FromProto(const v1::Point& point) {
  return {FromProto(point.id()), point.sequence(), point.payload_json(), FromProto(point.vector())};
}

Index FromProto(const v1::Index& index) {
  const v1::IndexSpec& spec = index.spec();
  Index out;
  out.collection = index.collection();
  out.kind = spec.kind();
  out.dims = spec.dims();
  out.faiss_factory = spec.faiss_factory();
  out.lists = spec.lists();
  out.degree = spec.degree();
  if (spec.has_code()) out.code = absl::StrCat(spec.code().dims(), "b", spec.code().bits());
  out.active = index.active();
  out.memory_bytes = index.memory_bytes();
  out.segments = index.segments();
  return out;
}

Operation FromProto(const google::longrunning::Operation& operation) {
  v1::OperationMetadata metadata;
  operation.metadata().UnpackTo(&metadata);
  Operation out;
  out.name = operation.name();
  out.method = metadata.method();
  out.collection = metadata.collection();
  out.rows_done = metadata.rows_done();
  out.rows = metadata.rows();
  out.cancel_requested = metadata.cancel_requested();
  out.done = operation.done();
  out.error_code = operation.error().code();
  out.error_message = operation.error().message();
  if (!operation.has_response()) return out;
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  // A message that this client does not know stays empty.
  const auto printed = google::protobuf::util::MessageToJsonString(operation.response(),
                                                                   &out.response_json, options);
  if (!printed.ok()) out.response_json.clear();
  return out;
}

}  // namespace mrl::client
