#include "index/cli/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <utility>

namespace mrl::cli {

Progress::Progress(std::string what, std::string unit, uint64_t total)
    : what_(std::move(what)),
      unit_(std::move(unit)),
      total_(std::max<uint64_t>(total, 1)),
      terminal_(isatty(STDERR_FILENO) != 0) {}

Progress::~Progress() {
  if (terminal_ && any_) std::fputc('\n', stderr);
}

void Progress::Set(uint64_t done) {
  done_ = done;
  const auto now = Clock::now();
  const auto interval =
      terminal_ ? std::chrono::milliseconds(100) : std::chrono::milliseconds(10'000);
  if (now - printed_ < interval && !(terminal_ && done == total_)) return;
  printed_ = now;
  any_ = true;
  Print(std::chrono::duration<double>(now - start_).count());
}

void Progress::Print(double seconds) const {
  constexpr int kWidth = 30;
  const double share = std::min(1.0, static_cast<double>(done_) / static_cast<double>(total_));
  const double rate = seconds > 0 ? static_cast<double>(done_) / seconds : 0;
  const double left_s = rate > 0 ? static_cast<double>(total_ - std::min(done_, total_)) / rate : 0;
  const int filled = static_cast<int>(share * kWidth);
  std::fprintf(stderr, "%s%s [%.*s%*s] %3.0f %%  %.0f %s/s  %.0f s left%s", terminal_ ? "\r" : "",
               what_.c_str(), filled, "##############################", kWidth - filled, "",
               share * 100, rate, unit_.c_str(), left_s, terminal_ ? "  " : "\n");
  std::fflush(stderr);
}

std::function<void(absl::string_view, uint64_t, uint64_t)> ShowParts() {
  struct Shown {
    std::string what;
    std::unique_ptr<Progress> bar;
  };
  auto shown = std::make_shared<Shown>();
  return [shown](absl::string_view what, uint64_t done, uint64_t total) {
    if (shown->bar == nullptr || shown->what != what) {
      shown->what = std::string(what);
      shown->bar.reset();  // ends its line before the next one begins
      shown->bar = std::make_unique<Progress>(shown->what, "steps", total);
    }
    shown->bar->Set(done);
  };
}

}  // namespace mrl::cli
