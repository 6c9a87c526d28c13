#include "server/service/classify.h"

#include <algorithm>
#include <utility>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "server/limits.h"
#include "server/service/asked.h"
#include "server/service/convert.h"

namespace mrl::server {
namespace {

constexpr double kConfidenceDefault = 0.95;
constexpr size_t kFieldBytesMax = 256;

// The field of a payload as text; "" where there is none or it is no label.
std::string LabelIn(const std::string& payload, const std::string& field) {
  const nlohmann::json parsed = nlohmann::json::parse(payload, nullptr, false);
  if (!parsed.is_object()) return "";
  const auto found = parsed.find(field);
  if (found == parsed.end()) return "";
  if (found->is_string()) return found->get<std::string>();
  return found->is_number() || found->is_boolean() ? found->dump() : "";
}

tune::LabelFn LabelsOf(const funnel::View& view, const std::string& field) {
  return [&view, field](const funnel::Location& at) -> absl::StatusOr<std::string> {
    MRL_ASSIGN_OR_RETURN(const std::string payload, view.parts[at.part].segment->Payload(at.row));
    return LabelIn(payload, field);
  };
}

absl::Status Check(const v1::ClassifyRequest& request) {
  if (request.field().empty() || request.field().size() > kFieldBytesMax) {
    return InvalidField("field", absl::StrCat("field has ", request.field().size(), " bytes; 1 to ",
                                              kFieldBytesMax, " are accepted"));
  }
  if (!(request.confidence() >= 0 && request.confidence() <= 1)) {
    return InvalidField("confidence", absl::StrCat("confidence is ", request.confidence(),
                                                   "; above 0 to 1 is accepted"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::shared_ptr<const tune::Judged>> Classifier::Learn(
    const collection::Collection& collection, const funnel::Plan& plan, Call& call,
    const std::string& field, uint32_t query_dims) {
  const auto learn = [&]() -> absl::StatusOr<tune::Judged> {
    const funnel::View& view = collection.view();
    MRL_ASSIGN_OR_RETURN(tune::ViewQueries queries, tune::SampleQueries(view, kSample, /*seed=*/1));
    if (query_dims < queries.dims) queries = tune::ShortenQueries(queries, query_dims);
    return tune::JudgeVotes(view, plan, queries, LabelsOf(view, field), /*threads=*/1,
                            [&call] { return call.stopped(); });
  };
  return learned_.Get(collection, absl::StrCat("k=", plan.k, " dims=", query_dims, " ", field),
                      learn);
}

absl::Status Classifier::Run(const Registry& registry, Call& call,
                             const v1::ClassifyRequest& request, v1::ClassifyResponse* response) {
  v1::SearchRequest search;
  search.set_collection(request.collection());
  if (request.has_vector()) *search.mutable_vector() = request.vector();
  if (request.has_id()) *search.mutable_id() = request.id();
  MRL_ASSIGN_OR_RETURN(const auto found, registry.Find(request.collection()));
  MRL_RETURN_IF_ERROR(Check(request));
  const collection::Collection& collection = *found;
  MRL_ASSIGN_OR_RETURN(const Query asked, ReadQuery(collection, search));
  const auto dims = static_cast<uint32_t>(asked.vector.size());
  funnel::PlanInput input = collection.plan_input();
  if (request.k() != 0) input.k = request.k();
  input.query_dims = dims;
  input.funnel = tune::ClimbingFunnel(collection.schema(), dims, input.k);
  funnel::ChosenPlan chosen;
  auto plan = funnel::MakePlan(input);
  if (!plan.ok()) return WithField(plan.status(), "k");
  chosen.plan = *std::move(plan);
  MRL_ASSIGN_OR_RETURN(const auto judged,
                       Learn(collection, chosen.plan, call, request.field(), dims));
  const double confidence = request.confidence() == 0 ? kConfidenceDefault : request.confidence();
  funnel::RunOptions options;
  options.stopped = [&call] { return call.stopped(); };
  options.leave_out = asked.leave_out;
  auto classified = tune::Classify(collection.view(), chosen.plan, asked.vector, options,
                                   LabelsOf(collection.view(), request.field()),
                                   tune::LearnThresholds(*judged, confidence));
  if (!classified.ok()) return WithField(classified.status(), "vector");
  call.Report(classified->trace, chosen.plan);
  response->set_label(classified->vote.label);
  response->set_vote_share(classified->vote.share);
  response->set_confidence(tune::RightShare(*judged, classified->stage, classified->vote.share));
  response->set_dims(chosen.plan.stages[classified->stage].dims);
  ToProto(classified->trace, chosen, collection, response->mutable_stats());
  response->mutable_stats()->set_queue_micros(call.queue_micros());
  response->mutable_stats()->set_total_micros(call.elapsed_micros());
  return absl::OkStatus();
}

}  // namespace mrl::server
