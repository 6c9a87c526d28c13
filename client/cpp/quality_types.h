// What the client speaks of funnels and their quality: plain values, no messages.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace mrl::client {

// The recall of a funnel as it was measured once.
struct Certificate {
  std::string funnel;
  uint32_t k = 0;
  uint32_t queries = 0;
  bool own_points = false;  // points of the collection were the queries
  double recall = 0;
  double low = 0, high = 0;  // 95 % interval
  std::vector<double> lost;  // per stage
  uint64_t sequence = 0;     // of the data
  uint64_t rows = 0;
  double changed_share = 0;  // writes since then, by the rows of then
  bool expired = false;
  std::string profile;           // that keeps it; "" = none
  uint32_t profile_version = 0;  // 0 = none
  std::string filter;            // that the points matched; "" = none
};

// What an operation runs on: `rows` queries in a row-major matrix, or a sample of the collection's
// points.
struct JobQueries {
  std::vector<float> vectors;
  uint32_t rows = 0;
  uint32_t sample = 200;
  uint64_t seed = 1;
};

struct CertifyOptions {
  std::string profile, funnel;  // at most one; neither = what a search gets that names nothing
  uint32_t k = 10;
  JobQueries queries;
  double max_changed_share = 0.1;
  std::string filter;  // of the searches that are measured, in text; "" = none
};

struct TuneOptions {
  double recall = 0.95;  // not used where a budget is set
  double p99_ms = 0;     // > 0: a budget
  double bytes = 0;      // > 0: a budget
  uint32_t k = 10;
  JobQueries queries;
  std::string save_as;  // "" = nowhere
  bool make_default = false;
};

struct MeasuredFunnel {
  std::string funnel;
  double recall = 0, low = 0, high = 0;
  double mean_ms = 0, p50_ms = 0, p99_ms = 0;
  double mean_bytes = 0;
};

struct Tuned {
  MeasuredFunnel held_out, tuning;
  bool reached = false;
  uint64_t tried = 0;
  std::vector<MeasuredFunnel> front;  // fastest first
  std::string profile;                // "" = not saved
  uint32_t profile_version = 0;
};

struct AnalyzeOptions {
  uint32_t k = 10;
  JobQueries queries;        // a sample is of the points that are compared with
  uint32_t sample = 10'000;  // points to compare with
};

// How good one prefix is.
struct PrefixQuality {
  uint32_t dims = 0;
  double recall = 0, low = 0, high = 0;  // at k of the prefix alone, with its 95 % interval
  double overlap = 0, kendall = 0;
  std::vector<double> shortlist, control;  // per length of `keeps`
  double energy = 0;
  uint64_t bytes = 0;
  double norm_mean = 0, norm_deviation = 0;
  double scan_ns_per_row = 0;  // in f32, one core
  double search_ms = 0;        // of the whole collection by the scan of this prefix alone
};

struct DimensionReport {
  std::string verdict;  // useful, useful_by_rotation, not_useful
  std::vector<std::string> advice;
  double gain = 0, gain_limit = 0;
  uint32_t k = 0, rows = 0, queries = 0;
  std::vector<uint32_t> keeps;
  std::vector<PrefixQuality> prefixes;
};

// A funnel as it was once saved.
struct ProfileVersion {
  uint32_t version = 0;
  std::string funnel;
  uint32_t k = 0;  // that its keeps were chosen for
  int64_t created_unix_s = 0;
  std::string note;
  std::optional<Certificate> certificate = {};
};

struct Profile {
  std::string name;
  uint32_t serving_version = 0;
  std::string funnel;  // of that version
  bool is_default = false;
  double shadow_share = 0;
  std::vector<ProfileVersion> versions;  // oldest first
};

// What becomes of a profile; what is not set stays.
struct ProfileChange {
  std::optional<std::string> funnel;        // a new version, which serves
  uint32_t k = 10;                          // of a new version
  std::string note;                         // of a new version
  std::optional<uint32_t> serving_version;  // instead: roll back; 0 = the one before
  std::optional<bool> is_default;
  std::optional<double> shadow_share;
};

}  // namespace mrl::client
