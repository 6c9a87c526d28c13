#include "index/cli/change_index.h"

#include "base/status.h"
#include "index/cli/command.h"
#include "index/cli/progress.h"

namespace mrl::cli {

absl::Status ChangeIndex(const std::string& index,
                         const std::function<absl::Status(collection::LiveCollection&)>& work) {
  MemoryAccount account(MemoryAccount::DefaultLimitBytes());
  MRL_ASSIGN_OR_RETURN(const auto live,
                       collection::LiveCollection::Open(FileSystem::Posix(), index, account));
  MRL_RETURN_IF_ERROR(work(*live));
  return live->Close();
}

absl::Status BuildKind(collection::LiveCollection& live, const coarse::IndexSpec& spec,
                       bool activate, uint32_t threads) {
  collection::LiveCollection::AddOptions options;
  options.activate = activate;
  options.threads = Threads(threads);
  Progress progress("indexing", "rows", live.Read()->rows());
  options.progress = [&](uint64_t done, uint64_t) { progress.Set(done); };
  options.stopped = Interrupted;
  return live.AddIndex(spec, options);
}

}  // namespace mrl::cli
