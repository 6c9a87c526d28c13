#include "index/cli/replace_file.h"

#include "base/file.h"
#include "base/status.h"

namespace mrl::cli {

absl::Status ReplaceFile(const std::string& path, absl::string_view bytes) {
  FileSystem& files = FileSystem::Posix();
  const std::string beside = path + ".new";
  MRL_RETURN_IF_ERROR(files.RemoveTree(beside));
  MRL_ASSIGN_OR_RETURN(const auto file, files.Create(beside));
  MRL_RETURN_IF_ERROR(
      file->WriteAt(0, {reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()}));
  MRL_RETURN_IF_ERROR(file->Close());
  return files.Rename(beside, path);
}

}  // namespace mrl::cli
