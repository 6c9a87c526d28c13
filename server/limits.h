// Every limit that a request is held against, in one table: checked before anything is allocated,
// and published by ServerService.GetServerInfo.
#pragma once

#include <cstdint>

#include "absl/types/span.h"
#include "index/filter/expression.h"
#include "index/funnel/plan.h"
#include "index/io/lines.h"
#include "index/schema/point_id.h"
#include "index/schema/schema.h"

namespace mrl::server {

struct Limits {
  static constexpr uint64_t kBatchChunkBytes = 1 << 20;
  static constexpr uint64_t kBatchHits = 10'000'000;
  static constexpr uint64_t kBatchRows = 100'000;
  static constexpr uint64_t kAliasChanges = 1000;
  static constexpr uint64_t kFunnelTextBytes = 4096;
  static constexpr uint64_t kJobQueries = 10'000;
  static constexpr uint64_t kJobQueryBytes = 16 << 20;
  static constexpr uint64_t kMetadataBytes = 8 << 10;
  static constexpr uint64_t kNameBytes = 128;
  static constexpr uint64_t kPageSize = 1000;
  static constexpr uint64_t kPageSizeDefault = 100;
  static constexpr uint64_t kPayloadBytes = 1 << 20;
  static constexpr uint64_t kPayloadLevels = io::JsonRows::kDepthMax;
  static constexpr uint64_t kPoints = 10'000;
  static constexpr uint64_t kReplyBytes = 4 << 20;  // what a default client accepts
  static constexpr uint64_t kRequestBytes = 64 << 20;
  static constexpr uint64_t kWhyNotIds = 100;
};

struct Limit {
  const char* name;
  uint64_t value;
  const char* description;
};

// In order of names.
inline absl::Span<const Limit> LimitsTable() {
  static constexpr Limit kTable[] = {
      {"alias_changes", Limits::kAliasChanges, "changes of one BatchUpdateAliases"},
      {"batch_chunk_bytes", Limits::kBatchChunkBytes, "bytes of one BatchSearch reply chunk"},
      {"batch_hits", Limits::kBatchHits, "k x rows of one BatchSearch"},
      {"batch_rows", Limits::kBatchRows, "queries of one BatchSearch"},
      {"dims", Schema::kDimMax, "dimensions of a vector"},
      {"fields", Field::kFieldsMax, "payload fields that a collection indexes"},
      {"filter_bytes", filter::Limits::kTextBytes, "bytes of a filter in text"},
      {"filter_conditions", filter::Limits::kNodes, "conditions of a filter"},
      {"filter_levels", filter::Limits::kDepth, "levels of a filter"},
      {"filter_values", filter::Limits::kValues, "values and ids of a filter"},
      {"funnel_text_bytes", Limits::kFunnelTextBytes, "bytes of a funnel in text"},
      {"id_bytes", PointId::kBytesMax, "bytes of a text id"},
      {"job_queries", Limits::kJobQueries, "queries of one operation of FunnelService"},
      {"job_query_bytes", Limits::kJobQueryBytes, "bytes of the queries of such an operation"},
      {"k", funnel::Limits::kKMax, "points wanted per query"},
      {"keep", funnel::Limits::kKeepMax, "candidates kept by one stage"},
      {"metadata_bytes", Limits::kMetadataBytes, "bytes of a call's metadata"},
      {"name_bytes", Limits::kNameBytes, "bytes of a collection's name"},
      {"page_size", Limits::kPageSize, "collections or points on one page"},
      {"payload_bytes", Limits::kPayloadBytes, "bytes of a point's payload"},
      {"payload_levels", Limits::kPayloadLevels, "objects and arrays of a payload in each other"},
      {"points", Limits::kPoints, "points or ids of one request"},
      {"reply_bytes", Limits::kReplyBytes, "bytes of a unary reply"},
      {"request_bytes", Limits::kRequestBytes, "bytes of a request"},
      {"stages", funnel::Limits::kStagesMax, "stages of a funnel"},
      {"why_not_ids", Limits::kWhyNotIds, "ids that one ExplainSearch follows"},
  };
  return kTable;
}

}  // namespace mrl::server
