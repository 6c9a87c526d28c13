#include "server/version.h"

namespace mrl::server {

const char* const kVersion = MRL_VERSION;
const char* const kCommit = MRL_COMMIT;

}  // namespace mrl::server
