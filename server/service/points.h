// The calls of PointService, from request to reply.
#pragma once

#include "absl/status/statusor.h"
#include "mrl/v1/point.pb.h"
#include "server/registry.h"

namespace mrl::server {

absl::Status Upsert(const Registry& registry, const v1::UpsertPointsRequest& request,
                    v1::UpsertPointsResponse* response);
absl::Status Delete(const Registry& registry, const v1::DeletePointsRequest& request,
                    v1::DeletePointsResponse* response);
absl::Status UpdatePayload(const Registry& registry, const v1::UpdatePayloadRequest& request,
                           v1::UpdatePayloadResponse* response);
absl::Status BatchGet(const Registry& registry, const v1::BatchGetPointsRequest& request,
                      v1::BatchGetPointsResponse* response);
absl::Status ListPage(const Registry& registry, const v1::ListPointsRequest& request,
                      v1::ListPointsResponse* response);
absl::Status Count(const Registry& registry, const v1::CountPointsRequest& request,
                   v1::CountPointsResponse* response);

// One request of a WritePoints stream to `live`. Items that cannot be stored are reported; an error
// is one of the request as a whole, or of the collection.
absl::Status WriteItems(collection::LiveCollection& live, const v1::WritePointsRequest& request,
                        v1::WritePointsResponse* response);

// FAILED_PRECONDITION when `collection` has not come to `min_sequence`.
absl::Status CheckSequence(const collection::Collection& collection, const std::string& name,
                           uint64_t min_sequence);

}  // namespace mrl::server
