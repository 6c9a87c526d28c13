// Classification by the labels of neighbours, with what was learned about each collection's votes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "index/tune/adaptive.h"
#include "mrl/v1/search.pb.h"
#include "server/registry.h"
#include "server/rpc/call.h"
#include "server/service/learned.h"

namespace mrl::server {

// Thread-safe. What it learns is kept by collection, field, k and dimensions of the query.
class Classifier {
 public:
  static constexpr size_t kSample = 300;  // points that votes are judged on

  absl::Status Run(const Registry& registry, Call& call, const v1::ClassifyRequest& request,
                   v1::ClassifyResponse* response);

 private:
  absl::StatusOr<std::shared_ptr<const tune::Judged>> Learn(
      const collection::Collection& collection, const funnel::Plan& plan, Call& call,
      const std::string& field, uint32_t query_dims);

  Learned<tune::Judged> learned_;
};

}  // namespace mrl::server
