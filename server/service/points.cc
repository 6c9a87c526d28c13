#include "server/service/points.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "index/coarse/exact_scan.h"
#include "index/funnel/filtered.h"
#include "index/io/lines.h"
#include "server/limits.h"
#include "server/rpc/error.h"
#include "server/service/convert.h"

namespace mrl::server {
namespace {

using collection::Durability;
using collection::PointWrite;

// Room for the fields around the points of a reply, and for each point's own.
constexpr uint64_t kReplyRoom = 4096;
constexpr uint64_t kPointRoom = 32;
constexpr size_t kSampleIds = 10;  // of what a deletion would delete

absl::StatusOr<Durability> ReadDurability(v1::Durability durability) {
  switch (durability) {
    case v1::DURABILITY_UNSPECIFIED:
    case v1::DURABILITY_SYNC:
      return Durability::kSync;
    case v1::DURABILITY_ASYNC:
      return Durability::kAsync;
    default:
      return InvalidField("durability", absl::StrCat("durability is ", static_cast<int>(durability),
                                                     "; DURABILITY_SYNC and _ASYNC are known"));
  }
}

absl::Status CheckCount(int64_t count, absl::string_view field) {
  if (count >= 1 && static_cast<uint64_t>(count) <= Limits::kPoints) return absl::OkStatus();
  return InvalidField(field, absl::StrCat(field, " has ", count, " entries; 1 to ", Limits::kPoints,
                                          " are accepted"));
}

absl::Status CheckPayload(const std::string& payload) {
  if (payload.empty()) return absl::OkStatus();
  if (payload.size() > Limits::kPayloadBytes) {
    return absl::InvalidArgumentError(absl::StrCat("payload has ", payload.size(),
                                                   " bytes; the limit is ", Limits::kPayloadBytes));
  }
  if (io::NestsDeeperThan(payload, Limits::kPayloadLevels)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "payload nests deeper than ", Limits::kPayloadLevels, " levels, which is the limit"));
  }
  const absl::string_view text = absl::StripLeadingAsciiWhitespace(payload);
  // A zero byte is no JSON anywhere; the parser takes it for the end of the text.
  const bool has_zero = absl::StrContains(text, '\0');
  if (text.empty() || text[0] != '{' || has_zero || !nlohmann::json::accept(payload)) {
    return absl::InvalidArgumentError(
        absl::StrCat("payload of ", payload.size(), " bytes is not a JSON object"));
  }
  return absl::OkStatus();
}

absl::StatusOr<PointWrite> ReadPoint(const v1::PointWrite& message, absl::string_view field) {
  PointWrite point;
  MRL_ASSIGN_OR_RETURN(point.id, FromProto(message.id(), absl::StrCat(field, ".id")));
  const std::string vector = absl::StrCat(field, ".vector");
  MRL_ASSIGN_OR_RETURN(const size_t dims, CountElements(message.vector(), vector));
  point.vector = Elements(message.vector(), 0, dims);
  MRL_RETURN_IF_ERROR(
      WithField(CheckPayload(message.payload_json()), absl::StrCat(field, ".payload_json")));
  point.payload = message.payload_json();
  if (message.has_if_sequence()) {
    point.condition = PointWrite::Condition::kIfSequence;
    point.sequence = message.if_sequence();
  } else if (message.if_absent()) {
    point.condition = PointWrite::Condition::kIfAbsent;
  }
  return point;
}

template <typename Ids>
absl::StatusOr<std::vector<PointId>> IdsFrom(const Ids& messages, absl::string_view field) {
  std::vector<PointId> ids;
  ids.reserve(messages.size());
  for (int i = 0; i < messages.size(); ++i) {
    MRL_ASSIGN_OR_RETURN(PointId id, FromProto(messages[i], absl::StrCat(field, "[", i, "]")));
    ids.push_back(std::move(id));
  }
  return ids;
}

// A stored row as a message.
absl::Status Fill(const store::Segment& segment, uint32_t row, bool with_vector, bool with_payload,
                  v1::Point* out) {
  ToProto(segment.Id(row), out->mutable_id());
  out->set_sequence(segment.Sequence(row));
  if (with_vector) {
    std::vector<float> vector(segment.schema().dim);
    MRL_RETURN_IF_ERROR(segment.Vector(row, vector.data()));
    ToProto(vector, out->mutable_vector());
  }
  if (with_payload) {
    MRL_ASSIGN_OR_RETURN(*out->mutable_payload_json(), segment.Payload(row));
  }
  return absl::OkStatus();
}

