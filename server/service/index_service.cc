#include "server/service/index_service.h"

#include <algorithm>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "server/rpc/call.h"
#include "server/rpc/error.h"
#include "server/service/operation_service.h"

namespace mrl::server {
namespace {

coarse::IndexSpec FromProto(const v1::IndexSpec& spec) {
  return {.kind = spec.kind(),
          .dims = spec.dims(),
          .factory = spec.faiss_factory(),
          .lists = spec.lists(),
          .code = {spec.code().dims(), spec.code().bits()},
          .degree = spec.degree()};
}

void ToProto(const coarse::IndexSpec& spec, v1::IndexSpec* out) {
  out->set_kind(spec.kind);
  out->set_dims(spec.dims);
  out->set_faiss_factory(spec.factory);
  out->set_lists(spec.lists);
  out->set_degree(spec.degree);
  if (spec.code == Code{}) return;
  out->mutable_code()->set_dims(spec.code.dims);
  out->mutable_code()->set_bits(spec.code.bits);
}

// The index of one kind, as `collection` has it.
v1::Index IndexOf(const collection::Collection& collection, const std::string& name,
                  const std::string& kind) {
  v1::Index index;
  index.set_collection(name);
  index.mutable_spec()->set_kind(kind);
  for (const coarse::IndexSpec& spec : collection.indexes()) {
    if (spec.kind == kind) ToProto(spec, index.mutable_spec());
  }
  index.set_active(collection.kinds().front() == kind);
  for (const auto& part : collection.view().parts) {
    for (const auto& built : part.indexes) {
      // What stands in where a part has no index takes no memory.
      if (built->kind() != kind || built->memory_bytes() == 0) continue;
      index.set_segments(index.segments() + 1);
      index.set_memory_bytes(index.memory_bytes() + built->memory_bytes());
    }
  }
  return index;
}

bool Has(const collection::Collection& collection, const std::string& kind) {
  const std::vector<std::string> kinds = collection.kinds();
  return std::find(kinds.begin(), kinds.end(), kind) != kinds.end();
}

absl::Status StartBuild(const Registry& registry, Operations& operations,
                        const v1::BuildIndexRequest& request,
                        google::longrunning::Operation* response) {
  MRL_ASSIGN_OR_RETURN(const auto live, registry.FindLive(request.collection()));
  MRL_ASSIGN_OR_RETURN(const Registry::Entry entry, registry.Get(request.collection()));
  const std::string& name = entry.path.name;
  const auto collection = live->Read();
  const coarse::IndexSpec spec =
      coarse::WithDefaults(FromProto(request.spec()), collection->schema());
  MRL_RETURN_IF_ERROR(WithField(spec.ValidateAsked(collection->schema()), "spec"));
  if (Has(*collection, spec.kind)) {
    return absl::AlreadyExistsError(absl::StrCat(
        "collection '", name, "' has an index of the kind ", spec.kind, "; delete it first"));
  }
  if (request.validate_only()) {
    v1::Index index;
    index.set_collection(name);
    ToProto(spec, index.mutable_spec());
    index.set_active(request.activate());
    index.set_memory_bytes(
        coarse::ExpectedMemoryBytes(collection->schema(), spec, collection->rows()));
    response->set_done(true);
    response->mutable_response()->PackFrom(index);
    return absl::OkStatus();
  }
  MRL_ASSIGN_OR_RETURN(const Operation started,
                       operations.Start("BuildIndex", name, request.SerializeAsString()));
  ToProto(started, response);
  return absl::OkStatus();
}

}  // namespace

Operations::Runner MakeIndexBuilder(const Registry& registry) {
  return [&registry](const Operation& operation,
                     Operations::Control& control) -> absl::StatusOr<std::string> {
    MRL_ASSIGN_OR_RETURN(const auto request, RequestOf<v1::BuildIndexRequest>(operation));
    MRL_ASSIGN_OR_RETURN(const auto live, registry.FindLive(operation.collection));
    const coarse::IndexSpec spec =
        coarse::WithDefaults(FromProto(request.spec()), live->Read()->schema());
    collection::LiveCollection::AddOptions options;
    options.activate = request.activate();
    // Half of the cores: searches go on.
    options.threads = std::max(1u, std::thread::hardware_concurrency() / 2);
    options.progress = [&](uint64_t done, uint64_t rows) { control.Report(done, rows); };
    options.stopped = [&] { return control.stopped(); };
    const absl::Status added = live->AddIndex(spec, options);
    const std::vector<coarse::IndexSpec> built = live->indexes();
    const bool is_there = std::any_of(built.begin(), built.end(), [&spec](coarse::IndexSpec one) {
      if (spec.leaves_dims()) one.dims = 0;
      return one == spec;
    });
    if (!added.ok() && !(absl::IsAlreadyExists(added) && is_there)) return added;
    return Packed(IndexOf(*live->Read(), operation.collection, spec.kind));
  };
}

grpc::ServerUnaryReactor* IndexService::BuildIndex(grpc::CallbackServerContext* context,
                                                   const v1::BuildIndexRequest* request,
                                                   google::longrunning::Operation* response) {
  return UnaryCall<v1::BuildIndexRequest, google::longrunning::Operation>::Start(
      desk_, "BuildIndex", context, request, response,
      [this](Call&, const v1::BuildIndexRequest& in, google::longrunning::Operation* out) {
        return StartBuild(registry_, operations_, in, out);
      });
}

grpc::ServerUnaryReactor* IndexService::ActivateIndex(grpc::CallbackServerContext* context,
                                                      const v1::ActivateIndexRequest* request,
                                                      v1::Index* response) {
  return UnaryCall<v1::ActivateIndexRequest, v1::Index>::Start(
      desk_, "ActivateIndex", context, request, response,
      [this](Call&, const v1::ActivateIndexRequest& in, v1::Index* out) -> absl::Status {
        MRL_ASSIGN_OR_RETURN(const auto live, registry_.FindLive(in.collection()));
        MRL_ASSIGN_OR_RETURN(const Registry::Entry entry, registry_.Get(in.collection()));
        MRL_RETURN_IF_ERROR(live->UseIndex(in.kind()));
        *out = IndexOf(*live->Read(), entry.path.name, in.kind());
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* IndexService::ListIndexes(grpc::CallbackServerContext* context,
                                                    const v1::ListIndexesRequest* request,
                                                    v1::ListIndexesResponse* response) {
  return UnaryCall<v1::ListIndexesRequest, v1::ListIndexesResponse>::Start(
      desk_, "ListIndexes", context, request, response,
      [this](Call&, const v1::ListIndexesRequest& in,
             v1::ListIndexesResponse* out) -> absl::Status {
        MRL_ASSIGN_OR_RETURN(const auto collection, registry_.Find(in.collection()));
        MRL_ASSIGN_OR_RETURN(const Registry::Entry entry, registry_.Get(in.collection()));
        for (const std::string& kind : collection->kinds()) {
          *out->add_indexes() = IndexOf(*collection, entry.path.name, kind);
        }
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* IndexService::DeleteIndex(grpc::CallbackServerContext* context,
                                                    const v1::DeleteIndexRequest* request,
                                                    google::protobuf::Empty* response) {
  return UnaryCall<v1::DeleteIndexRequest, google::protobuf::Empty>::Start(
      desk_, "DeleteIndex", context, request, response,
      [this](Call&, const v1::DeleteIndexRequest& in, google::protobuf::Empty*) -> absl::Status {
        MRL_ASSIGN_OR_RETURN(const auto live, registry_.FindLive(in.collection()));
        return live->DropIndex(in.kind());
      });
}

}  // namespace mrl::server
