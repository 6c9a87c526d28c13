#include "index/cli/size_model.h"

#include <numeric>

#include "index/coarse/bit_search.h"
#include "index/coarse/scan_codes.h"

namespace mrl::cli {
namespace {

// An entry of the id map: the sequences of a bulk load compress well, keys share their beginnings.
constexpr double kMapBytesPerNumber = 9;
constexpr double kMapBytesBesideString = 7;
constexpr uint64_t kFixedBytes = 20'000;  // manifest, tables, headers

uint64_t Scaled(uint64_t rows, double bytes) {
  return static_cast<uint64_t>(static_cast<double>(rows) * bytes);
}

void AddCodes(const SizeInput& input, Sizes* sizes) {
  const uint64_t blocks = coarse::BlockCount(input.rows);
  for (const Code& code : input.schema.codes) {
    if (code.nests()) {
      sizes->codes_on_disk += input.rows * coarse::BitWords(code) * sizeof(uint64_t);
      sizes->codes_in_memory += coarse::BitArray::MemoryBytes(code, input.rows);
      continue;
    }
    uint64_t bytes = blocks * (coarse::BlockBytes(code.dims) + sizeof(kernels::Int8Block));
    if (input.schema.metric == Metric::kL2) bytes += blocks * kernels::kBlockRows * sizeof(float);
    sizes->codes_on_disk += bytes;
    sizes->codes_in_memory += bytes;
  }
}

}  // namespace

uint64_t Sizes::levels_total() const {
  return std::accumulate(levels.begin(), levels.end(), uint64_t{0});
}

uint64_t Sizes::disk() const {
  return levels_total() + norms + ids + codes_on_disk + payloads + payload_offsets + id_map +
         graph_links + graph_codes + rotation + kFixedBytes;
}

uint64_t Sizes::memory() const {
  return levels_total() + norms + ids + codes_in_memory + payload_offsets + graph_links +
         graph_codes + rotation;
}

Sizes SizesOf(const SizeInput& input) {
  const Schema& schema = input.schema;
  Sizes sizes;
  for (size_t level = 0; level < schema.levels(); ++level) {
    sizes.levels.push_back(input.rows * schema.level_bytes(level));
  }
  if (schema.metric == Metric::kCosine) {
    sizes.norms += input.rows * schema.levels() * sizeof(float);
  }
  if (schema.transform == Transform::kLayerNorm) sizes.norms += input.rows * 2 * sizeof(float);
  // A number or a place in the heap, the order, and of strings their length and characters.
  sizes.ids = input.rows * (sizeof(uint64_t) + sizeof(uint32_t));
  if (input.id_bytes > 0) sizes.ids += Scaled(input.rows, sizeof(uint16_t) + input.id_bytes);
  AddCodes(input, &sizes);
  if (input.graph.has_value()) {
    sizes.graph_codes = input.rows * coarse::BitWords(input.graph->code) * sizeof(uint64_t);
    sizes.graph_links =
        coarse::ExpectedMemoryBytes(schema, *input.graph, input.rows) - sizes.graph_codes;
  }
  if (schema.transform == Transform::kRotation) {
    sizes.rotation = uint64_t{schema.dim} * schema.dim * sizeof(float);
  }
  sizes.payload_offsets = (input.rows + 1) * sizeof(uint64_t);
  sizes.payloads = Scaled(input.rows, input.payload_bytes);
  sizes.id_map = Scaled(
      input.rows, input.id_bytes > 0 ? input.id_bytes + kMapBytesBesideString : kMapBytesPerNumber);
  return sizes;
}

}  // namespace mrl::cli
