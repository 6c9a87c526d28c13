#include "client/cpp/client.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "client/cpp/convert.h"

namespace mrl::client {
namespace {

// Those of convert.h; without this the ones below would hide them.
using client::FromProto;
using client::ToProto;

absl::Status ToProto(const SearchOptions& options, v1::SearchOptions* out) {
  if (options.exact && !options.funnel.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("exact search takes no funnel, but one is given: ", options.funnel));
  }
  if (!options.profile.empty() && (options.exact || !options.funnel.empty())) {
    return absl::InvalidArgumentError(absl::StrCat("profile '", options.profile, "' comes with ",
                                                   options.exact ? "exact search" : "a funnel",
                                                   "; one of them is run"));
  }
  out->set_k(options.k);
  if (!options.profile.empty()) out->set_profile(options.profile);
  if (!options.funnel.empty()) out->set_funnel_text(options.funnel);
  if (options.exact) out->set_exact(true);
  if (options.score_threshold) out->set_score_threshold(*options.score_threshold);
  out->set_with_payload(options.with_payload);
  out->set_with_vector(options.with_vector);
  if (!options.filter.empty()) out->set_filter(options.filter);
  out->set_offset(options.offset);
  out->set_group_by(options.group_by);
  out->set_group_size(options.group_size);
  out->set_anytime(options.anytime);
  if (options.early_exit) out->set_early_exit(*options.early_exit);
  if (options.adaptive_keep) out->set_adaptive_keep(*options.adaptive_keep);
  return absl::OkStatus();
}

absl::StatusOr<v1::SearchRequest> MakeRequest(const std::string& collection, const Query& query,
                                              const SearchOptions& options) {
  v1::SearchRequest request;
  request.set_collection(collection);
  if (const auto* vector = std::get_if<std::vector<float>>(&query)) {
    ToProto(*vector, request.mutable_vector());
  } else {
    ToProto(std::get<Id>(query), request.mutable_id());
  }
  MRL_RETURN_IF_ERROR(ToProto(options, request.mutable_options()));
  request.set_include_self(options.include_self);
  return request;
}

Hit FromProto(const v1::Hit& hit) {
  return {FromProto(hit.id()), hit.score(), hit.payload_json(), FromProto(hit.vector())};
}

SearchStats FromProto(const v1::SearchStats& stats) {
  SearchStats out;
  out.queue_micros = stats.queue_micros();
  out.total_micros = stats.total_micros();
  out.engine_micros = stats.engine_micros();
  for (const v1::StageStats& stage : stats.stages()) {
    out.stages.push_back({stage.kind(), stage.dims(), stage.bits(), stage.candidates_in(),
                          stage.candidates_out(), stage.bytes_touched(), stage.rescored(),
                          stage.micros(), stage.score_cut(), stage.cold_bytes(), stage.left_out()});
  }
  out.rows_scanned = stats.rows_scanned();
  out.plan = stats.plan();
  out.generation = stats.generation();
  out.multiply_adds = stats.multiply_adds();
  out.tile_queries = stats.tile_queries();
  if (stats.has_rows_matched()) out.rows_matched = stats.rows_matched();
  out.profile = stats.profile();
  out.profile_version = stats.profile_version();
  out.degraded = stats.degraded();
  out.early_exit_stages = stats.early_exit_stages();
  if (stats.has_early_exit_recall()) out.early_exit_recall = stats.early_exit_recall();
  if (stats.has_adaptive_keep_recall()) out.adaptive_keep_recall = stats.adaptive_keep_recall();
  return out;
}

SearchResult FromProto(const v1::SearchResponse& response) {
  SearchResult out;
  for (const v1::Hit& hit : response.hits()) out.hits.push_back(FromProto(hit));
  out.stats = FromProto(response.stats());
  return out;
}

WhyNot FromProto(const v1::WhyNot& why_not) {
  WhyNot out;
  out.id = FromProto(why_not.id());
  out.found = why_not.found();
  for (const v1::WhyNot::AtStage& stage : why_not.stages()) {
    out.stages.push_back(
        {stage.has_rank() ? std::optional<uint64_t>(stage.rank()) : std::nullopt, stage.score()});
  }
  if (why_not.has_lost_at()) out.lost_at = why_not.lost_at();
  return out;
}

Deleted FromProto(const v1::DeletePointsResponse& response) {
  Deleted out{response.points(), response.sequence(), {}};
  for (const v1::PointId& id : response.sample()) out.sample.push_back(FromProto(id));
  return out;
}

Snapshot FromProto(const v1::Snapshot& snapshot) {
  return {snapshot.collection(), snapshot.name(),     snapshot.collection_uuid(),
          snapshot.generation(), snapshot.sequence(), snapshot.rows(),
          snapshot.bytes(),      snapshot.files(),    snapshot.create_time().seconds()};
}

template <typename Request>
Request Named(const std::string& collection, const std::string& name) {
  Request request;
  request.set_collection(collection);
  request.set_name(name);
  return request;
}

// Puts the pieces of a batch in their rows; refuses what no right server sends.
absl::Status Merge(const v1::BatchSearchResponse& chunk, std::vector<SearchResult>* results) {
  for (const auto& piece : chunk.results()) {
    if (piece.row() >= results->size()) {
      return absl::InternalError(
          absl::StrCat("the server answered row ", piece.row(), " of ", results->size()));
    }
    SearchResult& result = (*results)[piece.row()];
    for (const v1::Hit& hit : piece.hits()) result.hits.push_back(FromProto(hit));
    if (piece.last()) result.stats = FromProto(piece.stats());
  }
  return absl::OkStatus();
}

}  // namespace

