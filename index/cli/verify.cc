// mrl-index verify: every checksum of every file, and the id map against the rows.
#include <cstdio>

#include <nlohmann/json.hpp>

#include "base/status.h"
#include "index/cli/command.h"
#include "index/cli/progress.h"
#include "index/collection/collection.h"

namespace mrl::cli {

void AddVerify(CLI::App& app, Verb* verb) {
  auto index = std::make_shared<std::string>();
  auto json = std::make_shared<bool>(false);
  CLI::App* verify =
      app.add_subcommand("verify", "Check every checksum; damage exits 65 and is named");
  verify->footer("Example:\n  mrl-index verify --index INDEX");
  verify->add_option("--index", *index, "Collection directory")->required();
  verify->add_flag("--json", *json, "Print one JSON object");
  verify->callback([index, json, verb] {
    *verb = [index, json]() -> absl::Status {
      std::unique_ptr<Progress> progress;
      MRL_RETURN_IF_ERROR(collection::Verify(
          FileSystem::Posix(), *index,
          [&](absl::string_view /*part*/, uint64_t done_bytes, uint64_t total_bytes) {
            if (!progress) progress = std::make_unique<Progress>("verifying", "bytes", total_bytes);
            progress->Set(done_bytes);
          }));
      progress.reset();
      if (*json) {
        std::printf("%s\n", nlohmann::json{{"index", *index}, {"ok", true}}.dump().c_str());
      } else {
        std::printf("%s: ok\n", index->c_str());
      }
      return absl::OkStatus();
    };
  });
}

}  // namespace mrl::cli
