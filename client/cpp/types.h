// What the client speaks: plain values, no messages.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace mrl::client {

// A number, or a string of 1 to 256 bytes.
using Id = std::variant<uint64_t, std::string>;
// The number in decimal, or the string itself.
std::string ToString(const Id& id);

struct SearchOptions {
  uint32_t k = 10;                       // 1 to 10,000
  std::string funnel;                    // text form; empty = the server chooses
  std::string profile;                   // of the collection; not together with `funnel`
  bool exact = false;                    // compares with every point; not together with either
  std::optional<float> score_threshold;  // minimum for cosine and ip, maximum for l2
  bool with_payload = false;
  bool with_vector = false;
  bool include_self = false;         // search by id: the point itself may be a hit
  uint32_t offset = 0;               // hits left out at the front
  std::string group_by;              // k groups of hits, by the value of this field; empty = none
  uint32_t group_size = 0;           // hits of a group; 0 = 1
  std::string filter;                // only points that match, such as `year >= 2000`; empty = all
  bool anytime = false;              // a search that would miss the deadline returns what it has
  std::optional<double> early_exit;  // leaves out stages that change less than this share
  std::optional<double> adaptive_keep;  // leaves out candidates; this share of the result stays
};

struct Hit {
  Id id;
  float score = 0;
  std::string payload_json;   // with_payload
  std::vector<float> vector;  // with_vector
};

struct Stage {
  std::string kind;
  uint32_t dims = 0;
  uint32_t bits = 0;  // 0 = stored precision
  uint64_t candidates_in = 0;
  uint64_t candidates_out = 0;
  uint64_t bytes_touched = 0;
  uint64_t rescored = 0;
  double micros = 0;
  float score_cut = 0;
  uint64_t cold_bytes = 0;  // of bytes_touched, from disk
  uint64_t left_out = 0;    // candidates within the keep, with adaptive_keep
};

struct SearchStats {
  double queue_micros = 0;
  double total_micros = 0;
  double engine_micros = 0;
  std::vector<Stage> stages;
  uint64_t rows_scanned = 0;
  std::string plan;
  uint64_t generation = 0;
  uint64_t multiply_adds = 0;
  uint32_t tile_queries = 1;
  std::optional<uint64_t> rows_matched;        // with a filter
  std::string profile;                         // that gave the plan; "" = none did
  uint32_t profile_version = 0;                // 0 = none
  bool degraded = false;                       // the deadline came before the last stage
  uint32_t early_exit_stages = 0;              // that ran before the last one was next; 0 = all
  std::optional<double> early_exit_recall;     // what such exits keep, where it left stages out
  std::optional<double> adaptive_keep_recall;  // what an adaptive keep like this one keeps
};

// The label that most of the nearest points have.
struct Classification {
  std::string label;      // "" when none has the field
  double vote_share = 0;  // of the neighbours with a label
  double confidence = 0;  // share of right answers among sampled points with so clear a vote
  uint32_t dims = 0;      // of the prefix that decided
  SearchStats stats;
};

struct SearchResult {
  std::vector<Hit> hits;  // nearest first
  SearchStats stats;
};

struct WhyNot {
  struct AtStage {
    std::optional<uint64_t> rank;  // unset when the stage did not keep it
    float score = 0;
  };
  Id id;
  bool found = false;
  std::vector<AtStage> stages;
  std::optional<uint32_t> lost_at;  // unset when it is in the result
};

struct Explanation {
  SearchResult result;
  std::vector<WhyNot> why_not;
  std::optional<double> recall;  // against exact search, where that was asked for
};

struct Collection {
  std::string name;
  bool serving = false;  // searches are answered; by one that is idle too
  std::string state;     // serving, idle (opened when it is used; what follows is unset), damaged
  std::string state_message;
  std::string uuid;
  uint64_t generation = 0;
  int64_t created_unix_s = 0;
  uint64_t rows = 0;
  uint32_t dim = 0;
  std::vector<uint32_t> ladder;
  std::string metric;               // cosine, ip, l2
  std::string storage;              // f32, f16, bf16, int8
  std::string transform;            // none, layer_norm, rotation
  std::vector<std::string> codes;   // "16b8"
  std::vector<std::string> kinds;   // the active one first
  std::vector<std::string> fields;  // that filters may name: "year:int"
};