std::string ToString(const Id& id) {
  if (const auto* number = std::get_if<uint64_t>(&id)) return absl::StrCat(*number);
  return std::get<std::string>(id);
}

absl::StatusOr<SearchResult> Client::Search(const std::string& collection, const Query& query,
                                            const SearchOptions& options) {
  MRL_ASSIGN_OR_RETURN(const v1::SearchRequest request, MakeRequest(collection, query, options));
  MRL_ASSIGN_OR_RETURN(const v1::SearchResponse response, connection_->Search(request));
  return FromProto(response);
}

absl::StatusOr<std::vector<SearchResult>> Client::BatchSearch(const std::string& collection,
                                                              absl::Span<const float> queries,
                                                              uint32_t rows,
                                                              const SearchOptions& options) {
  v1::BatchSearchRequest request;
  request.set_collection(collection);
  request.set_rows(rows);
  ToProto(queries, request.mutable_queries());
  MRL_RETURN_IF_ERROR(ToProto(options, request.mutable_options()));
  std::vector<SearchResult> results(rows);
  MRL_RETURN_IF_ERROR(connection_->BatchSearch(
      request,
      [&results](const v1::BatchSearchResponse& chunk) { return Merge(chunk, &results); }));
  return results;
}

absl::Status Client::ProgressiveSearch(const std::string& collection, const Query& query,
                                       const SearchOptions& options,
                                       const std::function<void(const SearchResult&)>& stage) {
  MRL_ASSIGN_OR_RETURN(const v1::SearchRequest request, MakeRequest(collection, query, options));
  return connection_->ProgressiveSearch(request, [&](const v1::ProgressiveSearchResponse& message) {
    SearchResult result;
    for (const v1::Hit& hit : message.hits()) result.hits.push_back(FromProto(hit));
    result.stats = FromProto(message.stats());
    stage(result);
    return absl::OkStatus();
  });
}

absl::StatusOr<Classification> Client::Classify(const std::string& collection, const Query& query,
                                                const std::string& field, uint32_t k,
                                                double confidence) {
  v1::ClassifyRequest request;
  request.set_collection(collection);
  if (const auto* vector = std::get_if<std::vector<float>>(&query)) {
    ToProto(*vector, request.mutable_vector());
  } else {
    ToProto(std::get<Id>(query), request.mutable_id());
  }
  request.set_field(field);
  request.set_k(k);
  request.set_confidence(confidence);
  MRL_ASSIGN_OR_RETURN(const v1::ClassifyResponse response, connection_->Classify(request));
  return Classification{response.label(), response.vote_share(), response.confidence(),
                        response.dims(), FromProto(response.stats())};
}

