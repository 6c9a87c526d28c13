#include "index/cli/eval_labels.h"

#include <cstdio>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status.h"
#include "index/cli/command.h"
#include "index/cli/open_index.h"
#include "index/cli/output.h"
#include "index/tune/adaptive.h"

namespace mrl::cli {
namespace {

constexpr double kConfidences[] = {0.8, 0.9, 0.95, 0.98, 0.99};

tune::LabelFn LabelsOf(const funnel::View& view, const std::string& field) {
  return [&view, field](const funnel::Location& at) -> absl::StatusOr<std::string> {
    MRL_ASSIGN_OR_RETURN(const std::string payload, view.parts[at.part].segment->Payload(at.row));
    const nlohmann::json parsed = nlohmann::json::parse(payload, nullptr, false);
    if (!parsed.is_object() || !parsed.contains(field)) return std::string();
    const nlohmann::json& label = parsed[field];
    if (label.is_string()) return label.get<std::string>();
    return label.is_number() || label.is_boolean() ? label.dump() : std::string();
  };
}

// Every second of the judged queries, from `first`.
tune::Judged Half(const tune::Judged& judged, size_t first) {
  tune::Judged half;
  half.dims = judged.dims;
  for (const auto& stage : judged.stages) {
    auto& steps = half.stages.emplace_back();
    for (size_t i = first; i < stage.size(); i += 2) steps.push_back(stage[i]);
  }
  return half;
}

nlohmann::json Line(const LabelsArgs& args, const std::string& what, double confidence,
                    const tune::Cascade& cascade, size_t queries) {
  return {{"what", what},
          {"confidence", confidence},
          {"accuracy", cascade.accuracy},
          {"expected_dims", cascade.expected_dims},
          {"k", args.k},
          {"queries", queries}};
}

std::vector<nlohmann::json> Lines(const LabelsArgs& args, const tune::Judged& learn,
                                  const tune::Judged& check) {
  const size_t queries = check.stages.front().size();
  std::vector<nlohmann::json> lines;
  for (size_t stage = 0; stage < check.dims.size(); ++stage) {
    std::vector<double> thresholds(check.dims.size(), 2.0);
    for (size_t i = stage; i < thresholds.size(); ++i) thresholds[i] = 0;
    lines.push_back(Line(args, absl::StrCat("always ", check.dims[stage], " dims"), 0,
                         tune::RunCascade(check, thresholds), queries));
  }
  for (const double confidence : kConfidences) {
    lines.push_back(Line(args, absl::StrFormat("confidence %g", confidence), confidence,
                         tune::RunCascade(check, tune::LearnThresholds(learn, confidence)),
                         queries));
  }
  return lines;
}

}  // namespace

absl::Status EvalLabels(const LabelsArgs& args) {
  CatchInterrupts();
  MRL_ASSIGN_OR_RETURN(const OpenedIndex opened,
                       OpenIndex(args.index, {.hot_dims = args.hot_dims}));
  const collection::Collection& collection = *opened.collection;
  const funnel::View& view = collection.view();
  funnel::PlanInput input = collection.plan_input();
  input.k = args.k;
  input.funnel = tune::ClimbingFunnel(collection.schema(), collection.schema().dim, args.k);
  MRL_ASSIGN_OR_RETURN(const funnel::Plan plan, funnel::MakePlan(input));
  MRL_ASSIGN_OR_RETURN(const tune::ViewQueries queries,
                       tune::SampleQueries(view, args.sample, args.seed));
  MRL_ASSIGN_OR_RETURN(
      const tune::Judged judged,
      tune::JudgeVotes(view, plan, queries, LabelsOf(view, args.field), args.threads, Interrupted));
  if (judged.stages.front().size() < 2) {
    return absl::InvalidArgumentError(
        absl::StrCat("one sampled point has the field '", args.field, "'; 2 at least are needed"));
  }
  const std::vector<nlohmann::json> lines = Lines(args, Half(judged, 0), Half(judged, 1));
  std::vector<std::vector<std::string>> table = {{"", "accuracy", "expected dims"}};
  for (const nlohmann::json& line : lines) {
    if (args.json) PrintJson(line);
    table.push_back({line["what"].get<std::string>(),
                     absl::StrFormat("%.4f", line["accuracy"].get<double>()),
                     absl::StrFormat("%.1f", line["expected_dims"].get<double>())});
  }
  if (args.json) return absl::OkStatus();
  std::printf("%u neighbours vote on '%s' of %zu points, by %s; as many others taught it\n", args.k,
              args.field.c_str(), lines.front()["queries"].get<size_t>(), plan.ToText().c_str());
  PrintTable(table);
  return absl::OkStatus();
}

}  // namespace mrl::cli
