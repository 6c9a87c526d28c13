#include "index/collection/loader.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "index/coarse/gpu/device_set.h"
#include "index/coarse/index_spec.h"
#include "index/collection/layout.h"
#include "index/filter/field_file.h"
#include "index/filter/payload_values.h"

namespace mrl::collection {
namespace {

absl::Status LoadDeletions(const Database& database, PartList& parts) {
  return database.ForEachDeletion([&](uint32_t segment, uint32_t row) {
    LivePart* part = parts.FindSegment(segment);
    if (part == nullptr || row >= part->rows()) {
      return absl::DataLossError(
          absl::StrCat("deletions: there is no row ", row, " of segment ", segment));
    }
    part->Remove(row);
    return absl::OkStatus();
  });
}

absl::Status LoadTail(const Database& database, Loaded& loaded) {
  const Schema& schema = loaded.manifest.schema;
  return database.ForEachRow(
      [&](uint32_t epoch, uint64_t sequence, absl::string_view bytes) -> absl::Status {
        MRL_ASSIGN_OR_RETURN(store::StoredRow row, store::DecodeRow(schema, bytes));
        row.sequence = sequence;
        MRL_ASSIGN_OR_RETURN(const std::optional<uint64_t> current, database.GetId(row.id));
        loaded.epoch = std::max(loaded.epoch, epoch);
        loaded.sequence = std::max(loaded.sequence, sequence);
        if (current != sequence) return absl::OkStatus();
        if (epoch < loaded.manifest.tail_epoch) {
          return absl::DataLossError(
              absl::StrCat("tail: a row of epoch ", epoch, " is there, which is sealed"));
        }
        const auto values = filter::ReadValues(schema.fields, row.payload);
        if (!values.ok()) {
          return absl::DataLossError(absl::StrCat("tail: a row's ", values.status().message()));
        }
        MRL_RETURN_IF_ERROR(
            loaded.parts.MakeRoom(epoch, 1, row.payload.size() + filter::MemoryBytes(*values)));
        loaded.parts.Append(epoch, std::move(row), *values);
        return absl::OkStatus();
      });
}

// Counts the matrix for as long as anybody holds it.
absl::Status Account(MemoryAccount& account, Rotation* rotation) {
  if (rotation->matrix == nullptr) return absl::OkStatus();
  struct Counted {
    std::shared_ptr<const std::vector<float>> matrix;
    MemoryAccount::Reservation reservation;
  };
  auto counted = std::make_shared<Counted>();
  counted->matrix = rotation->matrix;
  MRL_ASSIGN_OR_RETURN(counted->reservation,
                       account.Reserve(rotation->matrix->size() * sizeof(float), "the rotation"));
  rotation->matrix = {counted, counted->matrix.get()};
  return absl::OkStatus();
}

// All but the rows.
absl::StatusOr<Loaded> LoadHead(const std::string& path, const Database& database,
                                MemoryAccount& account, const coarse::gpu::DeviceSet* gpu) {
  absl::StatusOr<Manifest> manifest = ReadManifest(database);
  if (!manifest.ok()) return Annotate(manifest.status(), path);
  MRL_RETURN_IF_ERROR(Annotate(Account(account, &manifest->schema.rotation), path));
  const absl::StatusOr<uint64_t> sequence = database.GetSequence();
  if (!sequence.ok()) return Annotate(sequence.status(), path);
  return Loaded{.manifest = *manifest,
                .parts = PartList(manifest->schema, KindsOf(*manifest, gpu), account),
                .sequence = *sequence,
                .epoch = manifest->tail_epoch};
}

}  // namespace

std::vector<std::string> KindsOf(const Manifest& manifest, const coarse::gpu::DeviceSet* gpu) {
  std::vector<std::string> kinds = manifest.kinds();
  for (size_t built = kinds.size(), i = 0; gpu != nullptr && i < built; ++i) {
    const absl::string_view added = gpu->KindFor(kinds[i]);
    if (!added.empty()) kinds.emplace_back(added);
  }
  return kinds;
}

absl::StatusOr<std::shared_ptr<const coarse::CoarseIndex>> CopyToGpu(
    coarse::gpu::DeviceSet* gpu, std::shared_ptr<const coarse::CoarseIndex> index) {
  if (gpu == nullptr || gpu->KindFor(index->kind()).empty()) return nullptr;
  return gpu->Make(std::move(index));
}

absl::StatusOr<std::unique_ptr<LivePart>> OpenSegment(FileSystem& files, const std::string& path,
                                                      const Manifest& manifest,
                                                      const store::SegmentInfo& info,
                                                      MemoryAccount& account,
                                                      const OpenOptions& options) {
  MRL_ASSIGN_OR_RETURN(const auto segment,
                       store::Segment::Open(files, SegmentPath(path, info.number), info,
                                            manifest.schema, account, options.hot_dims));
  LivePart::Indexes indexes;
  std::shared_ptr<const filter::FieldIndex> fields;
  for (const Manifest::SideFile& file : manifest.side_files) {
    if (file.segment != info.number) continue;
    const std::string side_path = SideFilePath(path, info.number, file.kind);
    if (IsFilterKind(file.kind)) {
      MRL_ASSIGN_OR_RETURN(fields, filter::OpenFieldFile(files, side_path, *segment,
                                                         manifest.schema.fields, account));
      continue;
    }
    MRL_ASSIGN_OR_RETURN(std::shared_ptr<const coarse::CoarseIndex> index,
                         coarse::OpenIndex(files, side_path, file.kind, segment, account));
    MRL_ASSIGN_OR_RETURN(auto on_gpu, CopyToGpu(options.gpu, index));
    indexes.push_back(std::move(index));
    if (on_gpu != nullptr) indexes.push_back(std::move(on_gpu));
  }
  if (indexes.empty()) {
    return absl::DataLossError(
        absl::StrCat(path, ": manifest: segment ", info.number, " has no coarse index"));
  }
  if (fields == nullptr && !manifest.schema.fields.empty()) {
    return absl::DataLossError(
        absl::StrCat(path, ": manifest: segment ", info.number, " has no filter index"));
  }
  return std::make_unique<LivePart>(segment, std::move(indexes), std::move(fields),
                                    KindsOf(manifest, options.gpu));
}

absl::StatusOr<Loaded> Load(FileSystem& files, const std::string& path, const Database& database,
                            MemoryAccount& account, const OpenOptions& options) {
  MRL_ASSIGN_OR_RETURN(Loaded loaded, LoadHead(path, database, account, options.gpu));
  for (const store::SegmentInfo& info : loaded.manifest.segments) {
    MRL_ASSIGN_OR_RETURN(auto part,
                         OpenSegment(files, path, loaded.manifest, info, account, options));
    loaded.parts.AddSegment(std::move(part));
    loaded.sequence = std::max(loaded.sequence, info.end_sequence() - 1);
  }
  MRL_RETURN_IF_ERROR(Annotate(LoadDeletions(database, loaded.parts), path));
  MRL_RETURN_IF_ERROR(Annotate(LoadTail(database, loaded), path));
  return loaded;
}

absl::StatusOr<Loaded> LoadReadOnly(FileSystem& files, const std::string& path,
                                    MemoryAccount& account, const OpenOptions& options) {
  MRL_ASSIGN_OR_RETURN(const std::unique_ptr<Database> database,
                       Database::OpenReadOnly(DatabasePath(path)));
  return Load(files, path, *database, account, options);
}

}  // namespace mrl::collection
