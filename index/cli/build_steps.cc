#include "index/cli/build_steps.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace mrl::cli {

BuildSteps StepsOf(const collection::BuildReport& report, double rotate) {
  const collection::BuildSeconds& seconds = report.seconds;
  BuildSteps steps = {.rows = report.rows,
                      .steps = {{"read", seconds.read},
                                {"check", seconds.check},
                                {"encode", seconds.encode},
                                {"write", seconds.write},
                                {"finish", seconds.finish},
                                {"index", seconds.index},
                                {"database", seconds.database}}};
  if (rotate > 0) steps.steps.insert(steps.steps.begin(), {"rotate", rotate});
  return steps;
}

std::string ToText(const BuildSteps& steps) {
  std::string text = absl::StrFormat("%d rows in %.2f s, %.0f rows/s on %d threads:", steps.rows,
                                     steps.seconds, steps.rows_per_s(), steps.threads);
  const char* separator = " ";
  for (const auto& [name, seconds] : steps.steps) {
    absl::StrAppendFormat(&text, "%s%s %.0f %%", separator, name, 100 * steps.Share(seconds));
    separator = ", ";
  }
  return text;
}

nlohmann::json ToJson(const BuildSteps& steps) {
  nlohmann::json by_name = nlohmann::json::object();
  for (const auto& [name, seconds] : steps.steps) {
    by_name[name] = {{"seconds", seconds}, {"share", steps.Share(seconds)}};
  }
  return {{"threads", steps.threads},
          {"seconds", steps.seconds},
          {"rows_per_s", steps.rows_per_s()},
          {"steps", by_name}};
}

}  // namespace mrl::cli