bool IsItemError(const absl::Status& status) {
  return absl::IsInvalidArgument(status) || absl::IsAlreadyExists(status) ||
         absl::IsAborted(status);
}

void AddFailure(int index, const absl::Status& status, v1::WritePointsResponse* response) {
  v1::WritePointsResponse::Failure* failure = response->add_failures();
  failure->set_index(static_cast<uint32_t>(index));
  failure->set_code(static_cast<int>(status.code()));
  failure->set_message(std::string(status.message()));
}

// Writes `points` together or, where one of them is refused, one by one. `indexes` are their places
// in the request.
absl::Status WriteEach(collection::LiveCollection& live, std::vector<PointWrite> points,
                       const std::vector<int>& indexes, Durability durability,
                       v1::WritePointsResponse* response) {
  if (points.empty()) return absl::OkStatus();
  const auto together = live.Upsert(points, durability);
  if (together.ok()) {
    response->set_points(static_cast<uint32_t>(together->rows));
    return absl::OkStatus();
  }
  if (!IsItemError(together.status())) return together.status();
  uint32_t written = 0;
  for (size_t i = 0; i < points.size(); ++i) {
    const auto alone = live.Upsert({std::move(points[i])}, Durability::kAsync);
    if (alone.ok()) {
      ++written;
    } else if (IsItemError(alone.status())) {
      AddFailure(indexes[i], alone.status(), response);
    } else {
      return alone.status();
    }
  }
  response->set_points(written);
  return durability == Durability::kSync ? live.Sync() : absl::OkStatus();
}

// Calls `visit(segment, row)` for the rows of a view behind the sequence `after`, in order, until
// it says false.
template <typename Visit>
absl::Status ForEachRow(const funnel::View& view, uint64_t after, const Visit& visit) {
  for (const funnel::View::Part& part : view.parts) {
    for (uint32_t row = part.segment->RowAfter(after); row < part.segment->rows(); ++row) {
      if (!coarse::IsAllowed(part.allowed_data(), row)) continue;
      MRL_ASSIGN_OR_RETURN(const bool goes_on, visit(*part.segment, row));
      if (!goes_on) return absl::OkStatus();
    }
  }
  return absl::OkStatus();
}

absl::Status DeleteMatching(collection::LiveCollection& live, const collection::Collection& version,
                            const filter::Filter& filter, bool validate_only, Durability durability,
                            v1::DeletePointsResponse* response) {
  if (!validate_only) {
    MRL_ASSIGN_OR_RETURN(const collection::WriteResult deleted,
                         live.DeleteMatching(filter, durability));
    response->set_sequence(deleted.sequence);
    response->set_points(static_cast<uint32_t>(deleted.rows));
    return absl::OkStatus();
  }
  const funnel::View matching = funnel::Narrow(version.view(), filter);
  response->set_sequence(version.sequence());
  response->set_points(static_cast<uint32_t>(matching.rows()));
  return ForEachRow(matching, 0,
                    [&](const store::Segment& segment, uint32_t row) -> absl::StatusOr<bool> {
                      ToProto(segment.Id(row), response->add_sample());
                      return static_cast<size_t>(response->sample_size()) < kSampleIds;
                    });
}

}  // namespace

absl::Status CheckSequence(const collection::Collection& collection, const std::string& name,
                           uint64_t min_sequence) {
  if (collection.sequence() >= min_sequence) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("collection '", name, "' has come to sequence ",
                                                    collection.sequence(), "; ", min_sequence,
                                                    " was asked for"));
}

absl::Status Upsert(const Registry& registry, const v1::UpsertPointsRequest& request,
                    v1::UpsertPointsResponse* response) {
  MRL_ASSIGN_OR_RETURN(const auto live, registry.FindLive(request.collection()));
  MRL_RETURN_IF_ERROR(CheckCount(request.points_size(), "points"));
  MRL_ASSIGN_OR_RETURN(const Durability durability, ReadDurability(request.durability()));
  std::vector<PointWrite> points;
  points.reserve(request.points_size());
  for (int i = 0; i < request.points_size(); ++i) {
    const std::string field = absl::StrCat("points[", i, "]");
    auto point = ReadPoint(request.points(i), field);
    if (!point.ok()) return Annotate(point.status(), field);
    points.push_back(*std::move(point));
  }
  const auto written = live->Upsert(std::move(points), durability);
  if (!written.ok()) return WithField(written.status(), "points");
  response->set_sequence(written->sequence);
  response->set_points(static_cast<uint32_t>(written->rows));
  return absl::OkStatus();
}

