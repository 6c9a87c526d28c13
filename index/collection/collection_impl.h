// What a version of a collection holds; for those who make one.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "index/collection/collection.h"
#include "index/collection/manifest_reader.h"

namespace mrl::collection {

class Collection::Impl {
 public:
  Impl(FileSystem& files, std::string path, std::shared_ptr<const Manifest> manifest,
       funnel::View view, uint64_t sequence)
      : files_(files),
        path_(std::move(path)),
        manifest_(std::move(manifest)),
        view_(std::move(view)),
        sequence_(sequence) {}

  std::vector<File> ListFiles() const;

  FileSystem& files_;
  const std::string path_;
  const std::shared_ptr<const Manifest> manifest_;
  const funnel::View view_;
  const uint64_t sequence_;
};

}  // namespace mrl::collection
