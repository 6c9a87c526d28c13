// An operation that a verb began: shown, or waited for.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "absl/status/statusor.h"
#include "client/cli/command.h"
#include "client/cpp/client.h"

namespace mrl::cli {

nlohmann::json ToJson(const client::Operation& operation);
// Waits until it has ended, with a line of progress on stderr now and then; its error where it
// ended with one.
absl::StatusOr<client::Operation> WaitFor(client::Client& client, client::Operation operation);
// Adds --no-wait to the verb that begins one.
void AddNoWait(CLI::App& verb, bool* no_wait);
// The end of such a verb: with `no_wait` prints its name (or it, as JSON), otherwise waits and
// prints what it made.
absl::Status End(client::Client& client, const Globals& globals,
                 const absl::StatusOr<client::Operation>& begun, bool no_wait);

}  // namespace mrl::cli