absl::Status Delete(const Registry& registry, const v1::DeletePointsRequest& request,
                    v1::DeletePointsResponse* response) {
  MRL_ASSIGN_OR_RETURN(const auto live, registry.FindLive(request.collection()));
  MRL_ASSIGN_OR_RETURN(const Durability durability, ReadDurability(request.durability()));
  const auto version = live->Read();
  MRL_ASSIGN_OR_RETURN(const auto filter, FilterOf(request, version->schema()));
  if (filter.has_value()) {
    if (request.ids_size() > 0) {
      return InvalidField("ids", "ids and a filter were both given; a call takes one of them");
    }
    return DeleteMatching(*live, *version, *filter, request.validate_only(), durability, response);
  }
  MRL_RETURN_IF_ERROR(CheckCount(request.ids_size(), "ids"));
  MRL_ASSIGN_OR_RETURN(std::vector<PointId> ids, IdsFrom(request.ids(), "ids"));
  if (request.validate_only()) {
    std::sort(ids.begin(), ids.end());
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
    std::erase_if(
        ids, [&](const PointId& id) { return !funnel::Find(version->view(), id).has_value(); });
    for (size_t i = 0; i < std::min(ids.size(), kSampleIds); ++i) {
      ToProto(ids[i], response->add_sample());
    }
    response->set_points(static_cast<uint32_t>(ids.size()));
    response->set_sequence(version->sequence());
    return absl::OkStatus();
  }
  MRL_ASSIGN_OR_RETURN(const collection::WriteResult deleted, live->Delete(ids, durability));
  response->set_sequence(deleted.sequence);
  response->set_points(static_cast<uint32_t>(deleted.rows));
  return absl::OkStatus();
}

absl::Status UpdatePayload(const Registry& registry, const v1::UpdatePayloadRequest& request,
                           v1::UpdatePayloadResponse* response) {
  MRL_ASSIGN_OR_RETURN(const auto live, registry.FindLive(request.collection()));
  MRL_RETURN_IF_ERROR(CheckCount(request.items_size(), "items"));
  MRL_ASSIGN_OR_RETURN(const Durability durability, ReadDurability(request.durability()));
  std::vector<collection::PayloadWrite> payloads;
  for (int i = 0; i < request.items_size(); ++i) {
    const std::string field = absl::StrCat("items[", i, "]");
    collection::PayloadWrite& write = payloads.emplace_back();
    MRL_ASSIGN_OR_RETURN(write.id, FromProto(request.items(i).id(), absl::StrCat(field, ".id")));
    MRL_RETURN_IF_ERROR(
        WithField(Annotate(CheckPayload(request.items(i).payload_json()), field), field));
    write.payload = request.items(i).payload_json();
  }
  MRL_ASSIGN_OR_RETURN(const collection::WriteResult written,
                       live->UpdatePayloads(std::move(payloads), durability));
  response->set_sequence(written.sequence);
  response->set_points(static_cast<uint32_t>(written.rows));
  return absl::OkStatus();
}

absl::Status WriteItems(collection::LiveCollection& live, const v1::WritePointsRequest& request,
                        v1::WritePointsResponse* response) {
  MRL_RETURN_IF_ERROR(
      CheckCount(request.upserts_size() + request.deletes_size(), "upserts and deletes"));
  MRL_ASSIGN_OR_RETURN(const Durability durability, ReadDurability(request.durability()));
  MRL_ASSIGN_OR_RETURN(const std::vector<PointId> ids, IdsFrom(request.deletes(), "deletes"));
  std::vector<PointWrite> points;
  std::vector<int> indexes;
  for (int i = 0; i < request.upserts_size(); ++i) {
    auto point = ReadPoint(request.upserts(i), absl::StrCat("upserts[", i, "]"));
    if (!point.ok()) {
      AddFailure(i, point.status(), response);
      continue;
    }
    points.push_back(*std::move(point));
    indexes.push_back(i);
  }
  MRL_RETURN_IF_ERROR(WriteEach(live, std::move(points), indexes, durability, response));
  if (!ids.empty()) {
    MRL_ASSIGN_OR_RETURN(const collection::WriteResult deleted, live.Delete(ids, durability));
    response->set_deleted(static_cast<uint32_t>(deleted.rows));
  }
  std::sort(response->mutable_failures()->begin(), response->mutable_failures()->end(),
            [](const auto& a, const auto& b) { return a.index() < b.index(); });
  response->set_sequence(live.sequence());
  return absl::OkStatus();
}

