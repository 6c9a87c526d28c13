// A collection directory: RocksDB manifest and id map, segments and side files; written in bulk by
// CollectionBuilder, opened for reading by Collection. Layout: docs/formats/collection.md.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/file.h"
#include "base/memory_account.h"
#include "index/coarse/index_spec.h"
#include "index/collection/open_options.h"
#include "index/collection/profiles.h"
#include "index/funnel/profile.h"
#include "index/funnel/run.h"
#include "index/schema/schema.h"
#include "index/store/segment.h"

namespace mrl::collection {

// One chunk of a bulk load.
struct Chunk {
  std::vector<float> vectors;  // ids.size() x dim, as the user gave them
  std::vector<PointId> ids;
  std::vector<std::string> payloads;  // empty, or one JSON object per row
};

struct BuildOptions {
  bool replace = false;       // exchange an existing collection at the path
  bool skip_invalid = false;  // drop rows that CheckVector refuses, and count them
  uint32_t segment_rows_max = store::Segment::kRowsMax;
  std::optional<coarse::IndexSpec> index;  // built as the active index beside `scan`
  // That check, encode and index. With more than one, one more writes what is encoded. Codes and
  // lists are the same bytes whatever their number; graphs, and what FAISS trains, need not be.
  uint32_t threads = 1;
  coarse::gpu::DeviceSet* gpu = nullptr;  // that may build it; null = the CPU alone
  uint64_t rows_expected = 0;             // a hint for the layout of the first segment; 0 = unknown
};

// Seconds that the steps of a build took. Where there are threads for it, rows are written beside
// the other steps, and read by who gives them.
struct BuildSeconds {
  double read = 0;      // left to who gives the rows
  double check = 0;     // and transform
  double encode = 0;    // in storage, norms and scan codes
  double write = 0;     // to the file system
  double finish = 0;    // ids, sorted, and what fsync waits for
  double index = 0;     // the coarse index beside `scan`
  double database = 0;  // manifest and id map, and the renaming
};

struct BuildReport {
  uint64_t rows = 0;
  uint64_t skipped = 0;       // with skip_invalid
  std::string first_skipped;  // "row 17: a value is NaN or infinite: nan at dimension 3"
  BuildSeconds seconds;
};

// Builds beside `path` (a temporary folder in the same parent) and renames at the end; whatever
// fails, `path` is as it was and nothing half-written is left. Not thread-safe.
class CollectionBuilder {
 public:
  // ALREADY_EXISTS when `path` exists and replace is off; FAILED_PRECONDITION when replace is on
  // and `path` is not a collection.
  static absl::StatusOr<std::unique_ptr<CollectionBuilder>> Create(FileSystem& files,
                                                                   const std::string& path,
                                                                   const Schema& schema,
                                                                   const BuildOptions& options);
  ~CollectionBuilder();
  // Rows that cannot be stored are counted, and refused in Finish unless skip_invalid.
  absl::Status Append(Chunk chunk);
  // INVALID_ARGUMENT names the first refused row and counts them; ALREADY_EXISTS names an id.
  absl::StatusOr<BuildReport> Finish();

 private:
  class Impl;
  explicit CollectionBuilder(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// One version of a collection: what lay in a directory when it was opened, or what a LiveCollection
// had when it was asked. Thread-safe: constant. Holds no file lock; the directory may be on a
// read-only disk.
class Collection {
 public:
  // Reads the manifest, deletions and unsealed rows, opens segments and side files. DATA_LOSS names
  // the damaged part; NOT_FOUND when `path` is no collection.
  static absl::StatusOr<std::shared_ptr<const Collection>> Open(FileSystem& files,
                                                                const std::string& path,
                                                                MemoryAccount& account,
                                                                const OpenOptions& options = {});
  ~Collection();

  const std::string& uuid() const;
  uint64_t generation() const;  // of the manifest; 1 for a fresh build
  uint64_t sequence() const;    // of the newest write that this version has
  int64_t created_unix_s() const;
  const funnel::View& view() const;
  const Schema& schema() const { return view().schema; }
  uint64_t rows() const { return view().rows(); }
  // Coarse kinds, the active one first.
  std::vector<std::string> kinds() const;
  // What those beside `scan` were built from.
  const std::vector<coarse::IndexSpec>& indexes() const;
  // Its named funnels.
  const funnel::ProfileSet& profiles() const;
  // Changes the profiles of the directory that this was opened from, as EditProfiles does, and
  // gives this version with them. FAILED_PRECONDITION when another version lies there by now.
  absl::StatusOr<std::shared_ptr<const Collection>> WithProfiles(const ProfileEdit& edit) const;
  // The planner's input for this collection; the caller fills in k, query_dims, exact and funnel.
  funnel::PlanInput plan_input() const;
  // The same, were `kind`, one of kinds(), the active one.
  funnel::PlanInput plan_input(const std::string& kind) const;

  // Every file of the collection with its size, as they lie there now. Those that go meanwhile are
  // left out.
  struct File {
    std::string name;  // relative to the directory
    uint64_t bytes = 0;
  };
  std::vector<File> files() const;
  // What vectors cost in memory beside their levels: codes, norms, ids, id index, coarse data.
  uint64_t hot_bytes() const;
  // With the levels that are held there.
  uint64_t memory_bytes() const;
  // What is held in memory of one level.
  uint64_t level_memory_bytes(size_t level) const;

 private:
  friend class LiveCollection;
  class Impl;
  explicit Collection(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Reads every byte and checks every checksum, RocksDB's too, and that the id map agrees with the
// segments. `progress(part, done_bytes, total_bytes)` may be empty. DATA_LOSS names the damaged
// part.
absl::Status Verify(FileSystem& files, const std::string& path,
                    const std::function<void(absl::string_view, uint64_t, uint64_t)>& progress);

}  // namespace mrl::collection
