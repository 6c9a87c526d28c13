// Where the time of a build went.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "index/collection/collection.h"

namespace mrl::cli {

struct BuildSteps {
  uint64_t rows = 0;
  uint32_t threads = 1;
  double seconds = 0;  // by the clock; steps that run beside others add up to more
  std::vector<std::pair<std::string, double>> steps;  // seconds of each

  double rows_per_s() const { return seconds > 0 ? static_cast<double>(rows) / seconds : 0; }
  // Of `seconds`.
  double Share(double step_seconds) const { return seconds > 0 ? step_seconds / seconds : 0; }
};

// `rotate`: seconds that learning a rotation took; 0 = none was.
BuildSteps StepsOf(const collection::BuildReport& report, double rotate);
// "10000 rows in 0.21 s, 47619 rows/s on 2 threads: read 8 %, check 2 %, …".
std::string ToText(const BuildSteps& steps);
// `seconds`, `rows_per_s`, and `steps` with `seconds` and `share` by name.
nlohmann::json ToJson(const BuildSteps& steps);

}  // namespace mrl::cli
