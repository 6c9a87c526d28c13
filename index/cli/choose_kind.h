// The coarse index that a build chooses by itself.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>

#include "absl/status/status.h"

namespace mrl::cli {

// Above so many rows a build tries `ivf_scan` beside `scan`; docs/adr/0026 says why.
inline constexpr uint64_t kChooseAbove = 4'000'000;

// Of a collection directory of `rows` rows that was just built and scans. Up to `above` rows it
// stays so. Otherwise `ivf_scan` is built, and rows of the collection are asked, each left out of
// its own result: where it finds no less of the true neighbours than the built-in rule finds by
// `scan`, and takes more than a tenth less time, it becomes the active kind, and the funnel that
// was measured the default profile. Prints what was measured to `out`. After an error, or once
// Interrupted(), which gives CANCELLED, the collection scans as before.
struct ChooseOptions {
  uint64_t above = kChooseAbove;
  uint32_t threads = 1;
  std::FILE* out = stdout;
};
absl::Status ChooseKind(const std::string& index, uint64_t rows, const ChooseOptions& options);

}  // namespace mrl::cli
