// What a live collection should hold, kept in a map; and the comparison with what it does hold.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/memory_account.h"
#include "index/collection/collection.h"
#include "index/filter/expression.h"
#include "index/schema/schema.h"
#include "index/store/tail.h"

namespace mrl::test {

struct ModelPoint {
  std::vector<float> vector;  // as stored
  float mean = 0;
  float deviation = 1;
  std::string payload;
  uint64_t sequence = 0;
};

class Model {
 public:
  explicit Model(const Schema& schema) : schema_(schema) {}

  void SetFields(const std::vector<Field>& fields) { schema_.fields = fields; }
  std::map<PointId, ModelPoint>& points() { return points_; }
  const std::map<PointId, ModelPoint>& points() const { return points_; }

  // INTERNAL says what differs: rows, a point's vector, payload or sequence.
  absl::Status Compare(const collection::Collection& collection) const;
  // The same for one id, whether or not it is there.
  absl::Status CompareId(const collection::Collection& collection, const PointId& id) const;
  // Exact search, and a funnel that keeps every row, against a single part with every point: ids
  // and scores to the bit.
  absl::Status CompareSearch(const collection::Collection& collection,
                             const std::vector<float>& query, uint32_t k) const;
  // The same among the points that match, and which these are.
  absl::Status CompareFiltered(const collection::Collection& collection,
                               const filter::Expression& expression,
                               const std::vector<float>& query, uint32_t k) const;

 private:
  // These points as one part.
  funnel::View OnePart(const std::map<PointId, ModelPoint>& points) const;
  absl::Status CompareViews(const funnel::View& view, const funnel::View& one,
                            const std::vector<float>& query, uint32_t k) const;

  Schema schema_;
  std::map<PointId, ModelPoint> points_;
};

// What a write stores of a vector.
ModelPoint Stored(const Schema& schema, std::vector<float> vector);

}  // namespace mrl::test
