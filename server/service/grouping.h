// The best few hits for each value of a payload field.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "index/filter/value.h"
#include "index/funnel/run.h"
#include "index/schema/schema.h"
#include "mrl/v1/search.pb.h"

namespace mrl::server {

// Not thread-safe.
class Grouping {
 public:
  // INVALID_ARGUMENT for a field that is not indexed, a size beyond its limit, or an offset, which
  // groups have not.
  static absl::StatusOr<Grouping> Make(const v1::SearchOptions& options, const Schema& schema);

  // Points to search for.
  uint32_t fetch() const { return fetch_; }
  // Asks for more of them; false when there are no more to ask for.
  bool Widen();
  // Keeps of `hits`, which come best first, what belongs to the groups, group by group. DATA_LOSS
  // for a payload that cannot be read.
  absl::Status Take(const funnel::View& view, std::vector<funnel::Hit>* hits);
  // Every group of the last Take is there with all of its hits.
  bool full() const;
  // Writes the values of groups into the hits of a reply to the last Take, of which those that are
  // too far may be missing at the end of each group.
  void Label(const funnel::View& view, v1::SearchResponse* response) const;

 private:
  struct Group {
    filter::Value value;
    std::vector<funnel::Hit> hits;
  };
  Grouping(Field field, uint32_t groups, uint32_t size, bool is_fixed);

  const std::vector<Field> field_;  // one
  const uint32_t groups_max_;
  const uint32_t size_;
  const bool is_fixed_;  // a funnel of the caller's says how many points there are
  uint32_t fetch_;
  std::vector<Group> groups_;
};

}  // namespace mrl::server
