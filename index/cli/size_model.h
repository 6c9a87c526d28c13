// What a collection will take, by arithmetic: docs/formats says which bytes there are.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "index/coarse/index_spec.h"
#include "index/schema/schema.h"

namespace mrl::cli {

struct SizeInput {
  Schema schema;
  uint64_t rows = 0;
  double id_bytes = 0;       // mean length of string ids; 0 = numbers
  double payload_bytes = 0;  // mean length of payloads
  std::optional<coarse::IndexSpec> graph = {};
};

struct Sizes {
  std::vector<uint64_t> levels;  // bytes of each level, all rows
  uint64_t norms = 0, ids = 0;   // in memory and in segments
  uint64_t codes_on_disk = 0, codes_in_memory = 0;
  uint64_t payloads = 0;  // on disk; their offsets are in memory too
  uint64_t payload_offsets = 0;
  uint64_t id_map = 0;  // RocksDB's part, on disk
  // In memory and on disk.
  uint64_t graph_links = 0, graph_codes = 0;
  uint64_t rotation = 0;
  uint64_t disk() const;
  uint64_t memory() const;
  uint64_t hot() const { return memory() - levels_total(); }
  uint64_t levels_total() const;
};

Sizes SizesOf(const SizeInput& input);

}  // namespace mrl::cli