absl::StatusOr<Explanation> Client::Explain(const std::string& collection, const Query& query,
                                            const SearchOptions& options,
                                            absl::Span<const Id> why_not, bool compare_exact) {
  v1::ExplainSearchRequest request;
  MRL_ASSIGN_OR_RETURN(*request.mutable_search(), MakeRequest(collection, query, options));
  for (const Id& id : why_not) ToProto(id, request.add_why_not());
  request.set_compare_exact(compare_exact);
  MRL_ASSIGN_OR_RETURN(const v1::ExplainSearchResponse response,
                       connection_->ExplainSearch(request));
  Explanation out;
  out.result = FromProto(response.result());
  if (response.has_recall()) out.recall = response.recall();
  for (const v1::WhyNot& point : response.why_not()) out.why_not.push_back(FromProto(point));
  return out;
}

absl::StatusOr<Collection> Client::GetCollection(const std::string& name) {
  v1::GetCollectionRequest request;
  request.set_name(name);
  MRL_ASSIGN_OR_RETURN(const v1::Collection response, connection_->GetCollection(request));
  return FromProto(response);
}

absl::StatusOr<std::vector<Collection>> Client::ListCollections() {
  std::vector<Collection> out;
  v1::ListCollectionsRequest request;
  do {
    MRL_ASSIGN_OR_RETURN(const v1::ListCollectionsResponse page,
                         connection_->ListCollections(request));
    for (const v1::Collection& collection : page.collections()) {
      out.push_back(FromProto(collection));
    }
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return out;
}

absl::StatusOr<CollectionStats> Client::GetCollectionStats(const std::string& name) {
  v1::GetCollectionStatsRequest request;
  request.set_name(name);
  MRL_ASSIGN_OR_RETURN(const v1::CollectionStats response,
                       connection_->GetCollectionStats(request));
  CollectionStats out{response.name(),
                      response.generation(),
                      response.rows(),
                      response.segments(),
                      response.memory_bytes(),
                      response.hot_bytes(),
                      response.disk_bytes(),
                      {},
                      {}};
  for (const auto& level : response.levels()) out.level_bytes[level.dims()] = level.bytes();
  for (const auto& file : response.files()) out.file_bytes[file.name()] = file.bytes();
  return out;
}

absl::StatusOr<Collection> Client::ReloadCollection(const std::string& name) {
  v1::ReloadCollectionRequest request;
  request.set_name(name);
  MRL_ASSIGN_OR_RETURN(const v1::Collection response, connection_->ReloadCollection(request));
  return FromProto(response);
}

absl::StatusOr<uint64_t> Client::CountPoints(const std::string& collection,
                                             const std::string& filter) {
  v1::CountPointsRequest request;
  request.set_collection(collection);
  if (!filter.empty()) request.set_filter(filter);
  MRL_ASSIGN_OR_RETURN(const v1::CountPointsResponse response, connection_->CountPoints(request));
  return response.points();
}

absl::StatusOr<std::vector<Point>> Client::ListPoints(const std::string& collection,
                                                      const std::string& filter, uint64_t limit) {
  constexpr uint64_t kPageSize = 1000;
  std::vector<Point> out;
  v1::ListPointsRequest request;
  request.set_collection(collection);
  request.set_with_payload(true);
  if (!filter.empty()) request.set_filter(filter);
  while (out.size() < limit) {
    request.set_page_size(static_cast<int32_t>(std::min(kPageSize, limit - out.size())));
    MRL_ASSIGN_OR_RETURN(const v1::ListPointsResponse page, connection_->ListPoints(request));
    for (const v1::Point& point : page.points()) {
      out.push_back(FromProto(point));
    }
    if (page.next_page_token().empty()) break;
    request.set_page_token(page.next_page_token());
  }
  return out;
}

absl::StatusOr<Deleted> Client::DeletePoints(const std::string& collection,
                                             absl::Span<const Id> ids, bool validate_only) {
  v1::DeletePointsRequest request;
  request.set_collection(collection);
  for (const Id& id : ids) ToProto(id, request.add_ids());
  request.set_validate_only(validate_only);
  MRL_ASSIGN_OR_RETURN(const v1::DeletePointsResponse response, connection_->DeletePoints(request));
  return FromProto(response);
}

absl::StatusOr<Deleted> Client::DeleteMatching(const std::string& collection,
                                               const std::string& filter, bool validate_only) {
  if (filter.empty()) {
    return absl::InvalidArgumentError("an empty filter matches every point; it deletes nothing");
  }
  v1::DeletePointsRequest request;
  request.set_collection(collection);
  request.set_filter(filter);
  request.set_validate_only(validate_only);
  MRL_ASSIGN_OR_RETURN(const v1::DeletePointsResponse response, connection_->DeletePoints(request));
  return FromProto(response);
}

absl::StatusOr<Snapshot> Client::CreateSnapshot(const std::string& collection,
                                                const std::string& name) {
  MRL_ASSIGN_OR_RETURN(
      const v1::Snapshot snapshot,
      connection_->CreateSnapshot(Named<v1::CreateSnapshotRequest>(collection, name)));
  return FromProto(snapshot);
}

absl::StatusOr<Snapshot> Client::GetSnapshot(const std::string& collection,
                                             const std::string& name) {
  MRL_ASSIGN_OR_RETURN(const v1::Snapshot snapshot,
                       connection_->GetSnapshot(Named<v1::GetSnapshotRequest>(collection, name)));
  return FromProto(snapshot);
}

absl::StatusOr<std::vector<Snapshot>> Client::ListSnapshots(const std::string& collection) {
  v1::ListSnapshotsRequest request;
  request.set_collection(collection);
  MRL_ASSIGN_OR_RETURN(const v1::ListSnapshotsResponse response,
                       connection_->ListSnapshots(request));
  std::vector<Snapshot> out;
  for (const v1::Snapshot& snapshot : response.snapshots()) out.push_back(FromProto(snapshot));
  return out;
}

absl::Status Client::DeleteSnapshot(const std::string& collection, const std::string& name) {
  return connection_->DeleteSnapshot(Named<v1::DeleteSnapshotRequest>(collection, name));
}

absl::Status Client::DownloadSnapshot(const std::string& collection, const std::string& name,
                                      const std::function<absl::Status(absl::string_view)>& write) {
  return connection_->DownloadSnapshot(
      Named<v1::DownloadSnapshotRequest>(collection, name),
      [&](const v1::DownloadSnapshotResponse& piece) { return write(piece.data()); });
}

absl::StatusOr<Snapshot> Client::UploadSnapshot(
    const std::string& collection, const std::string& name,
    const std::function<absl::StatusOr<std::string>()>& read) {
  auto request = Named<v1::UploadSnapshotRequest>(collection, name);
  v1::UploadSnapshotResponse last;
  MRL_RETURN_IF_ERROR(connection_->UploadSnapshot(
      [&]() -> absl::StatusOr<std::optional<v1::UploadSnapshotRequest>> {
        MRL_ASSIGN_OR_RETURN(*request.mutable_data(), read());
        if (request.data().empty()) return std::optional<v1::UploadSnapshotRequest>();
        return std::optional<v1::UploadSnapshotRequest>(
            std::exchange(request, v1::UploadSnapshotRequest()));
      },
      &last));
  if (!last.has_snapshot()) {
    return absl::InvalidArgumentError("the file ends before the snapshot does");
  }
  return FromProto(last.snapshot());
}

absl::StatusOr<Operation> Client::RestoreSnapshot(const std::string& collection,
                                                  const std::string& name,
                                                  const std::string& target) {
  auto request = Named<v1::RestoreSnapshotRequest>(collection, name);
  request.set_target(target);
  MRL_ASSIGN_OR_RETURN(const auto response, connection_->RestoreSnapshot(request));
  return FromProto(response);
}

absl::StatusOr<ServerInfo> Client::GetServerInfo() {
  MRL_ASSIGN_OR_RETURN(const v1::ServerInfo response, connection_->GetServerInfo({}));
  ServerInfo out{response.version(),
                 response.commit(),
                 response.instruction_set(),
                 response.workers(),
                 response.memory_used_bytes(),
                 response.memory_limit_bytes(),
                 {},
                 response.gpu(),
                 response.gpu_memory_used_bytes(),
                 response.gpu_memory_limit_bytes()};
  for (const v1::Limit& limit : response.limits()) out.limits[limit.name()] = limit.value();
  return out;
}

absl::StatusOr<std::vector<Setting>> Client::GetConfig() {
  MRL_ASSIGN_OR_RETURN(const v1::ServerConfig response, connection_->GetConfig({}));
  std::vector<Setting> out;
  for (const auto& setting : response.settings()) {
    out.push_back({setting.key(), setting.value(), setting.source()});
  }
  return out;
}

absl::StatusOr<bool> Client::CheckHealth(const std::string& service) {
  return connection_->CheckHealth(service);
}

}  // namespace mrl::client
