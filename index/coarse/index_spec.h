// What a coarse index beside the scan codes is built from, and how it is built and opened, whatever
// its kind.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/file.h"
#include "base/memory_account.h"
#include "index/coarse/coarse.h"
#include "index/format/section_file.h"
#include "index/schema/schema.h"

namespace mrl::coarse {

// Stored in the manifest, so that segments to come get the same index.
struct IndexSpec {
  std::string kind = {};     // "faiss", "ivf_scan" or "graph"
  uint32_t dims = 0;         // a ladder step: what FAISS indexes, what ivf_scan clusters (d_c);
                             // of a graph the code's. While it is asked for: see ValidateAsked
  std::string factory = {};  // faiss: "HNSW32", "IVF1024,Flat"
  uint32_t lists = 0;        // ivf_scan: 0 = one for each 256 rows of a segment
  // ivf_scan: what its lists hold (d_s x bits); graph: the signs by which it is walked.
  // One that the schema's codes serve.
  Code code = {};
  uint32_t degree = 0;  // graph: links of a row at most; default kDegree

  static constexpr uint32_t kDegree = 64;
  static constexpr uint32_t kDegreeMin = 4;
  static constexpr uint32_t kDegreeMax = 256;
  static constexpr uint32_t kListsMax = 1 << 20;
  static constexpr size_t kFactoryBytesMax = 256;

  // INVALID_ARGUMENT names the field, the value and what is allowed.
  absl::Status Validate(const Schema& schema) const;
  // As Validate, of an index that a collection is asked to add: one of a product quantiser in FAISS
  // may leave `dims` 0, and the collection chooses them (ChooseFaissDims) before it builds.
  absl::Status ValidateAsked(const Schema& schema) const;
  // Whether dims are for the collection to choose, where they may be.
  bool leaves_dims() const { return kind == "faiss" && dims == 0; }
  // "faiss HNSW32 on 64 dims", "ivf_scan on 128 dims, 256b1, 1024 lists", "graph 512b1, 64 links a
  // row".
  std::string ToText() const;
  bool operator==(const IndexSpec&) const = default;
};

// With what is left open filled in. ivf_scan: dims by the ladder step nearest to 128, code by the
// longest signs of up to 256 dimensions, else the longest code of 8 bits up to 64. graph: the
// longest signs of up to 512 dimensions, and 64 links.
IndexSpec WithDefaults(IndexSpec spec, const Schema& schema);

// Every kind that a program of this build can open, `scan` first.
std::vector<std::string> KnownKinds();
// Nothing for an unknown kind.
std::optional<format::FileKind> FileKindOf(absl::string_view kind);

// How a build is done.
struct BuildContext {
  uint32_t threads = 1;                // at most, where the kind can use them
  std::function<bool()> stopped = {};  // asked now and then, by any of them; may be empty
  gpu::DeviceSet* gpu = nullptr;       // as FaissOptions has it
};

// Writes the side file of one segment. CANCELLED, with no file left, when it was stopped.
absl::Status BuildIndex(FileSystem& files, const std::string& path, const store::Segment& segment,
                        const IndexSpec& spec, const BuildContext& context);
// What an index of `rows` rows will take in memory; 0 where that is not known before (faiss).
uint64_t ExpectedMemoryBytes(const Schema& schema, const IndexSpec& spec, uint64_t rows);
// Opens a side file of any kind.
absl::StatusOr<std::unique_ptr<CoarseIndex>> OpenIndex(
    FileSystem& files, const std::string& path, absl::string_view kind,
    std::shared_ptr<const store::Segment> segment, MemoryAccount& account);

}  // namespace mrl::coarse
