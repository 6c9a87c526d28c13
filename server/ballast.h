// A file that holds room on the disk until it is needed: for the deletions that make more.
#pragma once

#include <cstdint>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "base/file.h"

namespace mrl::server {

// Thread-safe.
class Ballast {
 public:
  // Nothing is written yet. `files` outlives the ballast.
  Ballast(FileSystem& files, std::string path, uint64_t bytes)
      : files_(files), path_(std::move(path)), bytes_(bytes) {}

  // Writes the file where it is missing, if `free_bytes` leave as much again. What goes wrong is
  // logged: it is a comfort, and nothing depends on it.
  void Fill(uint64_t free_bytes);
  // Removes it.
  void Release();
  bool held() const;

 private:
  FileSystem& files_;
  const std::string path_;
  const uint64_t bytes_;
  mutable absl::Mutex mutex_;
};

}  // namespace mrl::server