absl::Status BatchGet(const Registry& registry, const v1::BatchGetPointsRequest& request,
                      v1::BatchGetPointsResponse* response) {
  MRL_ASSIGN_OR_RETURN(const auto collection, registry.Find(request.collection()));
  MRL_RETURN_IF_ERROR(CheckCount(request.ids_size(), "ids"));
  MRL_RETURN_IF_ERROR(CheckSequence(*collection, request.collection(), request.min_sequence()));
  MRL_ASSIGN_OR_RETURN(const std::vector<PointId> ids, IdsFrom(request.ids(), "ids"));
  response->set_sequence(collection->sequence());
  uint64_t bytes = kReplyRoom;
  for (const PointId& id : ids) {
    const auto at = funnel::Find(collection->view(), id);
    if (!at) continue;
    v1::Point* point = response->add_points();
    MRL_RETURN_IF_ERROR(Fill(*collection->view().parts[at->part].segment, at->row,
                             request.with_vector(), request.with_payload(), point));
    bytes += point->ByteSizeLong() + kPointRoom;
    if (bytes > Limits::kReplyBytes) {
      return absl::ResourceExhaustedError(absl::StrCat(
          "the reply with ", response->points_size(), " of ", ids.size(), " points is larger than ",
          Limits::kReplyBytes, " bytes; ask for fewer ids, or page through ListPoints"));
    }
  }
  return absl::OkStatus();
}

absl::Status ListPage(const Registry& registry, const v1::ListPointsRequest& request,
                      v1::ListPointsResponse* response) {
  MRL_ASSIGN_OR_RETURN(const auto collection, registry.Find(request.collection()));
  MRL_ASSIGN_OR_RETURN(const uint64_t size, PageSize(request.page_size()));
  // A token is the sequence of the last point: pages do not depend on what came or went.
  uint64_t after = 0;
  std::string token;
  if (!request.page_token().empty() &&
      (!absl::WebSafeBase64Unescape(request.page_token(), &token) ||
       !absl::SimpleAtoi(token, &after))) {
    return InvalidField("page_token", absl::StrCat("page_token '", request.page_token(),
                                                   "' is none that this server gave"));
  }
  MRL_ASSIGN_OR_RETURN(const auto filter, FilterOf(request, collection->schema()));
  const funnel::View view =
      filter ? funnel::Narrow(collection->view(), *filter) : collection->view();
  uint64_t bytes = kReplyRoom;
  return ForEachRow(
      view, after, [&](const store::Segment& segment, uint32_t row) -> absl::StatusOr<bool> {
        v1::Point point;
        MRL_RETURN_IF_ERROR(
            Fill(segment, row, request.with_vector(), request.with_payload(), &point));
        bytes += point.ByteSizeLong() + kPointRoom;
        const auto count = static_cast<uint64_t>(response->points_size());
        if (count == size || (count > 0 && bytes > Limits::kReplyBytes)) {
          response->set_next_page_token(absl::WebSafeBase64Escape(
              absl::StrCat(response->points(response->points_size() - 1).sequence())));
          return false;
        }
        *response->add_points() = std::move(point);
        return true;
      });
}

absl::Status Count(const Registry& registry, const v1::CountPointsRequest& request,
                   v1::CountPointsResponse* response) {
  MRL_ASSIGN_OR_RETURN(const auto collection, registry.Find(request.collection()));
  MRL_ASSIGN_OR_RETURN(const auto filter, FilterOf(request, collection->schema()));
  response->set_points(filter ? funnel::Narrow(collection->view(), *filter).rows()
                              : collection->rows());
  response->set_sequence(collection->sequence());
  return absl::OkStatus();
}

}  // namespace mrl::server
