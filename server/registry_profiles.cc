#include <utility>

#include "base/status.h"
#include "server/registry.h"

namespace mrl::server {

absl::Status Registry::EditProfiles(const std::string& name, const collection::ProfileEdit& edit) {
  MRL_RETURN_IF_ERROR(Find(name).status());
  MRL_ASSIGN_OR_RETURN(const Entry asked, Get(name));
  if (!asked.read_only) {
    MRL_ASSIGN_OR_RETURN(const auto live, FindLive(name));
    return live->EditProfiles(edit);
  }
  absl::MutexLock reload_lock(&reload_mutex_);
  MRL_ASSIGN_OR_RETURN(const auto served, Find(name));
  MRL_ASSIGN_OR_RETURN(auto changed, served->WithProfiles(edit));
  absl::MutexLock lock(&mutex_);
  const auto found = entries_.find(name);
  if (found != entries_.end()) found->second.collection = std::move(changed);
  return absl::OkStatus();
}

}  // namespace mrl::server
