// Client: collections that take writes, their points and indexes, and operations.
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/status.h"
#include "client/cpp/client.h"
#include "client/cpp/convert.h"
#include "index/schema/schema.h"

namespace mrl::client {
namespace {

namespace lro = google::longrunning;
using client::ToProto;  // the ones below would hide it
constexpr absl::Duration kAskEvery = absl::Milliseconds(100);

void ToProto(const Code& code, v1::Code* out) {
  out->set_dims(code.dims);
  out->set_bits(code.bits);
}

template <typename Message>
absl::Status AddFields(const std::vector<std::string>& fields, Message* out) {
  for (const std::string& text : fields) {
    MRL_ASSIGN_OR_RETURN(const Field field, ParseField(text));
    v1::Field* added = out->add_fields();
    added->set_name(field.name);
    added->set_type(static_cast<v1::FieldType>(field.type));
  }
  return absl::OkStatus();
}

absl::StatusOr<v1::CreateCollectionRequest> MakeRequest(const NewCollection& wanted) {
  v1::CreateCollectionRequest request;
  request.set_name(wanted.name);
  request.set_dim(wanted.dim);
  request.set_validate_only(wanted.validate_only);
  if (!wanted.ladder.empty()) {
    MRL_ASSIGN_OR_RETURN(const auto ladder, ParseLadder(wanted.ladder));
    request.mutable_ladder()->Assign(ladder.begin(), ladder.end());
  }
  if (!wanted.metric.empty()) {
    MRL_ASSIGN_OR_RETURN(const Metric metric, ParseMetric(wanted.metric));
    request.set_metric(static_cast<v1::Metric>(metric));
  }
  if (!wanted.storage.empty()) {
    MRL_ASSIGN_OR_RETURN(const StorageType storage, ParseStorageType(wanted.storage));
    request.set_storage(static_cast<v1::StorageType>(storage));
  }
  if (!wanted.transform.empty()) {
    MRL_ASSIGN_OR_RETURN(const Transform transform, ParseTransform(wanted.transform));
    request.set_transform(static_cast<v1::Transform>(transform));
  }
  if (!wanted.codes.empty()) {
    MRL_ASSIGN_OR_RETURN(const auto codes, ParseCodes(wanted.codes));
    request.set_no_codes(codes.empty());
    for (const Code& code : codes) ToProto(code, request.add_codes());
  }
  MRL_RETURN_IF_ERROR(AddFields(wanted.fields, &request));
  return request;
}

void ToProto(const NewPoint& point, v1::PointWrite* out) {
  ToProto(point.id, out->mutable_id());
  ToProto(point.vector, out->mutable_vector());
  out->set_payload_json(point.payload_json);
  if (point.if_sequence) {
    out->set_if_sequence(*point.if_sequence);
  } else if (point.if_absent) {
    out->set_if_absent(true);
  }
}

v1::Durability ToProto(bool durable) {
  return durable ? v1::DURABILITY_SYNC : v1::DURABILITY_ASYNC;
}

template <typename Request>
Request OfOperation(const std::string& name) {
  Request request;
  request.set_name(name);
  return request;
}

template <typename Message>
Client::Aliases AliasesOf(const Message& message) {
  return {message.aliases().begin(), message.aliases().end()};
}

}  // namespace

absl::StatusOr<Collection> Client::CreateCollection(const NewCollection& wanted) {
  MRL_ASSIGN_OR_RETURN(const v1::CreateCollectionRequest request, MakeRequest(wanted));
  MRL_ASSIGN_OR_RETURN(const v1::Collection response, connection_->CreateCollection(request));
  return FromProto(response);
}

absl::StatusOr<Operation> Client::UpdateFields(const std::string& name,
                                               const std::vector<std::string>& fields,
                                               bool validate_only) {
  v1::UpdateCollectionRequest request;
  request.mutable_collection()->set_name(name);
  MRL_RETURN_IF_ERROR(AddFields(fields, request.mutable_collection()));
  request.mutable_update_mask()->add_paths("fields");
  request.set_validate_only(validate_only);
  MRL_ASSIGN_OR_RETURN(const lro::Operation response, connection_->UpdateCollection(request));
  return FromProto(response);
}

absl::StatusOr<Operation> Client::CompactCollection(const std::string& name) {
  v1::CompactCollectionRequest request;
  request.set_collection(name);
  MRL_ASSIGN_OR_RETURN(const lro::Operation response, connection_->CompactCollection(request));
  return FromProto(response);
}

absl::Status Client::DeleteCollection(const std::string& name) {
  v1::DeleteCollectionRequest request;
  request.set_name(name);
  return connection_->DeleteCollection(request);
}

absl::StatusOr<Client::Aliases> Client::UpdateAliases(const Aliases& changes) {
  v1::BatchUpdateAliasesRequest request;
  for (const auto& [alias, collection] : changes) {
    auto* change = request.add_changes();
    change->set_alias(alias);
    change->set_collection(collection);
  }
  MRL_ASSIGN_OR_RETURN(const auto response, connection_->BatchUpdateAliases(request));
  return AliasesOf(response);
}

absl::StatusOr<Client::Aliases> Client::ListAliases() {
  MRL_ASSIGN_OR_RETURN(const auto response, connection_->ListAliases({}));
  return AliasesOf(response);
}

absl::StatusOr<Operation> Client::BuildIndex(const Index& wanted, bool activate,
                                             bool validate_only) {
  v1::BuildIndexRequest request;
  request.set_collection(wanted.collection);
  v1::IndexSpec* spec = request.mutable_spec();
  spec->set_kind(wanted.kind);
  spec->set_dims(wanted.dims);
  spec->set_faiss_factory(wanted.faiss_factory);
  spec->set_lists(wanted.lists);
  spec->set_degree(wanted.degree);
  if (!wanted.code.empty()) {
    MRL_ASSIGN_OR_RETURN(const auto codes, ParseCodes(wanted.code));
    if (codes.size() != 1) {
      return absl::InvalidArgumentError(
          absl::StrCat("code is '", wanted.code, "'; one such as 64b8 is needed"));
    }
    ToProto(codes.front(), spec->mutable_code());
  }
  request.set_activate(activate);
  request.set_validate_only(validate_only);
  MRL_ASSIGN_OR_RETURN(const lro::Operation response, connection_->BuildIndex(request));
  return FromProto(response);
}

absl::StatusOr<Index> Client::ActivateIndex(const std::string& collection,
                                            const std::string& kind) {
  v1::ActivateIndexRequest request;
  request.set_collection(collection);
  request.set_kind(kind);
  MRL_ASSIGN_OR_RETURN(const v1::Index response, connection_->ActivateIndex(request));
  return FromProto(response);
}

absl::StatusOr<std::vector<Index>> Client::ListIndexes(const std::string& collection) {
  v1::ListIndexesRequest request;
  request.set_collection(collection);
  MRL_ASSIGN_OR_RETURN(const v1::ListIndexesResponse response, connection_->ListIndexes(request));
  std::vector<Index> out;
  for (const v1::Index& index : response.indexes()) out.push_back(FromProto(index));
  return out;
}

absl::Status Client::DeleteIndex(const std::string& collection, const std::string& kind) {
  v1::DeleteIndexRequest request;
  request.set_collection(collection);
  request.set_kind(kind);
  return connection_->DeleteIndex(request);
}

absl::StatusOr<Operation> Client::GetOperation(const std::string& name) {
  MRL_ASSIGN_OR_RETURN(const lro::Operation response,
                       connection_->GetOperation(OfOperation<lro::GetOperationRequest>(name)));
  return FromProto(response);
}

absl::StatusOr<std::vector<Operation>> Client::ListOperations() {
  std::vector<Operation> out;
  auto request = OfOperation<lro::ListOperationsRequest>("operations");
  do {
    MRL_ASSIGN_OR_RETURN(const lro::ListOperationsResponse page,
                         connection_->ListOperations(request));
    for (const lro::Operation& operation : page.operations()) out.push_back(FromProto(operation));
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return out;
}

absl::Status Client::CancelOperation(const std::string& name) {
  return connection_->CancelOperation(OfOperation<lro::CancelOperationRequest>(name));
}

absl::Status Client::DeleteOperation(const std::string& name) {
  return connection_->DeleteOperation(OfOperation<lro::DeleteOperationRequest>(name));
}

absl::StatusOr<Operation> Client::Wait(Operation operation,
                                       const std::function<absl::Status(const Operation&)>& heard) {
  while (true) {
    if (heard) MRL_RETURN_IF_ERROR(heard(operation));
    if (operation.done) return operation;
    absl::SleepFor(kAskEvery);
    MRL_ASSIGN_OR_RETURN(operation, GetOperation(operation.name));
  }
}

absl::StatusOr<Written> Client::UpsertPoints(const std::string& collection,
                                             absl::Span<const NewPoint> points, bool durable) {
  v1::UpsertPointsRequest request;
  request.set_collection(collection);
  for (const NewPoint& point : points) ToProto(point, request.add_points());
  request.set_durability(ToProto(durable));
  MRL_ASSIGN_OR_RETURN(const v1::UpsertPointsResponse response, connection_->UpsertPoints(request));
  return Written{.points = response.points(), .sequence = response.sequence()};
}

absl::StatusOr<Written> Client::WritePoints(
    const std::string& collection, bool durable,
    const std::function<absl::StatusOr<std::vector<NewPoint>>()>& next) {
  Written written;
  uint64_t sent = 0;     // before the request that is under way
  uint64_t at_once = 0;  // in it
  MRL_RETURN_IF_ERROR(connection_->WritePoints(
      [&]() -> absl::StatusOr<std::optional<v1::WritePointsRequest>> {
        MRL_ASSIGN_OR_RETURN(const std::vector<NewPoint> points, next());
        if (points.empty()) return std::optional<v1::WritePointsRequest>();
        v1::WritePointsRequest request;
        request.set_collection(collection);
        request.set_durability(ToProto(durable));
        for (const NewPoint& point : points) ToProto(point, request.add_upserts());
        sent += std::exchange(at_once, points.size());
        return std::optional<v1::WritePointsRequest>(std::move(request));
      },
      [&](const v1::WritePointsResponse& response) {
        written.points += response.points();
        written.sequence = response.sequence();
        for (const auto& failure : response.failures()) {
          written.failures.push_back({sent + failure.index(), failure.message()});
        }
      }));
  return written;
}

absl::StatusOr<Written> Client::UpdatePayloads(
    const std::string& collection, const std::vector<std::pair<Id, std::string>>& payloads,
    bool durable) {
  v1::UpdatePayloadRequest request;
  request.set_collection(collection);
  for (const auto& [id, payload] : payloads) {
    auto* item = request.add_items();
    ToProto(id, item->mutable_id());
    item->set_payload_json(payload);
  }
  request.set_durability(ToProto(durable));
  MRL_ASSIGN_OR_RETURN(const v1::UpdatePayloadResponse response,
                       connection_->UpdatePayload(request));
  return Written{.points = response.points(), .sequence = response.sequence()};
}

absl::StatusOr<std::vector<Point>> Client::GetPoints(const std::string& collection,
                                                     absl::Span<const Id> ids, bool with_vector) {
  v1::BatchGetPointsRequest request;
  request.set_collection(collection);
  for (const Id& id : ids) ToProto(id, request.add_ids());
  request.set_with_vector(with_vector);
  request.set_with_payload(true);
  MRL_ASSIGN_OR_RETURN(const v1::BatchGetPointsResponse response,
                       connection_->BatchGetPoints(request));
  std::vector<Point> out;
  for (const v1::Point& point : response.points()) out.push_back(FromProto(point));
  return out;
}

}  // namespace mrl::client
