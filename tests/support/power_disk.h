// A disk of which a test knows what was synced: it can fail one operation, or lose power and with
// it whatever no sync had made durable.
#pragma once

#include <rocksdb/env.h>

#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "base/file.h"

namespace mrl::test {

// Counts what changes the disk, through the project's seam and through RocksDB's alike: making,
// linking, writing, syncing, renaming and removing. Thread-safe. Works on real files below one
// folder, which nobody else touches.
//
// RocksDB's compactions are spared: Debian's build has assertions on and one of them ends the
// process when a compaction fails. After a cut they are told that all went well, and nothing of it
// is kept.
class PowerDisk {
 public:
  PowerDisk();
  ~PowerDisk();
  FileSystem& files() { return *files_; }
  rocksdb::Env* env() { return env_.get(); }

  enum class Fault : uint8_t {
    kError,  // EIO; of a sync too
    kNoSpace,
    kShortWrite,  // half of it is written, where it is a write
  };
  // Operation `n` (from 1) fails, once, without being done.
  void FailAt(uint64_t n, Fault fault = Fault::kError);
  // Power goes at operation `n`: it and all later ones fail.
  void CutAt(uint64_t n);
  uint64_t operations() const;

  // After the cut: leaves what a disk may hold. Synced bytes stay; of the others a random part
  // does, the last sector of it perhaps torn. A name that was made or changed since its folder was
  // synced may be as before.
  void LoseUnsynced(uint64_t seed);

  // For the wrappers. OK, or the planned error.
  absl::Status Count();
  // The same of a write of `*bytes`: when it fails, that many are written all the same.
  absl::Status CountWrite(size_t* bytes);
  // The power is off, and the caller is a compaction that may not notice.
  bool pretends() const;
  void NoteCreated(const std::string& path);
  void NoteLinked(const std::string& path);
  void NoteWritten(const std::string& path, uint64_t end);
  void NoteSynced(const std::string& path);
  void NoteFolderSynced(const std::string& folder);
  void NoteRenamed(const std::string& from, const std::string& to, bool replaced,
                   std::string old_bytes);
  void NoteRemoved(const std::string& path);  // with what is in it

 private:
  struct File {
    uint64_t bytes = 0;
    uint64_t synced_bytes = 0;
  };
  // A change of a folder that no sync followed.
  struct Change {
    std::string from;  // "" = `to` was made
    std::string to;
    bool replaced = false;
    std::string old_bytes;  // of what was at `to`
  };
  void Undo(const Change& change);
  bool is_off() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return cut_at_ != 0 && operations_ >= cut_at_;
  }

  std::unique_ptr<FileSystem> files_;
  std::unique_ptr<rocksdb::Env> env_;
  mutable absl::Mutex mutex_;
  uint64_t operations_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t fail_at_ ABSL_GUARDED_BY(mutex_) = 0;
  Fault fault_ ABSL_GUARDED_BY(mutex_) = Fault::kError;
  uint64_t cut_at_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<std::string, File> known_ ABSL_GUARDED_BY(mutex_);
  std::vector<Change> changes_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> pretended_ ABSL_GUARDED_BY(mutex_);  // files made after the cut
};

}  // namespace mrl::test