// What a new collection is to be; "" and {} = the server's default.
struct NewCollection {
  std::string name;
  uint32_t dim = 0;
  std::string ladder;               // "16,32,64"
  std::string metric;               // cosine, ip, l2
  std::string storage;              // f32, f16, bf16, int8
  std::string transform;            // none, layer_norm
  std::string codes;                // "16b8,64b1"; "none" = none
  std::vector<std::string> fields;  // "year:int"
  bool validate_only = false;       // is checked and not made
};

// A point as it is stored.
struct Point {
  Id id;
  uint64_t sequence = 0;
  std::string payload_json;
  std::vector<float> vector;  // where it was asked for
};

// A point to be written.
struct NewPoint {
  Id id;
  std::vector<float> vector;
  std::string payload_json = {};  // a JSON object, or "" for none
  bool if_absent = false;
  std::optional<uint64_t> if_sequence = {};
};

// What was written.
struct Written {
  uint64_t points = 0;
  uint64_t sequence = 0;
  // By WritePoints: what was not, with its place among all that were sent.
  struct Failure {
    uint64_t index = 0;
    std::string message;
  };
  std::vector<Failure> failures = {};
};

// A coarse index, or what one is to be built from.
struct Index {
  std::string collection;
  std::string kind;
  uint32_t dims = 0;
  std::string faiss_factory;
  uint32_t lists = 0;
  std::string code;  // "64b8"; "" = the default
  uint32_t degree = 0;
  bool active = false;
  uint64_t memory_bytes = 0;
  uint32_t segments = 0;
};

// Work that goes on after its call.
struct Operation {
  std::string name;  // operations/ID
  std::string method;
  std::string collection;
  uint64_t rows_done = 0;
  uint64_t rows = 0;
  bool cancel_requested = false;
  bool done = false;
  int error_code = 0;  // 0 = it ended well, or has not ended
  std::string error_message;
  std::string response_json;  // of what it made, where it ended well
};

// What a deletion did or, where it was only asked about, would do.
struct Deleted {
  uint64_t points = 0;
  uint64_t sequence = 0;
  std::vector<Id> sample;  // asked about only
};

// What a collection held at `sequence`.
struct Snapshot {
  std::string collection;
  std::string name;
  std::string collection_uuid;
  uint64_t generation = 0;
  uint64_t sequence = 0;
  uint64_t rows = 0;
  uint64_t bytes = 0;
  uint32_t files = 0;
  int64_t created_unix_s = 0;
};

struct CollectionStats {
  std::string name;
  uint64_t generation = 0;
  uint64_t rows = 0;
  uint32_t segments = 0;
  uint64_t memory_bytes = 0;
  uint64_t hot_bytes = 0;
  uint64_t disk_bytes = 0;
  std::map<uint32_t, uint64_t> level_bytes;    // by prefix length
  std::map<std::string, uint64_t> file_bytes;  // by name
};

// One key of the server's configuration.
struct Setting {
  std::string key;
  std::string value;   // "***" for a secret that is set
  std::string source;  // "flag --bind", "environment MRL_BIND", "file x.yaml", "default"
};

struct ServerInfo {
  std::string version;
  std::string commit;
  std::string instruction_set;
  uint32_t workers = 0;
  uint64_t memory_used_bytes = 0;
  uint64_t memory_limit_bytes = 0;
  std::map<std::string, uint64_t> limits;
  std::string gpu = {};  // devices, or "none: " and why
  uint64_t gpu_memory_used_bytes = 0;
  uint64_t gpu_memory_limit_bytes = 0;
};

}  // namespace mrl::client
