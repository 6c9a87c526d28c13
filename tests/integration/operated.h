// A served sample, seen also through its HTTP port.
#pragma once

#include <httplib.h>

#include <cstdlib>
#include <string>

#include "absl/time/clock.h"
#include "tests/integration/served.h"

namespace mrl {

class Operated : public Served {
 protected:
  httplib::Result Get(const std::string& path) {
    return httplib::Client("http://" + server_->http_address()).Get(path);
  }
  // The value of one line of /metrics; -1 where there is none.
  double Metric(const std::string& name_and_labels) {
    const httplib::Result page = Get("/metrics");
    if (!page) return -1;
    const size_t at = page->body.find("\n" + name_and_labels + " ");
    if (at == std::string::npos) return -1;
    return std::atof(page->body.c_str() + at + name_and_labels.size() + 2);
  }
  // Calls of `method` that ended with `code`.
  double Ended(const std::string& method, const std::string& code) {
    const double count = Metric("mrl_rpc_total{code=\"" + code + "\",method=\"" + method + "\"}");
    return count < 0 ? 0 : count;
  }
  // Waits until a metric has a value. Each look takes a port for a minute.
  void Await(const std::string& name_and_labels, double value) {
    const absl::Time deadline = absl::Now() + absl::Seconds(60);
    while (Metric(name_and_labels) != value && absl::Now() < deadline) {
      absl::SleepFor(absl::Milliseconds(1));
    }
    EXPECT_EQ(Metric(name_and_labels), value) << name_and_labels;
  }
};

}  // namespace mrl
