// A rate limit: tokens come at a steady rate and a call takes one.
#pragma once

#include <algorithm>

#include "absl/time/time.h"

namespace mrl::server {

// Not thread-safe; the owner's lock guards it.
class TokenBucket {
 public:
  // Takes a token, or says how long until there is one. `per_s` above 0, `burst` 1 at least; both
  // may change from call to call, when the limits are reloaded.
  absl::Duration Take(double per_s, double burst, absl::Time now) {
    if (last_ == absl::InfinitePast()) {
      tokens_ = burst;
    } else {
      const double gained = absl::ToDoubleSeconds(std::max(now - last_, absl::ZeroDuration()));
      tokens_ = std::min(burst, tokens_ + gained * per_s);
    }
    last_ = now;
    if (tokens_ < 1) return absl::Seconds((1 - tokens_) / per_s);
    tokens_ -= 1;
    return absl::ZeroDuration();
  }

 private:
  double tokens_ = 0;
  absl::Time last_ = absl::InfinitePast();
};

}  // namespace mrl::server
