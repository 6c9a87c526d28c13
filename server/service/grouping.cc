#include "server/service/grouping.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "index/filter/payload_values.h"
#include "index/funnel/plan.h"
#include "server/rpc/error.h"
#include "server/service/convert.h"

namespace mrl::server {
namespace {

constexpr uint32_t kGroupSizeMax = 100;
constexpr uint32_t kDefaultGroups = 10;
constexpr uint32_t kFetchMin = 100;
constexpr uint32_t kFetchPerHit = 4;
constexpr uint32_t kWidenBy = 8;

void ToProto(const filter::Value& value, FieldType type, v1::FilterValue* out) {
  switch (type) {
    case FieldType::kKeyword:
      out->set_text(value.text);
      return;
    case FieldType::kInt:
      out->set_integer(value.key);
      return;
    case FieldType::kFloat:
      out->set_number(filter::FloatOfKey(value.key));
      return;
    case FieldType::kBool:
      out->set_flag(value.key != 0);
      return;
    case FieldType::kDatetime: {
      constexpr int64_t kMicros = 1'000'000;
      const int64_t micros = ((value.key % kMicros) + kMicros) % kMicros;
      out->mutable_time()->set_seconds((value.key - micros) / kMicros);
      out->mutable_time()->set_nanos(static_cast<int32_t>(micros * 1000));
      return;
    }
  }
}

}  // namespace

Grouping::Grouping(Field field, uint32_t groups, uint32_t size, bool is_fixed)
    : field_({std::move(field)}), groups_max_(groups), size_(size), is_fixed_(is_fixed) {
  fetch_ = std::clamp(groups * size * kFetchPerHit, kFetchMin, funnel::Limits::kKMax);
}

absl::StatusOr<Grouping> Grouping::Make(const v1::SearchOptions& options, const Schema& schema) {
  const auto field = std::find_if(schema.fields.begin(), schema.fields.end(),
                                  [&](const Field& one) { return one.name == options.group_by(); });
  if (field == schema.fields.end()) {
    return InvalidField("options.group_by",
                        absl::StrCat("field '", options.group_by().substr(0, Field::kNameBytesMax),
                                     "' is not indexed; these are: ", FormatFields(schema.fields)));
  }
  if (options.offset() > 0) {
    return InvalidField("options.offset", "offset and group_by were both given");
  }
  const uint32_t groups = options.has_k() ? options.k() : kDefaultGroups;
  const uint32_t size = std::max(1U, options.group_size());
  if (size > kGroupSizeMax) {
    return InvalidField("options.group_size",
                        absl::StrCat("group_size is ", size, "; the limit is ", kGroupSizeMax));
  }
  if (groups == 0 || uint64_t{groups} * size > funnel::Limits::kKMax) {
    return InvalidField("options.k",
                        absl::StrCat("k x group_size is ", uint64_t{groups} * size, "; 1 to ",
                                     funnel::Limits::kKMax, " are accepted"));
  }
  Grouping grouping(*field, groups, size, options.has_funnel_text() || options.has_funnel());
  if (grouping.is_fixed_) {
    // A funnel's last stage keeps what it says, and no more can be asked of it.
    uint32_t keep = 0;
    if (options.has_funnel()) {
      keep = options.funnel().stages().empty() ? 0 : options.funnel().stages().rbegin()->keep();
    } else if (const auto parsed = funnel::ParseFunnel(options.funnel_text()); parsed.ok()) {
      keep = parsed->stages.back().keep;
    }
    grouping.fetch_ = std::clamp(keep, groups, funnel::Limits::kKMax);
  }
  return grouping;
}

bool Grouping::Widen() {
  if (is_fixed_ || fetch_ == funnel::Limits::kKMax) return false;
  fetch_ = std::min(fetch_ * kWidenBy, funnel::Limits::kKMax);
  return true;
}

absl::Status Grouping::Take(const funnel::View& view, std::vector<funnel::Hit>* hits) {
  groups_.clear();
  for (const funnel::Hit& hit : *hits) {
    if (full()) break;
    MRL_ASSIGN_OR_RETURN(const std::string payload,
                         view.parts[hit.at.part].segment->Payload(hit.at.row));
    MRL_ASSIGN_OR_RETURN(filter::RowValues values, filter::ReadValues(field_, payload));
    if (values.front().empty()) continue;
    filter::Value& value = values.front().front();
    auto group = std::find_if(groups_.begin(), groups_.end(),
                              [&](const Group& one) { return one.value == value; });
    if (group == groups_.end()) {
      if (groups_.size() == groups_max_) continue;
      groups_.push_back({.value = std::move(value), .hits = {}});
      group = groups_.end() - 1;
    }
    if (group->hits.size() < size_) group->hits.push_back(hit);
  }
  hits->clear();
  for (const Group& group : groups_) {
    hits->insert(hits->end(), group.hits.begin(), group.hits.end());
  }
  return absl::OkStatus();
}

bool Grouping::full() const {
  return groups_.size() == groups_max_ &&
         std::all_of(groups_.begin(), groups_.end(),
                     [this](const Group& group) { return group.hits.size() == size_; });
}

void Grouping::Label(const funnel::View& view, v1::SearchResponse* response) const {
  int next = 0;
  for (const Group& group : groups_) {
    for (const funnel::Hit& hit : group.hits) {
      if (next == response->hits_size()) return;
      v1::PointId id;
      server::ToProto(view.parts[hit.at.part].segment->Id(hit.at.row), &id);
      v1::Hit* written = response->mutable_hits(next);
      const bool same = written->id().number() == id.number() && written->id().text() == id.text();
      if (!same) continue;  // it was beyond the threshold
      ToProto(group.value, field_.front().type, written->mutable_group());
      ++next;
    }
  }
}

}  // namespace mrl::server
