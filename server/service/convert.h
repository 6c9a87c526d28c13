// API messages to the engine's values and back. What is wrong with a request is said here, with the
// field, the value and the limit.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/status.h"
#include "index/collection/collection.h"
#include "index/filter/filter.h"
#include "index/funnel/plan.h"
#include "index/funnel/profile.h"
#include "index/funnel/run.h"
#include "mrl/v1/collection.pb.h"
#include "mrl/v1/filter.pb.h"
#include "mrl/v1/search.pb.h"
#include "server/registry.h"

namespace mrl::server {

// Entries of a page: 0 asks for the default, what is above the limit for the limit.
// INVALID_ARGUMENT for negative ones.
absl::StatusOr<uint64_t> PageSize(int32_t page_size);

absl::StatusOr<PointId> FromProto(const v1::PointId& id, absl::string_view field);
void ToProto(const PointId& id, v1::PointId* out);

// Number of dimensions in `vector`; refuses an unknown dtype and a remainder.
absl::StatusOr<size_t> CountElements(const v1::Vector& vector, absl::string_view field);
// Elements [begin, begin + count) as floats; the range lies inside.
std::vector<float> Elements(const v1::Vector& vector, size_t begin, size_t count);
void ToProto(absl::Span<const float> vector, v1::Vector* out);

// Refuses a length that `schema` does not take as a query; the message lists those it does.
absl::Status CheckQueryDims(const std::string& collection, const Schema& schema, size_t dims,
                            absl::string_view field);

// The plan for queries of `query_dims` dimensions.
absl::StatusOr<funnel::ChosenPlan> MakePlan(const collection::Collection& collection,
                                            const v1::SearchOptions& options, uint32_t query_dims);

// A filter of a request, in one of its two forms, held against `schema`.
absl::StatusOr<filter::Filter> ReadFilter(const std::string& text, const Schema& schema);
absl::StatusOr<filter::Filter> ReadFilter(const v1::Filter& tree, const Schema& schema);
// Of a message that may have either form; nothing when it has none.
template <typename Message>
absl::StatusOr<std::optional<filter::Filter>> FilterOf(const Message& message,
                                                       const Schema& schema) {
  std::optional<filter::Filter> filter;
  if (message.has_filter()) {
    MRL_ASSIGN_OR_RETURN(filter, ReadFilter(message.filter(), schema));
  } else if (message.has_filter_tree()) {
    MRL_ASSIGN_OR_RETURN(filter, ReadFilter(message.filter_tree(), schema));
  }
  return filter;
}

// Fields of a schema; validated.
absl::StatusOr<std::vector<Field>> FromProto(
    const google::protobuf::RepeatedPtrField<v1::Field>& fields);

// The schema that a request asks for, with its defaults; validated.
absl::StatusOr<Schema> FromProto(const v1::CreateCollectionRequest& request);

void ToProto(const Schema& schema, v1::Collection* out);
void ToProto(const Registry::Entry& entry, v1::Collection* out);
void ToProto(const Registry::Entry& entry, const collection::Collection& collection,
             v1::CollectionStats* out);
// All but the two times.
void ToProto(const funnel::Trace& trace, const funnel::ChosenPlan& chosen,
             const collection::Collection& collection, v1::SearchStats* out);
void ToProto(const funnel::WhyNot& why_not, v1::WhyNot* out);

}  // namespace mrl::server
